"""Instance states over time, each made true on the machine before the region says so.

    RunInstances   pending -> boot -> running
    StartInstances stopped -> pending -> boot -> running
    StopInstances  running -> stopping -> machine gone -> stopped
    Terminate      any -> shutting-down -> machine and disk gone -> terminated

One instance's transitions run one after another, never side by side: each waits for the one before.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from muster_lab.ports import ExitKind, Machine, MachineError, Machines

from .errors import AwsError
from .estate import Estate
from .model import Instance, State, Timing

log = logging.getLogger(__name__)

Step = Callable[[], Awaitable[object]]

_USER_STOP = (
    "Client.UserInitiatedShutdown",
    "Client.UserInitiatedShutdown: User initiated shutdown",
)
_GUEST_STOP = (
    "Client.InstanceInitiatedShutdown",
    "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
)
_BROKEN = ("Server.InternalError", "Server.InternalError: Internal error on launch")


_ALLOWED = {
    "started": (State.PENDING, State.RUNNING, State.STOPPED),
    "stopped": (State.RUNNING, State.STOPPING, State.STOPPED),
    "rebooted": (State.RUNNING,),
    "terminated": tuple(State),
}


def check(instance: Instance, change: str) -> None:
    """Refuse a change that the instance's state does not allow.

    Args:
        instance: the one to change.
        change: `started`, `stopped`, `rebooted` or `terminated`.

    Raises:
        AwsError: IncorrectInstanceState.
    """
    if instance.state not in _ALLOWED[change]:
        raise AwsError(
            "IncorrectInstanceState",
            f"The instance '{instance.instance_id}' is not in a state from which it can be"
            f" {change}: it is {instance.state}.",
        )


class Lifecycle:
    """Moves instances through their states and the machines with them.

    Args:
        estate: whose instances these are.
        machines: the hypervisor.
        timing: how long transitions take.
    """

    def __init__(self, estate: Estate, machines: Machines, timing: Timing) -> None:
        self._estate = estate
        self._machines = machines
        self._timing = timing
        # What is set is read under the lock, so that of two changes the later one stays in force.
        self._ports = asyncio.Lock()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        machines.on_exit(self.guest_ended)

    def launch(self, instances: Iterable[Instance]) -> None:
        """Boot new instances; they are `pending` until their machines run."""
        for instance in instances:
            self._follow(instance, partial(self._boot, instance, failed=State.TERMINATED))

    def start(self, instance: Instance) -> None:
        """StartInstances for one: only a stopped instance starts, a running one stays as it is.

        Raises:
            AwsError: IncorrectInstanceState.
        """
        check(instance, "started")
        if instance.state is not State.STOPPED:
            return
        instance.launch_time = self._estate.clock().replace(microsecond=0)
        self._turn(instance, State.PENDING, "", None)
        self._follow(instance, partial(self._boot, instance, failed=State.STOPPED))

    def stop(self, instance: Instance, *, force: bool) -> None:
        """StopInstances for one; `force` also hurries what is under way.

        Raises:
            AwsError: IncorrectInstanceState for an instance that is on its way up or gone.
        """
        check(instance, "stopped")
        if force and instance.instance_id in self._tasks:
            self._kill(instance)
        if instance.state is not State.RUNNING:
            return
        self._turn(instance, State.STOPPING, self._user_initiated(), _USER_STOP)
        self._follow(instance, partial(self._power_off, instance, force=force))

    def reboot(self, instance: Instance) -> None:
        """RebootInstances for one: down gracefully and up again, `running` all the while.

        Raises:
            AwsError: IncorrectInstanceState unless it runs.
        """
        check(instance, "rebooted")
        self._follow(instance, partial(self._reboot, instance))

    def terminate(self, instance: Instance) -> None:
        """TerminateInstances for one, from whatever state; a second time changes nothing."""
        if not instance.alive:
            return
        self._turn(instance, State.SHUTTING_DOWN, self._user_initiated(), _USER_STOP)
        self._kill(instance)
        self._follow(instance, partial(self._end, instance))

    def guest_ended(self, instance_id: str, kind: ExitKind) -> None:
        """What the hypervisor reports: a guest went away by itself.

        A guest that died leaves EC2 saying `running`, as it does for a hung kernel.
        """
        instance = self._estate.instances.get(instance_id)
        if instance is None or instance.state not in (State.RUNNING, State.PENDING):
            return
        if kind is ExitKind.REBOOT:
            self._follow(instance, partial(self._boot_machine, instance))
        elif kind is ExitKind.POWERED_OFF:
            if instance.shutdown_terminates:
                self._turn(instance, State.SHUTTING_DOWN, _GUEST_STOP[1], _GUEST_STOP)
                self._follow(instance, partial(self._end, instance))
            else:
                self._turn(instance, State.STOPPING, _GUEST_STOP[1], _GUEST_STOP)
                self._follow(instance, partial(self._power_off, instance, force=True))

    async def settled(self, instance_id: str) -> None:
        """Return when nothing is under way for the instance."""
        while (task := self._tasks.get(instance_id)) is not None:
            await asyncio.wait([task])
            await asyncio.sleep(0)  # the task's own callback forgets it

    async def apply_addresses(self, instance: Instance) -> None:
        """Tell the hypervisor which addresses the instance's port lets through now."""
        async with self._ports:
            await self._pass(instance)

    async def apply_routes(self) -> None:
        """Tell the hypervisor where the VPC routes to, and what ports let through for it."""
        async with self._ports:
            hops = {}
            for route in self._estate.route_table.routes:
                for _, interface in self._estate.interfaces():
                    if interface.interface_id == route.interface_id:
                        hops[route.destination] = interface.primary
            await self._machines.set_routes(hops)
            for instance in self._estate.instances.values():
                await self._pass(instance)

    async def _pass(self, instance: Instance) -> None:
        """Let through the interface's own addresses and, unchecked, those routed to it.

        The source/destination check is what keeps others out (VPC user guide, NAT instances).
        """
        interface = instance.interface
        if interface is None:
            return
        routed = [
            route.destination.network_address
            for route in self._estate.route_table.routes
            if route.interface_id == interface.interface_id
            and not interface.source_dest_check
            and route.destination.prefixlen == 32
        ]
        await self._machines.set_addresses(
            instance.instance_id, frozenset([*interface.addresses, *routed])
        )

    async def apply_volumes(self, instance: Instance) -> None:
        """Tell the hypervisor which volumes are at the instance now."""
        there = self._estate.volumes.values()
        wanted = {v.volume_id: v.size for v in there if instance.instance_id in v.attachments}
        await self._machines.set_volumes(instance.instance_id, wanted)

    async def apply_elastic(self) -> None:
        """Tell the hypervisor which public address stands for which private one now."""
        async with self._ports:
            elastic = self._estate.elastic.values()
            await self._machines.set_elastic({e.public: e.private for e in elastic if e.private})

    async def close(self) -> None:
        """Abandon what is under way. The machines are their owner's to end."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _boot(self, instance: Instance, *, failed: State) -> None:
        await asyncio.sleep(self._timing.start)
        if instance.state is not State.PENDING:
            return
        if await self._boot_machine(instance):
            if instance.state is State.PENDING:
                self._turn(instance, State.RUNNING, "", None)
        elif failed is State.TERMINATED:
            await self._end(instance, reason=_BROKEN)
        else:
            self._turn(instance, failed, "Server.InternalError", _BROKEN)

    async def _boot_machine(self, instance: Instance) -> bool:
        """Boot; a refusal by the hypervisor is logged and answered with False."""
        interface = instance.interface
        if interface is None or not instance.alive:
            return False
        subnet = self._estate.subnets[instance.subnet_id]
        machine = Machine(
            instance_id=instance.instance_id,
            hostname=instance.hostname,
            address=interface.primary,
            mac=interface.mac,
            prefix_length=subnet.block.prefixlen,
            gateway=subnet.gateway,
            stock=instance.image.stock,
        )
        try:
            await self._machines.boot(machine)
            await self.apply_addresses(instance)
        except MachineError as error:
            log.warning("cannot boot %s: %s", instance.instance_id, error)
            return False
        return True

    async def _power_off(self, instance: Instance, *, force: bool) -> None:
        """Half the stop time passes before a forced stop kills: accepted is not yet dead."""
        half = self._timing.stop / 2
        if force:
            await asyncio.sleep(half)
            await self._machines.crash(instance.instance_id)
        else:
            await self._machines.power_off(instance.instance_id, graceful=True)
            await asyncio.sleep(half)
        await asyncio.sleep(half)
        if instance.state is State.STOPPING:
            self._turn(instance, State.STOPPED, instance.transition_reason, instance.state_reason)

    async def _reboot(self, instance: Instance) -> None:
        await self._machines.power_off(instance.instance_id, graceful=True)
        if instance.state is State.RUNNING:
            await self._boot_machine(instance)

    async def _end(self, instance: Instance, reason: tuple[str, str] | None = None) -> None:
        await self._machines.crash(instance.instance_id)
        await asyncio.sleep(self._timing.stop / 2)
        await self._machines.discard(instance.instance_id)
        if instance.interface is not None:
            await self._let_go(instance.interface.interface_id)
        for volume in self._estate.volumes.values():
            volume.attachments.pop(instance.instance_id, None)
        # As on EC2, a terminated instance stays listed but has no interface any more.
        instance.interface = None
        self._turn(
            instance,
            State.TERMINATED,
            instance.transition_reason,
            reason or instance.state_reason,
        )

    async def _let_go(self, interface_id: str) -> None:
        held = [e for e in self._estate.elastic.values() if e.interface_id == interface_id]
        for elastic in held:
            elastic.association_id = elastic.interface_id = elastic.private = None
        if held:
            await self.apply_elastic()

    def _kill(self, instance: Instance) -> None:
        """Crash the machine now, whatever else is under way for it."""
        crash = partial(self._machines.crash, instance.instance_id)
        self._follow(instance, crash, at_once=True)

    def _follow(self, instance: Instance, step: Step, *, at_once: bool = False) -> None:
        """Run a step of the instance after those under way, or beside them when it cannot wait."""
        instance_id = instance.instance_id
        before = self._tasks.get(instance_id)

        async def in_turn() -> None:
            if before is not None and not at_once:
                await asyncio.wait([before])
            try:
                await step()
            except MachineError as error:
                log.warning("%s: the machine did not follow: %s", instance_id, error)
            if before is not None and at_once:
                await asyncio.wait([before])

        def done(task: asyncio.Task[None]) -> None:
            if self._tasks.get(instance_id) is task:
                del self._tasks[instance_id]
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("%s: a transition broke", instance_id, exc_info=error)

        task = asyncio.create_task(in_turn())
        task.add_done_callback(done)
        self._tasks[instance_id] = task

    def _turn(
        self,
        instance: Instance,
        state: State,
        transition_reason: str,
        state_reason: tuple[str, str] | None,
    ) -> None:
        log.info("%s: %s -> %s", instance.instance_id, instance.state, state)
        instance.state = state
        instance.transition_reason = transition_reason
        instance.state_reason = state_reason
        self._estate.changed()

    def _user_initiated(self) -> str:
        return f"User initiated ({self._estate.clock():%Y-%m-%d %H:%M:%S} GMT)"
