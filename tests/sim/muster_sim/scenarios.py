"""From a seed to a story: how many nodes, when they boot, and what goes wrong when.

All chance of a story is drawn here, before it runs; the same seed tells the same story.
"""

import random
from dataclasses import dataclass, field

CALM_AT = 45.0  # virtual seconds after which nothing goes wrong any more
# What a node does on its way, as `SimRegion.moment` names it.
MOMENTS = ("voted", "accepted", "decided", "lay", "start", "build", "configure", "trust")
_AIMED = (
    *("cut both ways", "kill daemon", "crash node", "stop instance", "terminate and replace"),
    *("tag lost", "clock jumps"),
)
# Most rules need two or three founders to be broken; more of them cost with their square.
SIZES = (*(2,) * 24, *(3,) * 28, 4, 4, 4, 5, 5, 6, 7)
BIG = 1000  # one seed in so many has sixteen founders
# What an administrator and a growing group do meanwhile, in stories that are mixed.
DAY_TWO = ("launch", "launch", "leave", "lose disk", "terminate and replace", "crash node")
DAY_TWO_UNTIL = 120.0  # virtual seconds; founding takes 20 to 90
KINDS = (
    *("cut both ways", "cut one way", "lose", "repeat", "slow"),
    *("EC2 omits", "EC2 fails", "EC2 throttles", "EC2 lags"),
    *("kill daemon", "kill daemon", "crash node", "crash node", "stop instance"),
    *("terminate and replace", "disk full", "tag lost", "clock jumps"),
)


@dataclass(frozen=True)
class Trouble:
    """One thing that goes wrong: when, for how long, what, and to which nodes (by number).

    `after` a moment of the founding, `at` counts from it, and without `nodes` the trouble befalls
    the node whose moment it was.
    """

    at: float
    lasts: float
    what: str
    nodes: tuple[int, ...] = ()
    strength: float = 0.0
    after: str = ""

    def __str__(self) -> str:
        """Return it in words."""
        who = "+".join(f"n{number}" for number in self.nodes) or "it"
        when = f" once somebody has done {self.after}" if self.after else ""
        return f"{self.what} {who} ({self.strength:.2f}) for {self.lasts:.1f} s{when}"


@dataclass(frozen=True)
class Story:
    """One run."""

    seed: int
    size: int
    boots: tuple[float, ...]  # when each instance's daemon first starts
    created: tuple[float, ...]
    troubles: tuple[Trouble, ...]
    absent: frozenset[int] = field(default_factory=frozenset)  # never boot at all
    untagged: frozenset[int] = field(default_factory=frozenset)  # launched without the tag

    def __str__(self) -> str:
        """Return the story's frame in words."""
        count = len(self.boots)
        off = ", ".join(f"n{number}" for number in sorted(self.absent))
        return (
            f"seed {self.seed}: size {self.size}, {count} instances, "
            f"{len(self.troubles)} troubles{f', {off} never boots' if off else ''}"
        )


def story(seed: int) -> Story:
    """Return the story of the seed."""
    chance = random.Random(f"story/{seed}")
    big = seed % BIG == BIG - 1
    size = 16 if big else chance.choice(SIZES)
    kind = chance.random()
    two_groups = kind < 0.1 and size <= 5
    count = size * 2 if two_groups else size + (kind > 0.8)
    later = chance.choice((1.0, 8.0, 30.0))
    groups = [later if two_groups and n >= size else 0.0 for n in range(count)]
    late = chance.choice((1.0, 5.0, 20.0))
    boots = tuple(round(group + chance.uniform(0.0, late), 3) for group in groups)
    created = tuple(1000.0 + group + chance.choice((0.0, 0.0, 1.0)) for group in groups)
    absent: frozenset[int] = frozenset()
    if chance.random() < 0.08:
        absent = frozenset({chance.randint(1, size)})
    many = 3 if big else chance.choice((0, 1, 2, 4, 8))
    troubles = [_trouble(chance, count) for _ in range(many)]
    untagged: frozenset[int] = frozenset()
    if chance.random() < 0.08:
        untagged = frozenset({chance.randint(1, count)})
        at = round(chance.uniform(0.0, CALM_AT * 0.6), 3)
        troubles.append(Trouble(at, 0.0, "tag gained", tuple(untagged)))
    troubles.sort(key=lambda t: t.at)
    return Story(seed, size, boots, created, tuple(troubles), absent, untagged)


def day_two(told: Story) -> tuple[Trouble, ...]:
    """Return what of day two is mixed into a story, from before its founding to well after."""
    chance = random.Random(f"day two/{told.seed}")
    return tuple(
        Trouble(
            at=round(chance.uniform(0.0, DAY_TWO_UNTIL), 3),
            lasts=round(chance.choice((2.0, 8.0, 20.0)) * chance.uniform(0.5, 1.2), 3),
            what=chance.choice(DAY_TWO),
            nodes=(chance.randint(1, len(told.boots)),),
        )
        for _ in range(chance.choice((1, 2, 3)))
    )


def _trouble(chance: random.Random, count: int) -> Trouble:
    what = chance.choice(KINDS)
    at = round(chance.uniform(0.0, CALM_AT * 0.6), 3)
    lasts = round(chance.choice((2.0, 8.0, 20.0)) * chance.uniform(0.5, 1.2), 3)
    several = chance.sample(range(1, count + 1), chance.randint(1, max(1, count // 2)))
    one = (chance.randint(1, count),)
    wide = what.startswith(("cut", "EC2"))
    strength = round(chance.uniform(0.1, 0.9), 2)
    nodes = tuple(sorted(several)) if wide else one
    if what in _AIMED and chance.random() < 0.6:
        delay = round(chance.choice((0.0, 0.02, 0.5, 2.0)) * chance.random(), 3)
        nodes = () if chance.random() < 0.5 else nodes
        return Trouble(delay, lasts, what, nodes, strength, chance.choice(MOMENTS))
    return Trouble(at, lasts, what, nodes, strength)
