"""Real peer ports on loopback, with an engine door that remembers who came through."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from muster_fuzz.daemon import mint_here
from musterd import trust
from musterd.adapters import tls
from musterd.adapters.clock import SystemClock
from musterd.adapters.peers import HttpPeers
from musterd.adapters.random import SystemRandom
from musterd.adapters.tls import Tls
from musterd.api.access import Refusals
from musterd.api.peer import peer_application
from musterd.api.serve import PEER_LIMITS, Limits, PeerListener
from musterd.election.types import Message
from musterd.model import Contact, Phase
from musterd.peer_wire import Hello, Probe, Probed

TOKEN = trust.make_token(bytes(range(32)))
SERVER = "i-00000000000000001"
CALLER = "i-00000000000000002"


def hello_of(instance_id: str, address: str = "127.0.0.1") -> Hello:
    return Hello(
        instance_id=instance_id,
        name="ip-10-0-0-11",
        address=address,
        zone="eu-west-1a",
        phase=Phase.ELECTING,
        reason="",
        roster=(SERVER, CALLER),
        roster_age=1.5,
        spec_digest="d",
        spec_keys={"cluster.name": "aa"},
        uuid="",
        facts=None,
        online=(),
        proofs={},
        holds=(),
        reaches=(),
    )


@dataclass
class Door:
    """A PeerDoor that answers from its fields."""

    own: str = SERVER
    cluster: str = "db"
    members: dict[str, frozenset[str]] = field(
        default_factory=lambda: {CALLER: frozenset({"127.0.0.1"})}
    )
    founded: bool = False
    asked: int = 0  # how often a request of any sort reached our code
    refreshes: int = 0
    hellos: list[Hello] = field(default_factory=list)
    messages: list[tuple[str, Message]] = field(default_factory=list)
    probes: list[tuple[str, str]] = field(default_factory=list)

    @staticmethod
    def hello_of_caller() -> Hello:
        """Return what the member that calls says of itself."""
        return hello_of(CALLER)

    def cluster_name(self) -> str:
        return self.cluster

    def own_id(self) -> str:
        self.asked += 1
        return self.own

    def member_addresses(self, instance_id: str) -> frozenset[str] | None:
        return self.members.get(instance_id)

    async def refresh_members(self, stranger: str) -> None:
        del stranger
        self.refreshes += 1

    async def hello(self, peer: Hello) -> Hello:
        self.hellos.append(peer)
        return hello_of(self.own)

    async def probe(self, sender: str, probe: Probe) -> Probed:
        self.probes.append((sender, probe.nonce))
        return Probed({"2224": Contact.OPEN}, True, 1.0, 2.0)

    async def receive(self, sender: str, message: Message) -> None:
        self.messages.append((sender, message))

    def formed(self) -> bool:
        return self.founded


class RecordedRefusals(Refusals):
    """Refusals that tests can read."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def tell(self, what: str, why: str) -> None:
        self.said.append(f"{what}: {why}")


@dataclass
class Port:
    """A node's open peer port."""

    door: Door
    refusals: RecordedRefusals
    listener: PeerListener
    peers: HttpPeers
    tls: Tls
    doubts: list[None]  # one each time the token was doubted


OpenPort = Callable[..., Awaitable[Port]]
MakeCaller = Callable[..., Awaitable[HttpPeers]]


@pytest.fixture(autouse=True)
def _minting_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "mint", mint_here)


@pytest.fixture
async def open_port() -> AsyncIterator[OpenPort]:
    """Open peer ports on loopback; `OpenPort` takes token, cluster, own id and limits."""
    ports: list[Port] = []

    async def open_one(
        token: trust.Token = TOKEN,
        cluster: str = "db",
        own_id: str = SERVER,
        limits: Limits = PEER_LIMITS,
    ) -> Port:
        door, refusals = Door(own=own_id, cluster=cluster), RecordedRefusals()
        listener = PeerListener(
            peer_application(door, refusals), refusals, host="127.0.0.1", port=0, limits=limits
        )
        doubts: list[None] = []
        trusting = Tls(refusals.handshake, lambda: doubts.append(None))
        peers = HttpPeers(trusting, SystemClock(), SystemRandom(), listener.listen)
        await peers.open(token.text(), cluster, own_id)
        ports.append(Port(door, refusals, listener, peers, trusting, doubts))
        return ports[-1]

    yield open_one
    for port in ports:
        await port.peers.close()
        await port.listener.close()


async def _no_port(_context: ssl.SSLContext) -> None:
    return


@pytest.fixture
async def make_caller() -> AsyncIterator[MakeCaller]:
    """Make calling nodes; `MakeCaller` takes the port, token, cluster and own id."""
    callers: list[HttpPeers] = []

    async def make_one(
        port: int, token: trust.Token = TOKEN, cluster: str = "db", own_id: str = CALLER
    ) -> HttpPeers:
        peers = HttpPeers(Tls(), SystemClock(), SystemRandom(), _no_port, port=port)
        await peers.open(token.text(), cluster, own_id)
        callers.append(peers)
        return peers

    yield make_one
    for caller in callers:
        await caller.close()
