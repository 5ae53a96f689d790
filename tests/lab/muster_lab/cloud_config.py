"""User data for nodes: the spec as a file, written by cloud-init, and the command that joins."""

import json
from collections.abc import Sequence
from ipaddress import IPv4Address


def user_data(cluster: str, size: int, addresses: Sequence[IPv4Address]) -> bytes:
    """A cloud-config that writes the spec with one group per floating address, and joins."""
    # A TOML basic string and a YAML double-quoted scalar both accept what JSON writes.
    spec = [f"[cluster]\nname = {json.dumps(cluster)}\nsize = {size}\n"]
    for number, address in enumerate(addresses, start=1):
        group = "networking-group" if number == 1 else f"networking-group-{number}"
        spec.append(f'[[address]]\ngroup = "{group}"\nprivate_ip = "{address}"\n')
    lines = [
        "#cloud-config",
        "write_files:",
        "  - path: /etc/muster/muster.toml",
        "    owner: root:musterd",
        "    permissions: '0640'",
        f"    content: {json.dumps(chr(10).join(spec))}",
        "runcmd:",
        "  - [muster, join]",
    ]
    return "\n".join(lines).encode() + b"\n"
