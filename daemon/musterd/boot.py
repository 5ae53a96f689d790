"""The composition root: adapters to ports, ports to the engine, the engine to its doors."""

import asyncio
import gc
import os
import signal
import ssl
from contextlib import AsyncExitStack
from functools import partial

import structlog

from muster.api import Status
from musterd import settings
from musterd.actions import Actions, Reach
from musterd.adapters import systemd
from musterd.adapters.aws import Aws
from musterd.adapters.clock import SystemClock
from musterd.adapters.disks import SysfsDisks
from musterd.adapters.ec2 import Ec2
from musterd.adapters.ec2_provision import Ec2Provision
from musterd.adapters.helper import SocketHelper
from musterd.adapters.imds import Imds
from musterd.adapters.network import Ways
from musterd.adapters.pacemaker import CrmMonFile
from musterd.adapters.peers import HttpPeers
from musterd.adapters.random import SystemRandom
from musterd.adapters.secrets import token_source
from musterd.adapters.status_file import StatusFile
from musterd.adapters.store import FileStore
from musterd.adapters.tls import Tls
from musterd.api.access import Refusals
from musterd.api.control import control_applications
from musterd.api.peer import peer_application
from musterd.api.serve import PeerListener, calm_aiohttp, serve_control
from musterd.engine import Engine, World
from musterd.errors import MusterError
from musterd.model import Node
from musterd.ports import Cloud, Provision, Secrets
from musterd.spec import Spec

log = structlog.get_logger("musterd")


class _AwsClients:
    """Makes the AWS side once the region is known, and keeps one session for all of it."""

    def __init__(self, clock: SystemClock, tls: Tls) -> None:
        self._clock = clock
        self._tls = tls
        self._session: Aws | None = None

    def cloud(self, node: Node) -> Cloud:
        """Return EC2 in the node's region and VPC."""
        return Ec2(self._aws(node.region), vpc_id=node.vpc_id)

    def provision(self, node: Node) -> Provision:
        """Return what muster makes in the node's region."""
        return Ec2Provision(self._aws(node.region))

    def secrets(self, spec: Spec, node: Node) -> Secrets:
        """Return the token's one configured source."""
        return token_source(
            spec.secret,
            spec.cluster.name,
            partial(self._aws, node.region),
            self._clock,
            self._tls.hear,
            may_create=not self._tls.has_heard(),
        )

    def close(self) -> None:
        """End the session's threads."""
        if self._session is not None:
            self._session.close()

    def _aws(self, region: str) -> Aws:
        if self._session is None:
            self._session = Aws(region)
        return self._session


class _Written:
    """The status file, written when the status says something new."""

    def __init__(self, file: StatusFile) -> None:
        self._file = file
        self._complained = False

    def __call__(self, status: Status) -> None:
        try:
            self._file.write(status)
            self._complained = False
        except OSError as error:
            if not self._complained:  # a full disk must not fill the journal too
                log.warning("the status file cannot be written", why=str(error))
            self._complained = True


async def serve() -> None:
    """Run the daemon until SIGTERM or SIGINT.

    Raises:
        MusterError: systemd passed no control sockets, or a part of the system is missing.
    """
    calm_aiohttp()
    sockets = systemd.listeners()
    missing = {"status", "admin"} - sockets.keys()
    if missing:
        raise MusterError(
            f"systemd passed no socket named {', '.join(sorted(missing))}",
            why="musterd is started by its units, which make the control sockets",
            cure="type `systemctl start musterd`",
        )
    async with AsyncExitStack() as stack:
        engine = _compose(stack)
        for name, application in zip(
            ("status", "admin"), control_applications(engine), strict=True
        ):
            runner = await serve_control(application, sockets[name])
            stack.push_async_callback(runner.cleanup)
        # What is there by now stays: 70,000 objects that a collection would look through again, a
        # tenth of a second each time, and api.serve asks for one after every few TLS connections.
        gc.freeze()
        await _until_told_to_stop(engine)


def _compose(stack: AsyncExitStack) -> Engine:
    clock, random = SystemClock(), SystemRandom()
    refusals = Refusals()
    late = _LateEngine()
    tls = Tls(refusals.handshake, late.doubt_token)
    aws = _AwsClients(clock, tls)
    stack.callback(aws.close)
    cluster = CrmMonFile()
    stack.callback(cluster.close)
    peers = HttpPeers(tls, clock, random, late.listen)
    stack.push_async_callback(peers.close)
    reach = Reach(
        clock=clock,
        metadata=Imds(clock, random),
        cloud=aws.cloud,
        provision=aws.provision,
        disks=SysfsDisks(),
        secrets=aws.secrets,
        peers=peers,
        helper=SocketHelper(),
        cluster=cluster,
        network=Ways(),
        random=random,
        load=settings.load,
        host_name=lambda: os.uname().nodename,
    )
    file = StatusFile()
    written = _Written(file)
    world = World(clock, random, FileStore(), peers, cluster, written, file.read())
    late.engine = engine = Engine(world, Actions(reach))
    stack.callback(lambda: written(engine.status()))  # writes are a second apart
    application = peer_application(engine, refusals)
    late.listener = PeerListener(application, refusals)
    stack.push_async_callback(late.listener.close)
    return engine


class _LateEngine:
    """The peer port asks the engine, which needs the peers first: the knot is tied here."""

    engine: Engine
    listener: PeerListener

    def doubt_token(self) -> None:
        """Have the token read again."""
        self.engine.doubt_token()

    async def listen(self, context: ssl.SSLContext) -> None:
        """Open the port."""
        await self.listener.listen(context)


async def _until_told_to_stop(engine: Engine) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    running = asyncio.create_task(engine.run())
    dog = asyncio.create_task(_watchdog(engine))
    told = asyncio.create_task(stop.wait())
    systemd.notify("READY=1")
    done, _ = await asyncio.wait({running, dog, told}, return_when=asyncio.FIRST_COMPLETED)
    systemd.notify("STOPPING=1")
    told.cancel()
    for task in (running, dog):
        task.cancel()
        if task in done:
            task.result()  # an engine that ended by itself is a bug: its traceback must be seen


async def _watchdog(engine: Engine) -> None:
    """Feed systemd's watchdog as long as the engine's loop really takes events."""
    interval = systemd.watchdog_interval()
    if interval is None:
        await asyncio.Event().wait()
        return
    while True:
        await engine.ping()
        systemd.notify("WATCHDOG=1")
        await asyncio.sleep(interval)


def run() -> None:
    """Run `serve` on a new event loop."""
    asyncio.run(serve())
