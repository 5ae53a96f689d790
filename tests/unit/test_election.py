"""How founders come to one decision: the machine, step by step."""

from dataclasses import replace

import pytest

from musterd.election import invariants, machine
from musterd.election.types import (
    Accepted,
    Decided,
    Deposed,
    Durable,
    Effect,
    Elected,
    Event,
    Founded,
    Lead,
    Message,
    PeerSaid,
    PeersSeen,
    Persist,
    Propose,
    ProposeReply,
    Role,
    Send,
    State,
    Tick,
    View,
    VoteReply,
    VoteRequest,
)
from musterd.model import Decree, Member

ABC, BCD = ("a", "b", "c"), ("b", "c", "d")


def view(roster: tuple[str, ...] = ABC, *, gone: str = "", spec: str = "s") -> View:
    return View(
        roster, spec, tuple(Member(m, f"n-{m}", "10.0.0.1") for m in roster), frozenset(gone)
    )


def decree(uuid: str, roster: tuple[str, ...] = ABC) -> Decree:
    return Decree(uuid, view(roster).members, "s", "seed")


def node(own: str, roster: tuple[str, ...] = ABC, durable: Durable = Durable()) -> State:  # noqa: B008
    state, _ = machine.step(
        machine.start(own, durable), PeersSeen(view(roster), 0.0, f"uuid-{own}", "seed")
    )
    return state


def after(state: State, *events: Event) -> tuple[State, tuple[Effect, ...]]:
    """Take events, with the invariants checked; return the last one's effects."""
    effects: tuple[Effect, ...] = ()
    for event in events:
        before = state
        state, effects = machine.step(before, event)
        invariants.check(before, state)
    return state, effects


def heard(sender: str, message: Message, now: float = 1.0) -> PeerSaid:
    return PeerSaid(sender, message, now)


def sent(effects: tuple[Effect, ...]) -> dict[str, Message]:
    return {effect.to: effect.message for effect in effects if isinstance(effect, Send)}


def candidate(own: str = "a", durable: Durable = Durable()) -> State:  # noqa: B008
    return after(node(own, durable=durable), Tick(0.0, 0.0), Tick(9.0, 0.0))[0]


def leader(reported: Accepted | None = None) -> State:
    state = candidate()
    return after(state, heard("b", VoteReply(state.durable.term, True, reported)))[0]


# --- standing and voting ----------------------------------------------------------------------


def test_without_a_view_a_node_never_stands() -> None:
    state, effects = after(machine.start("a", Durable()), Tick(0.0, 0.0), Tick(99.0, 0.0))
    assert state.role is Role.FOLLOWER
    assert effects == ()


def test_who_is_not_in_the_roster_never_stands() -> None:
    state, _ = after(node("d"), Tick(0.0, 0.0), Tick(99.0, 0.0))
    assert state.role is Role.FOLLOWER


def test_earlier_founders_stand_sooner() -> None:
    deadlines = [after(node(own), Tick(0.0, 0.9))[0].deadline or 0.0 for own in ABC]
    assert deadlines == sorted(deadlines)
    assert deadlines[1] - deadlines[0] > 0.5


def test_a_candidate_persists_its_own_vote_before_it_asks() -> None:
    _, effects = after(node("a"), Tick(0.0, 0.0), Tick(9.0, 0.0))
    assert effects[0] == Persist(Durable(term=1, voted_for="a"))
    assert sent(effects) == dict.fromkeys("bc", VoteRequest(1, ABC, "s"))


def test_a_vote_is_persisted_before_it_is_sent() -> None:
    _, effects = after(node("b"), heard("a", VoteRequest(1, ABC, "s")))
    assert effects[0] == Persist(Durable(term=1, voted_for="a"))
    assert sent(effects) == {"a": VoteReply(1, granted=True)}


def test_a_second_candidate_of_the_term_gets_no_vote() -> None:
    state, effects = after(
        node("b"), heard("a", VoteRequest(1, ABC, "s")), heard("c", VoteRequest(1, ABC, "s"))
    )
    reason = "already voted in term 1"
    assert sent(effects)["c"] == VoteReply(1, granted=False, reason=reason, spent=True)
    assert state.durable.voted_for == "a"


