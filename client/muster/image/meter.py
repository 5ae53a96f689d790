"""Progress of what takes long: one line that is redrawn on a terminal, a line a step elsewhere."""

import time
from collections.abc import Callable

from muster.context import Context

STEP = 10  # per cent between two lines where lines stay
BAR = 30  # columns


class Meter:
    """Shows how much of one thing is done.

    Args:
        context: where to.
        what: is being done, as a participle: "uploading".
        whole: bytes, or whatever `to` counts.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        context: Context,
        what: str,
        whole: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._context = context
        self._what = what
        self._whole = max(whole, 1)
        self._clock = clock
        self._began = clock()
        self._shown = -1

    def to(self, done: int) -> None:
        """Tell that so much is done."""
        share = min(100, 100 * done // self._whole)
        if self._context.terminal:
            if share != self._shown:
                filled = BAR * share // 100
                bar = "#" * filled + "." * (BAR - filled)
                self._context.out.write(f"\r{self._what} [{bar}] {share:3d} %{self._left(share)}")
                if share == 100:
                    self._context.out.write("\n")
                self._context.out.flush()
        elif share // STEP > self._shown // STEP or self._shown < 0:
            self._context.say(f"{self._what} {share} %{self._left(share)}")
        self._shown = share

    def _left(self, share: int) -> str:
        """Return the time that is left at this pace, once there is one worth telling."""
        passed = self._clock() - self._began
        if not 0 < share < 100 or passed < 5:
            return "   " if self._context.terminal else ""
        return f", {passed * (100 - share) / share / 60:.0f} min left   ".rstrip(
            "" if self._context.terminal else " "
        )
