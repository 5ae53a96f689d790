"""The exploration finds each of the ways in which the election could have been written wrongly."""

import pytest

from muster_sim import broken, spaces
from muster_sim.broken import TWO_LATE, Variant
from muster_sim.explore import Explorer
from musterd.election import machine
from musterd.election.types import State, VoteRequest


@pytest.mark.parametrize("variant", broken.VARIANTS, ids=lambda variant: variant.name)
def test_it_is_found(variant: Variant) -> None:
    found = variant.explored()
    print(f"{found.broken!r} after {found.states} states")
    print("\n".join(found.transcript))
    assert variant.breaks in found.broken


@pytest.mark.parametrize("variant", broken.VARIANTS, ids=lambda variant: variant.name)
def test_what_was_broken_is_whole_again(variant: Variant) -> None:
    before = [getattr(module, name) for module, name, _ in variant.patches]
    with variant.written():
        wrong = [getattr(module, name) for module, name, _ in variant.patches]
        assert all(one is not other for one, other in zip(before, wrong, strict=True))
    assert [getattr(module, name) for module, name, _ in variant.patches] == before


def test_a_vote_for_a_roster_one_does_not_see_is_harmless_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rule stands twice: who votes regardless still accepts only for the roster it sees."""
    correct = machine._no_vote

    def generous(state: State, sender: str, request: VoteRequest) -> str:
        reason = correct(state, sender, request)
        return "" if reason == "this node sees another roster" else reason

    monkeypatch.setattr(machine, "_no_vote", generous)
    assert not Explorer(TWO_LATE).run().broken
    assert not Explorer(spaces.THREE_LATE).run().broken
