"""The fake region put together: one model behind EC2, IMDS, DNS and the rest, and its own ports."""

from __future__ import annotations

import asyncio
import copy
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from .calls import CallLog
from .credentials import Credentials
from .dns import Resolver
from .ec2 import Ec2, warm_up
from .endpoint import Endpoint
from .estate import Clock, Estate, Launch, utc_now
from .faults import Faults
from .imds import MetadataService
from .lifecycle import Lifecycle
from .model import DEFAULT_TYPE, IMAGES, Instance, Layout, MetadataOptions, Timing
from .permissions import Permissions
from .services import Services
from .tls import ensure_ca, server_context

if TYPE_CHECKING:
    from muster_lab.ports import Machines

CA_DIRECTORY = Path("/var/cache/muster-lab/ca")
BODY_BYTES = 64 * 1024 * 1024
KEEPALIVE_SECONDS = 30.0
SHUTDOWN_SECONDS = 1.0


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Region:
    """A region of AWS whose instances are machines of the lab.

    Args:
        machines: the hypervisor.
        region: its name.
        state_dir: for short-lived files of its own.
        ca_directory: where the test authority is, or will be made.
        layout: addresses and ports.
        timing: how long transitions take.
        clock: the time of day.
        seed: of the faults' probabilities.

    Attributes:
        ca_certificate: what clients must trust.
        estate: all that exists.
        faults: rules of what goes wrong.
        calls: who asked what.
        lifecycle: moves instances.
        credentials: keys that were handed out.
        permissions: policies of roles.
        metadata: IMDS.
        resolver: DNS.
        layout: where everything is bound.
    """

    def __init__(
        self,
        machines: Machines,
        *,
        region: str = "eu-west-1",
        state_dir: Path,
        ca_directory: Path = CA_DIRECTORY,
        layout: Layout | None = None,
        timing: Timing | None = None,
        clock: Clock = utc_now,
        seed: int = 0,
    ) -> None:
        self.layout = layout or Layout()
        self._state_dir = state_dir
        self._ca_directory = ca_directory
        timing = timing or Timing()
        self.ca_certificate = ensure_ca(ca_directory)
        self.faults = Faults(seed=seed)
        self.calls = CallLog()
        self.estate = Estate(region, self.layout, clock, timing.imports)
        self.lifecycle = Lifecycle(self.estate, machines, timing)
        self.credentials = Credentials(clock, timing.credentials)
        self.permissions = Permissions(self.estate)
        services = Services(self.permissions)
        self._ec2 = Ec2(self.estate, self.lifecycle, self.permissions, services)
        self._endpoint = Endpoint(
            self.estate,
            self._ec2,
            self.credentials,
            services,
            self.faults,
            self.calls,
        )
        self.metadata = MetadataService(self.estate, self.credentials, self.faults, self.calls)
        self.resolver = Resolver(self.estate)
        self._runners: list[web.AppRunner] = []

    async def start(self) -> None:
        """Bind IMDS, the API and DNS in the network namespace of the calling thread.

        Ports given as 0 are chosen by the kernel; `layout` tells them afterwards.

        Raises:
            OSError: an address or port cannot be bound.
        """
        self._state_dir.mkdir(parents=True, exist_ok=True)
        layout = self.layout
        tls = server_context(self._ca_directory, self._state_dir, self.estate.region, layout.api)
        imds_port = await self._bind(self.metadata.handle, layout.imds, layout.imds_port)
        api_port = await self._bind(self._endpoint.handle, layout.api, layout.api_port, tls)
        dns_port = await self.resolver.start(str(layout.api), layout.dns_port)
        self.layout = replace(layout, imds_port=imds_port, api_port=api_port, dns_port=dns_port)
        await asyncio.to_thread(warm_up)

    async def stop(self) -> None:
        """Stop serving and abandon transitions. Machines that run are left to their owner."""
        self.faults.clear()
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()
        for transport in list(self._endpoint.transports):
            transport.abort()
        await asyncio.sleep(0)  # aborted connections are closed by the loop's next turn
        await self.resolver.stop()
        await self.lifecycle.close()

    async def _bind(
        self, handle: Handler, address: IPv4Address, port: int, tls: ssl.SSLContext | None = None
    ) -> int:
        """Serve every path of a port with one handler; the port is returned."""
        application = web.Application(client_max_size=BODY_BYTES)
        application.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(
            application,
            access_log=None,
            keepalive_timeout=KEEPALIVE_SECONDS,
            shutdown_timeout=SHUTDOWN_SECONDS,
        )
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, str(address), port, ssl_context=tls).start()
        bound: int = runner.addresses[-1][1]
        return bound

    async def run_instances(
        self,
        count: int = 1,
        *,
        tags: dict[str, str] | None = None,
        user_data: bytes | None = None,
        image_id: str = IMAGES[0].image_id,
        profile: str | None = None,
        address: IPv4Address | None = None,
        subnet_id: str | None = None,
        instance_type: str = DEFAULT_TYPE,
        metadata: MetadataOptions | None = None,
        client_token: str | None = None,
    ) -> list[Instance]:
        """RunInstances without a wire: the instances are `pending` when this returns.

        Raises:
            AwsError: as the API refuses.
        """
        launch = Launch(
            image_id=image_id,
            minimum=count,
            maximum=count,
            subnet_id=subnet_id,
            instance_type=instance_type,
            address=address,
            tags=tuple((tags or {}).items()),
            # Interfaces do not inherit tags, and the node's policy goes by their own.
            interface_tags=tuple((tags or {}).items()),
            user_data=user_data,
            profile=profile,
            metadata=copy.copy(metadata) if metadata else MetadataOptions(tags=True),
            client_token=client_token,
        )
        made, new = self.estate.launch(launch)
        if new:
            self.lifecycle.launch(made)
        return made

    async def start_instance(self, instance_id: str) -> None:
        """StartInstances for one.

        Raises:
            AwsError: as the API refuses.
        """
        self.lifecycle.start(self.estate.instance(instance_id))

    async def stop_instance(self, instance_id: str, *, force: bool = False) -> None:
        """StopInstances for one.

        Raises:
            AwsError: as the API refuses.
        """
        self.lifecycle.stop(self.estate.instance(instance_id), force=force)

    async def reboot_instance(self, instance_id: str) -> None:
        """RebootInstances for one.

        Raises:
            AwsError: as the API refuses.
        """
        self.lifecycle.reboot(self.estate.instance(instance_id))

    async def terminate_instance(self, instance_id: str) -> None:
        """TerminateInstances for one.

        Raises:
            AwsError: as the API refuses.
        """
        self.lifecycle.terminate(self.estate.instance(instance_id))

    def describe(self) -> list[Instance]:
        """All instances, terminated ones too, in the order they were launched."""
        return list(self.estate.instances.values())

    async def settled(self, instance_id: str) -> Instance:
        """The instance, once nothing is under way for it.

        Raises:
            AwsError: no such instance.
        """
        instance = self.estate.instance(instance_id)
        await self.lifecycle.settled(instance_id)
        return instance
