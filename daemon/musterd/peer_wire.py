"""The private messages between nodes, versioned: hellos and the election's words.

Nobody commands anybody here. A decree is all that founding agrees on; each member then derives and
does its own part, and says in its hello how far it has come.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from musterd.election.types import (
    Decided,
    Lead,
    Message,
    Propose,
    ProposeReply,
    VoteReply,
    VoteRequest,
)
from musterd.model import NodeFacts, Phase
from musterd.spec import CLUSTER_NAME, HOST_NAME, INSTANCE_ID, STRICT

VERSION = 1
BODY_LIMIT = 65_536  # bytes

InstanceId = Annotated[str, Field(pattern=INSTANCE_ID)]


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
    roster_age: float
    spec_digest: str
    spec_keys: dict[str, str]
    uuid: str  # of the decree this node knows to be decided, "" before
    facts: NodeFacts | None  # None until the first survey
    online: tuple[str, ...]  # names this node's Pacemaker counts as online
    proofs: dict[str, str]  # fencing proven from here: member instance id -> how
    holds: tuple[str, ...]  # floating addresses this node's kernel has
    reaches: tuple[str, ...]  # floating addresses it has reached on another node, over mutual TLS


@dataclass(frozen=True)
class Envelope:
    """One request: who says it to whom, about which cluster, in which term."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    v: Literal[1]
    cluster: Annotated[str, Field(pattern=CLUSTER_NAME)]
    sender: InstanceId
    to: InstanceId
    term: Annotated[int, Field(ge=0)]
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    type: Literal["hello", "message"]
    body: dict[str, object]


MESSAGES: dict[str, type[Message]] = {
    "vote_request": VoteRequest,
    "vote_reply": VoteReply,
    "propose": Propose,
    "propose_reply": ProposeReply,
    "lead": Lead,
    "decided": Decided,
}
