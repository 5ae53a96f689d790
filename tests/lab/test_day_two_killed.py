"""On real nodes, the conductor's whole node dies at each step of a departure and of an admission.

Five founders, so that three are left, and a majority, when one was terminated and the conductor
dies of taking it out. The others fence the conductor, which boots; another one carries on.
"""

from collections.abc import Iterator

import pytest

from grown import Grown, assert_one_cluster, conductor_of
from muster_helper.faults import POINTS
from muster_kills.points import ARM, HELPERS, POINTS_FOLDER, point_of
from musterd.model import Verb
from observe import (
    Document,
    following,
    ids,
    own_lab,
    said,
    status,
    stops,
    tags,
    until,
    wait_for,
)

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(900)]

SIZE = 5
FOUNDING = 600.0  # seconds for five nodes, on two processors


@pytest.fixture(scope="module")
def grown() -> Iterator[Grown]:
    with own_lab("killed") as lab:
        nodes = lab.launch(SIZE, tags=tags("web", SIZE))
        wait_for(lab, "healthy", ids(nodes), timeout=FOUNDING)
        uuid = status(lab, nodes[0].instance_id)["cluster"]["uuid"]
        yield Grown(lab, uuid, list(nodes))


def stop_at(grown: Grown, point: str) -> None:
    """Have the helper of whoever conducts stop there."""
    for node in ids(grown.nodes):
        said(grown.lab, node, "sh", "-c", ARM, "arm", POINTS_FOLDER, point)


def kill_the_conductor_at(grown: Grown, point: str) -> tuple[str, list[str]]:
    """Wait until a member's helper has stopped there, and crash that member.

    Returns:
        Its instance id, and the fences of it so far.
    """
    members = ids(grown.nodes)
    with following(grown.lab, members, HELPERS) as feed:
        victim, _ = feed.until(lambda event: point_of(event)[0] == point)
        assert status(grown.lab, victim)["self"]["conductor"]
        for node in members:
            said(grown.lab, node, "rm", "--recursive", POINTS_FOLDER)
        before = stops(grown.lab, victim)
        grown.lab.kill(victim)
    # Whoever looks at all of them asks the others first: they wait until it is back. For some
    # seconds they have not noticed that it is gone.
    grown.nodes.sort(key=lambda node: node.instance_id == victim)
    until(grown.lab, grown.nodes[0].instance_id, lambda now: victim in offline(now))
    return victim, before


def offline(now: Document) -> set[str]:
    return {node["instance_id"] for node in now["nodes"] if not node["online"]}


def assert_fenced_once_more(grown: Grown, victim: str, before: list[str]) -> None:
    assert stops(grown.lab, victim) == [*before, "StopInstances", "StartInstances"]


@pytest.mark.parametrize(
    ("leaving", "joining"), tuple(zip(POINTS[Verb.EXPEL], POINTS[Verb.ADMIT], strict=True))
)
def test_a_replacement_outlives_its_conductors(grown: Grown, leaving: str, joining: str) -> None:
    """One conductor dies while the terminated member is taken out, one while its heir is let in."""
    conducting = conductor_of(grown)
    lost = next(node for node in grown.nodes if node.instance_id != conducting)
    grown.nodes.remove(lost)
    stop_at(grown, leaving)
    grown.lab.terminate(lost.instance_id)
    victim, fences = kill_the_conductor_at(grown, leaving)
    assert_one_cluster(grown)
    assert_fenced_once_more(grown, victim, fences)

    stop_at(grown, joining)
    [heir] = grown.lab.launch(1, tags=tags("web", SIZE))
    victim, fences = kill_the_conductor_at(grown, joining)
    wait_for(grown.lab, "formed", [heir.instance_id])
    grown.nodes.insert(0, heir)
    assert_one_cluster(grown)
    assert_fenced_once_more(grown, victim, fences)
