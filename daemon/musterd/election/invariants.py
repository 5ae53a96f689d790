"""What must hold after every step, of one node and of all of them together."""

from collections.abc import Iterable

from musterd.election.machine import electorate
from musterd.election.types import Role, State


class InvariantError(AssertionError):
    """A promise of the election was broken: a bug, never an operating condition."""


def check(before: State, after: State) -> None:
    """Check one node's step.

    Raises:
        InvariantError: naming the rule that was broken.
    """
    old, new = before.durable, after.durable
    _require(after.own_id == before.own_id, "a node's own id never changes")
    _require(new.term >= old.term, "terms never fall")
    if new.term == old.term and old.voted_for:
        _require(new.voted_for == old.voted_for, "one vote per term, never taken back")
    if old.decided is not None:
        _require(new.decided == old.decided, "what is decided stays decided")
    if new.accepted is not None:
        _require(new.accepted.term <= new.term, "nothing is accepted from a term not entered")
        if old.accepted is not None:
            _require(new.accepted.term >= old.accepted.term, "accepted terms never fall")
    if after.role is Role.LEADER:
        voters = electorate(after)
        votes = {voter for voter, _ in after.votes} & set(voters)
        _require(len(votes) * 2 > len(voters), "a leader has a majority of its roster")
        _require(new.voted_for == after.own_id, "a leader voted for itself")
    if after.proposal is not None:
        _require(after.role is Role.LEADER, "only a leader proposes")


def check_together(states: Iterable[State]) -> None:
    """Check all nodes' states at one moment.

    Raises:
        InvariantError: two leaders in one term of one roster, or two different foundings.
    """
    leaders: dict[tuple[int, tuple[str, ...]], str] = {}
    uuids: set[str] = set()
    for state in states:
        if state.role is Role.LEADER:
            key = (state.durable.term, electorate(state))
            _require(
                leaders.setdefault(key, state.own_id) == state.own_id,
                f"one leader per term, but term {state.durable.term} has two",
            )
        if state.durable.decided is not None:
            uuids.add(state.durable.decided.uuid)
    _require(len(uuids) <= 1, f"one founding, but {len(uuids)} were decided")


def _require(holds: bool, rule: str) -> None:
    if not holds:
        raise InvariantError(rule)
