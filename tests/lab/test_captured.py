"""Booted from the captured disk of a member: sealed, two share no key; unsealed, none takes part.

A captured disk is an image layer here, as a snapshot is the root of an AMI on EC2.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from muster_lab.client import CHECKOUT, Lab
from muster_lab.image import Image, newest_package
from observe import Document, ids, own_lab, said, status, tags, until, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(900)]

# What tells one host, or one cluster, from another.
OF_HOST = ("/etc/machine-id", "/var/lib/pcsd/pcsd.key", "/var/lib/pcsd/pcsd.crt")
OF_CLUSTER = ("/etc/corosync/authkey", "/etc/pacemaker/authkey", "/var/lib/pcsd/known-hosts")


@dataclass(frozen=True)
class Story:
    """A founded pair, and what was captured of it before it ended."""

    lab: Lab
    built: Image
    secrets: dict[str, dict[str, str]]  # of each of the pair: path -> digest
    uuid: str
    original: str  # the member whose disk was captured unsealed
    sealed: Path
    unsealed: Path


def secrets(lab: Lab, node: str) -> dict[str, str]:
    """Digests of a node's keys, by path."""
    lines = said(lab, node, "sha256sum", *OF_HOST, *OF_CLUSTER).splitlines()
    return {path: digest for digest, path in (line.split() for line in lines)}


def captured(lab: Lab, node: str, place: Path) -> Path:
    """Stop an instance in order and copy its disk, as CreateImage does."""
    lab.stop(node)
    subprocess.run(["cp", "--archive", str(lab.layout.disks / node / "upper"), place], check=True)
    return place


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("captured")
    with own_lab("captured") as lab:
        built = lab.prepare(package=newest_package(CHECKOUT))
        pair = ids(lab.launch(2, tags=tags("first", 2)))
        wait_for(lab, "healthy", pair)
        known = {node: secrets(lab, node) for node in pair}
        uuid = status(lab, pair[0])["cluster"]["uuid"]
        lab.run(pair[0], "muster", "seal", "--abandon", "first", timeout=300)
        sealed = captured(lab, pair[0], folder / "sealed")
        unsealed = captured(lab, pair[1], folder / "unsealed")
        for node in pair:
            lab.terminate(node)
        yield Story(lab, built, known, uuid, pair[1], sealed, unsealed)


def launched(story: Story, disk: Path, count: int, cluster: str) -> list[str]:
    image = Image((disk, *story.built.layers))
    return ids(story.lab.launch(count, tags=tags(cluster, 2), built=image))


def test_two_from_one_sealed_image_share_no_key(story: Story) -> None:
    """They found a cluster of their own, and nothing of the old one is in it."""
    nodes = launched(story, story.sealed, 2, "second")
    wait_for(story.lab, "healthy", nodes)
    one, other = (secrets(story.lab, node) for node in nodes)
    assert [path for path in OF_HOST if one[path] == other[path]] == []
    old = {digest for known in story.secrets.values() for digest in known.values()}
    assert old.isdisjoint({*one.values(), *other.values()})
    uuids = {status(story.lab, node)["cluster"]["uuid"] for node in nodes}
    assert len(uuids) == 1
    assert story.uuid not in uuids


def test_one_from_an_unsealed_image_is_refused(story: Story) -> None:
    """It says whose disk it has, changes nothing of it, and its cluster does not run."""
    lab = story.lab
    before = (story.unsealed / "var/lib/musterd/record.json").read_bytes()

    def refused(found: Document) -> bool:
        return bool(found["phase"] == "failed")

    [node] = launched(story, story.unsealed, 1, "first")
    found = until(lab, node, refused)
    assert f"captured from {story.original}" in found["reason"]
    assert "muster seal" in found["next"]
    lab.wait_boot(node)
    ended = lab.run(node, "muster", "wait", "--timeout", "30", check=False)
    assert ended.returncode == 4
    checked = lab.run(node, "muster", "seal", "--check", check=False)
    assert checked.returncode == 1
    assert "/var/lib/musterd/record.json" in checked.stdout
    assert said(lab, node, "cat", "/var/lib/musterd/record.json").encode() == before.strip()
    states = lab.run(node, "systemctl", "is-active", "corosync", "pacemaker", check=False)
    assert "active" not in states.stdout.split()
