"""The private messages between nodes, versioned: hellos and the election's words.

Nobody commands anybody here. A decree is all that founding agrees on; each member then derives and
does its own part, and says in its hello how far it has come.
"""

from dataclasses import dataclass, field, fields
from typing import Annotated, ClassVar, Literal, TypeVar, cast

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from musterd.election.types import (
    Decided,
    Lead,
    Message,
    Propose,
    ProposeReply,
    VoteReply,
    VoteRequest,
)
from musterd.helper_wire import WireMember
from musterd.model import Contact, NodeFacts, Phase
from musterd.spec import CLUSTER_NAME, HOST_NAME, INSTANCE_ID, STRICT, VOLUME_ID

VERSION: Literal[1] = 1
BODY_LIMIT = 65_536  # bytes
# Terms rise by one an election. What JSON readers everywhere take for an integer is far beyond,
# and keeps a term writable: Python itself refuses to print numbers of some thousand digits.
TERM_LIMIT = 2**53 - 1
PORT = 7224  # TCP

Kind = Literal["hello", "message", "probe"]
Shape = TypeVar("Shape")

VolumeId = Annotated[str, Field(pattern=VOLUME_ID)]
InstanceId = Annotated[str, Field(pattern=INSTANCE_ID)]
WallTime = Annotated[float, Field(ge=0, le=253e9)]  # seconds since 1970, to the year 9987


@dataclass(frozen=True)
class Hello:
    """What a node tells of itself; the answer to a hello is the other's hello.

    `roster` and `roster_age` (seconds) are the sender's latest read of EC2, so that two nodes'
    reads confirm each other; `spec_keys` maps each key of the spec to a short hash, so that a
    difference can be named without showing values.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    instance_id: InstanceId
    name: Annotated[str, Field(pattern=HOST_NAME)]
    address: str
    zone: str
    phase: Phase
    reason: str
    roster: tuple[InstanceId, ...]
    roster_age: Annotated[float, Field(ge=0, le=1e9)]
    spec_digest: str
    spec_keys: dict[str, str]
    uuid: str  # of the decree this node knows to be decided, "" before
    facts: NodeFacts | None  # None until the first survey
    online: tuple[str, ...]  # names this node's Pacemaker counts as online
    # fencing proven from here: member's instance id -> how, and when (seconds since 1970)
    proofs: dict[str, tuple[str, WallTime]]
    holds: tuple[str, ...]  # floating addresses this node's kernel has
    reaches: tuple[str, ...]  # floating addresses it has reached on another node, over mutual TLS
    real: dict[str, float] = field(default_factory=dict)  # id -> when really fenced (since 1970)
    real_for: str = ""  # the fingerprint of the fencing these prove
    disks: tuple[VolumeId, ...] = ()  # shared disks that its kernel shows
    fence_me: bool = False  # it has seen all others fenced, and asks for the same
    # the members of the formed cluster, as this node knows them; nobody before
    members: tuple[WireMember, ...] = ()
    conductor: bool = False  # whether this node acts for the cluster
    leaving: tuple[InstanceId, ...] = ()  # members that an administrator here asked to leave
    # Which spec the cluster follows (as spec_keys), where that is another than the one the sender
    # has read, and how often it has changed: the higher count is believed.
    applied: dict[str, str] = field(default_factory=dict)
    applied_count: Annotated[int, Field(ge=0, le=2**31)] = 0


_HELLO_FIELDS = tuple(part.name for part in fields(Hello))


def differ(one: Hello, other: Hello, but: tuple[str, ...]) -> bool:
    """Tell whether two hellos say different things, `but` for the fields of these names."""
    return any(
        getattr(one, name) != getattr(other, name) for name in _HELLO_FIELDS if name not in but
    )


@dataclass(frozen=True)
class Probe:
    """Asks the peer to try the ways to the sender: both send this to each other's UDP 5405."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    nonce: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]


@dataclass(frozen=True)
class Probed:
    """What the peer found on its ways to the one who asked, and what its clock said."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    tcp: dict[str, Contact]  # port -> what became of its attempt
    heard: bool | None  # whether the datagram came; None when its port is taken
    asked_at: WallTime  # its wall clock when the request came, seconds since 1970
    answered_at: WallTime  # and when it answered


@dataclass(frozen=True)
class Envelope:
    """One request: who says it to whom, about which cluster, in which term."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    v: Literal[1]
    cluster: Annotated[str, Field(pattern=CLUSTER_NAME)]
    sender: InstanceId
    to: InstanceId
    term: Annotated[int, Field(ge=0, le=TERM_LIMIT)]
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    type: Kind
    body: dict[str, object]


MESSAGES: dict[str, type[Message]] = {
    "vote_request": VoteRequest,
    "vote_reply": VoteReply,
    "propose": Propose,
    "propose_reply": ProposeReply,
    "lead": Lead,
    "decided": Decided,
}


