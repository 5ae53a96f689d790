"""A whole daemon on loopback: the real engine, store, peer port and TLS; EC2 and the node played.

Its peers are played by the tests, which hold certificates as members do.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from muster.api import Status
from musterd import certificates, trust
from musterd.actions import Actions, Reach
from musterd.adapters.clock import SystemClock
from musterd.adapters.mint import Minted
from musterd.adapters.peers import HttpPeers
from musterd.adapters.random import SystemRandom
from musterd.adapters.store import FileStore
from musterd.adapters.tls import Tls
from musterd.api.access import Refusals
from musterd.api.peer import peer_application
from musterd.api.serve import PeerListener
from musterd.engine import Engine, World
from musterd.errors import SecretError
from musterd.helper_wire import Done, Params, ProbeResult, Tags
from musterd.model import (
    ClusterState,
    Comparison,
    Contact,
    CorosyncConfig,
    Decree,
    GroupRule,
    Instance,
    InstanceState,
    Member,
    NodeFacts,
    Phase,
    Verb,
    Volume,
)
from musterd.peer_wire import Hello
from musterd.settings import Settings, load
from musterd.spec import NewVolume

FIRST = "i-00000000000000001"
SECOND = "i-00000000000000002"
OWN = "i-00000000000000003"  # the last of the roster: it lets the others go first
ROSTER = (FIRST, SECOND, OWN)
NAMES = {own_id: f"ip-10-0-0-1{number}" for number, own_id in enumerate(ROSTER, 1)}
MEMBERS = tuple(Member(own_id, NAMES[own_id], "127.0.0.1") for own_id in ROSTER)
NOWHERE = Path("/nonexistent")
UNTIL = 30.0  # seconds; what is awaited takes about one


def settings() -> Settings:
    """Return the spec that all founders share."""
    return load(Tags(cluster="db", size=3), NOWHERE, NOWHERE)


def decree(uuid: str = "ab" * 16) -> Decree:
    """Return a founding of the three."""
    return Decree(uuid, MEMBERS, settings().digest, "cd" * 32)


def facts(own_id: str, corosync: CorosyncConfig = CorosyncConfig.ABSENT) -> NodeFacts:
    """Return what a node that is ready for a founding says of itself."""
    return NodeFacts(
        instance_id=own_id,
        name=NAMES[own_id],
        versions={},
        missing=(),
        corosync=corosync,
        corosync_detail="'theirs'",
        corosync_digest="",
        keys_digest="",
        cib=False,
        prepared=True,
        laid=False,
        trusted=False,
        enabled=False,
        running=False,
        built=False,
    )


def hello_of(own_id: str) -> Hello:
    """Return the hello of a founder that agrees about everything."""
    return Hello(
        instance_id=own_id,
        name=NAMES[own_id],
        address="127.0.0.1",
        zone="eu-west-1a",
        phase=Phase.ELECTING,
        reason="",
        roster=ROSTER,
        roster_age=5.0,
        spec_digest=settings().digest,
        spec_keys={},
        uuid="",
        facts=facts(own_id),
        online=(),
        proofs={},
        holds=(),
        reaches=(),
    )


class ShiftedClock(SystemClock):
    """The host's clock, which tests can put forward."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


@dataclass
class Surroundings:
    """What the daemon asks beside its peers: metadata, EC2, the token's source, the helper."""

    secret: str
    corosync: CorosyncConfig = CorosyncConfig.ABSENT
    heard: Callable[[trust.Tokens], None] = lambda _tokens: None
    ec2_reads: int = 0
    secret_reads: int = 0
    changes: list[Verb] = field(default_factory=list)

    async def documents(self, paths: Mapping[str, str]) -> Mapping[str, str]:
        told = {
            "instance_id": OWN,
            "launch_index": "0",
            "address": "127.0.0.1",
            "zone": "eu-west-1a",
            "region": "eu-west-1",
            "vpc_id": "vpc-1",
            "subnet_id": "subnet-1",
            "subnet_cidr": "127.0.0.0/24",
            "vpc_cidrs": "127.0.0.0/16",
        }
        return {key: told[key] for key in paths}

    async def tags(self) -> Mapping[str, str]:
        return {"muster:cluster": "db", "muster:size": "3"}

    async def instances(self, _tag: str, _value: str) -> tuple[Instance, ...]:
        self.ec2_reads += 1
        address = ("127.0.0.1", ("127.0.0.1",), "eu-west-1a", "subnet-1", "vpc-1")
        return tuple(
            Instance(own_id, InstanceState.RUNNING, float(at), *address)
            for at, own_id in enumerate(ROSTER)
        )

    async def allocation(self, elastic_ip: str) -> str:
        raise AssertionError(elastic_ip)

    async def holders(self, _addresses: tuple[str, ...]) -> Mapping[str, str]:
        return {}

    async def elastic_holders(self, _addresses: tuple[str, ...]) -> Mapping[str, str]:
        return {}

    async def routed(
        self, _tables: tuple[str, ...], _addresses: tuple[str, ...]
    ) -> Mapping[tuple[str, str], str]:
        return {}

    async def may_fence(self, _instance_id: str) -> None:
        return

    async def described(self, instance_ids: tuple[str, ...]) -> tuple[Instance, ...]:
        every = await self.instances("muster:cluster", "db")
        return tuple(each for each in every if each.instance_id in instance_ids)

    async def group_rules(self, _group_ids: tuple[str, ...]) -> Mapping[str, tuple[GroupRule, ...]]:
        return {}

    async def rehearse(self, _action: str, _about: str, _where: str = "") -> None:
        return

    async def connect(self, _address: str, _port: int) -> Contact:
        return Contact.OPEN

    async def exchange(
        self, _nonce: str, _own_address: str, _peer_address: str, _seconds: float
    ) -> bool | None:
        return True

    def close(self) -> None:
        return

    async def token(self) -> str:
        self.secret_reads += 1
        if not self.secret:
            raise SecretError("the secret cannot be had", why="AccessDenied", cure="allow it")
        tokens = trust.parse_secret(self.secret)
        self.heard(tokens)
        return tokens.issue.text()

    async def survey(self, _params: Params) -> NodeFacts:
        return facts(OWN, self.corosync)

    async def change(self, verb: Verb, _params: Params, _say: Callable[[str], None]) -> Done:
        self.changes.append(verb)
        await asyncio.Event().wait()  # the first one goes on for ever
        return Done()

    async def probe(self, _params: Params) -> ProbeResult:
        return ProbeResult({})

    async def compare(self, _params: Params) -> Comparison:
        return Comparison("0" * 64)

    def state(self) -> ClusterState | None:
        return None

    async def changed(self) -> None:
        await asyncio.Event().wait()

    def holds(self, _address: str) -> bool:
        return False