def test_asked_again_the_same_candidate_gets_the_same_vote() -> None:
    request = heard("a", VoteRequest(1, ABC, "s"))
    _, effects = after(node("b"), request, request)
    assert sent(effects) == {"a": VoteReply(1, granted=True)}


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (VoteRequest(1, ("a", "b"), "s"), "this node sees another roster"),
        (VoteRequest(1, ABC, "other"), "this node has another spec"),
        (VoteRequest(1, BCD, "s"), "the candidate is not in the roster it names"),
    ],
)
def test_a_vote_is_only_for_the_roster_and_the_spec_one_sees(
    request_: VoteRequest, reason: str
) -> None:
    state, effects = after(node("b"), heard("a", request_))
    assert sent(effects)["a"] == VoteReply(0, granted=False, reason=reason)
    assert state.durable == Durable()


def test_without_a_view_a_node_votes_for_nobody() -> None:
    _, effects = after(machine.start("b", Durable()), heard("a", VoteRequest(1, ABC, "s")))
    assert "no stable view" in str(sent(effects)["a"])


def test_a_vote_tells_what_was_accepted() -> None:
    accepted = Accepted(1, decree("u"))
    state = node("b", durable=Durable(1, "a", accepted))
    _, effects = after(state, heard("c", VoteRequest(2, ABC, "s")))
    assert sent(effects)["c"] == VoteReply(2, granted=True, accepted=accepted)


def test_a_changed_roster_forgets_the_votes() -> None:
    state, _ = after(leader(), PeersSeen(view(("a", "c", "d")), 2.0, "u2", "seed"))
    assert state.role is Role.FOLLOWER
    assert state.votes == ()


# --- proposing and deciding -------------------------------------------------------------------


def test_a_majority_makes_a_leader_which_proposes_a_fresh_decree() -> None:
    state, effects = after(candidate(), heard("c", VoteReply(1, granted=True)))
    assert effects[0] == Persist(Durable(1, "a", Accepted(1, decree("uuid-a"))))
    assert effects[1] == Elected(1)
    assert sent(effects) == dict.fromkeys("bc", Propose(1, decree("uuid-a"), read_all=False))
    assert state.role is Role.LEADER


def test_a_leader_adopts_the_reported_decree_of_the_highest_term() -> None:
    state = candidate(durable=Durable(4, "b", Accepted(2, decree("old"))))
    reply = VoteReply(5, granted=True, accepted=Accepted(4, decree("newer")))
    state, _ = after(state, heard("b", reply))
    assert state.proposal == decree("newer")


def test_a_leader_without_every_name_leads_but_does_not_propose() -> None:
    nameless = replace(view(), members=view().members[:2])
    state, _ = after(machine.start("a", Durable()), PeersSeen(nameless, 0.0, "u", "s"))
    state, effects = after(
        state, Tick(0.0, 0.0), Tick(9.0, 0.0), heard("b", VoteReply(1, granted=True))
    )
    assert state.proposal is None
    assert sent(effects)["b"] == Lead(1)
    state, _ = after(state, PeersSeen(view(), 2.0, "u", "s"))
    assert state.proposal is not None


def test_a_decree_is_accepted_durably_before_that_is_said() -> None:
    _, effects = after(node("b"), heard("a", Propose(1, decree("u"), read_all=False)))
    assert effects == (
        Persist(Durable(1, "", Accepted(1, decree("u")))),
        Send("a", ProposeReply(1, accepted=True)),
    )


def test_a_decree_of_an_old_term_is_refused() -> None:
    state = node("b", durable=Durable(term=3))
    state, effects = after(state, heard("a", Propose(2, decree("u"), read_all=False)))
    assert sent(effects)["a"] == ProposeReply(3, accepted=False)
    assert state.durable.accepted is None


def test_a_decree_for_a_roster_one_does_not_see_is_refused() -> None:
    state, effects = after(node("b"), heard("c", Propose(1, decree("u", BCD), read_all=False)))
    assert sent(effects)["c"] == ProposeReply(1, accepted=False)
    assert state.durable.accepted is None


def test_all_but_one_acceptance_decides_nothing_and_the_last_decides() -> None:
    state, _ = after(leader(), heard("b", ProposeReply(1, accepted=True)))
    assert state.durable.decided is None
    state, effects = after(state, heard("c", ProposeReply(1, accepted=True)))
    assert state.durable.decided == decree("uuid-a")
    assert Founded(decree("uuid-a"), 1) in effects
    assert sent(effects)["b"] == Decided(1, decree("uuid-a"))


