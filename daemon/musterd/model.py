"""What the stages exchange: frozen dataclasses, no behaviour beyond reading themselves."""

from dataclasses import dataclass, field
from enum import StrEnum


class Phase(StrEnum):
    """Where a node stands; always told with a reason and a since."""

    STARTING = "starting"
    WAITING = "waiting"
    ELECTING = "electing"
    FOUNDING = "founding"
    JOINING = "joining"
    FORMED = "formed"
    LEAVING = "leaving"
    FAILED = "failed"


@dataclass(frozen=True)
class Node:
    """This node, as IMDS and its own host name describe it."""

    instance_id: str
    name: str
    address: str
    zone: str
    region: str
    vpc_id: str
    subnet_id: str
    subnet_cidr: str
    launch_index: int  # place among the instances of one launch request
    vpc_cidrs: str = ""  # the VPC's address blocks, separated by white space


class InstanceState(StrEnum):
    """EC2's instance states (API reference, InstanceState)."""

    PENDING = "pending"
    RUNNING = "running"
    SHUTTING_DOWN = "shutting-down"
    TERMINATED = "terminated"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Instance:
    """One instance as DescribeInstances tells it.

    `created` is the attach time of the primary interface in seconds since 1970: EC2's LaunchTime
    moves at every start, the attach time does not.
    """

    instance_id: str
    state: InstanceState
    created: float
    address: str
    addresses: tuple[str, ...]
    zone: str
    subnet_id: str
    vpc_id: str
    started: float = 0.0  # LaunchTime: moves at every start from stopped (seconds since 1970)
    source_dest_check: bool = True
    tokens_required: bool = True  # IMDSv2 only
    hop_limit: int = 1  # of the answer to an IMDSv2 token request
    profile: str = ""  # ARN of its instance profile
    groups: tuple[str, ...] = ()  # security groups
    kind: str = ""  # instance type


@dataclass(frozen=True)
class Volume:
    """One EBS volume as DescribeVolumes tells it.

    `attachments` is instance id -> state (attaching, attached, busy, detaching).
    """

    volume_id: str
    kind: str  # gp3, io2, ...
    zone: str
    state: str  # creating, available, in-use, error, ...
    multi_attach: bool
    attachments: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GroupRule:
    """One permission of a security group.

    Attributes:
        egress: whether it is about what leaves.
        protocol: `tcp`, `udp`, ..., or `-1` for all.
        ports: first and last port; all of them for protocol -1.
        groups: security groups whose members are let through.
        ranges: address blocks that are let through.
    """

    egress: bool
    protocol: str
    ports: tuple[int, int]
    groups: tuple[str, ...] = ()
    ranges: tuple[str, ...] = ()


class Contact(StrEnum):
    """What became of an attempt to reach a TCP port."""

    OPEN = "open"
    REFUSED = "refused"  # the host answers, nobody listens
    SILENT = "silent"  # nothing came back in time, or no way leads there


@dataclass(frozen=True)
class Read:
    """One look at EC2: the roster it gave, and when (monotonic seconds of this node)."""

    roster: tuple[str, ...]
    at: float


@dataclass(frozen=True)
class Candidates:
    """The latest list, ordered: founders first, later ones wait to join."""

    instances: tuple[Instance, ...] = ()
    roster: tuple[str, ...] = ()
    gone: frozenset[str] = frozenset()
    trouble: str = ""  # why the list cannot be used although EC2 answered
    cure: str = ""


@dataclass(frozen=True)
class Member:
    """A founding member: who it is, what the cluster calls it, where it answers."""

    instance_id: str
    name: str
    address: str


@dataclass(frozen=True)
class Decree:
    """What founding agrees on, once: the cluster's identity, its members, the spec they share.

    `seed` (64 hexadecimal digits) is mixed into the cluster's keys, so that every conductor of
    this decree derives the same ones and nobody else can; it is erased once the cluster is formed.
    """

    uuid: str
    members: tuple[Member, ...]
    spec_digest: str
    seed: str = field(repr=False)

    @property
    def roster(self) -> tuple[str, ...]:
        """Return the instance ids, in roster order."""
        return tuple(member.instance_id for member in self.members)


class CorosyncConfig(StrEnum):
    """What a node's own look at its corosync.conf finds."""

    ABSENT = "absent"
    STUB = "stub"  # the distribution's one-node example, recognised exactly
    OURS = "ours"  # carries the uuid asked about
    FOREIGN = "foreign"
    BROKEN = "broken"  # empty or not parsable: a torn write


