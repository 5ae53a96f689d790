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
        self._known: dict[str, Instance] = {}
        self.errors: dict[str, CloudError] = {}
        self.hidden: dict[str, frozenset[str]] = {}
        self.lag: dict[str, float] = {}  # seconds by which an answer may be old, at most

    def note(self, what: Instance, *, tagged: bool = True) -> None:
        """Remember how the instance is listed from now on, or that it is not, without its tag."""
        instance_id = what.instance_id
        self._known[instance_id] = what
        shown = self._shown.setdefault(instance_id, _Shown())
        shown.since.append(self._now())
        shown.what.append(what if tagged else None)

    def described(self, reader: str, instance_ids: tuple[str, ...]) -> tuple[Instance, ...]:
        """Return the instances of these ids, whatever their tags. Raises CloudError."""
        error = self.errors.get(reader)
        if error is not None:
            raise error
        return tuple(self._known[one] for one in instance_ids if one in self._known)

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
