"""What the engine needs from the world: one Protocol a port, one adapter each, fakes in tests."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from musterd.election.types import Durable, Message
from musterd.helper_wire import Done, Params, ProbeResult
from musterd.model import (
    ClusterState,
    Comparison,
    Contact,
    Decree,
    GroupRule,
    Instance,
    NodeFacts,
    Verb,
    Volume,
)
from musterd.peer_wire import Hello, Probe, Probed
from musterd.spec import NewVolume


class Clock(Protocol):
    """Time. Only differences of `monotonic` decide anything; `wall` is for people."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""

    def wall(self) -> float:
        """Return seconds since 1970, as good as the host's clock."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class Random(Protocol):
    """Chance: jitter, identifiers, seeds."""

    def fraction(self) -> float:
        """Return a number in [0, 1)."""

    def hexadecimal(self, length: int) -> str:
        """Return `length` hexadecimal digits, fit for secrets."""


class Metadata(Protocol):
    """IMDSv2."""

    async def documents(self, paths: Mapping[str, str]) -> Mapping[str, str]:
        """Return the text of each path below meta-data/, by the same keys; absent ones left out.

        `{mac}` in a path is the primary interface's. Raises MetadataError with the cure.
        """

    async def tags(self) -> Mapping[str, str]:
        """Return the instance's tags.

        Raises:
            TagsOffError: tags in metadata are off.
            MetadataError: it is not known.
        """


REHEARSED = frozenset(
    {"ec2:AllocateAddress", "ec2:AssociateAddress", "ec2:AttachVolume", "ec2:CreateVolume",
     "ec2:ReplaceRoute", "ec2:StartInstances", "ec2:StopInstances"}
)  # fmt: skip
"""Actions that `Cloud.rehearse` knows. AssignPrivateIpAddresses has no DryRun."""


class Cloud(Protocol):
    """EC2. Each call is bounded in time and raises CloudError; an error is never an empty list."""

    async def instances(self, tag: str, value: str) -> tuple[Instance, ...]:
        """Return every instance with the tag, terminated ones included (all pages)."""

    async def allocation(self, elastic_ip: str) -> str:
        """Return the allocation id of an elastic address of this account."""

    async def holders(self, addresses: tuple[str, ...]) -> Mapping[str, str]:
        """Return private address -> instance id, for those addresses that an interface has.

        An interface at no instance is told by its own id.
        """

    async def elastic_holders(self, addresses: tuple[str, ...]) -> Mapping[str, str]:
        """Return elastic address -> instance or interface it leads to, for those that lead."""

    async def routed(
        self, tables: tuple[str, ...], addresses: tuple[str, ...]
    ) -> Mapping[tuple[str, str], str]:
        """Return (route table, address) -> instance or gateway that its /32 route leads to."""

    async def may_fence(self, instance_id: str) -> None:
        """Prove by DryRun that this node may stop and start the instance. Raises CloudError."""

    async def described(self, instance_ids: tuple[str, ...]) -> tuple[Instance, ...]:
        """Return these instances, whatever their tags; unknown ones are left out."""

    async def group_rules(self, group_ids: tuple[str, ...]) -> Mapping[str, tuple[GroupRule, ...]]:
        """Return security group -> its permissions, in both directions."""

    async def rehearse(self, action: str, about: str, where: str = "") -> None:
        """Prove by DryRun that this node may do an action to a resource. Raises CloudError.

        `action` is one of `REHEARSED`, `about` the resource's id, `where` the instance to which it
        would be tied, where the action ties one, or the zone in which it would be made.
        """


class Provision(Protocol):
    """What muster makes in EC2 and ties to instances. Bounded in time, raises CloudError.

    Everything made carries tags from its first moment, and is found again by them.
    """

    async def elastics(self, tags: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """Return the elastic addresses with all these tags, each with its allocation id."""

    async def allocate(self, tags: Mapping[str, str]) -> tuple[str, str]:
        """Allocate an elastic address with these tags; return it and its allocation id."""

    async def volumes(self, volume_ids: tuple[str, ...]) -> tuple[Volume, ...]:
        """Return these volumes; unknown ones are left out."""

    async def tagged_volumes(self, tags: Mapping[str, str]) -> tuple[Volume, ...]:
        """Return the volumes with all these tags."""

    async def create_volume(
        self, wanted: NewVolume, zone: str, tags: Mapping[str, str], token: str
    ) -> Volume:
        """Create a Multi-Attach volume. EC2 makes one for a token, however often it is asked."""

    async def attach(self, volume_id: str, instance_id: str, device: str) -> None:
        """Attach a volume to an instance; nothing happens where it is attached already."""

    async def not_nitro(self, instance_types: tuple[str, ...]) -> frozenset[str]:
        """Return those of the instance types that are not built on Nitro."""


class Disks(Protocol):
    """The NVMe disks this node's kernel has."""

    def serials(self) -> Mapping[str, str]:
        """Return serial number -> kernel's name of the disk, such as `nvme1n1`."""


