"""Since when a node is in its phase, told across restarts of the daemon.

What is formed stays formed while musterd is replaced by a newer version: `since` is the cluster's,
not the daemon's. The last written status has it. That file lies in /run, so a boot begins anew.
"""

from datetime import datetime

from muster.api import Status
from musterd.model import Phase


class Since:
    """The moments at which phases are entered, by a daemon that may have had a predecessor."""

    def __init__(self, before: Status | None) -> None:
        """Take what the daemon before this one wrote last, None when there was none."""
        self._before = before

    def entered(self, phase: Phase, wall: float) -> float:
        """Return since when the node is in the phase it enters now (seconds since 1970).

        That of the predecessor, if its phase is the first that follows `starting`. A daemon that
        starts goes through no other phase on its way to where it was.
        """
        before, self._before = self._before, None
        if before is None or before.phase != phase:
            return wall
        try:
            then = datetime.fromisoformat(before.since).timestamp()
        except ValueError:
            return wall
        return min(then, wall)  # a clock that was set back in between
