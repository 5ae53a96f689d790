"""Everything this node knows at one moment. The engine alone changes it; pure code reads it."""

from dataclasses import dataclass, field

from musterd.election.types import State
from musterd.helper_wire import Tags
from musterd.model import (
    Candidates,
    ClusterState,
    Decree,
    Finding,
    Node,
    NodeFacts,
    Phase,
    Read,
    Step,
    Volume,
)
from musterd.observations import Check
from musterd.peer_wire import Hello, differ
from musterd.settings import Settings

HEARD_FOR = 15.0  # seconds a hello counts as recent while forming
STRANGER_FOR = 60.0  # seconds a call by somebody whom EC2 does not list is told of
STRANGERS_KEPT = 16
SAME_READ = 1.0  # seconds by which the way of a hello may shift the time of the read it tells of


@dataclass(frozen=True)
class Trouble:
    """Something that did not work: what, why, cure; `fatal` needs a person."""

    what: str
    why: str = ""
    cure: str = ""
    fatal: bool = False

    @property
    def sentence(self) -> str:
        """Return what, and why where known, as one sentence."""
        return f"{self.what}: {self.why}" if self.why else self.what


@dataclass(frozen=True)
class Heard:
    """A peer's latest hello and when it came (monotonic seconds)."""

    hello: Hello
    at: float

    @property
    def read_at(self) -> float:
        """Return when the peer last read EC2 (monotonic seconds of this node)."""
        return self.at - self.hello.roster_age


@dataclass(frozen=True)
class Fenced:
    """A member that this node had fenced and that has not come back yet."""

    boot_id: str  # its boot before that
    started: float  # when EC2 had started it (seconds since 1970)
    at: float  # when the fence was done (monotonic seconds)
    denied: int = 0  # how often EC2 said that it was not started anew, since it booted


@dataclass(frozen=True)
class Drill:
    """Real fences that somebody asked for on this node."""

    operation: str
    targets: tuple[str, ...]  # instance ids, this node's own last
    since: float  # proofs after this (seconds since 1970) are its own
    failure: str = ""  # why nothing more is fenced


@dataclass
class Attempt:
    """How an action has fared: when it last began, and failures in a row."""

    began: float
    failures: int = 0


@dataclass(frozen=True)
class Outlook:
    """Where the node stands, in words: the phase, why, and what happens or helps next."""

    phase: Phase
    reason: str
    next: str


@dataclass(frozen=True)
class Applying:
    """A plan that somebody asked to be applied, and how that stands."""

    operation: str
    plan: str  # its digest
    restart: bool  # whether the whole cluster may be stopped for it
    state: str = "running"  # running, done or failed
    detail: str = ""


