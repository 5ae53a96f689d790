"""The package over a running cluster: a newer one, none, and again; Pacemaker never notices."""

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from muster_lab.client import CHECKOUT, Lab
from muster_lab.image import newest_package
from observe import bring, configuration, epoch, ids, own_lab, said, status, tags, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(900)]

NEWER = "99.0"
CLUSTER = ("corosync.service", "pacemaker.service", "pcsd.service")
OURS = (
    *("muster-watch.service", "muster-rejoin.service", "muster-user-data.service"),
    *("musterd-status.socket", "musterd-admin.socket", "muster-helper.socket"),
)
MEMORY = "/var/lib/musterd/record.json"
APPLICATION = Path("usr/lib/muster/app/musterd")
# What a later version may add: a key of the spec, a word of the hello, a word of a node's facts.
ADDED = {
    "spec.py": ("    token_ms: ", "    join_ms: int = 50\n"),
    "peer_wire.py": ("    applied: dict", '    later: tuple[str, ...] = ("word",)\n'),
    "model.py": ("    lingering: tuple", '    seen_later: str = "fact"\n'),
}


@dataclass(frozen=True)
class Pair:
    """A formed cluster, and a newer package at hand on each of its nodes."""

    lab: Lab
    nodes: list[str]
    newer: Path

    def started(self, node: str, *units: str) -> dict[str, str]:
        """When each unit began to be active, with the process it is, "" where it is not."""
        asked = "--property=Id,ActiveState,ActiveEnterTimestampMonotonic,MainPID"
        told = said(self.lab, node, "systemctl", "show", asked, *units)
        found = {}
        for block in told.split("\n\n"):
            values = dict(line.split("=", 1) for line in block.splitlines())
            moment = f"{values['ActiveEnterTimestampMonotonic']} {values.get('MainPID', '')}"
            found[values["Id"]] = moment if values["ActiveState"] == "active" else ""
        return found

    def cluster(self, node: str) -> tuple[object, ...]:
        """What must stay as it is: processes, configuration, who runs what where."""
        resources = status(self.lab, node)["resources"]
        places = sorted((each["id"], each["state"], each["node"]) for each in resources)
        return (
            self.started(node, *CLUSTER),
            configuration(self.lab, node),
            epoch(self.lab, node),
            places,
        )


def newer(package: Path, folder: Path) -> Path:
    """The package under a higher version, with a little more to say in it."""
    tree, made = folder / "tree", folder / "newer.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", str(package), str(tree)], check=True)
    control = tree / "DEBIAN/control"
    words = re.sub(r"^Version: .*$", f"Version: {NEWER}", control.read_text(), flags=re.MULTILINE)
    control.write_text(words)
    for name, (after, added) in ADDED.items():
        code = tree / APPLICATION / name
        kept = code.read_text()
        [line] = [each for each in kept.splitlines(keepends=True) if each.startswith(after)]
        code.write_text(kept.replace(line, line + added))
        (code.parent / "__pycache__" / f"{code.stem}.cpython-311.pyc").unlink()
    build = ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", str(tree), str(made)]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    return made


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    made = newer(newest_package(CHECKOUT), tmp_path_factory.mktemp("newer"))
    with own_lab("upgrade") as lab:
        nodes = ids(lab.launch(2, tags=tags("pair", 2)))
        wait_for(lab, "healthy", nodes)
        for node in nodes:
            bring(lab, node, made, "/root/newer.deb")
        yield Pair(lab, nodes, made)


def test_an_instance_of_a_newer_image_joins_a_cluster_of_the_older_one(pair: Pair) -> None:
    lab = pair.lab
    [node] = ids(lab.launch(1))
    lab.wait_boot()
    bring(lab, node, pair.newer, "/root/newer.deb")
    lab.run(node, "dpkg", "--install", "/root/newer.deb")
    words = [f"Key={key},Value={value}" for key, value in tags("pair", 2).items()]
    lab.aws("ec2", "create-tags", "--resources", node, "--tags", *words)
    wait_for(lab, "formed", [node])
    wait_for(lab, "healthy", [node, *pair.nodes])
    assert {status(lab, each)["cluster"]["size"] for each in (node, *pair.nodes)} == {3}
    assert '"join_ms": 50' in said(lab, node, "muster", "config", "--json")


def test_an_upgrade_restarts_musterd_and_nothing_else(pair: Pair) -> None:
    for node in pair.nodes:  # one after the other, as docs/upgrading.md says
        cluster, ours = pair.cluster(node), pair.started(node, *OURS)
        daemon, before = pair.started(node, "musterd.service"), status(pair.lab, node)
        pair.lab.run(node, "dpkg", "--install", "/root/newer.deb")
        assert said(pair.lab, node, "dpkg-query", "-Wf${Version}", "muster") == NEWER
        wait_for(pair.lab, "healthy", [node])
        assert pair.cluster(node) == cluster
        assert pair.started(node, *OURS) == ours
        assert pair.started(node, "musterd.service") != daemon
        after = status(pair.lab, node)
        assert (after["phase"], after["since"]) == ("formed", before["since"])
        assert after["cluster"]["uuid"] == before["cluster"]["uuid"]


def test_removed_and_installed_again_the_cluster_runs_on(pair: Pair) -> None:
    lab, [node, other] = pair.lab, pair.nodes
    before, memory = pair.cluster(node), said(lab, node, "cat", MEMORY)
    uuid = status(lab, node)["cluster"]["uuid"]

    lab.run(node, "dpkg", "--remove", "muster")
    assert said(lab, node, "cat", MEMORY) == memory
    assert set(pair.started(node, "musterd.service", *OURS).values()) == {""}
    assert pair.started(node, *CLUSTER) == before[0]
    assert configuration(lab, node) == before[1]
    assert status(lab, other)["cluster"]["quorate"] is True
    wait_for(lab, "formed", [other])

    lab.run(node, "dpkg", "--install", "/root/newer.deb")
    wait_for(lab, "healthy", pair.nodes)
    assert pair.cluster(node) == before
    assert status(lab, node)["cluster"]["uuid"] == uuid
