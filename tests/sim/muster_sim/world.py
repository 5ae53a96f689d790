"""A whole region in one process: real engines, simulated ports, virtual time, one seed."""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from muster.api import Status
from muster_sim.hosts import ClusterWorld, Host
from muster_sim.wording import told
from musterd.actions import Actions, Reach
from musterd.election.types import Durable, Message
from musterd.engine import Engine, World
from musterd.errors import CloudError, CloudErrorKind, PeerError, StoreError
from musterd.helper_wire import Tags
from musterd.model import ClusterState, Contact, Decree, GroupRule, Instance, InstanceState
from musterd.peer_wire import Hello, Probe, Probed
from musterd.ports import Record
from musterd.settings import Settings, load
from musterd.spec import Spec

TOKEN = "mst1_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8_Yw3NKW"


@dataclass
class Faults:
    """What goes wrong; each value is a probability or a set that tests change as they go."""

    lose: float = 0.0
    repeat: float = 0.0
    latency: tuple[float, float] = (0.001, 0.02)
    ec2: Callable[[str], CloudError | None] = lambda _node: None
    hidden: Callable[[str], frozenset[str]] = lambda _node: frozenset()
    cut: set[tuple[str, str]] = field(default_factory=set)  # (from, to)


class SimNode:
    """One instance: its disk and record survive a restart, its daemon does not."""

    def __init__(self, region: "SimRegion", number: int, created: float) -> None:
        self.region = region
        self.number = number
        self.instance_id = f"i-{number:017x}"
        self.address = f"10.0.0.{10 + number}"
        self.created = created
        self.launch_index = number - 1
        self.state = InstanceState.RUNNING
        self.chance = random.Random(f"{region.seed}/{number}")
        self.host = Host(self.instance_id, f"ip-10-0-0-{10 + number}", region.cluster, self.chance)
        region.cluster.hosts.append(self.host)
        self.host.began = lambda verb: region.moment(verb, self)
        self.record: Record | None = None
        self.engine: Engine | None = None
        self.task: asyncio.Task[None] | None = None
        self.status: Status | None = None

    @property
    def short(self) -> str:
        """Return the node's name in transcripts."""
        return f"n{self.number}"

    @property
    def terminated(self) -> bool:
        """Tell whether EC2 has ended the instance."""
        return self.state is InstanceState.TERMINATED

    # --- ports --------------------------------------------------------------------------------

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return 1_700_000_000.0 + self.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def fraction(self) -> float:
        return self.chance.random()

    def hexadecimal(self, length: int) -> str:
        return f"{self.chance.getrandbits(4 * length):0{length}x}"

    async def documents(self, paths: Mapping[str, str]) -> Mapping[str, str]:
        await asyncio.sleep(0.05)
        told = {
            "instance_id": self.instance_id,
            "launch_index": str(self.launch_index),
            "address": self.address,
            "zone": "eu-west-1a",
            "region": "eu-west-1",
            "vpc_id": "vpc-1",
            "subnet_id": "subnet-1",
            "subnet_cidr": "10.0.0.0/24",
        }
        return {key: told[key] for key in paths}

    async def tags(self) -> Mapping[str, str]:
        return {"muster:cluster": "web", "muster:size": str(self.region.size)}

    async def instances(self, tag: str, value: str) -> tuple[Instance, ...]:
        assert (tag, value) == ("muster:cluster", "web")
        self.region.reads.append((self.monotonic(), self.instance_id))
        await asyncio.sleep(self.chance.uniform(0.05, 0.3))
        error = self.region.faults.ec2(self.instance_id)
        if error is not None:
            raise error
        hidden = self.region.faults.hidden(self.instance_id)
        return tuple(
            node.as_instance() for node in self.region.nodes if node.instance_id not in hidden
        )

    async def allocation(self, elastic_ip: str) -> str:
        raise CloudError(CloudErrorKind.WRONG, f"no allocation for {elastic_ip}")

    async def holders(self, addresses: tuple[str, ...]) -> Mapping[str, str]:
        return dict.fromkeys(addresses, "")

    async def may_fence(self, instance_id: str) -> None:
        assert instance_id != self.instance_id

    async def described(self, instance_ids: tuple[str, ...]) -> tuple[Instance, ...]:
        every = await self.instances("muster:cluster", "web")
        return tuple(each for each in every if each.instance_id in instance_ids)

    async def group_rules(self, group_ids: tuple[str, ...]) -> Mapping[str, tuple[GroupRule, ...]]:
        assert group_ids == ()
        return {}

    async def rehearse(self, action: str, about: str, instance_id: str = "") -> None:
        assert (about, instance_id) != (self.instance_id, "")
        assert action.startswith("ec2:")

    async def token(self) -> str:
        await asyncio.sleep(0.2)
        return TOKEN

    async def open(self, token: str, cluster: str, own_id: str) -> None:
        assert (token, cluster, own_id) == (TOKEN, "web", self.instance_id)

    async def hello(self, instance_id: str, address: str, hello: Hello) -> Hello:
        peer = await self.region.reach(self, address)
        if peer.instance_id != instance_id or peer.engine is None:
            raise PeerError(f"{address} is not {instance_id}", rejected=True)
        await self._be_known_to(peer.engine, address)
        answer = await peer.engine.hello(hello)
        await self.region.reach(peer, self.address)
        return answer

    async def send(self, instance_id: str, address: str, message: Message, term: int) -> None:
        del term
        peer = await self.region.reach(self, address)
        engine = peer.engine
        if peer.instance_id != instance_id or engine is None or engine.formed():
            raise PeerError(f"{address} takes no messages", rejected=True)
        await self._be_known_to(engine, address)
        copies = 2 if self.chance.random() < self.region.faults.repeat else 1
        for _ in range(copies):
            self.region.messages += 1
            self.region.tell(f"{peer.short} hears {self.short}: {told(message)}")
            await engine.receive(self.instance_id, message)

    async def probe(self, instance_id: str, address: str, probe: Probe) -> Probed:
        peer = await self.region.reach(self, address)
        if peer.instance_id != instance_id or peer.engine is None:
            raise PeerError(f"{address} is not {instance_id}", rejected=True)
        return await peer.engine.probe(self.instance_id, probe)

    async def connect(self, address: str, port: int) -> Contact:
        assert port in {2224, 7224}
        try:
            await self.region.reach(self, address)
        except PeerError:
            return Contact.SILENT
        return Contact.OPEN

    async def exchange(
        self, nonce: str, own_address: str, peer_address: str, seconds: float
    ) -> bool | None:
        assert (len(nonce), own_address) == (32, self.address)
        await asyncio.sleep(seconds / 4)
        peer = next(node for node in self.region.nodes if node.address == peer_address)
        return await peer.connect(self.address, 2224) is Contact.OPEN

    def close(self) -> None:
        """Nothing is open."""

    async def _be_known_to(self, engine: Engine, address: str) -> None:
        """Pass the peer's door: it serves members, and has EC2 read again for a stranger."""
        if engine.member_addresses(self.instance_id) is None:
            await engine.refresh_members(self.instance_id)
            raise PeerError(f"{address} does not know this node", rejected=True)

    def holds(self, address: str) -> bool:
        del address
        return False

    def load(self) -> Record | None:
        return self.record

    def save(self, record: Record) -> None:
        if self.instance_id in self.region.full:
            raise StoreError("disk full")
        before, self.record = self.record, record
        old = before.durable if before is not None else Durable()
        if record.durable.voted_for != old.voted_for:
            self.region.moment("voted", self)
        if record.durable.accepted not in {None, old.accepted}:
            self.region.moment("accepted", self)
        decided = record.durable.decided
        if decided is not None and old.decided is None:
            self.region.moment("decided", self)
            self.region.tell(f"{self.short} knows {decided.uuid[:8]} to be decided")
            self.region.decided.append((self, decided))

    # --- life ---------------------------------------------------------------------------------

    def as_instance(self) -> Instance:
        """Return what EC2 lists."""
        return Instance(
            self.instance_id,
            self.state,
            self.created,
            self.address,
            (self.address,),
            "eu-west-1a",
            "subnet-1",
            "vpc-1",
            profile="arn:aws:iam::123456789012:instance-profile/muster",
        )

    def settings(self, tags: Tags) -> Settings:
        """Read the spec as the daemon would, from a file that does not exist and the tags."""
        settings = load(tags, Path("/nonexistent"), Path("/nonexistent"))
        spec: Spec = replace(settings.spec, **self.region.spec_changes)  # type: ignore[arg-type]
        return replace(settings, spec=spec)

    def boot(self) -> None:
        """Start the daemon; a node whose cluster is enabled starts that too."""
        if self.host.disk.enabled:
            self.host.start_cluster()
        watch = _Watch(self)
        reach = Reach(
            clock=self,
            metadata=self,
            cloud=lambda _node: self,
            secrets=lambda _spec, _node: self,
            peers=self,
            helper=self.host,
            cluster=watch,
            network=self,
            random=self,
            load=self.settings,
            host_name=lambda: self.host.name,
        )
        world = World(self, self, self, self, watch, self._publish)
        self.engine = Engine(world, Actions(reach))
        self.task = asyncio.create_task(self.engine.run())

    def _publish(self, status: Status) -> None:
        if self.status is None or status.phase != self.status.phase:
            self.region.tell(f"{self.short} is {status.phase}: {status.reason}")
        self.status = status

    def kill(self) -> None:
        """SIGKILL the daemon: what was not saved is gone."""
        if self.task is not None:
            self.task.cancel()
            self.region.ended.append(self.task)
        self.engine, self.task = None, None

    def crash(self) -> None:
        """The whole node goes: daemon, corosync, everything but the disk."""
        self.kill()
        self.host.power_off()

    def terminate(self) -> None:
        """EC2 ends the instance for good."""
        self.crash()
        self.state = InstanceState.TERMINATED


