"""All that exists in the region, with lookups and the making of instances."""

import copy
import hashlib
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from ipaddress import IPv4Address
from itertools import islice
from typing import Any

from .errors import AwsError, invalid_value
from .model import (
    DEFAULT_TYPE,
    EVERYTHING,
    IMAGES,
    ElasticAddress,
    Image,
    ImportTask,
    Instance,
    Interface,
    Layout,
    MetadataOptions,
    PlacementGroup,
    Route,
    RouteTable,
    Snapshot,
    Subnet,
    Volume,
)

Clock = Callable[[], datetime]

HISTORY_SECONDS = 900.0
HISTORY_STATES = 500


def utc_now() -> datetime:
    """The clock used unless a test brings another."""
    return datetime.now(UTC)


def new_id(prefix: str) -> str:
    """An id in EC2's long form: prefix, dash, 17 hexadecimal digits."""
    return f"{prefix}-{secrets.token_hex(9)[:17]}"


@dataclass(frozen=True)
class Launch:
    """One RunInstances call, checked for form but not yet against the estate."""

    image_id: str
    minimum: int = 1
    maximum: int = 1
    instance_type: str = DEFAULT_TYPE
    subnet_id: str | None = None
    address: IPv4Address | None = None
    tags: tuple[tuple[str, str], ...] = ()
    interface_tags: tuple[tuple[str, str], ...] = ()
    user_data: bytes | None = None
    profile: str | None = None
    key_name: str | None = None
    metadata: MetadataOptions = field(default_factory=MetadataOptions)
    client_token: str | None = None
    shutdown_terminates: bool = False
    placement_group: str | None = None
    group_ids: tuple[str, ...] = ()


