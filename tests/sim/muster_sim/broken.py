"""The election written wrongly, in every way one could: whatever proves it must find these."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

from muster_sim import spaces
from muster_sim.cells import Recall, persisted
from muster_sim.explore import Explorer, Found, Scenario
from muster_sim.run import Verdict, run
from musterd import discovery
from musterd.election import machine
from musterd.election.types import Accepted, Durable, ProposeReply, State, View
from musterd.model import Candidates, Decree, Instance, InstanceState
from musterd.spec import Spec

TWO_REPLACED = replace(spaces.TWO_REPLACED, thrifty=True)
TWO_LATE = replace(spaces.TWO_LATE, thrifty=True)
TWO_STAND = replace(spaces.THREE_REPLACED, standing=("a", "d"))


@dataclass(frozen=True)
class Variant:
    """One wrong election: what is wrong, the space that shows it, and the promise it breaks."""

    name: str
    scenario: Scenario
    breaks: str  # words of the broken rule
    patches: tuple[tuple[ModuleType, str, Callable[..., Any]], ...] = ()
    recall: Recall = persisted

    @contextmanager
    def written(self) -> Iterator[None]:
        """Let the election be written so, for a while."""
        before = [(module, name, getattr(module, name)) for module, name, _ in self.patches]
        for module, name, wrong in self.patches:
            setattr(module, name, wrong)
        try:
            yield
        finally:
            for module, name, right in before:
                setattr(module, name, right)

    def sought(self, seeds: int) -> Verdict | None:
        """Return the first story of so many that breaks under the wrong election."""
        with self.written():
            verdicts = (run(seed, recall=self.recall) for seed in range(seeds))
            return next((verdict for verdict in verdicts if verdict.problem), None)

    def explored(self) -> Found:
        """Explore the wrong election's space."""
        with self.written():
            return Explorer(self.scenario, self.recall).run()


def _forget_vote(durable: Durable) -> Durable:
    return replace(durable, voted_for="")


def _forget_acceptance(durable: Durable) -> Durable:
    return replace(durable, accepted=None)


def _willful(state: State, view: View, _best: Accepted | None) -> Decree:
    return Decree(state.fresh_uuid, view.members, view.spec_digest, state.fresh_seed)


_PROPOSE_REPLY = machine._propose_reply


def _hasty(state: State, sender: str, reply: ProposeReply, now: float) -> object:
    proposal = state.proposal
    if reply.accepted and proposal is not None:
        enough = len(state.acks | {sender}) * 2 > len(proposal.roster)
        state = replace(state, acks=frozenset(proposal.roster) if enough else state.acks)
    return _PROPOSE_REPLY(state, sender, reply, now)


def _own_roster_only(state: State) -> tuple[str, ...]:
    return tuple(peer for peer in machine.electorate(state) if peer != state.own_id)


def _proud(state: State, decree: Decree) -> State:
    return replace(state, durable=replace(state.durable, decided=decree))


_CANDIDATES = discovery.candidates


def _shrinking(
    instances: tuple[Instance, ...], spec: Spec, own_id: str, before: Candidates
) -> Candidates:
    """Take for terminated what EC2 has once listed and now does not."""
    listed = {item.instance_id for item in instances}
    ended = (
        replace(item, state=InstanceState.TERMINATED)
        for item in before.instances
        if item.instance_id not in listed
    )
    return _CANDIDATES((*instances, *ended), spec, own_id, before)


def _never(*_: object) -> bool:
    return False


VARIANTS = (
    Variant(
        "a vote is not persisted",
        spaces.THREE_CRASHING,
        "one leader per term",
        recall=_forget_vote,
    ),
    Variant(
        "an acceptance is not persisted",
        replace(TWO_REPLACED, crashes=1),
        "carried on",
        recall=_forget_acceptance,
    ),
    Variant(
        "a reported decree is not adopted",
        TWO_REPLACED,
        "carried on",
        ((machine, "_wish", _willful),),
    ),
    Variant(
        "a decree is decided by a majority",
        TWO_STAND,
        "carried on",
        ((machine, "_propose_reply", _hasty),),
    ),
    Variant(
        "a decree of another roster is overwritten",
        spaces.THREE_MOSTLY_LATE,
        "one founding",
        ((machine, "_must_not_replace", _never),),
    ),
    Variant(
        "the roster changes without hearing everybody who could know",
        TWO_LATE,
        "two rosters",
        ((machine, "_to_hear", _own_roster_only),),
    ),
    Variant(
        "votes outlive the roster they are for",
        TWO_REPLACED,
        "majority of its roster",
        ((machine, "_votes_differ", _never),),
    ),
    Variant(
        "a terminated leader's last word undoes a new roster",
        TWO_REPLACED,
        "two rosters",
        ((machine, "_outdated", _never),),
    ),
    Variant(
        "a leader told of another roster's decision leads on",
        TWO_LATE,
        "majority of its roster",
        ((machine, "_learn", _proud),),
    ),
    Variant(
        "an error or a missing instance is read as terminated",
        spaces.ERROR_AS_EMPTY,
        "two rosters",
        ((discovery, "candidates", _shrinking),),
    ),
)
