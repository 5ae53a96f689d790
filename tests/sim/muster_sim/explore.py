"""Exhaustive exploration of the election machine: every interleaving within stated bounds.

The network is the set of all messages ever sent. A message may be delivered at any moment, any
number of times, or never: that is loss, repetition, reordering and delay of every kind at once,
without a bound. Time is abstracted the same way: a node may lose patience at any moment. What is
bounded is how often nodes stand (the highest term), how often they crash, and what EC2 shows them.

States are visited breadth first, so that a violation comes with a shortest transcript.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from muster_sim.cells import GONE, Cells, Move, Recall, persisted
from musterd.election.invariants import InvariantError, check_together
from musterd.election.machine import leads
from musterd.election.types import State, View
from musterd.model import Decree, Member

Whole = tuple[int, ...]  # each node's cell, then the crashes so far, then the first decree decided

_NOBODY: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Scenario:
    """What may happen: the views EC2 can give each node, in order, and the bounds.

    A view is seen only once every instance it calls gone is terminated, unless EC2 `lies`.
    Without `flapping` a running daemon never returns to an earlier view.
    """

    name: str
    views: dict[str, tuple[View, ...]]
    terms: int
    crashes: int = 0
    mortal: tuple[str, ...] = ()
    standing: tuple[str, ...] | None = None  # who may stand; None: everybody
    flapping: bool = False
    lies: bool = False
    thrifty: bool = False
    most: int = 3_000_000  # states; to have more is an error, never a silent end


@dataclass(frozen=True)
class Found:
    """How an exploration ended: the broken rule, "" when all held, and how to get there."""

    states: int
    decided: int  # states in which somebody has known a decision
    broken: str = ""
    transcript: tuple[str, ...] = ()


class BoundError(Exception):
    """The scenario has more states than it allows itself."""


def view(text: str, gone: str = "") -> View:
    """Return the view with one founder per letter, in order."""
    members = tuple(Member(one, f"node-{one}", f"10.0.0.{ord(one)}") for one in text)
    return View(tuple(text), "spec", members, frozenset(gone))


class Explorer:
    """One scenario's exploration. `recall` says what of the durable part survives a crash."""

    def __init__(self, scenario: Scenario, recall: Recall = persisted) -> None:
        self.scenario = scenario
        self.ids = tuple(sorted(scenario.views))
        self.cells = Cells(self.ids, recall, thrifty=scenario.thrifty)
        self._decrees: list[Decree | None] = [None]
        self._own: dict[tuple[int, frozenset[str], int], tuple[Move, ...]] = {}
        self._sound: set[Whole] = set()

    def run(self) -> Found:
        """Visit every state; stop at the first broken rule."""
        start: Whole = (*self.cells.first(), 0, 0)
        came_from: dict[Whole, Whole | None] = {start: None}
        frontier, decided = [start], 0
        while frontier:
            following: list[Whole] = []
            for whole in frontier:
                try:
                    for after, _ in self._successors(whole):
                        if after not in came_from:
                            came_from[after] = whole
                            following.append(after)
                            decided += after[-1] > 0
                            self._check(after)
                except InvariantError as broken:
                    last = next(reversed(came_from))
                    last = last if came_from[last] == whole else whole
                    told = tuple(self._transcript(came_from, last))
                    return Found(len(came_from), decided, str(broken), told)
            if len(came_from) > self.scenario.most:
                raise BoundError(f"{self.scenario.name}: more than {self.scenario.most} states")
            frontier = following
        return Found(len(came_from), decided)

    def _successors(self, whole: Whole) -> Iterator[tuple[Whole, Move]]:
        """Yield everything that can happen next, and what it is."""
        nodes, crashes, first = whole[:-2], whole[-2], whole[-1]
        gone = self._gone(nodes)
        for place, cell in enumerate(nodes):
            if cell == GONE:
                continue
            before, behind = nodes[:place], nodes[place + 1 :]
            moves = self.cells.moves(cell) + self._own_moves(place, cell, gone, crashes)
            for move in moves:
                after = [*before, move.cell, *behind]
                for to, mask in move.sent:
                    after[to] = self.cells.added(after[to], mask)
                yield (*after, crashes, first or self._decided(move.cell)), move
            if crashes < self.scenario.crashes:
                again = self.cells.restarted(cell)
                move = Move(f"{self.ids[place]} crashes and starts again", again, ())
                yield (*before, again, *behind, crashes + 1, first), move
            if self.ids[place] in self.scenario.mortal:
                move = Move(f"{self.ids[place]} is terminated", GONE, ())
                yield (*before, GONE, *behind, crashes, first), move

    def _own_moves(
        self, place: int, cell: int, gone: frozenset[str], crashes: int
    ) -> tuple[Move, ...]:
        """Return what can befall a node without a message: its patience ends, EC2 answers."""
        key = (cell, gone, crashes)
        if key in self._own:
            return self._own[key]
        moves: tuple[Move, ...] = ()
        state = self.cells.state(cell)
        if leads(state) or self._may_stand(state):
            moves += self.cells.ticked(cell)
        views = self.scenario.views[self.ids[place]]
        seen = views.index(state.view) if state.view is not None else -1
        for index, known in enumerate(views):
            back = index < seen and not self.scenario.flapping
            if index != seen and not back and (known.gone <= gone or self.scenario.lies):
                moves += self.cells.shown(cell, known, f"{state.own_id}{index}{crashes}")
        self._own[key] = moves
        return moves

    def _may_stand(self, state: State) -> bool:
        standing = self.scenario.standing
        allowed = standing is None or state.own_id in standing
        return allowed and state.durable.term < self.scenario.terms

    def _gone(self, nodes: Whole) -> frozenset[str]:
        if GONE not in nodes:
            return _NOBODY
        return frozenset(own for own, cell in zip(self.ids, nodes, strict=True) if cell == GONE)

    def _decided(self, cell: int) -> int:
        """Number what a node knows to be decided, 0 for nothing."""
        decree = self.cells.state(cell).durable.decided
        if decree is None:
            return 0
        if decree not in self._decrees:
            self._decrees.append(decree)
        return self._decrees.index(decree)

    def _check(self, whole: Whole) -> None:
        """One uuid and one roster among those not terminated, and the first one carried on."""
        key = (*(self.cells.number(cell) for cell in whole[:-2]), whole[-1])
        if key in self._sound:
            return
        there = {own: c for own, c in zip(self.ids, whole[:-2], strict=True) if c != GONE}
        states: list[State] = [self.cells.state(cell) for cell in there.values()]
        check_together(states)
        known = {s.durable.decided for s in states if s.durable.decided is not None}
        if len(known) > 1:
            raise InvariantError("one founding, but two rosters were decided")
        first = self._decrees[whole[-1]]
        bound = first is not None and any(own in there for own in first.roster)
        if first is not None and bound and any(decree.uuid != first.uuid for decree in known):
            raise InvariantError("what was decided is carried on")
        self._sound.add(key)

    def _transcript(self, came_from: dict[Whole, Whole | None], last: Whole) -> Iterator[str]:
        """Say how the last state came about."""
        path = [last]
        while (before := came_from[path[-1]]) is not None:
            path.append(before)
        path.reverse()
        for before, after in pairwise(path):
            move = next(move for whole, move in self._successors(before) if whole == after)
            yield self.cells.told(move)
