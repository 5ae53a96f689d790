"""What DescribeInstances answers, and to whom it answers late, in part, or not at all."""

import random
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field

from musterd.errors import CloudError
from musterd.model import Instance


@dataclass
class _Shown:
    """How one instance was listed: since when, and as what (None: without the tag)."""

    since: list[float] = field(default_factory=list)
    what: list[Instance | None] = field(default_factory=list)

    def at(self, moment: float) -> Instance | None:
        """Return how it was listed at that moment, None before it existed."""
        place = bisect_right(self.since, moment)
        return self.what[place - 1] if place else None


class Ec2:
    """The list of tagged instances, with its history; `errors`, `hidden`, `lag` are by reader."""

    def __init__(self, now: Callable[[], float], chance: random.Random) -> None:
        self._now = now
        self._chance = chance
        self._shown: dict[str, _Shown] = {}
        self.errors: dict[str, CloudError] = {}
        self.hidden: dict[str, frozenset[str]] = {}
        self.lag: dict[str, float] = {}  # seconds by which an answer may be old, at most

    def note(self, instance_id: str, what: Instance | None) -> None:
        """Remember how the instance is listed from now on."""
        shown = self._shown.setdefault(instance_id, _Shown())
        shown.since.append(self._now())
        shown.what.append(what)

    def answer(self, reader: str) -> tuple[Instance, ...]:
        """Return what this reader is told now: of each instance by itself, how it once was.

        So an answer may mix new and old, and a later one may be older. Raises CloudError.
        """
        error = self.errors.get(reader)
        if error is not None:
            raise error
        lag, now = self.lag.get(reader, 0.0), self._now()
        hidden = self.hidden.get(reader, frozenset())
        listed = (
            shown.at(now - self._chance.uniform(0.0, lag) if lag else now)
            for instance_id, shown in self._shown.items()
            if instance_id not in hidden
        )
        return tuple(instance for instance in listed if instance is not None)
