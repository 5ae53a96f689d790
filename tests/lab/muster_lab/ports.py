"""What the fake region and the machines ask of each other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network
from typing import Protocol


class MachineError(Exception):
    """A machine could not be made, started or reached; the message says which and why."""


@dataclass(frozen=True)
class Machine:
    """One host as EC2 describes it to the hypervisor.

    Attributes:
        instance_id: EC2's identity, the key of every call.
        hostname: short name, such as `ip-10-0-0-11`.
        address: primary private address of the first interface.
        mac: address of the first interface, lower case, colons.
        prefix_length: of the subnet.
        gateway: the VPC router.
        stock: boot as the distribution's image would: corosync and pacemaker enabled, with the
            packages' own one-node cluster.
    """

    instance_id: str
    hostname: str
    address: IPv4Address
    mac: str
    prefix_length: int
    gateway: IPv4Address
    stock: bool = False


class ExitKind(StrEnum):
    """How a guest ended by itself."""

    POWERED_OFF = "powered-off"
    REBOOT = "reboot"
    DIED = "died"


class Machines(Protocol):
    """The hypervisor: what turns instance states into containers."""

    async def boot(self, machine: Machine) -> None:
        """Start the machine; return when the guest's PID 1 runs.

        The disk of an earlier boot of the same instance is used again.

        Raises:
            MachineError: it did not start.
        """

    async def power_off(self, instance_id: str, *, graceful: bool) -> None:
        """End the guest; return when it is gone. Nothing happens if it is not running.

        Args:
            instance_id: the machine.
            graceful: ask PID 1 first and wait up to a bound; then, or at once, crash it.
        """

    async def crash(self, instance_id: str) -> None:
        """Cut the network first, then kill PID 1: peers see silence, never a FIN."""

    async def discard(self, instance_id: str) -> None:
        """The instance is terminated: its disk goes too."""

    def on_exit(self, callback: Callable[[str, ExitKind], None]) -> None:
        """Have `callback(instance_id, kind)` called when a guest ends by itself.

        Ends asked for with `power_off` are not reported; `crash` is not either.
        """

    async def set_addresses(self, instance_id: str, addresses: frozenset[IPv4Address]) -> None:
        """Let exactly these source and target addresses pass on the instance's port."""

    async def set_routes(self, routes: Mapping[IPv4Network, IPv4Address]) -> None:
        """Have the VPC's router send exactly these blocks to these private addresses."""

    async def set_volumes(self, instance_id: str, volumes: Mapping[str, int]) -> None:
        """Have the guest show exactly these volumes as NVMe disks: id -> size in GiB.

        One that does not run shows them once it is booted.
        """

    async def set_elastic(self, associations: Mapping[IPv4Address, IPv4Address]) -> None:
        """Translate exactly these public addresses to these private ones at the VPC's edge."""
