"""What happened, as public events: kept for late readers, streamed to those who follow."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator

import structlog

from muster.api import Event
from musterd.model import Phase, Verb
from musterd.ports import Clock
from musterd.status import rfc3339

KEPT = 2000  # events; a founding writes some dozens
# What is told of actions that are no steps, and how often: what repeats while a node waits would
# crowd out the rest.
TOLD = {
    "identity": (1, "asked the metadata service who this node is"),
    "spec": (1, "read the spec"),
    "survey": (1, "looked at this node"),
    "token": (1, "got the cluster token"),
    "instances": (2, "asked EC2 for the instances"),
    "allocation": (1, "looked the Elastic IP up"),
}
STEPS = frozenset(Verb) - {Verb.SURVEY}

log = structlog.get_logger("musterd")


class Journal:
    """The events since the daemon's start. `follow` never polls."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started = clock.monotonic()
        self._events: deque[Event] = deque(maxlen=KEPT)
        self._counts: Counter[str] = Counter()
        self._ended: Counter[str] = Counter()
        self._nodes: dict[str, tuple[str, str]] = {}
        self._added = 0
        self._news = asyncio.Event()
        self._closed = False

    def stamp(self) -> str:
        """Return the present wall-clock time."""
        return rfc3339(self._clock.wall())

    def add(self, kind: str, message: str, phase: Phase, **fields: str) -> None:
        """Record an event, log it, wake the followers."""
        seconds = self._clock.monotonic() - self._started
        self._events.append(Event(self.stamp(), kind, message, phase, round(seconds, 3), fields))
        self._added += 1
        self._counts[kind] += 1
        log.info(message, kind=kind, phase=str(phase), **fields)
        self._wake()

    def action(self, action: str, seconds: float, phase: Phase, *, failed: bool) -> None:
        """Record that an action came to its end, and how long it took; what failed is a finding."""
        if failed:
            return
        self._ended[action] += 1
        often, words = TOLD.get(action, (0, f"{action} is done"))
        if action in STEPS or self._ended[action] <= often:
            took = f"{seconds:.3f}"
            self.add("action", f"{words}: {seconds:.1f} s", phase, action=action, took=took)

    def node(self, instance_id: str, name: str, said: Phase, reason: str, phase: Phase) -> None:
        """Record how far another node says it is, when that is another phase, step or wait."""
        step, colon, _ = reason.partition(": ")
        doing = step if colon and step in STEPS else reason
        if self._nodes.get(instance_id) == (said, doing):
            return
        self._nodes[instance_id] = (said, doing)
        fields = {"node": name, "instance_id": instance_id, "said": str(said), "doing": doing}
        self.add("node", f"{name}: {said}: {reason}", phase, **fields)

    def counts(self) -> dict[str, int]:
        """Return how many events of each kind there were since the start."""
        return dict(self._counts)

    def events(self, since: float) -> tuple[Event, ...]:
        """Return the kept events later than `since` seconds from the start."""
        return tuple(event for event in self._events if event.seconds > since)

    async def follow(self, since: float) -> AsyncIterator[Event]:
        """Yield the kept events later than `since`, then each new one, until `close`."""
        told = self._added - len(self.events(since))
        while True:
            news, added, kept = self._news, self._added, tuple(self._events)
            fresh = min(len(kept), added - told)
            told = added
            for event in kept[len(kept) - fresh :]:
                yield event
            if self._closed and told == self._added:
                return
            if news is self._news:
                await news.wait()

    def close(self) -> None:
        """End every follower."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        waiting, self._news = self._news, asyncio.Event()
        waiting.set()
