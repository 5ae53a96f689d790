"""Which runs the matrix is made of: a point, who dies there, and on which role."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from muster_helper.faults import POINTS
from musterd.model import DAY_TWO, Verb

FOUNDING: Mapping[Verb, tuple[str, ...]] = {
    verb: points for verb, points in POINTS.items() if verb not in {Verb.FENCE, *DAY_TWO}
}
"""The points of every founding; a real fence is only for those who ask for that proof."""

CONDUCTED = frozenset({Verb.BUILD, Verb.CONFIGURE})
"""What only the conductor does."""


class Victim(StrEnum):
    """Who is killed."""

    HELPER = "helper"  # SIGKILL
    DAEMON = "daemon"  # SIGKILL of musterd; the helper goes on
    NODE = "node"  # off the wire and dead, then booted with the disk it had


class Role(StrEnum):
    """On which node."""

    CONDUCTOR = "conductor"
    FOLLOWER = "follower"
    EVERYBODY = "all"  # every node, each as it comes to the point


@dataclass(frozen=True)
class Cell:
    """One run."""

    point: str
    victim: Victim
    role: Role

    @property
    def key(self) -> str:
        """Its name in the file of results."""
        return f"{self.point} {self.victim} {self.role}"

    @property
    def verb(self) -> Verb:
        """The verb of its point."""
        return Verb(self.point.partition(":")[0])

    @property
    def late(self) -> bool:
        """Whether it is armed once the founding is decided: surveys come before, too."""
        return self.verb is Verb.SURVEY and self.role is not Role.EVERYBODY


# The helper dies at every point. What is different when more dies with it is not the point within
# the verb but what the node holds and who carries on, so one state of each kind is enough.
_ALL = (Role.EVERYBODY,)
_DAEMONS = {
    "prepare:middle-files": _ALL,
    "lay:middle-key": (Role.CONDUCTOR, Role.FOLLOWER),
    "start:middle": _ALL,
    "build:middle-made": (Role.CONDUCTOR,),
    "configure:middle-compared": (Role.CONDUCTOR,),
    "trust:middle": (Role.FOLLOWER,),
    "probe-fencing:middle": (Role.CONDUCTOR,),
}
_NODES = {
    "prepare:middle-files": _ALL,
    "lay:middle-keys": (Role.CONDUCTOR, Role.FOLLOWER),
    "lay:middle-hosts": (Role.FOLLOWER,),
    "start:middle": (Role.CONDUCTOR, Role.FOLLOWER),
    "start:after": (Role.FOLLOWER,),
    "build:middle-kept": (Role.CONDUCTOR,),
    "configure:middle-compared": (Role.CONDUCTOR,),
    "configure:middle-pushed": (Role.CONDUCTOR,),
    "trust:middle": (Role.FOLLOWER,),
    "probe-fencing:after": (Role.FOLLOWER,),
}


def roles(point: str) -> tuple[Role, ...]:
    """Return on which nodes the helper dies at a point, a run each.

    Half done, a node differs from its fellows: conductor and follower die in runs of their own.
    Before and after a verb all nodes may die in one. Before the election nobody has a role.
    """
    verb = Verb(point.partition(":")[0])
    if verb in CONDUCTED:
        return (Role.CONDUCTOR,)
    half_done = ":middle" in point and verb is not Verb.PREPARE
    return (Role.CONDUCTOR, Role.FOLLOWER) if half_done or verb is Verb.SURVEY else _ALL


def cells() -> tuple[Cell, ...]:
    """Return all runs, what is likely to find something first."""
    helpers = tuple(_helpers())
    return (
        *_more_than_the_helper(Victim.NODE, _NODES),
        *(cell for cell in helpers if ":middle" in cell.point),
        *_more_than_the_helper(Victim.DAEMON, _DAEMONS),
        *(cell for cell in helpers if ":middle" not in cell.point),
    )


def _helpers() -> Iterator[Cell]:
    for points in FOUNDING.values():
        for point in points:
            for role in roles(point):
                yield Cell(point, Victim.HELPER, role)
    yield Cell("survey:before", Victim.HELPER, Role.EVERYBODY)


def _more_than_the_helper(victim: Victim, points: Mapping[str, tuple[Role, ...]]) -> Iterator[Cell]:
    for point, chosen in points.items():
        for role in chosen:
            yield Cell(point, victim, role)
