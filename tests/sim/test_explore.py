"""The election's promises hold in every reachable state of the small rosters."""

import pytest

from muster_sim import spaces
from muster_sim.cells import Cells, bits_of, is_dead
from muster_sim.explore import BoundError, Explorer, Scenario
from musterd.election import machine
from musterd.election.types import PeerSaid


@pytest.mark.parametrize("scenario", spaces.QUICK, ids=lambda scenario: scenario.name)
def test_every_interleaving_keeps_the_promises(scenario: Scenario) -> None:
    found = Explorer(scenario).run()
    print(f"{scenario.name} ({spaces.Bounds(scenario)}): {found.states} states")
    assert not found.broken, "\n".join((found.broken, *found.transcript))
    assert found.decided > 0, "a space in which nothing is ever decided proves nothing"


def test_a_space_beyond_its_bound_is_an_error() -> None:
    small = Scenario("too small", dict.fromkeys("ab", (spaces.AB,)), terms=2, most=10)
    with pytest.raises(BoundError, match="more than 10 states"):
        Explorer(small).run()


def test_a_message_called_dead_changes_nothing() -> None:
    explorer = Explorer(spaces.TWO_LATE)
    explorer.run()
    tried = 0
    cells: Cells = explorer.cells
    for state in cells.states:
        for sender, to, message in cells.messages:
            if to == state.own_id and is_dead(state, message):
                after, effects = machine.step(state, PeerSaid(sender, message, 0.0))
                assert (after, effects) == (state, ())
                tried += 1
    assert tried > 1000


def test_bits_are_told_from_the_lowest() -> None:
    assert list(bits_of(0b10110)) == [1, 2, 4]
