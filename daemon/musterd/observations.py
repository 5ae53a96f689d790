"""What an examination of everything around the node has seen, and the checks made of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from musterd.model import Contact, GroupRule, Instance, NodeFacts
from musterd.spec import Spec

TCP_PORTS = {2224: "pcsd", 7224: "musterd"}
UDP_PORT = 5405  # knet


class Outcome(StrEnum):
    """What a check came to."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    UNPROVEN = "unproven"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `name` is the group it belongs to."""

    name: str
    outcome: Outcome
    what: str
    cure: str = ""


@dataclass(frozen=True)
class Answer:
    """What became of asking for something: "" for yes, else why not, and the cure."""

    why: str = ""
    cure: str = ""


@dataclass(frozen=True)
class Ways:
    """The ways between this node and one peer.

    Attributes:
        instance_id: the peer's.
        name: the peer's.
        address: the peer's.
        trouble: why the peer could not be asked to try the ways back, "" when it was.
        there: TCP port -> what became of this node's attempt.
        back: the same of the peer's; empty with `trouble`.
        udp_there: whether the peer heard this node; None when its port was taken.
        udp_back: whether this node heard the peer; None when the own port was taken.
        offset: seconds by which the peer's clock is ahead, None when unknown.
        online: whether Pacemaker counts the peer as online.
    """

    instance_id: str
    name: str
    address: str
    trouble: str = ""
    there: Mapping[int, Contact] = field(default_factory=dict)
    back: Mapping[int, Contact] = field(default_factory=dict)
    udp_there: bool | None = None
    udp_back: bool | None = None
    offset: float | None = None
    online: bool = False


@dataclass(frozen=True)
class Observations:
    """Everything that was seen; None where it could not be looked at.

    Attributes:
        own_id: this node's instance id.
        own_name: its name.
        spec: the wanted cluster, None while it cannot be read.
        troubles: what musterd itself complains of: sentence and cure.
        facts: the node's look at itself.
        peer_facts: name -> a peer's latest look at itself.
        instances: the founders, this node among them, as EC2 tells them.
        cloud: whether EC2 answered.
        rules: of the founders' security groups.
        groups: whether EC2 told them.
        secrets: whether the token's source answered.
        permissions: API action and its subject in words -> whether it is allowed.
        ways: to each other founder.
    """

    own_id: str
    own_name: str
    spec: Spec | None
    troubles: tuple[tuple[str, str], ...] = ()
    facts: NodeFacts | None = None
    peer_facts: Mapping[str, NodeFacts] = field(default_factory=dict)
    instances: tuple[Instance, ...] = ()
    cloud: Answer = Answer()
    rules: Mapping[str, tuple[GroupRule, ...]] = field(default_factory=dict)
    groups: Answer = Answer()
    secrets: Answer = Answer()
    permissions: Mapping[str, Answer] = field(default_factory=dict)
    ways: tuple[Ways, ...] = ()
