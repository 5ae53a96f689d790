"""A cluster founded as an attacker would like to watch it, and everything that can be read of it.

The daemon logs at debug level and every program that starts is looked at; the metadata service is
guarded and the node's policy enforced from the first call on.
"""

import base64
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from muster_lab.client import CHECKOUT, Lab
from muster_lab.region.model import ACCOUNT
from muster_lab.region.policy import fill
from musterd.api.control import ROUTES, Route
from musterd.trust import parse_secret
from observe import ids, own_lab, said, wait_for
from witness import Canary, Place, Witness

CLUSTER, ADDRESS, REGION = "vault", "10.0.0.100", "eu-west-1"
POLICY = CHECKOUT / "packaging" / "aws" / "node-policy.json"
DROP_IN = "/etc/systemd/system/musterd.service.d/debug.conf"
DEBUG = "[Service]\nExecStart=\nExecStart=/usr/sbin/musterd --debug\n"
COMMANDS = (
    ("cibadmin", "--query"),
    ("pcs", "status", "--full"),
    ("pcs", "stonith", "config"),
    ("muster", "events"),
    ("muster", "status", "--json"),
    ("muster", "config"),
)
KEYS = {"/etc/corosync/authkey": "Corosync's key", "/etc/pacemaker/authkey": "Pacemaker's key"}
PCS_FILES = frozenset({"/var/lib/pcsd/known-hosts", "/var/lib/pcsd/pcs_users.conf"})
METADATA = "http://169.254.169.254/latest"


@dataclass(frozen=True)
class Vault:
    """The founded lab, and what was seen of it meanwhile."""

    lab: Lab
    nodes: tuple[str, ...]
    witness: Witness


def user_data(spec: str) -> bytes:
    """A cloud-config: spec and drop-in written, the guard up, and only then the join."""
    lines = ["#cloud-config", "write_files:"]
    for path, content, mode in (
        ("/etc/muster/muster.toml", spec, "0640"),
        (DROP_IN, DEBUG, "0644"),
    ):
        lines += [f"  - path: {path}", f"    permissions: '{mode}'", "    owner: root:musterd"]
        lines += [f"    content: {json.dumps(content)}"]
    lines += [
        "runcmd:",
        "  - [systemctl, daemon-reload]",
        "  - [systemctl, enable, --now, muster-imds-guard.service]",
        "  - [systemctl, restart, musterd.service]",
        "  - [muster, join]",
    ]
    return "\n".join(lines).encode() + b"\n"


def tagged(lab: Lab, *resources: str) -> None:
    """Give resources the tag by which the policy knows them; they inherit none."""
    tag = f"Key=muster:cluster,Value={CLUSTER}"
    lab.aws("ec2", "create-tags", "--resources", *resources, "--tags", tag)


def memory(lab: Lab, node: str) -> Path:
    """The daemon's record, on this machine."""
    return lab.layout.disks / node / "upper/var/lib/musterd/record.json"


@contextmanager
def founded() -> Iterator[Vault]:
    """Found it; the lab ends with the block."""
    with own_lab("hardening") as lab:
        policy = fill(POLICY.read_text("utf-8"), region=REGION, account=ACCOUNT, cluster=CLUSTER)
        lab.enforce(policy)
        elastic = json.loads(lab.aws("ec2", "allocate-address", "--domain", "vpc").stdout)
        spec = f'[cluster]\nname = "{CLUSTER}"\nsize = 2\n[[address]]\nprivate_ip = "{ADDRESS}"\n'
        spec += f'elastic_ip = "{elastic["PublicIp"]}"\n'
        # Tags hidden from the nodes: none may begin before user data has said all.
        nodes = ids(
            lab.launch(
                2,
                tags={"muster:cluster": CLUSTER},
                metadata_tags=False,
                user_data=user_data(spec),
            )
        )
        witness = Witness([memory(lab, node) for node in nodes])
        witness.start()
        answer = lab.aws("ec2", "describe-network-interfaces", "--filters",
                         f"Name=attachment.instance-id,Values={','.join(nodes)}")  # fmt: skip
        interfaces = json.loads(answer.stdout)["NetworkInterfaces"]
        enis = [each["NetworkInterfaceId"] for each in interfaces]
        tagged(lab, elastic["AllocationId"], *enis)
        try:
            wait_for(lab, "healthy", nodes)
        finally:
            witness.stop()
        yield Vault(lab, tuple(nodes), witness)


