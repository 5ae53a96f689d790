"""The words of the election: state, events, effects, messages. All frozen, none does anything."""

from dataclasses import dataclass, field
from enum import StrEnum

from musterd.model import Decree, Member


@dataclass(frozen=True)
class Accepted:
    """A decree this node has accepted, and the term of the leader that proposed it."""

    term: int
    decree: Decree


@dataclass(frozen=True)
class Durable:
    """What must survive power loss before anything that follows from it is sent.

    `term` never falls; at most one `voted_for` per term; `decided` is for good.
    """

    term: int = 0
    voted_for: str = ""
    accepted: Accepted | None = None
    decided: Decree | None = None


@dataclass(frozen=True)
class View:
    """The roster this node sees, once discovery calls it stable, and what it wants there.

    `members` are known by name only when each has said hello; a leader proposes no sooner.
    `gone` are the instances EC2 explicitly calls terminated: the only ones nobody must ask.
    """

    roster: tuple[str, ...]
    spec_digest: str
    members: tuple[Member, ...] = ()
    gone: frozenset[str] = frozenset()


class Role(StrEnum):
    """What a node does in its present term."""

    FOLLOWER = "follower"
    CANDIDATE = "candidate"
    LEADER = "leader"


# --- messages ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class VoteRequest:
    """A candidate asks for the vote of `term`, for exactly this roster and spec."""

    term: int
    roster: tuple[str, ...]
    spec_digest: str


@dataclass(frozen=True)
class VoteReply:
    """The answer; a granted vote carries what the voter has accepted.

    `spent`: not granted because the vote of just this term is somebody else's.
    """

    term: int
    granted: bool
    accepted: Accepted | None = None
    reason: str = ""
    spent: bool = False


@dataclass(frozen=True)
class Propose:
    """The leader of `term` asks every member to accept the decree.

    `read_all`: the leader has heard everybody who could know an earlier decree's decision, not
    just a majority. Repeated, a proposal is the leader's heartbeat.
    """

    term: int
    decree: Decree
    read_all: bool


@dataclass(frozen=True)
class ProposeReply:
    """Accepted, or refused with what the node holds instead."""

    term: int
    accepted: bool
    held: Accepted | None = None


@dataclass(frozen=True)
class Lead:
    """A leader that has not proposed yet says that it is there (it waits for votes or hellos)."""

    term: int


@dataclass(frozen=True)
class Decided:
    """Every member of its roster has accepted this decree. Ends the election for everybody."""

    term: int
    decree: Decree


Message = VoteRequest | VoteReply | Propose | ProposeReply | Lead | Decided


# --- events -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tick:
    """Time has come to `now` (seconds, monotonic); `jitter` in [0, 1) is this tick's chance."""

    now: float
    jitter: float


@dataclass(frozen=True)
class PeerSaid:
    """A message came in from an authenticated member at time `now`."""

    sender: str
    message: Message
    now: float


@dataclass(frozen=True)
class PeersSeen:
    """Discovery has a (new) stable view, or none any more."""

    view: View | None
    now: float
    # For a first proposal: chosen outside, because the machine draws no random numbers.
    fresh_uuid: str = ""
    fresh_seed: str = field(default="", repr=False)


Event = Tick | PeerSaid | PeersSeen


# --- effects ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Persist:
    """Write this durably before any effect that follows it in the list."""

    durable: Durable


@dataclass(frozen=True)
class Send:
    """Send a message; it may be lost, repeated, late."""

    to: str
    message: Message


@dataclass(frozen=True)
class Elected:
    """This node leads `term` from here on."""

    term: int


@dataclass(frozen=True)
class Deposed:
    """This node leads no longer."""

    term: int


@dataclass(frozen=True)
class Founded:
    """The decree is decided: every member now does its own part."""

    decree: Decree
    term: int


Effect = Persist | Send | Elected | Deposed | Founded


@dataclass(frozen=True)
class State:
    """Everything the machine knows. `own_id` never changes; the rest is replaced by `step`."""

    own_id: str
    durable: Durable = Durable()
    view: View | None = None
    role: Role = Role.FOLLOWER
    leader: str = ""
    # votes of the present term: voter -> what it had accepted
    votes: tuple[tuple[str, Accepted | None], ...] = ()
    read_all: bool = False  # a decree unlike the one wanted was reported: hear everybody first
    proposal: Decree | None = None
    acks: frozenset[str] = frozenset()
    deadline: float | None = None  # when to stand for election unless a leader is heard
    heartbeat: float = 0.0  # when the leader repeats itself
    fresh_uuid: str = ""
    fresh_seed: str = field(default="", repr=False)
