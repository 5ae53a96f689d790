"""A region on loopback, with machines that only remember what was asked of them."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import boto3
import pytest
from botocore.config import Config

from muster_lab.ports import ExitKind, Machine, MachineError
from muster_lab.region import ADMIN_KEY, ADMIN_SECRET, Layout, Region, Timing

Answer = TypeVar("Answer")

LAYOUT = Layout(
    vpc=IPv4Network("127.10.0.0/16"),
    subnets=(("a", IPv4Network("127.10.0.0/24")), ("b", IPv4Network("127.10.1.0/24"))),
    api=IPv4Address("127.10.0.2"),
    api_port=0,
    dns_port=0,
    imds=IPv4Address("127.10.0.1"),
    imds_port=0,
)
TIMING = Timing(start=0.02, stop=0.04)


@dataclass
class RecordingMachines:
    """Machines without hosts: each call is written down, boots can be held or refused."""

    asked: list[tuple[str, ...]] = field(default_factory=list)
    addresses: dict[str, frozenset[IPv4Address]] = field(default_factory=dict)
    elastic: dict[IPv4Address, IPv4Address] = field(default_factory=dict)
    routes: dict[IPv4Network, IPv4Address] = field(default_factory=dict)
    volumes: dict[str, dict[str, int]] = field(default_factory=dict)
    booted: dict[str, Machine] = field(default_factory=dict)
    refuse: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    booting: asyncio.Event = field(default_factory=asyncio.Event)
    callbacks: list[Callable[[str, ExitKind], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    async def boot(self, machine: Machine) -> None:
        self.asked.append(("boot", machine.instance_id))
        self.booting.set()
        await self.gate.wait()
        if self.refuse:
            raise MachineError(f"cannot boot {machine.instance_id}: refused by the test")
        self.booted[machine.instance_id] = machine

    async def power_off(self, instance_id: str, *, graceful: bool) -> None:
        self.asked.append(("power_off" if graceful else "crash", instance_id))
        await self.gate.wait()
        self.booted.pop(instance_id, None)

    async def crash(self, instance_id: str) -> None:
        self.asked.append(("crash", instance_id))
        self.booted.pop(instance_id, None)

    async def discard(self, instance_id: str) -> None:
        self.asked.append(("discard", instance_id))

    def on_exit(self, callback: Callable[[str, ExitKind], None]) -> None:
        self.callbacks.append(callback)

    async def set_addresses(self, instance_id: str, addresses: frozenset[IPv4Address]) -> None:
        self.addresses[instance_id] = addresses

    async def set_routes(self, routes: Mapping[IPv4Network, IPv4Address]) -> None:
        self.routes = dict(routes)

    async def set_volumes(self, instance_id: str, volumes: Mapping[str, int]) -> None:
        self.volumes[instance_id] = dict(volumes)

    async def set_elastic(self, associations: Mapping[IPv4Address, IPv4Address]) -> None:
        self.elastic = dict(associations)

    def guest_ends(self, instance_id: str, kind: ExitKind) -> None:
        for callback in self.callbacks:
            callback(instance_id, kind)


@dataclass
class Aws:
    """Real boto3 clients of one caller; their calls run in threads."""

    region: Region
    access_key: str = ADMIN_KEY
    secret_key: str = ADMIN_SECRET
    token: str | None = None
    clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        layout = self.region.layout
        return boto3.client(
            service,  # type: ignore[call-overload]
            region_name=self.region.estate.region,
            endpoint_url=f"https://{layout.api}:{layout.api_port}",
            verify=str(self.region.ca_certificate),
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            aws_session_token=self.token,
            config=Config(
                connect_timeout=5,
                read_timeout=5,
                retries={"mode": "standard", "total_max_attempts": 1},
            ),
        )

    async def raw(self, form: dict[str, str], service: str = "ec2") -> tuple[int, str]:
        """A form that boto3 would not send; status and body of the answer."""
        scope = f"{self.access_key}/20261123/eu-west-1/{service}/aws4_request"
        layout = self.region.layout
        trust = ssl.create_default_context(cafile=self.region.ca_certificate)
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"https://{layout.api}:{layout.api_port}/",
                data=form,
                headers={"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}"},
                ssl=trust,
            ) as answer,
        ):
            return answer.status, await answer.text()

    async def ec2(self, action: str, **params: Any) -> Any:
        return await self.call("ec2", action, **params)

    async def call(self, service: str, action: str, **params: Any) -> Any:
        def run() -> Any:
            if service not in self.clients:
                self.clients[service] = self.client(service)
            return getattr(self.clients[service], action)(**params)

        return await asyncio.to_thread(run)


@pytest.fixture(scope="session")
def ca_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authority") / "ca"


@pytest.fixture
def machines() -> RecordingMachines:
    return RecordingMachines()


@pytest.fixture
async def region(
    machines: RecordingMachines, tmp_path: Path, ca_directory: Path
) -> AsyncIterator[Region]:
    region = Region(
        machines, state_dir=tmp_path, ca_directory=ca_directory, layout=LAYOUT, timing=TIMING
    )
    await region.start()
    yield region
    await region.stop()


@pytest.fixture
def aws(region: Region) -> Aws:
    """The administrator."""
    return Aws(region)


@pytest.fixture
def running(region: Region) -> Callable[..., Awaitable[list[str]]]:
    """Launch so many instances and return their ids once they run."""

    async def launch(count: int = 1, **wanted: Any) -> list[str]:
        wanted.setdefault("tags", {"muster:cluster": "web"})
        made = await region.run_instances(count, **wanted)
        for instance in made:
            await region.settled(instance.instance_id)
        return [instance.instance_id for instance in made]

    return launch
