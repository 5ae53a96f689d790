"""Follows musterd through its restarts: new events once each, and the status when asked for."""

import json
import time
from collections.abc import Callable
from types import TracebackType

from muster.contract import BUSY
from muster.errors import RefusedError, UnreachableError
from muster.fields import Document, number, text
from muster.transport import EventStream, Transport

PATIENCE = 30.0  # seconds without musterd before giving up: it restarts in less, and so does a boot
LATE = 10  # times the patience for a musterd that is there, on a machine too busy to let it answer
RETRY = 0.5  # seconds between attempts to connect
CROWDED = 2.0  # seconds until the next, when too many others follow the events
REMEMBERED = 4_096  # events; the daemon keeps fewer


class Follower:
    """A stream of events that outlives the connection. A context manager.

    Args:
        client: whom to ask.
        patience: seconds that musterd may be away; None for ever.
        polls: the status is asked for whenever there is no stream, so that one too many to get one
            goes on without.
        clock: monotonic seconds.
        pause: waits for seconds.
    """

    def __init__(
        self,
        client: Transport,
        patience: float | None = PATIENCE,
        polls: bool = False,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._patience = patience
        self._polls = polls
        self._clock = clock
        self._pause = pause
        self._stream: EventStream | None = None
        self._away_since: float | None = None
        self._seen: dict[tuple[str, float, str], None] = {}

    def __enter__(self) -> "Follower":
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up."""
        self._hang_up()

    @property
    def away(self) -> bool:
        """Whether musterd did not answer when it was last asked."""
        return self._away_since is not None

    @property
    def interrupted(self) -> bool:
        """Whether there is no stream: what happened meanwhile may be told by no event."""
        return self._stream is None

    def status(self, seconds: float | None = None) -> Document | None:
        """Return the status; None while musterd is away.

        Raises:
            UnreachableError: it has been away for longer than is likely to help.
            ClientError: it answers, but not with a status.
        """
        try:
            document = self._client.status(seconds)
        except UnreachableError as error:
            self._missed(error)
            return None
        self._away_since = None
        return document

    def take(self, seconds: float | None = None) -> list[Document]:
        """Return events not returned before, waiting for the first at most `seconds`.

        Empty when the time is over, musterd went away, or has no stream to spare for one who polls;
        raises what `status` raises.
        """
        try:
            stream = self._stream = self._stream or self._client.events(follow=True)
        except UnreachableError as error:
            self._missed(error)
            self._pause(RETRY if seconds is None else min(RETRY, seconds))
            return []
        try:
            lines = stream.take(seconds)
        except RefusedError as error:
            self._hang_up()
            if not self._polls or error.kind != BUSY:
                raise
            self._pause(CROWDED if seconds is None else min(CROWDED, seconds))
            return []
        if stream.ended:
            self._hang_up()
            self._pause(RETRY if seconds is None else min(RETRY, seconds))
        return [event for event in map(decode, lines) if event is not None and self._new(event)]

    def _missed(self, error: UnreachableError) -> None:
        """Note that musterd is away; raise `error` once that has lasted too long."""
        now = self._clock()
        self._hang_up()
        if self._away_since is None:
            self._away_since = now
        elif self._patience is not None:
            patience = self._patience * (LATE if error.late else 1)
            if now - self._away_since > patience:
                raise error

    def _hang_up(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _new(self, event: Document) -> bool:
        """Tell whether an event was not seen yet: each new connection begins with the kept ones."""
        key = (text(event, "at"), number(event, "seconds"), text(event, "message"))
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return True


def decode(line: str) -> Document | None:
    """Return the event on one line of the stream; None for what is no JSON object."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None
