"""A cluster whose members come and go: what must hold on each of them once they have."""

import re
from dataclasses import dataclass, field

from muster_lab.client import Lab
from muster_lab.views import Node
from observe import Document, said, status, until

FILES = ("/etc/corosync/corosync.conf", "/etc/corosync/authkey", "/etc/pacemaker/authkey")


@dataclass
class Grown:
    """A cluster that was founded by three; the tests run in their order and change it."""

    lab: Lab
    uuid: str
    nodes: list[Node] = field(default_factory=list)  # its members of the moment


def conductor_of(grown: Grown) -> str:
    """Return the instance id of the member that acts for the cluster."""
    [found] = [n for n in grown.nodes if status(grown.lab, n.instance_id)["self"]["conductor"]]
    return found.instance_id


def whole(grown: Grown, node: Node) -> Document:
    """The node's status once it knows exactly the present members, all of them online."""
    names = {each.hostname for each in grown.nodes}

    def is_whole(found: Document) -> bool:
        online = {each["name"] for each in found["nodes"] if each["online"]}
        size = found["cluster"]["size"]
        return (
            found["phase"] == "formed"
            and found["reason"].endswith("every member is online")
            and (online, size) == (names, len(names))
            and set(found["fencing"]["map"]) == names
        )

    return until(grown.lab, node.instance_id, is_whole)


def assert_one_cluster(grown: Grown) -> None:
    """Every member has the same files, fences every other, and its pcs reaches all of them."""
    told = [whole(grown, node) for node in grown.nodes]
    assert {each["cluster"]["uuid"] for each in told} == {grown.uuid}
    first = grown.nodes[0].instance_id
    expected = said(grown.lab, first, "sha256sum", *FILES)
    # The device forgets a member last, when all else of a departure is done.
    until(grown.lab, first, lambda _: len(_mapped(_device(grown))) == len(grown.nodes))
    device = _device(grown)
    for node in grown.nodes:
        assert said(grown.lab, node.instance_id, "sha256sum", *FILES) == expected
        assert f"{node.hostname}:{node.instance_id}" in device
        pcsd = said(grown.lab, node.instance_id, "pcs", "status", "pcsd")
        assert sorted(re.findall(r"(\S+): Online", pcsd)) == sorted(n.hostname for n in grown.nodes)


def _device(grown: Grown) -> str:
    return said(grown.lab, grown.nodes[0].instance_id, "pcs", "stonith", "config")


def _mapped(device: str) -> list[str]:
    [mapped] = re.findall(r"pcmk_host_map=(\S+)", device)
    return [str(entry) for entry in mapped.split(";")]
