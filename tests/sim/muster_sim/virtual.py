"""An event loop whose time is virtual: when nothing is ready it jumps to the next timer."""

import asyncio
import selectors
from typing import Any


class _Jumping(selectors.SelectSelector):
    """Lets the loop's clock jump; there are no real descriptors that could become ready."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("deadlock: nothing is ready and no timer is set")
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs hours of daemon life in milliseconds, the same way each time."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Return virtual seconds."""
        return self._jumping.now