@dataclass(frozen=True)
class NodeFacts:
    """One node's own observations (verb `survey`); nothing here is secret."""

    instance_id: str
    name: str  # `uname -n`
    versions: dict[str, str]  # pacemaker, corosync, pcs -> version text, compared for equality
    missing: tuple[str, ...]  # sentences: what the node lacks, with the package that brings it
    corosync: CorosyncConfig
    corosync_detail: str  # for FOREIGN and BROKEN: what was found, in words
    corosync_digest: str  # sha256 of the file, "" when absent
    keys_digest: str  # sha256 over both authkeys, "" unless both are whole
    cib: bool  # a CIB on disk (backups count) that is neither the stub's nor the seed
    prepared: bool  # nothing left for `prepare` to do
    laid: bool  # corosync.conf is ours, both authkeys are whole
    trusted: bool  # pcsd accepts a token and knows every member
    enabled: bool  # corosync and pacemaker start at boot
    running: bool  # corosync and pacemaker are active
    built: bool  # the CIB for this identity is ready to be pushed
    boot_id: str = ""  # names this boot, and no other
    map_faults: tuple[str, ...] = ()  # what is wrong with the running stonith device's map
    unprepared: tuple[str, ...] = ()  # sentences: what `prepare` still has to do
    offered: bool = False  # pcsd lets the cluster's conductor in, for this node to join
    # who belongs to the running cluster, by its own files: corosync.conf and the fencing map
    members: tuple[Member, ...] = ()
    # instances that only the fencing map knows: their admission or departure was cut off
    lingering: tuple[str, ...] = ()
    start_owed: bool = False  # from here the whole cluster was stopped, and not started since


class ResourceState(StrEnum):
    """What Pacemaker says of one resource."""

    STARTED = "Started"
    STOPPED = "Stopped"
    FAILED = "Failed"
    PENDING = "Pending"


@dataclass(frozen=True)
class ClusterResource:
    """One primitive as crm_mon lists it; `node` is "" while it runs nowhere."""

    id: str
    agent: str
    group: str
    state: ResourceState
    node: str


@dataclass(frozen=True)
class ClusterState:
    """The running cluster, from crm_mon's XML."""

    dc: str
    quorate: bool
    online: tuple[str, ...]
    offline: tuple[str, ...]
    resources: tuple[ClusterResource, ...]
    failures: tuple[str, ...]  # failed actions, as sentences
    unfenced: bool = False  # stonith-enabled is false
    maintained: bool = False  # maintenance-mode is true


@dataclass(frozen=True, order=True)
class Place:
    """Where a configuration has a value.

    Attributes:
        kind: property, default, stonith, resource, constraint or corosync.
        owner: the id of the device, resource or constraint, "" for the others.
        part: agent, group, option, meta or `op NAME` of a resource; the section of corosync.conf.
        name: of the value there.
    """

    kind: str
    owner: str = ""
    part: str = ""
    name: str = ""


@dataclass(frozen=True)
class Difference:
    """Where the cluster is not as the spec says; `place` is None for what only the cluster has."""

    what: str
    live: str  # "" where the cluster has nothing there
    wanted: str  # "" where the spec asks for nothing there
    drift: bool  # somebody made it by hand: the spec has not changed there since it was applied
    cure: str
    place: Place | None = None


@dataclass(frozen=True)
class PlannedCommand:
    """One pcs command of a plan, without `pcs` itself."""

    argv: tuple[str, ...]
    why: str
    restart: bool = False  # the whole cluster stops for it


@dataclass(frozen=True)
class Comparison:
    """What differs, and what would be done about it; `digest` names exactly these commands.

    `unfollowed` are the changed keys of the spec that some difference comes from.
    """

    digest: str
    commands: tuple[PlannedCommand, ...] = ()
    differences: tuple[Difference, ...] = ()
    unfollowed: tuple[str, ...] = ()


class Verb(StrEnum):
    """The vocabulary of muster-helper; nothing else runs as root for muster."""

    SURVEY = "survey"
    PREPARE = "prepare"
    LAY = "lay"
    TRUST = "trust"
    START = "start"
    BUILD = "build"
    CONFIGURE = "configure"
    PROBE_FENCING = "probe-fencing"
    FENCE = "fence"
    OFFER = "offer"
    ADMIT = "admit"
    EXPEL = "expel"
    WITHDRAW = "withdraw"
    COMPARE = "compare"
    APPLY = "apply"


DAY_TWO = frozenset({Verb.OFFER, Verb.ADMIT, Verb.EXPEL, Verb.WITHDRAW, Verb.COMPARE, Verb.APPLY})
"""What no founding needs: verbs that change a formed cluster, or look what there is to change."""


@dataclass(frozen=True)
class Step:
    """One verb this node's helper is to perform next, and why.

    `target` is the instance id of the node it is about, where that is another one.
    """

    verb: Verb
    why: str
    target: str = ""


@dataclass(frozen=True)
class Plan:
    """What this node does next: a step, or what it waits for, or neither when all is done."""

    step: Step | None = None
    waiting_for: str = ""
    blocked: str = ""  # only a person can go on
    cure: str = ""


@dataclass(frozen=True)
class PcsCommand:
    """One `pcs -f FILE` command of the offline CIB: its arguments after the file, and why."""

    argv: tuple[str, ...]
    why: str


class Severity(StrEnum):
    """How much a finding matters."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """Something a person should know: what, and the cure."""

    severity: Severity
    what: str
    cure: str
