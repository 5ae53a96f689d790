"""The log of calls: who asked the region for what, and what it answered."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime

KEPT = 50_000


@dataclass(frozen=True)
class Call:
    """One request.

    Attributes:
        at: when it was answered.
        caller: instance id, `admin`, or `unknown`.
        service: `ec2`, `imds`, `sts`, `secretsmanager`, `s3`, `iam`.
        action: API action, or method and path for IMDS.
        outcome: `ok`, an error code, an HTTP status, or what a fault did (`hang`).
        seconds: how long the answer took.
        detail: what the call was about: ids and addresses, never a secret.
    """

    at: datetime
    caller: str
    service: str
    action: str
    outcome: str
    seconds: float
    detail: str = ""

    def as_json(self) -> dict[str, object]:
        """The call with its time in ISO form, for the control socket."""
        return asdict(self) | {"at": self.at.isoformat()}


class CallLog:
    """The last calls in order, and whoever wants to hear of each."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=KEPT)
        self._listeners: list[Callable[[Call], None]] = []

    def add(self, call: Call) -> None:
        """Record one."""
        self._calls.append(call)
        for listener in self._listeners:
            listener(call)

    def listen(self, listener: Callable[[Call], None]) -> None:
        """Have the listener called with each call from now on."""
        self._listeners.append(listener)

    def list(
        self,
        *,
        service: str | None = None,
        action: str | None = None,
        caller: str | None = None,
    ) -> list[Call]:
        """The calls that match what is given, oldest first."""
        return [
            call
            for call in self._calls
            if (service is None or call.service == service)
            and (action is None or call.action == action)
            and (caller is None or call.caller == caller)
        ]

    def clear(self) -> None:
        """Forget all calls."""
        self._calls.clear()