class Nothing:
    """What is made in EC2 for this spec, which asks for nothing: every call is a mistake."""

    async def elastics(self, tags: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        raise AssertionError(tags)

    async def allocate(self, tags: Mapping[str, str]) -> tuple[str, str]:
        raise AssertionError(tags)

    async def volumes(self, volume_ids: tuple[str, ...]) -> tuple[Volume, ...]:
        raise AssertionError(volume_ids)

    async def tagged_volumes(self, tags: Mapping[str, str]) -> tuple[Volume, ...]:
        raise AssertionError(tags)

    async def create_volume(
        self, wanted: NewVolume, zone: str, tags: Mapping[str, str], token: str
    ) -> Volume:
        raise AssertionError((wanted, zone, tags, token))

    async def attach(self, volume_id: str, instance_id: str, device: str) -> None:
        raise AssertionError((volume_id, instance_id, device))

    async def not_nitro(self, instance_types: tuple[str, ...]) -> frozenset[str]:
        raise AssertionError(instance_types)

    def serials(self) -> Mapping[str, str]:
        raise AssertionError("no disk is wanted")


@dataclass
class Daemon:
    """A running daemon and what it stands in."""

    engine: Engine
    around: Surroundings
    clock: ShiftedClock
    listener: PeerListener
    record: Path
    published: asyncio.Condition

    @property
    def port(self) -> int:
        return self.listener.port

    def remembered(self) -> bytes:
        """Return the bytes of its durable record, b"" before there is one."""
        return self.record.read_bytes() if self.record.exists() else b""

    def said(self) -> list[str]:
        """Return its events' sentences."""
        return [event.message for event in self.engine.events(-1)]

    async def until(self, wanted: Callable[[Status], bool]) -> None:
        """Wait for a status."""
        async with asyncio.timeout(UNTIL), self.published:
            await self.published.wait_for(lambda: wanted(self.engine.status()))

    async def until_said(self, words: str) -> None:
        """Wait for an event."""
        async with asyncio.timeout(UNTIL):
            async for event in self.engine.follow(-1):
                if words in event.message:
                    return

    async def later(self, seconds: float) -> None:
        """Put its clock forward, and let it see that."""
        self.clock.ahead += seconds
        await self.engine.ping()


@asynccontextmanager
async def whole_daemon(folder: Path, around: Surroundings) -> AsyncIterator[Daemon]:
    """Run a daemon with its state in `folder` (a record may be there already)."""
    clock, random, refusals = ShiftedClock(), SystemRandom(), Refusals()
    record = folder / "record.json"
    held: list[Daemon] = []
    tls = Tls(refusals.handshake, lambda: held[0].engine.doubt_token())
    around.heard = tls.hear
    peers = HttpPeers(tls, clock, random, lambda context: held[0].listener.listen(context))
    reach = Reach(
        clock=clock,
        metadata=around,
        cloud=lambda _node: around,
        provision=lambda _node: Nothing(),
        disks=Nothing(),
        secrets=lambda _spec, _node: around,
        peers=peers,
        helper=around,
        cluster=around,
        network=around,
        random=random,
        load=lambda _tags: settings(),
        host_name=lambda: NAMES[OWN],
    )
    published = asyncio.Condition()
    telling: set[asyncio.Task[None]] = set()

    async def tell() -> None:
        async with published:
            published.notify_all()

    def publish(_status: Status) -> None:
        telling.add(task := asyncio.create_task(tell()))
        task.add_done_callback(telling.discard)

    engine = Engine(World(clock, random, FileStore(record), peers, around, publish), Actions(reach))
    listener = PeerListener(peer_application(engine, refusals), refusals, host="127.0.0.1", port=0)
    held.append(Daemon(engine, around, clock, listener, record, published))
    running = asyncio.create_task(engine.run())
    try:
        yield held[0]
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await peers.close()
        await listener.close()


async def mint_here(
    issue: trust.Token, trusted: Iterable[trust.Token], cluster: str, own_id: str, now: float
) -> Minted:
    """Mint as `adapters.mint` does, but in this process: children would take most of the time."""
    issuer = certificates.authority(issue, cluster)
    believed = [certificates.authority(token, cluster).pem() for token in trusted]
    own = certificates.leaf(issuer, own_id, generate_private_key(SECP256R1()), now)
    return Minted(issuer.name(), "".join(believed), own.pem())


def another(uuid: str) -> Decree:
    """Return a founding of the same three that nobody proposed."""
    return replace(decree(), uuid=uuid)
