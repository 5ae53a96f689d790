"""The wanted cluster, as frozen dataclasses: what `/etc/muster/muster.toml` says.

Only shapes and bounds stand here; `settings` reads the sources, merges and validates them (the
bounds below are enforced by pydantic there), and turns every violation into a sentence.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

# No leading dash: the name is an argument of pcs, and must never read as an option.
CLUSTER_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,31}$"
INSTANCE_ID = r"^i-(?:[0-9a-f]{8}|[0-9a-f]{17})$"
HOST_NAME = r"^[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?(?:\.[A-Za-z0-9-]{1,63}){0,8}$"
VOLUME_ID = r"^vol-(?:[0-9a-f]{8}|[0-9a-f]{17})$"
# An XML id as pcs accepts it: the CIB uses resource and group names as ids.
CIB_ID = r"^[A-Za-z_][A-Za-z0-9_.-]{0,63}$"

# pydantic reads this attribute of a plain dataclass: a misspelt key is an error, never ignored.

STRICT = ConfigDict(extra="forbid")

Seconds = Annotated[int, Field(ge=1, le=86_400)]
Name = Annotated[str, Field(pattern=CLUSTER_NAME)]
CibId = Annotated[str, Field(pattern=CIB_ID)]
Scalar = str | int | bool


@dataclass(frozen=True)
class Cluster:
    """`[cluster]`: its name and the number of founding members."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    name: Name
    size: Annotated[int, Field(ge=2, le=16)]


class DiscoverySource(StrEnum):
    """Where candidates come from."""

    EC2_TAGS = "ec2-tags"
    STATIC = "static"


@dataclass(frozen=True)
class StaticPeer:
    """One entry of `[discovery] peers`, for `source = "static"`."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    instance_id: Annotated[str, Field(pattern=INSTANCE_ID)]
    address: IPv4Address
    name: Annotated[str, Field(pattern=HOST_NAME)]


@dataclass(frozen=True)
class Discovery:
    """`[discovery]`: how the node learns which instances are meant."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    source: DiscoverySource = DiscoverySource.EC2_TAGS
    tag: Annotated[str, Field(min_length=1, max_length=128)] = "muster:cluster"
    peers: tuple[StaticPeer, ...] = ()


class SecretSource(StrEnum):
    """Where the 256-bit cluster token comes from; never more than one, no fall-through."""

    SECRETS_MANAGER = "secretsmanager"
    FILE = "file"
    INLINE = "inline"


@dataclass(frozen=True)
class Secret:
    """`[secret]`: the source of the token."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    source: SecretSource = SecretSource.SECRETS_MANAGER
    name: Annotated[str, Field(max_length=512)] = ""
    path: str = "/etc/muster/token"
    token: str = field(default="", repr=False)


@dataclass(frozen=True)
class Corosync:
    """`[corosync]`: the totem values that matter on EC2, in milliseconds."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    token_ms: Annotated[int, Field(ge=1_000, le=300_000)] = 10_000


class Proof(StrEnum):
    """How fencing is proven before the cluster is called formed."""

    NONE = "none"
    PERMISSIONS = "permissions"
    REAL = "real"


@dataclass(frozen=True)
class Fencing:
    """`[fencing]`: the stonith agent, options that override our defaults, and its proof."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    agent: Annotated[str, Field(pattern=r"^fence_[a-z0-9_]{1,40}$")] = "fence_aws"
    prove: Proof = Proof.PERMISSIONS
    options: dict[str, Scalar] = field(default_factory=dict)


ALLOCATE: Literal["allocate"] = "allocate"  # an elastic address that muster is to make


class ReplaceMode(StrEnum):
    """Who decides that a terminated member leaves the cluster."""

    AUTO = "auto"
    MANUAL = "manual"


@dataclass(frozen=True)
class Replace:
    """`[replace]`: what happens when EC2 calls a member terminated."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    mode: ReplaceMode = ReplaceMode.AUTO


class AddressKind(StrEnum):
    """How a floating address moves between nodes."""

    SECONDARY_IP = "secondary-ip"
    OVERLAY = "overlay"


@dataclass(frozen=True)
class Address:
    """One `[[address]]`: a floating address and the group it leads."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    private_ip: IPv4Address
    group: CibId = "networking-group"
    elastic_ip: IPv4Address | Literal["allocate"] | None = None
    kind: AddressKind = AddressKind.SECONDARY_IP
    route_tables: tuple[Annotated[str, Field(pattern=r"^rtb-[0-9a-f]+$")], ...] = ()


@dataclass(frozen=True)
class Resource:
    """One `[[resource]]`: anything else pcs can create.

    `clone` has it run on every node: true, or a table of the clone's own meta attributes.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    id: CibId
    agent: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9:@._-]{0,127}$")]
    group: CibId | None = None
    options: dict[str, Scalar] = field(default_factory=dict)
    operations: dict[str, dict[str, Scalar]] = field(default_factory=dict)
    meta: dict[str, Scalar] = field(default_factory=dict)
    clone: bool | dict[str, Scalar] = False

    @property
    def mounts_gfs2(self) -> bool:
        """Whether it mounts a GFS2 file system, which its nodes lock with DLM."""
        is_mount = self.agent.rpartition(":")[2] == "Filesystem"
        return is_mount and self.options.get("fstype") == "gfs2"


@dataclass(frozen=True)
class Group:
    """One `[[group]]`: what is said of a whole group, whose resources name it themselves."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    id: CibId
    meta: dict[str, Scalar] = field(default_factory=dict)
    clone: bool | dict[str, Scalar] = False


@dataclass(frozen=True)
class NewVolume:
    """`create` of a shared disk: the Multi-Attach volume that is made where there is none yet.

    Bounds are those of io1 and io2 (EBS user guide, "Provisioned IOPS SSD volumes"), sizes in GiB.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    size: Annotated[int, Field(ge=4, le=65_536)]
    iops: Annotated[int, Field(ge=100, le=256_000)]
    kind: Literal["io1", "io2"] = "io2"


@dataclass(frozen=True)
class SharedDisk:
    """One `[[shared_disk]]`: a Multi-Attach volume every node must see.

    Either `volume` names one, or `create` says what to make. `{disk:NAME}` in the options of a
    resource becomes its path on every node.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    volume: Annotated[str, Field(pattern=VOLUME_ID)] | None = None
    name: CibId | None = None
    create: NewVolume | None = None


@dataclass(frozen=True)
class Spec:
    """The whole spec. Equal specs have equal digests (`settings.digest`)."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT
    cluster: Cluster
    discovery: Discovery = field(default_factory=Discovery)
    secret: Secret = field(default_factory=Secret)
    corosync: Corosync = field(default_factory=Corosync)
    fencing: Fencing = field(default_factory=Fencing)
    replace: Replace = field(default_factory=Replace)
    address: tuple[Address, ...] = ()
    resource: tuple[Resource, ...] = ()
    group: tuple[Group, ...] = ()
    shared_disk: tuple[SharedDisk, ...] = ()