@dataclass
class Knowledge:
    """What the node knows. Absent values are None or empty, never guesses."""

    election: State
    started: float = 0.0  # monotonic seconds
    formed: bool = False
    # The formed cluster that this node asks to join, as its members tell it, this node included.
    joining: Decree | None = None
    left: bool = False  # the members took this node out: it joins again only when told to
    leaving: tuple[str, ...] = ()  # members that an administrator on this node asked to leave
    applying: Applying | None = None
    # The spec that the cluster was last made to follow: dotted key -> short hash.
    applied: dict[str, str] = field(default_factory=dict)
    applied_count: int = 0  # how often that has changed; the higher count is believed
    conducted: bool = False  # whether this node acted for the formed cluster when it last looked
    odd_since: float | None = None  # when a member first listed others, or none at all
    named: bool = False  # whether the members of the formed cluster count this node among them
    offered: bool = False  # whether this daemon has offered to join, by the token it has now
    laid_since: float | None = None  # while joining: when this cluster's files were first seen here
    node: Node | None = None
    tags: Tags | None = None
    settings: Settings | None = None
    refusal: Trouble | None = None  # why `settings` cannot be carried out on this network
    spec_stale: bool = True  # read the sources (again)
    trusted: bool = False  # the token is here and the peer port is open
    trusted_at: float = 0.0  # monotonic seconds
    doubted: bool = False  # the token may have been changed: read it again
    candidates: Candidates = field(default_factory=Candidates)
    reads: tuple[Read, ...] = ()
    heard: dict[str, Heard] = field(default_factory=dict)
    # Whom the door turned away although they hold the token: EC2 does not list them (yet).
    strangers: dict[str, float] = field(default_factory=dict)  # id -> when (monotonic seconds)
    facts: NodeFacts | None = None
    facts_stale: bool = True  # look again before doing anything
    facts_assumed: bool = False  # what the last step made true; look again before `formed`
    confirmed: tuple[str, ...] = ()  # the roster that two reads of EC2 agreed on
    cluster: ClusterState | None = None
    quorate_since: float | None = None
    step: Step | None = None  # being performed by the helper now
    pushed: float | None = None  # when this node last pushed the configuration
    progress: str = ""  # the helper's latest sentence on it
    proofs: dict[str, tuple[str, float]] = field(default_factory=dict)  # id -> how, wall time
    real: dict[str, float] = field(default_factory=dict)  # id -> when really fenced, wall time
    real_for: str = ""  # the fingerprint of what these were proven for
    fenced: dict[str, Fenced] = field(default_factory=dict)  # by instance id
    drill: Drill | None = None  # the latest that was asked for here
    allocations: dict[str, str] = field(default_factory=dict)  # elastic address -> allocation id
    allocated: dict[str, str] = field(default_factory=dict)  # floating -> elastic address made
    missed: dict[str, float] = field(default_factory=dict)  # floating -> when none was found first
    volumes: dict[str, Volume] = field(default_factory=dict)  # by what the disk is called
    volumes_read: bool = False
    disk_faults: tuple[Finding, ...] = ()  # why disks must not be attached, as EC2 stands
    shown: tuple[str, ...] = ()  # volumes of the spec that this node's kernel shows
    # Floating address -> instance, by EC2; of an overlay address what its route tables say.
    holders: dict[str, str] = field(default_factory=dict)
    elastics: dict[str, str] = field(default_factory=dict)  # elastic address -> where it leads
    holds: tuple[str, ...] = ()  # floating addresses this node's kernel has
    reaches: tuple[str, ...] = ()  # floating addresses reached on another node
    preflight: tuple[Check, ...] = ()  # the latest look at what the cluster needs, while forming
    troubles: dict[str, Trouble] = field(default_factory=dict)  # by action
    attempts: dict[str, Attempt] = field(default_factory=dict)  # by action
    outlook: Outlook = field(
        default_factory=lambda: Outlook(Phase.STARTING, "musterd has just started", "")
    )
    since: float = 0.0  # wall time the phase was entered

    @property
    def own_id(self) -> str:
        """Return this node's instance id, "" before metadata has answered."""
        return self.node.instance_id if self.node is not None else ""

    @property
    def decree(self) -> Decree | None:
        """Return the cluster this node belongs to or asks to join, None before either."""
        return self.election.durable.decided or self.joining

    def hurry(self, topic: str) -> None:
        """Make an action due at once, whatever its back-off."""
        if topic in self.attempts:
            self.attempts[topic] = Attempt(began=float("-inf"))

    def turned_away(self, stranger: str, now: float) -> bool:
        """Remember who called last, up to a bound; tell whether that is news."""
        before = self.strangers.pop(stranger, None)
        self.strangers[stranger] = now
        for oldest in tuple(self.strangers)[:-STRANGERS_KEPT]:
            del self.strangers[oldest]
        return before is None or now - before > STRANGER_FOR

    def hear(self, peer: str, hello: Hello, now: float) -> bool:
        """Remember a peer's hello; tell whether anything can follow from it.

        Nothing does from one that only repeats the last one in time: it says the same, and its
        sender has not read EC2 again.
        """
        before, heard = self.heard.get(peer), Heard(hello, now)
        self.heard[peer] = heard
        if before is None or now - before.at > HEARD_FOR:
            return True
        if abs(heard.read_at - before.read_at) > SAME_READ:
            return True
        return differ(before.hello, hello, but=("roster_age",))

    def recent(self, peer: str, now: float) -> Hello | None:
        """Return a peer's hello if it came lately."""
        heard = self.heard.get(peer)
        return heard.hello if heard is not None and now - heard.at <= HEARD_FOR else None
