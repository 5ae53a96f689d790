"""On real nodes, three members become five and three again, and a partition holds up a join."""

from collections.abc import Iterator

import pytest

from grown import Grown, assert_one_cluster, conductor_of, whole
from observe import ids, own_lab, said, status, tags, until, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(1200)]

SIZE = 3


@pytest.fixture(scope="module")
def grown() -> Iterator[Grown]:
    with own_lab("sizes") as lab:
        nodes = lab.launch(SIZE, tags=tags("web", SIZE))
        wait_for(lab, "healthy", ids(nodes))
        uuid = status(lab, nodes[0].instance_id)["cluster"]["uuid"]
        yield Grown(lab, uuid, list(nodes))


def test_two_that_appear_at_once_are_taken_one_by_one(grown: Grown) -> None:
    newcomers = grown.lab.launch(2, tags=tags("web", SIZE))
    wait_for(grown.lab, "formed", ids(newcomers))
    grown.nodes += newcomers
    assert_one_cluster(grown)


def test_two_are_terminated_at_once_and_both_are_replaced(grown: Grown) -> None:
    """One of them conducts: the next conductor does what is left."""
    first = conductor_of(grown)
    lost = [next(n for n in grown.nodes if n.instance_id == first), grown.nodes[-1]]
    lost = lost if lost[0] is not lost[1] else [lost[0], grown.nodes[0]]
    for node in lost:
        grown.lab.terminate(node.instance_id, wait=False)
        grown.nodes.remove(node)
    successors = grown.lab.launch(2, tags=tags("web", SIZE))
    wait_for(grown.lab, "formed", ids(successors))
    grown.nodes += successors
    assert_one_cluster(grown)


def test_five_become_three_one_by_its_own_word_and_one_by_anothers(grown: Grown) -> None:
    here = conductor_of(grown)
    others = [node for node in grown.nodes if node.instance_id != here]
    said(grown.lab, others[0].instance_id, "muster", "leave")
    grown.nodes.remove(others[0])
    assert_one_cluster(grown)
    said(grown.lab, others[2].instance_id, "muster", "leave", others[1].hostname)
    grown.nodes.remove(others[1])
    assert_one_cluster(grown)
    for left in others[:2]:
        until(grown.lab, left.instance_id, lambda found: found["phase"] == "leaving")


def test_a_join_waits_for_the_end_of_a_partition(grown: Grown) -> None:
    here = conductor_of(grown)
    apart = next(node for node in grown.nodes if node.instance_id != here)
    grown.lab.partition(apart.instance_id)
    until(grown.lab, here, lambda found: apart.hostname in found["reason"])
    [newcomer] = grown.lab.launch(1, tags=tags("web", SIZE))
    told = until(grown.lab, here, lambda found: newcomer.hostname in found["reason"])
    assert f"waiting for {apart.hostname} to come online" in told["reason"]
    grown.lab.heal()
    wait_for(grown.lab, "formed", [newcomer.instance_id])
    grown.nodes.append(newcomer)
    for node in grown.nodes:
        whole(grown, node)
    assert_one_cluster(grown)
