"""The public models: what musterd answers on its control sockets, defined here and nowhere else.

Standard library only, because the client starts in tens of milliseconds. The daemon imports these
and validates with pydantic at its edge. Schema 1: new keys may be added, none change meaning.
Readers tolerate unknown keys; requests with unknown keys are refused.
"""

from dataclasses import dataclass, field

from muster.contract import ADMIN_SOCKET as ADMIN_SOCKET
from muster.contract import PREFLIGHT_SECONDS as PREFLIGHT_SECONDS
from muster.contract import SCHEMA as SCHEMA
from muster.contract import SPEC_FILE as SPEC_FILE
from muster.contract import STATUS_FILE as STATUS_FILE
from muster.contract import STATUS_SOCKET as STATUS_SOCKET
from muster.contract import Exit as Exit


@dataclass(frozen=True)
class SelfStatus:
    """The node that answers. Empty strings where it does not know yet."""

    instance_id: str = ""
    """EC2's id of this node."""
    name: str = ""
    """Its host name, which is its name in the cluster."""
    address: str = ""
    """Its primary private address."""
    zone: str = ""
    """Its availability zone."""
    conductor: bool = False
    """Whether it acts for the cluster."""


@dataclass(frozen=True)
class ClusterStatus:
    """The cluster; `uuid` is empty before founding has agreed on one."""

    name: str = ""
    """The name in the spec."""
    uuid: str = ""
    """The identity that founding agreed on, for good."""
    size: int = 0
    """How many nodes found it; afterwards how many founded it."""
    quorate: bool = False
    """Whether this node's partition has quorum."""
    dc: str = ""
    """Pacemaker's designated controller, by name."""
    spec_digest: str = ""
    """SHA-256 of the spec; the same on every node."""


@dataclass(frozen=True)
class NodeStatus:
    """One node as this one sees it; times are RFC 3339 in UTC, empty when never heard."""

    instance_id: str
    """EC2's id."""
    name: str
    """Host name; empty before it was heard."""
    address: str
    """Primary private address."""
    zone: str
    """Availability zone."""
    phase: str
    """Its own word on where it stands; empty before it was heard."""
    online: bool
    """Whether Pacemaker on this node counts it as online."""
    last_heard: str
    """When it last said something."""
    reason: str = ""
    """Its own word on why, or why it is not heard."""


@dataclass(frozen=True)
class ProofStatus:
    """That `node` can be fenced was shown: `how` is "permissions" or "real"."""

    node: str
    """Name of the node."""
    how: str
    """Either permissions (a dry run, and the agent's status) or real (it was rebooted)."""
    at: str
    """When."""


@dataclass(frozen=True)
class RuleStatus:
    """A setting that follows from the number of nodes, and why."""

    name: str
    """As Pacemaker or Corosync calls it."""
    value: str
    """As configured."""
    why: str
    """A sentence."""


@dataclass(frozen=True)
class FencingStatus:
    """The stonith device and its host map (node name -> instance id)."""

    device: str = ""
    """Id of the stonith resource; empty while none runs."""
    agent: str = ""
    """Its agent."""
    map: dict[str, str] = field(default_factory=dict)
    """Node name to instance id."""
    proved: tuple[ProofStatus, ...] = ()
    """For each node the latest proof that another can fence it."""
    rules: tuple[RuleStatus, ...] = ()
    """What the number of nodes decides: the two-node rules."""


@dataclass(frozen=True)
class AddressStatus:
    """A floating address; `views` has keys pacemaker, ec2, kernel: node names, "" for nobody."""

    private_ip: str
    """The address."""
    node: str
    """Where Pacemaker runs it."""
    agrees: bool
    """Whether all views name the same node."""
    views: dict[str, str] = field(default_factory=dict)
    """Who has it: by pacemaker, ec2 and kernel."""
    elastic_ip: str = ""
    """The Elastic IP that leads to it, if any."""


@dataclass(frozen=True)
class ResourceStatus:
    """One resource as Pacemaker tells it."""

    id: str
    """Its id."""
    agent: str
    """As `pcs resource list` prints it."""
    group: str
    """The group it is in, if any."""
    state: str
    """Started, Stopped, Failed or Pending."""
    node: str
    """Where it runs; empty for nowhere."""


@dataclass(frozen=True)
class FindingStatus:
    """Something wrong or noteworthy: severity "error" or "warning"."""

    severity: str
    """Either error or warning."""
    what: str
    """What is wrong."""
    cure: str
    """What to do about it."""


@dataclass(frozen=True)
class Status:
    """`GET /v1/status`, and the last written status file."""

    phase: str
    """starting, waiting, electing, founding, joining, formed, leaving or failed."""
    reason: str
    """Why, in a sentence."""
    since: str
    """When the phase was entered."""
    next: str
    """What happens next, or what a person should do; empty if nothing."""
    self: SelfStatus = field(default_factory=SelfStatus)
    """The node that answers."""
    cluster: ClusterStatus = field(default_factory=ClusterStatus)
    """The cluster."""
    nodes: tuple[NodeStatus, ...] = ()
    """Every node known, members first, in roster order."""
    fencing: FencingStatus = field(default_factory=FencingStatus)
    """Whether and how nodes can be fenced."""
    addresses: tuple[AddressStatus, ...] = ()
    """Floating addresses."""
    resources: tuple[ResourceStatus, ...] = ()
    """What Pacemaker runs."""
    findings: tuple[FindingStatus, ...] = ()
    """What a person should know."""
    written: str = ""
    """When this was written: the age of a status read from the file."""
    schema: int = SCHEMA
    """Version of this document; 1."""


@dataclass(frozen=True)
class Config:
    """`GET /v1/config`: the effective spec without secrets; all empty before it is known."""

    spec: dict[str, object] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)  # dotted key -> source, in words
    digest: str = ""


@dataclass(frozen=True)
class CheckStatus:
    """One thing the cluster needs: `outcome` is ok, warning, error or unproven.

    `check` names it for programs ("ports", "permissions", ...); `cure` is "" where it is well.
    """

    check: str
    outcome: str
    what: str
    cure: str = ""


@dataclass(frozen=True)
class Preflight:
    """`GET /v1/preflight`: everything looked at, the bad first, and how long that took."""

    checks: tuple[CheckStatus, ...] = ()
    seconds: float = 0.0
    schema: int = SCHEMA


@dataclass(frozen=True)
class PlanCommand:
    """One command of a plan; with `restart` the whole cluster stops for it."""

    command: str
    why: str
    restart: bool = False


@dataclass(frozen=True)
class PlanDifference:
    """Where the cluster is not as the spec says.

    `live` and `wanted` are "" where there is nothing. With `drift` somebody made it by hand: it is
    left as it is, and `cure` says what to type.
    """

    what: str
    live: str
    wanted: str
    drift: bool
    cure: str = ""


@dataclass(frozen=True)
class Plan:
    """`GET /v1/plan`: what `muster apply` would run, named by `plan`, and every difference."""

    plan: str
    commands: tuple[PlanCommand, ...] = ()
    differences: tuple[PlanDifference, ...] = ()
    schema: int = SCHEMA


@dataclass(frozen=True)
class Event:
    """One line of `GET /v1/events`; `seconds` counts from the daemon's start."""

    at: str
    kind: str  # phase | step | action | node | election | peer | finding
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