class _Watch:
    """The running cluster as this node's watch unit would tell it."""

    def __init__(self, node: SimNode) -> None:
        self._node = node
        self._told: ClusterState | None = None

    def state(self) -> ClusterState | None:
        self._told = self._node.region.cluster.state_of(self._node.host)
        return self._told

    async def changed(self) -> None:
        """Return when crm_mon would show something else than was last told."""
        while self._node.region.cluster.state_of(self._node.host) == self._told:  # noqa: ASYNC110 -- time changes it
            await asyncio.sleep(0.5)

    def holds(self, address: str) -> bool:
        return self._node.holds(address)


class SimRegion:
    """All nodes, the network between them, and what EC2 says of them."""

    def __init__(self, seed: int, size: int, *, count: int | None = None) -> None:
        self.seed = seed
        self.size = size
        self.faults = Faults()
        self.chance = random.Random(seed)
        self.cluster = ClusterWorld(lambda: asyncio.get_running_loop().time(), ("fence-web",))
        self.cluster.connected = lambda a, b: not {(a, b), (b, a)} & self.faults.cut
        self.transcript: list[str] | None = None
        self.decided: list[tuple[SimNode, Decree]] = []
        self.moments: dict[str, asyncio.Future[SimNode]] = {}
        self.ended: list[asyncio.Task[None]] = []
        self.spec_changes: dict[str, object] = {}
        self.full: set[str] = set()  # instances whose disk takes nothing more
        self.messages = 0
        self.reads: list[tuple[float, str]] = []
        self.nodes = [SimNode(self, n + 1, 1000.0 + n) for n in range(count or size)]

    async def reach(self, sender: SimNode, address: str) -> SimNode:
        """Carry a call over the network, or lose it."""
        low, high = self.faults.latency
        await asyncio.sleep(self.chance.uniform(low, high))
        peer = next((n for n in self.nodes if n.address == address), None)
        cut = peer is not None and (sender.instance_id, peer.instance_id) in self.faults.cut
        if peer is None or cut or self.chance.random() < self.faults.lose:
            await asyncio.sleep(4.0)
            raise PeerError(f"{address} does not answer", rejected=False)
        if peer.engine is None:
            raise PeerError(f"{address} refuses the connection", rejected=False)
        return peer

    def moment(self, what: str, node: SimNode) -> None:
        """Let those who wait for this moment know whose it was; only the first counts."""
        if what not in self.moments:
            self.moments[what] = asyncio.get_running_loop().create_future()
        if not self.moments[what].done():
            self.moments[what].set_result(node)

    async def await_moment(self, what: str) -> SimNode:
        """Return the node that first did this, once one has."""
        if what not in self.moments:
            self.moments[what] = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self.moments[what])

    def tell(self, what: str) -> None:
        """Write a line of the transcript, if there is one."""
        if self.transcript is not None:
            self.transcript.append(f"{asyncio.get_running_loop().time():8.3f} {what}")

    def launch(self, created: float) -> SimNode:
        """Return one more instance, not yet booted."""
        node = SimNode(self, len(self.nodes) + 1, created)
        self.nodes.append(node)
        return node

    async def end(self) -> None:
        """End every daemon and wait for it; one that does not end is a bug."""
        for node in self.nodes:
            node.crash()
        if self.ended:
            _, stuck = await asyncio.wait(self.ended, timeout=5.0)
            assert not stuck, f"{len(stuck)} daemons do not end when cancelled"
        await asyncio.sleep(0.0)

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Let virtual time pass until the condition holds; False when it never did."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not condition():
            if loop.time() >= end:
                return False
            await asyncio.sleep(0.25)
        return True

    def phases(self) -> list[str]:
        """Return every node's phase."""
        return [node.status.phase if node.status else "off" for node in self.nodes]
