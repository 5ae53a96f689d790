"""On real nodes, a late instance joins, a terminated one is replaced, a stopped one stays."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from muster_lab.client import Lab
from muster_lab.views import Node
from observe import Document, boot_id, ids, own_lab, said, status, tags, until, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(900)]

SIZE = 3
FILES = ("/etc/corosync/corosync.conf", "/etc/corosync/authkey", "/etc/pacemaker/authkey")


@dataclass
class Grown:
    """A cluster that was founded by three; the tests run in their order and change it."""

    lab: Lab
    uuid: str
    nodes: list[Node] = field(default_factory=list)  # its members of the moment


@pytest.fixture(scope="module")
def grown() -> Iterator[Grown]:
    with own_lab("members") as lab:
        nodes = lab.launch(SIZE, tags=tags("web", SIZE))
        wait_for(lab, "healthy", ids(nodes))
        uuid = status(lab, nodes[0].instance_id)["cluster"]["uuid"]
        yield Grown(lab, uuid, list(nodes))


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
    device = said(grown.lab, first, "pcs", "stonith", "config")
    for node in grown.nodes:
        assert said(grown.lab, node.instance_id, "sha256sum", *FILES) == expected
        assert f"{node.hostname}:{node.instance_id}" in device
        pcsd = said(grown.lab, node.instance_id, "pcs", "status", "pcsd")
        assert sorted(re.findall(r"(\S+): Online", pcsd)) == sorted(n.hostname for n in grown.nodes)
    [mapped] = re.findall(r"pcmk_host_map=(\S+)", device)
    assert len(mapped.split(";")) == len(grown.nodes)


def test_an_instance_that_appears_late_joins(grown: Grown) -> None:
    [newcomer] = grown.lab.launch(1, tags=tags("web", SIZE))
    wait_for(grown.lab, "formed", [newcomer.instance_id])
    grown.nodes.append(newcomer)
    assert_one_cluster(grown)


def test_a_member_that_joined_can_be_fenced_and_comes_back(grown: Grown) -> None:
    joined = grown.nodes[-1]
    before = boot_id(grown.lab, joined.instance_id)
    said(grown.lab, grown.nodes[0].instance_id, "pcs", "stonith", "fence", joined.hostname)
    wait_for(grown.lab, "healthy", [joined.instance_id])
    after = boot_id(grown.lab, joined.instance_id)
    assert after != before
    assert_one_cluster(grown)


def test_a_stopped_member_is_never_taken_out(grown: Grown) -> None:
    stopped = grown.nodes[1]
    grown.lab.stop(stopped.instance_id)
    other = grown.nodes[0].instance_id
    told = until(grown.lab, other, lambda found: f"offline: {stopped.hostname}" in found["reason"])
    assert told["cluster"]["size"] == len(grown.nodes)
    grown.lab.start_node(stopped.instance_id)
    wait_for(grown.lab, "healthy", [stopped.instance_id])
    assert_one_cluster(grown)


def test_a_terminated_member_is_replaced(grown: Grown) -> None:
    lost = grown.nodes.pop(1)
    grown.lab.terminate(lost.instance_id)
    [successor] = grown.lab.launch(1, tags=tags("web", SIZE))
    wait_for(grown.lab, "formed", [successor.instance_id])
    grown.nodes.append(successor)
    assert_one_cluster(grown)
    for node in grown.nodes:
        assert lost.instance_id not in said(grown.lab, node.instance_id, "pcs", "stonith", "config")
