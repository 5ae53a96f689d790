"""On real nodes, a member comes back with another root volume: it joins, and never founds."""

from collections.abc import Iterator

import pytest

from grown import Grown, assert_one_cluster
from muster_lab.views import Node
from observe import decisions, ids, own_lab, said, status, tags, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(900)]

SIZE = 3


@pytest.fixture(scope="module")
def grown() -> Iterator[Grown]:
    with own_lab("roots") as lab:
        nodes = lab.launch(SIZE, tags=tags("web", SIZE))
        wait_for(lab, "healthy", ids(nodes))
        uuid = status(lab, nodes[0].instance_id)["cluster"]["uuid"]
        yield Grown(lab, uuid, list(nodes))


def stop_in_order(grown: Grown, node: Node) -> None:
    """Have a member stop without being missed: its peers fence nobody who said good-bye."""
    said(grown.lab, node.instance_id, "pcs", "cluster", "stop")
    grown.lab.stop(node.instance_id)


def test_a_member_with_a_root_volume_as_launched_is_taken_in_again(grown: Grown) -> None:
    restored = grown.nodes[1]
    stop_in_order(grown, restored)
    grown.lab.replace_root(restored.instance_id)
    grown.lab.start_node(restored.instance_id)
    wait_for(grown.lab, "healthy", [restored.instance_id])
    assert_one_cluster(grown)
    assert decisions(grown.lab, restored.instance_id) == set()


def test_a_member_restored_from_before_the_last_admission_follows_its_peers(grown: Grown) -> None:
    restored = grown.nodes[1]
    stop_in_order(grown, restored)
    snapshot = grown.lab.snapshot(restored.instance_id, "before")
    grown.lab.start_node(restored.instance_id)
    wait_for(grown.lab, "healthy", [restored.instance_id])
    [newcomer] = grown.lab.launch(1, tags=tags("web", SIZE))
    wait_for(grown.lab, "formed", [newcomer.instance_id])
    grown.nodes.append(newcomer)
    assert_one_cluster(grown)
    stop_in_order(grown, restored)
    grown.lab.replace_root(restored.instance_id, snapshot)
    grown.lab.start_node(restored.instance_id)
    wait_for(grown.lab, "formed", [restored.instance_id])
    assert_one_cluster(grown)