def test_an_acceptance_heard_twice_counts_once() -> None:
    reply = heard("b", ProposeReply(1, accepted=True))
    assert after(leader(), reply, reply)[0].durable.decided is None


def test_a_decision_is_learnt_durably_and_for_good() -> None:
    state, effects = after(node("c"), heard("a", Decided(1, decree("u"))))
    assert effects[0] == Persist(state.durable)
    state, _ = after(state, heard("b", Decided(9, decree("other"))))
    assert state.durable.decided == decree("u")


def test_who_knows_a_decision_tells_it_instead_of_accepting_another() -> None:
    state = node("b", durable=Durable(1, "a", Accepted(1, decree("u")), decree("u")))
    _, effects = after(state, heard("c", Propose(2, decree("other"), read_all=True)))
    assert sent(effects) == {"c": Decided(0, decree("u"))}


def test_after_the_decision_its_founders_elect_whatever_ec2_says() -> None:
    known = Durable(1, "a", Accepted(1, decree("u")), decree("u"))
    state, _ = after(node("b", BCD, known), Tick(0.0, 0.0), Tick(99.0, 0.0))
    assert state.role is Role.CANDIDATE
    assert machine.electorate(state) == ABC


def test_who_stands_for_a_decided_founding_tells_the_decision_to_whom_it_asks() -> None:
    """Its leader died while telling it; who was not told sees no roster and votes for nobody."""
    told = Durable(1, "a", Accepted(1, decree("u")), decree("u"))
    _, effects = after(machine.start("b", told), Tick(0.0, 0.0), Tick(9.0, 0.0))
    untold = machine.start("c", Durable(1, "a", Accepted(1, decree("u"))))
    for effect in effects:
        if isinstance(effect, Send) and effect.to == "c":
            untold, _ = after(untold, heard("b", effect.message))
    assert untold.durable.decided == decree("u")


# --- a founder was terminated and replaced ----------------------------------------------------


def replaced(own: str, durable: Durable) -> State:
    state, _ = after(machine.start(own, durable), PeersSeen(view(BCD, gone="a"), 0.0, "new", "s"))
    return state


def test_a_leader_hears_everybody_before_it_carries_another_rosters_decree_on() -> None:
    held = Accepted(1, decree("u"))
    state, _ = after(replaced("d", Durable(1)), Tick(0.0, 0.0), Tick(9.0, 0.0))
    state, effects = after(state, heard("b", VoteReply(2, granted=True, accepted=held)))
    assert state.role is Role.LEADER
    assert state.proposal is None
    assert sent(effects)["c"] == VoteRequest(2, BCD, "s")
    state, effects = after(state, heard("c", VoteReply(2, granted=True, accepted=held)))
    assert sent(effects)["b"] == Propose(2, decree("u", BCD), read_all=True)


def test_the_terminated_are_not_waited_for_but_everybody_else_is() -> None:
    held = Accepted(1, decree("u"))
    state = candidate("a")
    state, _ = after(state, heard("b", VoteReply(1, True, Accepted(0, decree("u", BCD)))))
    state, effects = after(state, heard("c", VoteReply(1, granted=True, accepted=held)))
    assert state.proposal is None
    assert "d" in sent(effects)


def test_a_decree_of_another_roster_yields_only_to_a_leader_that_heard_everybody() -> None:
    held = Durable(1, "a", Accepted(1, decree("u")))
    _, effects = after(replaced("b", held), heard("d", Propose(2, decree("x", BCD), False)))
    assert sent(effects)["d"] == ProposeReply(2, accepted=False, held=held.accepted)
    _, effects = after(replaced("b", held), heard("d", Propose(2, decree("x", BCD), True)))
    assert sent(effects)["d"] == ProposeReply(2, accepted=True)


def test_a_refused_leader_hears_everybody_and_carries_the_held_uuid_on() -> None:
    state, _ = after(replaced("d", Durable(1)), Tick(0.0, 0.0), Tick(9.0, 0.0))
    state, _ = after(state, heard("c", VoteReply(2, granted=True)))
    assert state.proposal is not None
    refusal = ProposeReply(2, accepted=False, held=Accepted(1, decree("u")))
    state, effects = after(state, heard("b", refusal))
    assert sent(effects)["b"] == Propose(2, decree("u", BCD), read_all=True)


