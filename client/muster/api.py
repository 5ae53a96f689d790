"""The public models: what musterd answers on its control sockets, defined here and nowhere else.

Standard library only, because the client starts in tens of milliseconds. The daemon imports these
and validates with pydantic at its edge. Schema 1: new keys may be added, none change meaning.
Readers tolerate unknown keys; requests with unknown keys are refused.
"""

from dataclasses import dataclass, field

from muster.contract import ADMIN_SOCKET as ADMIN_SOCKET
from muster.contract import SCHEMA as SCHEMA
from muster.contract import SPEC_FILE as SPEC_FILE
from muster.contract import STATUS_FILE as STATUS_FILE
from muster.contract import STATUS_SOCKET as STATUS_SOCKET
from muster.contract import Exit as Exit


@dataclass(frozen=True)
class SelfStatus:
    """The node that answers. Empty strings where it does not know yet."""

    instance_id: str = ""
    name: str = ""
    address: str = ""
    zone: str = ""
    conductor: bool = False


@dataclass(frozen=True)
class ClusterStatus:
    """The cluster; `uuid` is empty before founding has agreed on one."""

    name: str = ""
    uuid: str = ""
    size: int = 0
    quorate: bool = False
    dc: str = ""
    spec_digest: str = ""


@dataclass(frozen=True)
class NodeStatus:
    """One node as this one sees it; times are RFC 3339 in UTC, empty when never heard."""

    instance_id: str
    name: str
    address: str
    zone: str
    phase: str
    online: bool
    last_heard: str
    reason: str = ""


@dataclass(frozen=True)
class ProofStatus:
    """That `node` can be fenced was shown: `how` is "permissions" or "real"."""

    node: str
    how: str
    at: str


@dataclass(frozen=True)
class FencingStatus:
    """The stonith device and its host map (node name -> instance id)."""

    device: str = ""
    agent: str = ""
    map: dict[str, str] = field(default_factory=dict)
    proved: tuple[ProofStatus, ...] = ()


@dataclass(frozen=True)
class AddressStatus:
    """A floating address; `views` has keys pacemaker, ec2, kernel: node names, "" for nobody."""

    private_ip: str
    node: str
    agrees: bool
    views: dict[str, str] = field(default_factory=dict)
    elastic_ip: str = ""


@dataclass(frozen=True)
class ResourceStatus:
    """One resource as Pacemaker tells it."""

    id: str
    agent: str
    group: str
    state: str
    node: str


@dataclass(frozen=True)
class FindingStatus:
    """Something wrong or noteworthy: severity "error" or "warning"."""

    severity: str
    what: str
    cure: str


@dataclass(frozen=True)
class Status:
    """`GET /v1/status`, and the last written status file."""

    phase: str
    reason: str
    since: str
    next: str
    self: SelfStatus = field(default_factory=SelfStatus)
    cluster: ClusterStatus = field(default_factory=ClusterStatus)
    nodes: tuple[NodeStatus, ...] = ()
    fencing: FencingStatus = field(default_factory=FencingStatus)
    addresses: tuple[AddressStatus, ...] = ()
    resources: tuple[ResourceStatus, ...] = ()
    findings: tuple[FindingStatus, ...] = ()
    written: str = ""  # when this was written; tells the age of a status read from the file
    schema: int = SCHEMA


@dataclass(frozen=True)
class Event:
    """One line of `GET /v1/events`; `seconds` counts from the daemon's start."""

    at: str
    kind: str  # phase | step | election | peer | finding
    message: str
    phase: str
    seconds: float
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Problem:
    """`application/problem+json`: what went wrong and what to do (RFC 9457 plus our two keys)."""

    type: str
    title: str
    status: int
    detail: str
    kind: str
    remedy: str


@dataclass(frozen=True)
class Operation:
    """`GET /v1/operations/ID`: a change asked for, and how far it is."""

    id: str
    verb: str
    state: str  # running | done | failed
    asked_by: str  # "uid 0"
    at: str
    detail: str = ""
