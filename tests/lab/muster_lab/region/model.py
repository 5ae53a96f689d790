"""The things a region holds, as plain data. The rules are in `estate` and `addressing`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import Any

ACCOUNT = "123456789012"
EVERYTHING: Mapping[str, Any] = {"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
"""A rule of a security group that lets everything through, in EC2's shape."""


class State(StrEnum):
    """The life of an instance, by EC2's names."""

    PENDING = "pending"
    RUNNING = "running"
    SHUTTING_DOWN = "shutting-down"
    TERMINATED = "terminated"
    STOPPING = "stopping"
    STOPPED = "stopped"

    @property
    def code(self) -> int:
        """EC2's number for the state (InstanceState.Code in the API reference)."""
        return _STATE_CODES[self]


_STATE_CODES = {
    State.PENDING: 0,
    State.RUNNING: 16,
    State.SHUTTING_DOWN: 32,
    State.TERMINATED: 48,
    State.STOPPING: 64,
    State.STOPPED: 80,
}


_VPC = IPv4Network("10.0.0.0/16")
_SUBNETS = (("a", IPv4Network("10.0.0.0/24")), ("b", IPv4Network("10.0.1.0/24")))
_ELASTIC = IPv4Network("203.0.113.0/24")
_API = IPv4Address("10.0.0.2")
_IMDS = IPv4Address("169.254.169.254")


@dataclass(frozen=True)
class Layout:
    """Where everything is. The defaults are the lab's; tests move it to loopback.

    Attributes:
        vpc: the VPC's block.
        subnets: one block per zone letter; an instance gets the first unless it asks.
        elastic: the pool of public addresses.
        first_host: host number of the first address given out in a subnet.
        api: address of the API and the resolver.
        api_port: TLS port of the API.
        dns_port: UDP and TCP port of the resolver.
        imds: address of the metadata service.
        imds_port: its port.
    """

    vpc: IPv4Network = _VPC
    subnets: tuple[tuple[str, IPv4Network], ...] = _SUBNETS
    elastic: IPv4Network = _ELASTIC
    first_host: int = 11
    api: IPv4Address = _API
    api_port: int = 443
    dns_port: int = 53
    imds: IPv4Address = _IMDS
    imds_port: int = 80


@dataclass(frozen=True)
class Timing:
    """How long the region takes, in seconds.

    Attributes:
        start: from `pending` to the boot.
        imports: how long the import of a disk takes.
        stop: from the request to stop until `stopped`, at least.
        credentials: how long the keys of a role are good.
    """

    start: float = 1.0
    stop: float = 2.0
    imports: float = 5.0
    credentials: float = 6 * 3600.0


@dataclass(frozen=True)
class Image:
    """What an instance may be launched from.

    Attributes:
        image_id: its id.
        name: unique in the account.
        stock: see `ports.Machine`.
        snapshot_id: of its root disk, if it was registered from one.
        created: when it was registered.
        attributes: what it was registered with, in the shape it is described.
        tags: of the image.
    """

    image_id: str
    name: str
    stock: bool
    snapshot_id: str | None = None
    created: datetime | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


DEFAULT_TYPE = "m6i.large"
IMAGES = (
    Image("ami-00000000000000001", "muster-node", stock=False),
    Image("ami-00000000000000002", "debian-12-stock-cluster", stock=True),
)


@dataclass
class Subnet:
    """A block of addresses in one zone."""

    subnet_id: str
    zone: str
    block: IPv4Network
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def gateway(self) -> IPv4Address:
        """The VPC router: always the first address of the block."""
        return self.block[1]


@dataclass
class Interface:
    """An elastic network interface. In this region it lives and ends with its instance."""

    interface_id: str
    subnet_id: str
    mac: str
    primary: IPv4Address
    attach_time: datetime
    attachment_id: str
    secondaries: list[IPv4Address] = field(default_factory=list)
    source_dest_check: bool = True
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def addresses(self) -> list[IPv4Address]:
        """The primary address, then the secondaries in the order they came."""
        return [self.primary, *self.secondaries]


@dataclass
class MetadataOptions:
    """What an instance may ask of its metadata service, and how."""

    tokens_required: bool = True
    enabled: bool = True
    tags: bool = False
    hop_limit: int = 2


@dataclass
class Instance:
    """An instance; its state is its machine's."""

    instance_id: str
    reservation_id: str
    launch_index: int
    image: Image
    instance_type: str
    launch_time: datetime
    subnet_id: str
    zone: str
    interface: Interface | None
    hostname: str
    private_dns: str
    state: State = State.PENDING
    tags: dict[str, str] = field(default_factory=dict)
    metadata: MetadataOptions = field(default_factory=MetadataOptions)
    user_data: bytes | None = None
    profile: str | None = None
    key_name: str | None = None
    client_token: str | None = None
    shutdown_terminates: bool = False
    placement_group: str | None = None
    transition_reason: str = ""
    state_reason: tuple[str, str] | None = None

    @property
    def alive(self) -> bool:
        """Whether the instance can still come back: neither terminated nor on the way there."""
        return self.state not in (State.TERMINATED, State.SHUTTING_DOWN)


@dataclass
class ElasticAddress:
    """A public address, and the private one it stands for while it is associated."""

    allocation_id: str
    public: IPv4Address
    association_id: str | None = None
    interface_id: str | None = None
    private: IPv4Address | None = None
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Snapshot:
    """A copy of a disk; `size` is in GiB."""

    snapshot_id: str
    size: int
    started: datetime
    description: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class ImportTask:
    """The import of a disk image from S3.

    Attributes:
        task_id: its id.
        kind: disk format.
        bucket: where the image is.
        key: where in the bucket.
        size: of the object in bytes; None if there is none, which the task finds out late.
        started: when it was asked for.
        description: the caller's.
        snapshot_id: what it made, once it is through.
        share: of its time that had passed when it was last looked at.
        tags: of the task.
        client_token: of the request; the same one makes no second task.
        cancelled: by CancelImportTask.
    """

    task_id: str
    kind: str
    bucket: str
    key: str
    size: int | None
    started: datetime
    description: str
    snapshot_id: str | None = None
    share: float = 0.0
    tags: dict[str, str] = field(default_factory=dict)
    client_token: str | None = None
    cancelled: bool = False


@dataclass
class PlacementGroup:
    """Instances that are to be near each other, or on hardware apart."""

    name: str
    strategy: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Attachment:
    """A volume at an instance."""

    device: str
    attached: datetime


@dataclass
class Volume:
    """An EBS volume; `attachments` is by instance id."""

    volume_id: str
    zone: str
    size: int
    kind: str
    iops: int
    multi_attach: bool
    created: datetime
    attachments: dict[str, Attachment] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    client_token: str | None = None


@dataclass
class Route:
    """A way to a block: to an interface, or to a gateway named by its id."""

    destination: IPv4Network
    interface_id: str | None = None
    gateway_id: str | None = None
    origin: str = "CreateRoute"


@dataclass
class RouteTable:
    """The routes of the VPC (one main table)."""

    route_table_id: str
    routes: list[Route]
    tags: dict[str, str] = field(default_factory=dict)
