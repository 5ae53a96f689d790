"""Killed anywhere, it converges: no node needs a hand, and there is one cluster, never two."""

from collections.abc import Iterator

import pytest

from muster_kills.cells import Cell, Role, Victim
from muster_kills.proof import one_cluster
from muster_kills.run import run
from muster_lab.client import Lab
from observe import decides, following, ids, leads, own_lab, steps, tags, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

SIZE = 3


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One lab; each test launches nodes of a cluster of its own and terminates them."""
    with own_lab("killed") as started:
        yield started


def _kill_daemon(lab: Lab, node: str) -> None:
    lab.run(node, "systemctl", "kill", "--signal=KILL", "--kill-whom=main", "musterd")


def test_daemons_killed_as_they_lead_and_as_they_follow(lab: Lab) -> None:
    nodes = ids(lab.launch(SIZE, tags=tags("daemons", SIZE)))
    with following(lab, nodes) as feed:
        leader, _ = feed.until(leads)
        _kill_daemon(lab, leader)
        _, decided = feed.until(decides)
        follower = next(node for node in nodes if node != leader)
        _kill_daemon(lab, follower)
        builder, _ = feed.until(steps("resources"))
        _kill_daemon(lab, builder)
    wait_for(lab, "healthy", nodes)
    assert one_cluster(lab, nodes) in decided["message"]
    for node in nodes:
        lab.terminate(node, wait=False)


def test_the_conductor_dies_between_decision_and_configuration(lab: Lab) -> None:
    nodes = ids(lab.launch(SIZE, tags=tags("conductor", SIZE)))
    with following(lab, nodes) as feed:
        leader, _ = feed.until(leads)
        _, decided = feed.until(decides)
        feed.until(steps("keys are written"))
        lab.kill(leader)
        others = [node for node in nodes if node != leader]
        feed.until(leads)
    lab.boot(leader)
    wait_for(lab, "healthy", [*others, leader])
    assert one_cluster(lab, nodes) in decided["message"]


@pytest.mark.parametrize(
    "cell",
    [
        Cell("lay:middle-hosts", Victim.NODE, Role.FOLLOWER),
        Cell("configure:middle-pushed", Victim.HELPER, Role.CONDUCTOR),
    ],
    ids=lambda cell: cell.key.replace(" ", "-"),
)
def test_killed_at_a_point(lab: Lab, cell: Cell) -> None:
    """Two runs of the matrix; `make kill-matrix` does them all."""
    run(lab, cell, cell.verb.value)