def test_a_terminated_leaders_last_word_does_not_undo_the_new_roster() -> None:
    moved_on = Durable(2, "d", Accepted(2, decree("u", BCD)))
    state, effects = after(replaced("c", moved_on), heard("a", Decided(1, decree("u"))))
    assert state.durable.decided is None
    assert effects == ()


def test_a_leader_told_of_another_rosters_decision_steps_down() -> None:
    held = Durable(1, "a", Accepted(1, decree("u")))
    state, _ = after(replaced("b", held), Tick(0.0, 0.0), Tick(9.0, 0.0))
    state, _ = after(state, heard("d", VoteReply(2, granted=True)))
    assert state.role is Role.LEADER
    state, _ = after(state, heard("c", Decided(0, decree("u"))))
    assert state.durable.decided == decree("u")
    assert state.role is Role.FOLLOWER


# --- the invariants themselves ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "broken", "rule"),
    [
        (Durable(2), Durable(1), "terms never fall"),
        (Durable(1, "a"), Durable(1, "b"), "one vote per term"),
        (Durable(1, "a", None, decree("u")), Durable(1, "a"), "stays decided"),
        (Durable(1), Durable(1, "", Accepted(2, decree("u"))), "a term not entered"),
        (
            Durable(2, "", Accepted(2, decree("u"))),
            Durable(2, "", Accepted(1, decree("u"))),
            "accepted terms never fall",
        ),
    ],
)
def test_a_broken_step_is_named(before: Durable, broken: Durable, rule: str) -> None:
    with pytest.raises(invariants.InvariantError, match=rule):
        invariants.check(State("a", before), State("a", broken))


def test_two_decisions_are_named() -> None:
    states = [State(own, Durable(1, "", None, decree(own))) for own in "ab"]
    with pytest.raises(invariants.InvariantError, match="2 were decided"):
        invariants.check_together(states)


def test_a_leader_that_must_hear_somebody_whose_vote_is_given_away_stands_again() -> None:
    """Else it leads for ever: everybody follows it, and nobody can be asked in this term."""
    held = Accepted(1, decree("u", BCD))
    state, _ = after(node("b", durable=Durable(1, "", None)), Tick(0.0, 0.0), Tick(9.0, 0.0))
    state, _ = after(state, heard("c", VoteReply(2, granted=True, accepted=held)))
    assert machine.leads(state)
    assert state.proposal is None
    state, effects = after(state, heard("a", VoteReply(2, granted=False, reason="another roster")))
    assert machine.leads(state)
    state, effects = after(state, heard("a", VoteReply(2, granted=False, spent=True)))
    assert effects == (Deposed(2),)
    state, effects = after(state, Tick(10.0, 0.0), Tick(15.0, 0.0))
    assert state.durable.term == 3
    assert sent(effects)["a"] == VoteRequest(3, ABC, "s")


def test_who_has_voted_for_another_says_that_its_vote_is_spent() -> None:
    state = node("b", durable=Durable(3, "c", None))
    _, effects = after(state, heard("a", VoteRequest(3, ABC, "s")))
    assert sent(effects) == {"a": VoteReply(3, False, None, "already voted in term 3", spent=True)}
    _, effects = after(state, heard("a", VoteRequest(2, ABC, "s")))
    assert sent(effects) == {"a": VoteReply(3, False, None, "already voted in term 3")}


def test_time_alone_wakes_a_leader_to_repeat_itself_and_others_to_stand() -> None:
    assert machine.next_tick(machine.start("a", Durable())) is None
    waiting, _ = after(node("b"), Tick(10.0, 0.0))
    assert machine.next_tick(waiting) == waiting.deadline
    leading, _ = after(candidate(), heard("c", VoteReply(1, granted=True)))
    assert machine.leads(leading)
    assert machine.next_tick(leading) == leading.heartbeat


def test_a_leader_that_repeats_itself_matters_to_nobody_else() -> None:
    first, _ = after(node("b"), Tick(0.0, 0.0), heard("a", Lead(1)))
    again, _ = after(first, heard("a", Lead(1)))
    assert machine.matters(node("b"), first)
    assert not machine.matters(first, again)
    later, _ = after(again, heard("c", VoteRequest(2, ABC, "s")))
    assert machine.matters(again, later)
