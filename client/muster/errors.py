"""The errors of the client, drawn.

    ClientError                what, why, cure, and the exit code
    ├── UnreachableError       musterd does not answer (5)
    ├── NotAllowedError        the socket is not for this user (1)
    ├── RefusedError           musterd answered, and said no (1)
    ├── TimedOutError          what was waited for did not come (3)
    ├── FailedError            this node cannot go on by itself (4)
    ├── UnintelligibleError    what answered is not HTTP or not our JSON (1)
    └── SpecConflictError      the spec file says otherwise; it is never overwritten (1)

Each is printed as three lines: what happened, why, and what to type next.
"""

from muster.contract import Exit


class ClientError(Exception):
    """An outcome that ends a command: what happened, why, what to type next."""

    exit = Exit.ERROR

    def __init__(self, what: str, *, why: str = "", cure: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.cure = cure

    def lines(self) -> list[str]:
        """Return the error as the lines to print, the remedy last."""
        lines = [f"muster: {self.what}"]
        if self.why:
            lines.append(f"  why:  {self.why}")
        if self.cure:
            lines.append(f"  next: {self.cure}")
        return lines


class UnreachableError(ClientError):
    """Nobody answers at the socket, or not in time.

    Attributes:
        late: somebody holds the socket, who has not answered yet.
    """

    exit = Exit.UNREACHABLE

    def __init__(self, what: str, *, why: str = "", cure: str = "", late: bool = False) -> None:
        super().__init__(what, why=why, cure=cure)
        self.late = late


class TimedOutError(ClientError):
    """What was waited for did not come in time; `why` tells what was missing."""

    exit = Exit.TIMED_OUT


class FailedError(ClientError):
    """This node's phase is `failed`: only a person can go on."""

    exit = Exit.FAILED


class NotAllowedError(ClientError):
    """The kernel does not let this user connect or read."""


class RefusedError(ClientError):
    """musterd answered with a problem document.

    `status` is the HTTP status, `kind` the machine-readable reason ("" when none was given).
    """

    def __init__(self, what: str, *, why: str, cure: str, status: int, kind: str) -> None:
        super().__init__(what, why=why, cure=cure)
        self.status = status
        self.kind = kind


class UnintelligibleError(ClientError):
    """The answer breaks off, is too large, or is no HTTP or JSON that we understand."""


class SpecConflictError(ClientError):
    """The existing spec file contradicts what was asked on the command line."""