class Estate:
    """The region's memory. Every change is followed by `changed()`, which keeps the past readable.

    Args:
        region: such as `eu-west-1`.
        layout: addresses and blocks.
        clock: where the time of day comes from.
        import_seconds: how long the import of a disk takes.
    """

    def __init__(
        self, region: str, layout: Layout, clock: Clock = utc_now, import_seconds: float = 5.0
    ) -> None:
        self.import_seconds = import_seconds
        self.region = region
        self.layout = layout
        self.clock = clock
        self.vpc_id = _fixed_id("vpc", region)
        self.group_id = _fixed_id("sg", region)
        # Of the one security group, in EC2's shape; replaced, never changed in place.
        self.ingress: list[Mapping[str, Any]] = [EVERYTHING]
        self.images = {image.image_id: image for image in IMAGES}
        self.instances: dict[str, Instance] = {}
        self.elastic: dict[str, ElasticAddress] = {}
        self.volumes: dict[str, Volume] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.imports: dict[str, ImportTask] = {}
        self.placement_groups: dict[str, PlacementGroup] = {}
        self.launches: dict[str, tuple[Launch, list[str]]] = {}
        self.subnets = {
            subnet.subnet_id: subnet
            for subnet in (
                Subnet(_fixed_id("subnet", region + letter), region + letter, block)
                for letter, block in layout.subnets
            )
        }
        local = Route(layout.vpc, gateway_id="local", origin="CreateRouteTable")
        self.route_table = RouteTable(_fixed_id("rtb", region), [local])
        self._past: deque[tuple[datetime, Estate]] = deque(maxlen=HISTORY_STATES)
        self.changed()

    def changed(self) -> None:
        """Remember this state, so that a lagging answer can be served from it."""
        now = self.clock()
        past = copy.copy(self)
        past.instances = copy.deepcopy(self.instances)
        past.elastic = copy.deepcopy(self.elastic)
        past.snapshots = copy.deepcopy(self.snapshots)
        past.volumes = copy.deepcopy(self.volumes)
        past.route_table = copy.deepcopy(self.route_table)
        past._past = deque()
        self._past.append((now, past))
        while (now - self._past[0][0]).total_seconds() > HISTORY_SECONDS and len(self._past) > 1:
            self._past.popleft()

    def as_of(self, seconds: float) -> "Estate":
        """The estate as it was so many seconds ago (its oldest remembered state at worst)."""
        now = self.clock()
        for when, past in reversed(self._past):
            if (now - when).total_seconds() >= seconds:
                return past
        return self._past[0][1]

    def without(self, hidden: Iterable[str]) -> "Estate":
        """The estate as an answer that leaves these instances out would show it.

        Args:
            hidden: ids or shell patterns of ids; `*` makes the answer empty.
        """
        patterns = tuple(hidden)
        partial = copy.copy(self)
        partial.instances = {
            instance_id: instance
            for instance_id, instance in self.instances.items()
            if not any(fnmatchcase(instance_id, pattern) for pattern in patterns)
        }
        return partial

    def instance(self, instance_id: str) -> Instance:
        """The instance of that id.

        Raises:
            AwsError: the id is malformed or unknown.
        """
        if not instance_id.startswith("i-"):
            raise AwsError("InvalidInstanceID.Malformed", f'Invalid id: "{instance_id}"')
        found = self.instances.get(instance_id)
        if found is None:
            raise AwsError(
                "InvalidInstanceID.NotFound", f"The instance ID '{instance_id}' does not exist"
            )
        return found

    def interfaces(self) -> Iterator[tuple[Instance, Interface]]:
        """Every interface with the instance that it belongs to."""
        for instance in self.instances.values():
            if instance.interface is not None:
                yield instance, instance.interface

    def interface(self, interface_id: str) -> tuple[Instance, Interface]:
        """The interface of that id and its instance.

        Raises:
            AwsError: no such interface.
        """
        for instance, interface in self.interfaces():
            if interface.interface_id == interface_id:
                return instance, interface
        raise AwsError(
            "InvalidNetworkInterfaceID.NotFound",
            f"The networkInterface ID '{interface_id}' does not exist",
        )

    def holder(self, address: IPv4Address) -> tuple[Instance, Interface] | None:
        """Which interface has the private address, primary or secondary."""
        for instance, interface in self.interfaces():
            if address in interface.addresses:
                return instance, interface
        return None

    def subnet(self, subnet_id: str) -> Subnet:
        """The subnet of that id.

        Raises:
            AwsError: no such subnet.
        """
        found = self.subnets.get(subnet_id)
        if found is None:
            raise AwsError(
                "InvalidSubnetID.NotFound", f"The subnet ID '{subnet_id}' does not exist"
            )
        return found

    def domain(self) -> str:
        """The domain of private names; `ec2.internal` only in us-east-1, as on AWS."""
        if self.region == "us-east-1":
            return "ec2.internal"
        return f"{self.region}.compute.internal"

    def free_address(self, subnet: Subnet) -> IPv4Address:
        """The lowest free address of the subnet that is given out without being asked for.

        Raises:
            AwsError: the subnet is full.
        """
        taken = {a for _, interface in self.interfaces() for a in interface.addresses}
        last = subnet.block.num_addresses - 1
        for address in islice(subnet.block, self.layout.first_host, last):
            if address not in taken:
                return address
        raise AwsError(
            "InsufficientFreeAddressesInSubnet",
            f"There are not enough free addresses in subnet '{subnet.subnet_id}'",
        )

    def launch(self, launch: Launch) -> tuple[list[Instance], bool]:
        """Make instances in `pending`; a repeated client token gives the first call's again.

        Returns:
            The instances, and whether they are new.

        Raises:
            AwsError: image, subnet or address is wrong, or the token was used for something else.
        """
        if launch.client_token and launch.client_token in self.launches:
            first, instance_ids = self.launches[launch.client_token]
            if first != launch:
                raise AwsError(
                    "IdempotentParameterMismatch",
                    "The client token was used before with other parameters",
                )
            return [self.instances[i] for i in instance_ids], False
        image = self.images.get(launch.image_id)
        if image is None:
            raise AwsError(
                "InvalidAMIID.NotFound", f"The image id '[{launch.image_id}]' does not exist"
            )
        self._check_groups(launch)
        subnet = self.subnet(launch.subnet_id or next(iter(self.subnets)))
        if launch.address is not None:
            self.check_free(launch.address, subnet)
            if launch.maximum > 1:
                raise AwsError(
                    "InvalidParameterCombination", "A fixed address allows one instance only"
                )
        reservation = new_id("r")
        made = [
            self._make(launch, image, subnet, reservation, index) for index in range(launch.maximum)
        ]
        if launch.client_token:
            self.launches[launch.client_token] = (launch, [i.instance_id for i in made])
        self.changed()
        return made, True

    def _check_groups(self, launch: Launch) -> None:
        for wanted in launch.group_ids:
            if wanted != self.group_id:
                raise AwsError(
                    "InvalidGroup.NotFound", f"The security group '{wanted}' does not exist"
                )
        if launch.placement_group not in (None, *self.placement_groups):
            raise AwsError(
                "InvalidPlacementGroup.Unknown",
                f"The Placement Group '{launch.placement_group}' is unknown.",
            )

    def check_free(self, address: IPv4Address, subnet: Subnet) -> None:
        """Refuse an address that is outside the subnet, reserved, or somebody's.

        Raises:
            AwsError: with EC2's code for the case.
        """
        self.check_inside(address, subnet)
        if self.holder(address) is not None:
            raise AwsError("InvalidIPAddress.InUse", f"Address {address} is in use.")

    def check_inside(self, address: IPv4Address, subnet: Subnet) -> None:
        """Refuse an address that the subnet cannot have: AWS keeps the first four and the last.

        Raises:
            AwsError: with EC2's code for the case.
        """
        if address not in subnet.block:
            raise AwsError(
                "InvalidParameterValue",
                f"Address {address} does not fall within the subnet's"
                f" address range ({subnet.block})",
            )
        if int(address) - int(subnet.block[0]) < 4 or address == subnet.block[-1]:
            raise invalid_value(address, "privateIpAddress")

    def _make(
        self, launch: Launch, image: Image, subnet: Subnet, reservation: str, index: int
    ) -> Instance:
        address = launch.address or self.free_address(subnet)
        # EC2 gives launch and attach times in whole seconds: instances of one call tie.
        now = self.clock().replace(microsecond=0)
        hostname = "ip-" + str(address).replace(".", "-")
        interface = Interface(
            interface_id=new_id("eni"),
            subnet_id=subnet.subnet_id,
            mac="02:" + ":".join(secrets.token_hex(1) for _ in range(5)),
            primary=address,
            attach_time=now,
            attachment_id=new_id("eni-attach"),
            tags=dict(launch.interface_tags),
        )
        instance = Instance(
            instance_id=new_id("i"),
            reservation_id=reservation,
            launch_index=index,
            image=image,
            instance_type=launch.instance_type,
            launch_time=now,
            subnet_id=subnet.subnet_id,
            zone=subnet.zone,
            interface=interface,
            hostname=hostname,
            private_dns=f"{hostname}.{self.domain()}",
            tags=dict(launch.tags),
            metadata=copy.copy(launch.metadata),
            user_data=launch.user_data,
            profile=launch.profile,
            key_name=launch.key_name,
            client_token=launch.client_token,
            shutdown_terminates=launch.shutdown_terminates,
            placement_group=launch.placement_group,
        )
        self.instances[instance.instance_id] = instance
        return instance


def _fixed_id(prefix: str, seed: str) -> str:
    """An id that stays the same over restarts of the lab, so that specs may name it."""
    return f"{prefix}-{hashlib.sha256(f'{prefix} {seed}'.encode()).hexdigest()[:17]}"
