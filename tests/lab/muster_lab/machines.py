"""The hypervisor of a lab: machines as containers on the lab's network."""

import asyncio
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network

import structlog

from muster_lab import cgroups
from muster_lab.container import Container, Disk
from muster_lab.image import Image
from muster_lab.layout import Layout
from muster_lab.network import Network, port_of
from muster_lab.ports import ExitKind, Machine, MachineError
from muster_lab.volumes import Volumes

GRACE = 60.0
"""Seconds a guest gets to shut down in order before it is crashed."""

_log = structlog.get_logger()


@dataclass
class _Host:
    machine: Machine
    image: Image
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    container: Container | None = None
    ending: bool = False
    frozen: bool = False
    watch: asyncio.Task[None] | None = None
    volumes: dict[str, int] = field(default_factory=dict)


class Hypervisor:
    """Implements `ports.Machines`, and what only the lab's operator may do to a machine.

    Attributes:
        image: what machines booted for the first time get; a machine keeps its own for life.
    """

    def __init__(self, layout: Layout, network: Network, image: Image, *, region: str) -> None:
        self._layout = layout
        self._network = network
        self.image = image
        self._domain = f"{region}.compute.internal"
        self._hosts: dict[str, _Host] = {}
        self._volumes = Volumes(layout)
        self._allowed: set[str] = set()
        self._callbacks: list[Callable[[str, ExitKind], None]] = []

    def on_exit(self, callback: Callable[[str, ExitKind], None]) -> None:
        """Have `callback` told of guests that end by themselves."""
        self._callbacks.append(callback)

    def known(self, instance_id: str) -> Machine:
        """The machine as it was last booted.

        Raises:
            MachineError: it never was.
        """
        return self._host(instance_id).machine

    def leader(self, instance_id: str) -> int | None:
        """The process id of the guest's PID 1 on this machine, or None when it is down."""
        host = self._hosts.get(instance_id)
        return host.container.leader if host and host.container else None

    def frozen(self, instance_id: str) -> bool:
        """Whether the machine is frozen."""
        host = self._hosts.get(instance_id)
        return host is not None and host.frozen

    async def boot(self, machine: Machine) -> None:
        """See `ports.Machines`."""
        host = self._hosts.setdefault(machine.instance_id, _Host(machine, self.image))
        async with host.lock:
            if host.container is not None:
                raise MachineError(f"cannot boot {machine.instance_id}: it is running already")
            host.machine, host.ending, host.frozen = machine, False, False
            if machine.instance_id not in self._allowed:
                await self.set_addresses(machine.instance_id, frozenset({machine.address}))
            await self._network.attach(machine)
            disk = self._disk(machine.instance_id)
            await asyncio.to_thread(disk.prepare, machine, self._domain)
            host.container = await Container.start(
                self._layout.namespace(machine.instance_id),
                machine,
                disk,
                host.image,
                self._layout.namespace_path(machine.instance_id),
            )
            if host.volumes:
                await self._volumes.show(host.container.leader, host.volumes)
            host.watch = asyncio.create_task(self._watch(host, host.container))
        _log.info("booted", instance=machine.instance_id, leader=host.container.leader)

    async def power_off(self, instance_id: str, *, graceful: bool) -> None:
        """See `ports.Machines`."""
        host = self._hosts.get(instance_id)
        if host is None or (container := host.container) is None:
            return
        if graceful and not host.frozen:
            host.ending = True
            container.ask_to_power_off()
            await asyncio.wait({container.ended}, timeout=GRACE)
        await self.crash(instance_id)

    async def crash(self, instance_id: str) -> None:
        """See `ports.Machines`."""
        host = self._hosts.get(instance_id)
        if host is None:
            return
        async with host.lock:  # a boot under way is let through first: it would not be killed
            container = host.container
        if container is None:
            return
        host.ending = True
        await self._network.unplug(instance_id)
        await container.kill()
        if host.watch is not None:
            await host.watch

    async def discard(self, instance_id: str) -> None:
        """See `ports.Machines`."""
        await self.crash(instance_id)
        self._hosts.pop(instance_id, None)
        await self.set_addresses(instance_id, frozenset())
        await asyncio.to_thread(shutil.rmtree, self._disk(instance_id).folder, True)

    async def set_addresses(self, instance_id: str, addresses: frozenset[IPv4Address]) -> None:
        """See `ports.Machines`."""
        self._allowed.add(instance_id)
        await self._network.set_addresses(instance_id, addresses)

    async def set_routes(self, routes: Mapping[IPv4Network, IPv4Address]) -> None:
        """See `ports.Machines`."""
        await self._network.set_routes(routes)

    async def set_volumes(self, instance_id: str, volumes: Mapping[str, int]) -> None:
        """See `ports.Machines`."""
        host = self._hosts.get(instance_id)
        if host is None:
            return
        async with host.lock:
            host.volumes = dict(volumes)
            if host.container is not None:
                await self._volumes.show(host.container.leader, host.volumes)

    async def set_elastic(self, associations: Mapping[IPv4Address, IPv4Address]) -> None:
        """See `ports.Machines`."""
        await self._network.set_elastic(associations)

    def freeze(self, instance_id: str) -> None:
        """Stop the guest where it is: it holds its address and answers nothing.

        Raises:
            MachineError: it is not running.
        """
        host = self._running(instance_id)
        cgroups.freeze(self._layout.namespace(instance_id))
        host.frozen = True

    def thaw(self, instance_id: str) -> None:
        """Let a frozen guest run on, unaware of the time it lost.

        Raises:
            MachineError: it is not running.
        """
        host = self._running(instance_id)
        cgroups.thaw(self._layout.namespace(instance_id))
        host.frozen = False

    async def close(self) -> None:
        """Crash everything that runs."""
        await asyncio.gather(*(self.crash(each) for each in list(self._hosts)))

    async def _watch(self, host: _Host, container: Container) -> None:
        kind = await asyncio.shield(container.ended)
        instance_id = host.machine.instance_id
        async with host.lock:
            if host.container is not container:
                return
            host.container = None
            await self._network.detach(instance_id)
        _log.info("ended", instance=instance_id, kind=kind.value, asked=host.ending)
        if not host.ending:
            for callback in self._callbacks:
                callback(instance_id, kind)

    def _disk(self, instance_id: str) -> Disk:
        return Disk(self._layout.disks / instance_id)

    def _host(self, instance_id: str) -> _Host:
        try:
            return self._hosts[instance_id]
        except KeyError:
            raise MachineError(f"cannot find a machine for {instance_id}") from None

    def _running(self, instance_id: str) -> _Host:
        host = self._host(instance_id)
        if host.container is None:
            raise MachineError(f"cannot do that to {instance_id}: it is not running")
        return host

    def port(self, instance_id: str) -> str:
        """The machine's port on the VPC's bridge."""
        return port_of(instance_id)