class Secrets(Protocol):
    """The one configured source of the cluster token."""

    async def token(self) -> str:
        """Return the token text (created by the first node to ask). Raises SecretError."""


class Peers(Protocol):
    """Other nodes' musterd, over mutual TLS. Each call is bounded in time, raises PeerError."""

    async def open(self, token: str, cluster: str, own_id: str) -> None:
        """Take the cluster token: open the peer port, and be able to call. Idempotent."""

    async def hello(self, instance_id: str, address: str, hello: Hello) -> Hello:
        """Exchange states with the peer that must prove to be `instance_id`."""

    async def send(self, instance_id: str, address: str, message: Message, term: int) -> None:
        """Deliver one election message."""

    async def probe(self, instance_id: str, address: str, probe: Probe) -> Probed:
        """Have the peer try the ways to this node, and return what it found."""


class Network(Protocol):
    """The ways between two nodes, tried from this one. Nothing here raises: it tells."""

    async def connect(self, address: str, port: int) -> Contact:
        """Try a TCP port; two seconds at most."""

    async def exchange(
        self, nonce: str, own_address: str, peer_address: str, seconds: float
    ) -> bool | None:
        """Send `nonce` to the peer's UDP 5405 while it does the same; tell whether its came.

        `seconds` is how long to listen at most. None when this node's port is taken, by Corosync
        or by `close`.
        """

    def close(self) -> None:
        """Give the port up for good: Corosync is about to need it."""


class Helper(Protocol):
    """muster-helper, one verb at a time. Raises HelperError."""

    async def survey(self, params: Params) -> NodeFacts:
        """Look at this node."""

    async def change(self, verb: Verb, params: Params, progress: Callable[[str], None]) -> Done:
        """Perform a verb that changes the node; `progress` hears each of its sentences."""

    async def probe(self, params: Params) -> ProbeResult:
        """Ask the fencing agent for each member's status."""

    async def compare(self, params: Params) -> Comparison:
        """Compare the running cluster with the spec."""


class Cluster(Protocol):
    """The running cluster, as the watch unit's file tells it."""

    def state(self) -> ClusterState | None:
        """Return the latest state, None while there is none (not running, or not written yet)."""

    async def changed(self) -> None:
        """Return when the file may have changed."""

    def holds(self, address: str) -> bool:
        """Tell whether this node's kernel has the address."""


@dataclass(frozen=True)
class Record:
    """Everything durable: the election's part, whether the cluster was formed, what was proven.

    `joining` is the formed cluster that this node has asked to join; `left` says that its members
    took this node out, so that it does not join again unasked.
    """

    durable: Durable
    formed: bool = False
    proofs: dict[str, tuple[str, float]] = field(default_factory=dict)  # id -> how, wall time
    real: dict[str, float] = field(default_factory=dict)  # id -> when really fenced, wall time
    real_for: str = ""  # the fingerprint of the fencing that was proven
    applied: dict[str, str] = field(default_factory=dict)  # as Knowledge.applied
    applied_count: int = 0
    joining: Decree | None = None
    left: bool = False
    instance_id: str = ""  # of the writer: an image may carry the file to another instance


class Store(Protocol):
    """Durable memory (temp file, fsync, rename, fsync of the folder)."""

    def load(self) -> Record | None:
        """Return the record, None when never written. Raises StoreError when it is broken."""

    def save(self, record: Record) -> None:
        """Make the record durable before returning."""