def canaries(vault: Vault) -> list[Canary]:
    """Every secret of the cluster, and where it may be."""
    lab, first = vault.lab, vault.nodes[0]
    query = ["--secret-id", f"musterd/{CLUSTER}", "--query", "SecretString", "--output", "text"]
    secret = lab.aws("secretsmanager", "get-secret-value", *query).stdout.strip()
    made = [Canary("the token", token.value) for token in parse_secret(secret).trust]
    made += [Canary("a seed", bytes.fromhex(seed)) for seed in vault.witness.seeds]
    disk = lab.layout.disks / first / "upper"
    for path, name in KEYS.items():
        content = (disk / path.removeprefix("/")).read_bytes()
        made.append(Canary(name, content, frozenset({path})))
    hosts = json.loads((disk / "var/lib/pcsd/known-hosts").read_bytes())["known_hosts"]
    for encoded in {each["token"] for each in hosts.values()}:
        made.append(Canary("pcs's token, as pcs keeps it", encoded.encode(), PCS_FILES))
        made.append(Canary("pcs's token", base64.b64decode(encoded), PCS_FILES))
    for node in vault.nodes:
        for name in ("SecretAccessKey", "Token"):
            role = f"{METADATA}/meta-data/iam/security-credentials/muster-node"
            document = json.loads(said(lab, node, "sh", "-c", fetch(role)))
            made.append(Canary(f"{name} of {node}", document[name].encode()))
    return made


def fetch(url: str) -> str:
    token = (
        f"curl -sf -m 3 -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' {METADATA}/api/token"
    )
    return f'curl -sf -m 3 -H "X-aws-ec2-metadata-token: $({token})" {url}'


# With a value, which every route that changes something refuses: nothing is fenced here.
ASK = """curl -s -m 5 --data '{"now": true}'"""


def filled(route: Route) -> str:
    """Return a path of the route."""
    return re.sub(r"{\w+}", "0", route.path)


def control_answers(vault: Vault, node: str) -> bytes:
    """All that the control sockets say, errors included."""
    asked = [(route.method, filled(route)) for route in ROUTES]
    asked += [("GET", "/v1/nothing"), ("DELETE", "/v1/status"), ("POST", "/v1/join?force=1")]
    lines = [
        f"{ASK} -X {method} --unix-socket /run/muster/admin.sock 'http://x{path}'"
        for method, path in asked
    ]
    return vault.lab.run(node, "sh", "-c", "; ".join(lines)).stdout.encode()


def places(vault: Vault, spare: Path) -> list[Place]:
    """Everything that can be read: each disk, each tmpfs, the journals, answers, processes.

    Args:
        vault: the lab.
        spare: a folder for what is no file of a node.
    """
    lab = vault.lab
    (spare / "processes").write_bytes(b"\n".join(vault.witness.seen))
    calls = "\n".join(f"{each.action} {each.detail}" for each in lab.calls())
    (spare / "calls").write_text(calls, "utf-8")
    found_at = [Place("told", spare)]
    for node in vault.nodes:
        found_at.append(Place(node, lab.layout.disks / node / "upper"))
        root = Path(f"/proc/{lab.node(node).leader}/root")
        found_at += [Place(node, root, folder) for folder in ("run", "tmp", "dev/shm")]
        with (spare / f"journal of {node}").open("wb") as journal:  # its files are compressed
            where = str(lab.journal(node))
            export = ["journalctl", "--directory", where, "--output=export", "--all"]
            subprocess.run(export, stdout=journal, check=True)
        (spare / f"answers of {node}").write_bytes(control_answers(vault, node))
        told = [said(lab, node, *words) for words in COMMANDS]
        (spare / f"commands on {node}").write_text("\n".join(told), "utf-8")
    return found_at