@dataclass(frozen=True)
class _WireDecree:
    """The bounds of a decree; `model.Decree` has the shape."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    uuid: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    members: Annotated[tuple[WireMember, ...], Field(min_length=2, max_length=16)]
    spec_digest: Annotated[str, Field(max_length=64)]
    seed: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


_ENVELOPE = TypeAdapter(Envelope)
_HELLO = TypeAdapter(Hello)
_DECREE = TypeAdapter(_WireDecree)
_PROBE = TypeAdapter(Probe)
_PROBED = TypeAdapter(Probed)
_WORDS_OF_HELLO = frozenset(each.name for each in fields(Hello))
_WORDS_OF_FACTS = frozenset(each.name for each in fields(NodeFacts))
_WORDS: dict[str, TypeAdapter[Message]] = {
    word: TypeAdapter(shape) for word, shape in MESSAGES.items()
}


def hello_body(hello: Hello) -> dict[str, object]:
    """Return the body of a hello's envelope."""
    return cast("dict[str, object]", _HELLO.dump_python(hello, mode="json"))


def probe_body(probe: Probe) -> dict[str, object]:
    """Return the body of a probe's envelope."""
    return cast("dict[str, object]", _PROBE.dump_python(probe, mode="json"))


def probed_body(probed: Probed) -> dict[str, object]:
    """Return the body of the answer to a probe."""
    return cast("dict[str, object]", _PROBED.dump_python(probed, mode="json"))


def message_body(message: Message) -> dict[str, object]:
    """Return the body of a message's envelope: one key, the word, with what it says."""
    (word,) = (word for word, shape in MESSAGES.items() if type(message) is shape)
    return {word: _WORDS[word].dump_python(message, mode="json")}


def encode(envelope: Envelope) -> bytes:
    """Return the envelope as JSON."""
    return _ENVELOPE.dump_json(envelope)


def decode(data: bytes) -> Envelope:
    """Read an envelope.

    Raises:
        ValueError: it is not one; the text says where, and shows no value.
    """
    return _validated(_ENVELOPE, _plain(data))


def read_hello(body: dict[str, object]) -> Hello:
    """Read the body of a hello, of this version or another.

    Members are upgraded one after the other: what a newer one says beyond our words is not heard,
    and what an older one does not say yet is what our words say by default.

    Raises:
        ValueError: as `decode`.
    """
    known = {key: value for key, value in body.items() if key in _WORDS_OF_HELLO}
    facts = known.get("facts")
    if isinstance(facts, dict):
        known["facts"] = {key: value for key, value in facts.items() if key in _WORDS_OF_FACTS}
    hello = _shaped(_HELLO, known)
    said = hello_body(hello)
    if isinstance(said["facts"], dict) and isinstance(known.get("facts"), dict):
        said["facts"] = {
            key: said["facts"][key] for key in cast("dict[str, object]", known["facts"])
        }
    _unless_same({key: said[key] for key in known}, known)
    return hello


def read_probe(body: dict[str, object]) -> Probe:
    """Read the body of a probe. Raises ValueError as `decode`."""
    return _validated(_PROBE, body)


def read_probed(body: dict[str, object]) -> Probed:
    """Read the answer to a probe. Raises ValueError as `decode`."""
    return _validated(_PROBED, body)


def read_message(body: dict[str, object]) -> Message:
    """Read the body of a message. Raises ValueError as `decode`."""
    if len(body) != 1:
        raise ValueError("a message has exactly one word")
    ((word, said),) = body.items()
    if word not in _WORDS:
        raise ValueError("the word is none of this version's")
    message = _validated(_WORDS[word], said)
    _check_terms_and_decrees(said)
    return message


def _check_terms_and_decrees(said: object) -> None:
    """Hold every term and decree of a message, wherever it stands, against its bounds."""
    if not isinstance(said, dict):
        return
    for key, value in said.items():
        if key == "term" and not 0 <= value <= TERM_LIMIT:
            raise ValueError("term: no term that an election can have")
        if key == "decree":
            _validated(_DECREE, value)
        else:
            _check_terms_and_decrees(value)


def problem_detail(content: bytes) -> str:
    """Return the sentence in a problem document; "" when there is none."""
    try:
        document = _plain(content)
    except ValueError:
        return ""
    detail = document.get("detail") if isinstance(document, dict) else None
    return detail if isinstance(detail, str) else ""


def _plain(data: bytes) -> object:
    try:
        return from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise ValueError("not JSON") from error


def _validated(adapter: TypeAdapter[Shape], value: object) -> Shape:
    """Validate, and demand the one form in which we would say the same.

    The election's shapes are plain dataclasses, for which pydantic drops unknown keys and turns
    "1" into 1; whoever says a word says it exactly.
    """
    shape = _shaped(adapter, value)
    _unless_same(adapter.dump_python(shape, mode="json"), value)
    return shape


def _shaped(adapter: TypeAdapter[Shape], value: object) -> Shape:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        # Without the cause: pydantic's message shows values, and a decree's seed is one.
        raise ValueError(f"{where or 'the whole'}: {first['msg']}") from None


def _unless_same(ours: object, theirs: object) -> None:
    if ours != theirs:
        raise ValueError("unknown keys, missing keys, or values of another type")
