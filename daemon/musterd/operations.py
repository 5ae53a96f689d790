"""The changes somebody asked for, and how far each is."""

from collections import deque
from dataclasses import replace

from muster.api import Operation
from musterd.model import Phase

KEPT = 64  # operations


class Operations:
    """The latest operations. One at a time runs: to ask again joins the one under way."""

    def __init__(self) -> None:
        self._all: deque[Operation] = deque(maxlen=KEPT)

    def running(self) -> Operation | None:
        """Return the operation under way."""
        return next((one for one in self._all if one.state == "running"), None)

    def add(self, operation: Operation) -> Operation:
        """Keep a new operation."""
        self._all.append(operation)
        return operation

    def get(self, operation_id: str) -> Operation | None:
        """Return the operation of this id, None when it is not known (any more)."""
        return next((one for one in self._all if one.id == operation_id), None)

    def reached(self, phase: Phase, reason: str) -> None:
        """End what runs once the node is where it ends, for good or for ill."""
        if phase not in {Phase.FORMED, Phase.FAILED}:
            return
        state = "done" if phase is Phase.FORMED else "failed"
        for number, one in enumerate(self._all):
            if one.state == "running":
                self._all[number] = replace(one, state=state, detail=reason)
