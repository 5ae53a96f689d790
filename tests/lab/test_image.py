"""From a disk file to three nodes that found a cluster: every step killed once and given again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from muster_lab.client import CHECKOUT, Lab
from muster_lab.layout import CA_CERTIFICATE
from muster_lab.views import Node
from observe import ids, own_lab, said, status, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(900)]

MIB = 1024**2
DISK = 48 * MIB
PATIENCE = 120.0  # seconds that a step may take, at most


class Workstation:
    """`muster image` on this machine, in the network of the bastion, with the account's keys."""

    def __init__(self, lab: Lab, home: Path) -> None:
        self._lab = lab
        self._home = home

    def _start(self, *words: str) -> "subprocess.Popen[str]":
        credentials = self._lab.layout.run / "credentials"
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(CHECKOUT / "client"),
            "HOME": str(self._home),
            # The names of AWS's hosts are the lab's resolver's; this machine has another one.
            "AWS_ENDPOINT_URL": "https://10.0.0.2",
            "AWS_CA_BUNDLE": str(CA_CERTIFICATE),
            "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return subprocess.Popen(
            [
                *("nsenter", f"--net={self._lab.layout.namespace_path('bastion')}"),
                *(sys.executable, "-m", "muster", "image", *words),
            ],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words: str) -> str:
        """Run to the end; return what was said."""
        with self._start(*words) as process:
            out, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, out
        return out

    def refused(self, *words: str) -> str:
        """Run what must not be done; return why."""
        with self._start(*words) as process:
            out, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1, out
        return out

    def killed(self, at: str, *words: str) -> None:
        """Run until a line begins with `at`, then SIGKILL."""
        with self._start(*words) as process:
            assert process.stdout is not None
            heard = []
            for line in process.stdout:
                heard.append(line)
                if line.startswith(at):
                    break
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL, "".join(heard)

    def killed_after(self, call: str, *words: str) -> None:
        """Run until the region has answered a call of that name, then SIGKILL."""
        before = self._count(call)
        with self._start(*words) as process:
            deadline = time.monotonic() + PATIENCE
            while self._count(call) == before and process.poll() is None:
                assert time.monotonic() < deadline
                time.sleep(0.05)  # the log of calls can only be asked
            process.send_signal(signal.SIGKILL)

    def _count(self, call: str) -> int:
        return sum(each.action == call for each in self._lab.calls())


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with own_lab("image") as lab:
        yield lab


@pytest.fixture
def qcow2(tmp_path: Path) -> Path:
    """A disk as a hypervisor keeps it; what boots is the lab's own image, as every AMI there."""
    raw, made = tmp_path / "node.raw", tmp_path / "node.qcow2"
    content = bytearray(os.urandom(DISK))  # it cannot be compressed away
    content[510:512] = b"\x55\xaa"
    raw.write_bytes(content)
    subprocess.run(
        ["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(made)], check=True
    )
    return made


def test_a_disk_file_becomes_a_cluster(lab: Lab, qcow2: Path, tmp_path: Path) -> None:
    workstation = Workstation(lab, tmp_path)
    workstation.killed("create bucket", "prepare")
    workstation.run("prepare")

    imported = ["import", str(qcow2), "--name", "node-1"]
    workstation.killed("converting", *imported)
    workstation.killed("uploading", *imported)
    workstation.killed_after("ImportSnapshot", *imported)
    workstation.killed_after("RegisterImage", *imported)
    told = workstation.run(*imported)
    image = told.partition("--image ")[2].split()[0]

    launched = ["launch", "--image", image, "--cluster", "web", "--count", "3"]
    launched += ["--profile", "muster-node", "--placement", "spread"]
    workstation.killed_after("RunInstances", *launched)
    workstation.run(*launched)
    nodes: list[Node] = lab.nodes()
    assert len(nodes) == 3

    wait_for(lab, "formed", ids(nodes))
    found = [status(lab, each)["cluster"] for each in ids(nodes)]
    assert [(each["name"], each["size"]) for each in found] == [("web", 3)] * 3
    assert len({each["uuid"] for each in found}) == 1

    made = [each.action for each in lab.calls() if each.service == "ec2" and each.outcome == "ok"]
    assert made.count("ImportSnapshot") == 1
    assert made.count("RegisterImage") == 1
    _sealed(lab, nodes[2])
    _cleaned(lab, workstation, nodes)


def _sealed(lab: Lab, node: Node) -> None:
    """A member is refused, leaves when told to, and then carries nothing of the cluster."""
    refused = lab.run(node.instance_id, "muster", "seal", check=False)
    assert refused.returncode == 1
    assert "muster seal --abandon web" in refused.stderr
    said(lab, node.instance_id, "systemctl", "is-active", "pacemaker", "corosync")
    assert lab.run(node.instance_id, "muster", "seal", "--check", check=False).returncode == 1
    done = lab.run(node.instance_id, "muster", "seal", "--abandon", "web", timeout=300)
    assert "capture the image now" in done.stdout
    said(lab, node.instance_id, "muster", "seal", "--check")


def _cleaned(lab: Lab, workstation: Workstation, nodes: list[Node]) -> None:
    """What was made for the image goes, but not while instances run from it."""
    cleanup = ["cleanup", "--name", "node-1", "--image", "--account"]
    assert nodes[0].instance_id in workstation.refused(*cleanup)
    for node in nodes:
        lab.terminate(node.instance_id)
    workstation.killed_after("DeregisterImage", *cleanup)
    assert "nothing is left of node-1" in workstation.run(*cleanup)
    owned = ("--owner-ids", "self", "--query", "Snapshots", "--output", "text")
    assert lab.aws("ec2", "describe-snapshots", *owned).stdout.strip() == ""
    assert lab.aws("s3api", "list-buckets", "--query", "Buckets[].Name").stdout.strip() == "[]"
    assert lab.aws("iam", "get-role", "--role-name", "vmimport", check=False).returncode != 0
