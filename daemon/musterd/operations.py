"""The changes somebody asked for, and how far each is."""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from muster.api import Operation
from musterd.model import Phase

KEPT = 64  # operations


class Operations:
    """The latest operations. One of a verb runs at a time: to ask again joins it."""

    def __init__(self) -> None:
        self._all: deque[Operation] = deque(maxlen=KEPT)

    def running(self, verb: str, detail: str | None = None) -> Operation | None:
        """Return the operation of this verb (about that detail) that is under way."""
        found = (one for one in self._all if (one.state, one.verb) == ("running", verb))
        return next((one for one in found if detail in {None, one.detail}), None)

    def add(self, operation: Operation) -> Operation:
        """Keep a new operation."""
        self._all.append(operation)
        return operation

    def get(self, operation_id: str) -> Operation | None:
        """Return the operation of this id, None when it is not known (any more)."""
        return next((one for one in self._all if one.id == operation_id), None)

    def reached(self, phase: Phase, reason: str) -> None:
        """End joins once the node is where they end, for good or for ill."""
        joining = self.running("join")
        if joining is None or phase not in {Phase.FORMED, Phase.FAILED}:
            return
        self.advance(joining.id, "done" if phase is Phase.FORMED else "failed", reason)

    def left(self, members: Iterable[str]) -> None:
        """End the departures of those who are no members any more."""
        names = set(members)
        for one in tuple(self._all):
            if one.verb == "leave" and one.detail not in names:
                self.advance(one.id, "done", one.detail)

    def advance(self, operation_id: str, state: str, detail: str) -> None:
        """Say how far a running operation is."""
        for number, one in enumerate(self._all):
            if one.id == operation_id and one.state == "running":
                self._all[number] = replace(one, state=state, detail=detail)
