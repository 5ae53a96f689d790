"""On real nodes, a late instance joins, a terminated one is replaced, a stopped one stays."""

from collections.abc import Iterator

import pytest

from grown import Grown, assert_one_cluster
from observe import boot_id, ids, own_lab, said, status, tags, until, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(900)]

SIZE = 3


@pytest.fixture(scope="module")
def grown() -> Iterator[Grown]:
    with own_lab("members") as lab:
        nodes = lab.launch(SIZE, tags=tags("web", SIZE))
        wait_for(lab, "healthy", ids(nodes))
        uuid = status(lab, nodes[0].instance_id)["cluster"]["uuid"]
        yield Grown(lab, uuid, list(nodes))


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
