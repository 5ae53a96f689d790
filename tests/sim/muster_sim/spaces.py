"""The spaces that are explored whole: rosters, what EC2 shows, and the bounds.

Letters are nodes. `thrifty` spaces insist that a message which could only tell its sender of a
later term is lost; the small ones also run with every message kept.
"""

from dataclasses import dataclass, replace

from muster_sim.explore import Scenario, view

AB, BC, ABC, BCD, CDE = view("ab"), view("bc"), view("abc"), view("bcd"), view("cde")
BC_LATER, BCD_LATER = view("bc", gone="a"), view("bcd", gone="a")
OTHER_SPEC = replace(AB, spec_digest="other")

TWO = Scenario("two founders", {"a": (AB,), "b": (AB,)}, terms=3, crashes=1)
THREE = Scenario("three founders", dict.fromkeys("abc", (ABC,)), terms=2, thrifty=True)
THREE_CRASHING = replace(THREE, name="three founders, a crash", terms=1, crashes=1)
TWO_REPLACED = Scenario(
    "two founders, one is terminated and replaced",
    {"a": (AB,), "b": (AB, BC_LATER), "c": (BC_LATER,)},
    terms=2,
    mortal=("a",),
)
TWO_LATE = Scenario(
    "two founders, an earlier instance shows late",
    {"a": (AB,), "b": (BC, AB), "c": (BC, AB)},
    terms=2,
)
THREE_REPLACED = Scenario(
    "three founders, one is terminated and replaced",
    {"a": (ABC,), "b": (ABC, BCD_LATER), "c": (ABC, BCD_LATER), "d": (BCD_LATER,)},
    terms=2,
    mortal=("a",),
    thrifty=True,
)
THREE_LATE = Scenario(
    "three founders, an earlier instance shows late",
    {"a": (ABC,), "b": (BCD, ABC), "c": (BCD, ABC), "d": (BCD,)},
    terms=2,
    standing=("a", "d"),
    thrifty=True,
)
THREE_MOSTLY_LATE = Scenario(
    "three founders, two earlier instances show late",
    {"a": (ABC,), "b": (ABC,), "c": (CDE, ABC), "d": (CDE, ABC), "e": (CDE,)},
    terms=1,
    standing=("a", "e"),
    thrifty=True,
)
SPEC_CHANGES = Scenario(
    "two founders, their spec changes",
    dict.fromkeys("ab", (AB, OTHER_SPEC)),
    terms=3,
    crashes=1,
    thrifty=True,
)
# What discovery must never do: take for terminated what EC2 only failed to list.
ERROR_AS_EMPTY = replace(TWO_REPLACED, name="an error read as empty", lies=True, thrifty=True)

QUICK = (
    TWO,
    THREE,
    THREE_CRASHING,
    TWO_REPLACED,
    replace(TWO_REPLACED, name=f"{TWO_REPLACED.name}, a crash", crashes=1, thrifty=True),
    TWO_LATE,
    replace(TWO_LATE, name=f"{TWO_LATE.name}, EC2 wavers", terms=3, flapping=True, thrifty=True),
    replace(THREE_REPLACED, name=f"{THREE_REPLACED.name}, two stand", standing=("a", "d")),
    THREE_LATE,
    THREE_MOSTLY_LATE,
    SPEC_CHANGES,
)

LARGE = (
    replace(TWO, name="two founders, four terms, two crashes", terms=4, crashes=2, thrifty=True),
    replace(THREE, name="three founders, a crash, two terms", crashes=1),
    replace(THREE, name="three founders, three terms", terms=3),
    replace(TWO_REPLACED, name=f"{TWO_REPLACED.name}, three terms", terms=3, crashes=1),
    replace(TWO_LATE, name=f"{TWO_LATE.name}, three terms", terms=3, crashes=1, thrifty=True),
    THREE_REPLACED,
    replace(THREE_REPLACED, name=f"{THREE_REPLACED.name}, a crash", standing=("a", "d"), crashes=1),
    replace(THREE_LATE, name=f"{THREE_LATE.name}, EC2 wavers", flapping=True),
    replace(THREE_MOSTLY_LATE, name=f"{THREE_MOSTLY_LATE.name}, two terms", terms=2),
    replace(THREE_MOSTLY_LATE, name=f"{THREE_MOSTLY_LATE.name}, EC2 wavers", flapping=True),
    replace(SPEC_CHANGES, name="two founders, their spec wavers", flapping=True),
)


@dataclass(frozen=True)
class Bounds:
    """A space's bounds in words."""

    scenario: Scenario

    def __str__(self) -> str:
        """Return them on one line."""
        bounds = [f"terms <= {self.scenario.terms}", f"crashes <= {self.scenario.crashes}"]
        if self.scenario.standing is not None:
            bounds.append(f"{' and '.join(self.scenario.standing)} stand")
        bounds.append("refusals lost" if self.scenario.thrifty else "every message kept")
        return ", ".join(bounds)
