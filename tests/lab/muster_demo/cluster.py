"""The demo's cluster: its user data, and what the nodes and the world outside say of it."""

import json
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from muster_lab.client import Lab

CLUSTER = "demo"
SIZE = 3
PRIVATE = "10.0.0.100"

# What answers at the address: a page that names the node. Pacemaker alone starts it.
_SERVICE = """\
[Unit]
Description=Answers with the name of its node

[Service]
RuntimeDirectory=who
WorkingDirectory=/run/who
ExecStartPre=cp /proc/sys/kernel/hostname index.html
ExecStart=python3 -m http.server 80
"""

_SPEC = """\
[cluster]
name = "{cluster}"
size = {size}

[[address]]
group = "networking-group"
private_ip = "{private}"
elastic_ip = "{elastic}"

[[resource]]
id = "who"
agent = "systemd:who"
group = "networking-group"
"""


def user_data(elastic: str) -> str:
    """The cloud-config that every instance gets: a service, the spec, and `muster join`."""
    spec = _SPEC.format(cluster=CLUSTER, size=SIZE, private=PRIVATE, elastic=elastic)
    return f"""#cloud-config
write_files:
  - path: /etc/systemd/system/who.service
    content: |
{_indented(_SERVICE)}
  - path: /etc/muster/muster.toml
    owner: root:musterd
    permissions: "0640"
    content: |
{_indented(spec)}
runcmd:
  - [systemctl, daemon-reload]
  - [muster, join]
"""


def _indented(text: str) -> str:
    return "\n".join(f"      {line}".rstrip() for line in text.splitlines())


@dataclass(frozen=True)
class Fence:
    """An entry of Pacemaker's fencing history.

    Attributes:
        how: such as `reboot`.
        by: the node whose device did it.
    """

    target: str
    how: str
    by: str
    status: str


def status(lab: Lab, node: str) -> dict[str, Any]:
    """What `muster status --json` says on a node (schema 1)."""
    document: dict[str, Any] = json.loads(lab.run(node, "muster", "status", "--json").stdout)
    return document


def events(lab: Lab, node: str) -> list[dict[str, Any]]:
    """What happened on a node since its musterd started."""
    said = lab.run(node, "muster", "events", "--json").stdout
    return [json.loads(line) for line in said.splitlines()]


def fences(lab: Lab, node: str) -> list[Fence]:
    """The fencing history as the cluster keeps it (crm_mon(8), --fence-history)."""
    said = lab.run(node, "crm_mon", "--one-shot", "--fence-history=2", "--output-as=xml").stdout
    return [
        Fence(
            target=each.get("target", ""),
            how=each.get("action", ""),
            by=each.get("delegate", ""),
            status=each.get("status", ""),
        )
        for each in ElementTree.fromstring(said).iterfind("fence_history/fence_event")
    ]


def ask(lab: Lab, place: str, address: str) -> str:
    """One visit; returns the name of the node that answered, or nothing.

    systemd calls the service started before it listens: who is refused asks again for a while.
    """
    patient = ["--retry", "10", "--retry-connrefused", "--retry-delay", "1"]
    page = ["curl", "--silent", "--max-time", "5", *patient, f"http://{address}/"]
    return lab.outside(*page, place=place, check=False).stdout.strip()
