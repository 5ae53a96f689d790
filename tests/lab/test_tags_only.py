"""The smallest use: two instances of the image with two tags, and nothing else."""

import re
from collections.abc import Iterator

import pytest

from muster_lab.client import Lab
from muster_lab.views import Node
from observe import ids, own_lab, said, status, tags, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

SIZE = 2


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Lab, list[Node]]]:
    """Two nodes without user data, formed."""
    with own_lab("tags") as lab:
        nodes = lab.launch(SIZE, tags=tags("pair", SIZE))
        wait_for(lab, "healthy", ids(nodes))
        yield lab, nodes


def test_tags_alone_found_a_cluster(pair: tuple[Lab, list[Node]]) -> None:
    lab, nodes = pair
    told = [status(lab, node.instance_id)["cluster"] for node in nodes]
    assert [(each["name"], each["size"], each["quorate"]) for each in told] == [
        ("pair", SIZE, True),
        ("pair", SIZE, True),
    ]
    assert len({each["uuid"] for each in told}) == 1


def test_corosync_counts_as_two_nodes_need_it(pair: tuple[Lab, list[Node]]) -> None:
    """votequorum(5): `two_node` lets one node go on, and implies `wait_for_all`."""
    lab, nodes = pair
    for node in nodes:
        flags = said(lab, node.instance_id, "corosync-quorumtool", "-s")
        assert re.findall(r"Flags: +(.*)", flags)[0].split() == ["2Node", "Quorate", "WaitForAll"]


def test_two_nodes_never_fence_each_other_at_once(pair: tuple[Lab, list[Node]]) -> None:
    """Whoever runs the resources wins by `priority-fencing-delay`, otherwise chance decides."""
    lab, nodes = pair
    node = nodes[0].instance_id
    [chance] = re.findall(r"pcmk_delay_max=(\d+)", said(lab, node, "pcs", "stonith", "config"))
    properties = said(lab, node, "pcs", "property", "config")
    [delay] = re.findall(r"priority-fencing-delay: (\d+)s", properties)
    assert int(delay) >= 2 * int(chance) > 0
    assert "priority=1" in said(lab, node, "pcs", "resource", "defaults")
