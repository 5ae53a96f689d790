"""Which runs the matrix is made of: a point, who dies there, and on which role."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from muster_helper.faults import POINTS
from musterd.model import Verb

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
    EVERYBODY = "all"  # before the election there are no roles: every node, each at the point


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
_DAEMONS = {
    "prepare:middle-files": (Role.EVERYBODY,),
    "lay:middle-key": (Role.CONDUCTOR, Role.FOLLOWER),
    "start:middle": (Role.CONDUCTOR, Role.FOLLOWER),
    "build:middle-made": (Role.CONDUCTOR,),
    "configure:middle-compared": (Role.CONDUCTOR,),
    "trust:middle": (Role.FOLLOWER,),
    "probe-fencing:middle": (Role.CONDUCTOR,),
}
_NODES = {
    "prepare:middle-files": (Role.EVERYBODY,),
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


def roles(verb: Verb) -> tuple[Role, ...]:
    """Return the roles in which a verb is performed."""
    if verb is Verb.PREPARE:
        return (Role.EVERYBODY,)
    return (Role.CONDUCTOR,) if verb in CONDUCTED else (Role.CONDUCTOR, Role.FOLLOWER)


def cells() -> tuple[Cell, ...]:
    """Return all runs."""
    return (*_helpers(), *_more_than_the_helper())


def _helpers() -> Iterator[Cell]:
    for verb, points in POINTS.items():
        for point in points:
            for role in roles(verb):
                yield Cell(point, Victim.HELPER, role)
    yield Cell("survey:before", Victim.HELPER, Role.EVERYBODY)


def _more_than_the_helper() -> Iterator[Cell]:
    for victim, points in ((Victim.NODE, _NODES), (Victim.DAEMON, _DAEMONS)):
        for point, chosen in points.items():
            for role in chosen:
                yield Cell(point, victim, role)
