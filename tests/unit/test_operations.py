"""A change that is asked for is one operation until the node is where it ends."""

import pytest

from muster.api import Operation
from musterd.model import Phase
from musterd.operations import KEPT, Operations

JOIN = Operation(id="1", verb="join", state="running", asked_by="uid 0", at="")


@pytest.mark.parametrize(
    ("phase", "state"), [(Phase.FORMED, "done"), (Phase.FAILED, "failed"), (Phase.WAITING, "")]
)
def test_it_runs_until_the_node_has_formed_or_failed(phase: Phase, state: str) -> None:
    operations = Operations()
    operations.add(JOIN)
    operations.reached(phase, "why")
    found = operations.get("1")
    assert found is not None
    if state:
        assert (found.state, found.detail) == (state, "why")
        assert operations.running("join") is None
    else:
        assert found == operations.running("join") == JOIN


def test_what_has_ended_stays_as_it_ended() -> None:
    operations = Operations()
    operations.add(JOIN)
    operations.reached(Phase.FAILED, "first")
    operations.reached(Phase.FORMED, "second")
    found = operations.get("1")
    assert found is not None
    assert found.detail == "first"


def test_old_ones_are_forgotten() -> None:
    operations = Operations()
    for number in range(KEPT + 1):
        operations.add(Operation(str(number), "join", "done", "", ""))
    assert operations.get("0") is None
    assert operations.get("1") is not None


def test_a_fence_test_goes_on_whatever_phase_the_node_is_in() -> None:
    operations = Operations()
    test = operations.add(Operation("2", "fence-test", "running", "uid 0", ""))
    operations.reached(Phase.FORMED, "why")
    assert operations.running("fence-test") == test
    assert operations.running("join") is None
    operations.advance("2", "running", "one is back")
    operations.advance("2", "done", "all are back")
    operations.advance("2", "failed", "too late")
    found = operations.get("2")
    assert found is not None
    assert (found.state, found.detail) == ("done", "all are back")


def test_a_departure_ends_when_the_member_is_none_any_more() -> None:
    operations = Operations()
    operations.add(Operation("2", "leave", "running", "uid 0", "", "node2"))
    operations.reached(Phase.FORMED, "formed all the while")
    operations.left(["node1", "node2"])
    assert operations.running("leave", "node2") is not None
    assert operations.running("leave", "node3") is None
    operations.left(["node1"])
    found = operations.get("2")
    assert found is not None
    assert (found.state, found.detail) == ("done", "node2")
