"""The exploration finds each of the ways in which the election could have been written wrongly."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from muster_sim import spaces
from muster_sim.explore import Explorer, Found, Scenario
from musterd.election import machine
from musterd.election.types import Accepted, Durable, ProposeReply, State, View, VoteRequest
from musterd.model import Decree

TWO_REPLACED = replace(spaces.TWO_REPLACED, thrifty=True)
TWO_LATE = replace(spaces.TWO_LATE, thrifty=True)
TWO_STAND = replace(spaces.THREE_REPLACED, standing=("a", "d"))


def found(scenario: Scenario, recall: Callable[[Durable], Durable] = lambda kept: kept) -> Found:
    """Explore, and say how it ended."""
    result = Explorer(scenario, recall).run()
    print(f"{scenario.name}: {result.broken!r} after {result.states} states")
    print("\n".join(result.transcript))
    return result


def test_a_vote_that_is_not_persisted_makes_two_leaders() -> None:
    def forgetful(durable: Durable) -> Durable:
        return replace(durable, voted_for="")

    assert "one leader per term" in found(spaces.THREE_CRASHING, forgetful).broken


def test_an_acceptance_that_is_not_persisted_loses_the_decree() -> None:
    def forgetful(durable: Durable) -> Durable:
        return replace(durable, accepted=None)

    assert "carried on" in found(replace(TWO_REPLACED, crashes=1), forgetful).broken


def test_a_decree_that_is_not_adopted_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    def willful(state: State, view: View, _best: Accepted | None) -> Decree:
        return Decree(state.fresh_uuid, view.members, view.spec_digest, state.fresh_seed)

    monkeypatch.setattr(machine, "_wish", willful)
    assert "carried on" in found(TWO_REPLACED).broken


def test_a_decision_by_a_majority_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    correct: Callable[..., Any] = machine._propose_reply

    def hasty(state: State, sender: str, reply: ProposeReply, now: float) -> object:
        proposal = state.proposal
        if reply.accepted and proposal is not None:
            enough = len(state.acks | {sender}) * 2 > len(proposal.roster)
            state = replace(state, acks=frozenset(proposal.roster) if enough else state.acks)
        return correct(state, sender, reply, now)

    monkeypatch.setattr(machine, "_propose_reply", hasty)
    assert "carried on" in found(TWO_STAND).broken


def test_a_decree_of_another_roster_must_not_be_overwritten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "_must_not_replace", lambda _held, _propose: False)
    assert "one founding" in found(spaces.THREE_MOSTLY_LATE).broken


def test_a_change_of_roster_without_hearing_everybody_founds_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def own_roster_only(state: State) -> tuple[str, ...]:
        return tuple(peer for peer in machine.electorate(state) if peer != state.own_id)

    monkeypatch.setattr(machine, "_to_hear", own_roster_only)
    assert "two rosters" in found(TWO_LATE).broken


def test_votes_must_not_outlive_the_roster_they_are_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_votes_differ", lambda _before, _after: False)
    assert "majority of its roster" in found(TWO_REPLACED).broken


def test_a_terminated_leaders_last_word_must_not_undo_a_new_roster(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "_outdated", lambda _state, _decree: False)
    assert "two rosters" in found(TWO_REPLACED).broken


def test_a_leader_told_of_another_rosters_decision_must_step_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def proud(state: State, decree: Decree) -> State:
        return replace(state, durable=replace(state.durable, decided=decree))

    monkeypatch.setattr(machine, "_learn", proud)
    assert "majority of its roster" in found(TWO_LATE).broken


def test_an_error_read_as_empty_founds_twice() -> None:
    assert "two rosters" in found(spaces.ERROR_AS_EMPTY).broken


def test_a_vote_for_a_roster_one_does_not_see_is_harmless_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rule stands twice: who votes regardless still accepts only for the roster it sees."""
    correct = machine._no_vote

    def generous(state: State, sender: str, request: VoteRequest) -> str:
        reason = correct(state, sender, request)
        return "" if reason == "this node sees another roster" else reason

    monkeypatch.setattr(machine, "_no_vote", generous)
    assert not found(TWO_LATE).broken
    assert not found(spaces.THREE_LATE).broken
