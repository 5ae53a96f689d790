"""A whole region in one process: real engines, simulated ports, virtual time, one seed."""

import asyncio
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from muster.api import Status
from muster_sim.ec2 import Ec2
from muster_sim.estate import Estate
from muster_sim.foundings import Foundings
from muster_sim.hosts import ClusterWorld, Disk, Host
from muster_sim.watch import Watch
from muster_sim.wording import told
from musterd.actions import Actions, Reach
from musterd.discovery import READ_EVERY, STALE_AFTER
from musterd.election.invariants import InvariantError, check_together
from musterd.election.types import Durable, Message
from musterd.engine import Engine, World
from musterd.errors import CloudError, CloudErrorKind, PeerError, StoreError
from musterd.helper_wire import Tags
from musterd.model import Contact, GroupRule, Instance, InstanceState
from musterd.peer_wire import Hello, Probe, Probed
from musterd.ports import Record
from musterd.settings import Settings, load
from musterd.spec import Spec

LARGEST = 16  # founders a spec may ask for; simulated spaces may have more
TOKEN = "mst1_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8_Yw3NKW"


BOOT = 10.0  # seconds from a fence until the daemon runs again
LONGEST_LAG = 30.0  # seconds by which an answer of EC2 may be old
REMEMBERED = LONGEST_LAG + STALE_AFTER  # seconds for which daemons may go by how things were


@dataclass
class Faults:
    """What goes wrong in the network; probabilities and sets that tests change as they go."""

    lose: float = 0.0
    repeat: float = 0.0
    latency: tuple[float, float] = (0.001, 0.02)
    cut: set[tuple[str, str]] = field(default_factory=set)  # (from, to)


@dataclass
class Counts:
    """What founding cost one node."""

    hellos: int = 0  # requests; each is answered by a hello
    messages: int = 0  # of the election, as sent
    reads: int = 0  # of EC2


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
        self.tagged = True
        self.tagged_since = float("-inf")  # when it was given back; launched with it: ever since
        self.wall_ahead = 0.0  # seconds by which this node's wall clock is wrong
        self.chance = random.Random(f"{region.seed}/{number}")
        self.host = Host(self.instance_id, f"ip-10-0-0-{10 + number}", region.cluster, self.chance)
        region.cluster.hosts.append(self.host)
        self.host.began = lambda verb: region.moment(verb, self)
        self.host.fence = region.fence
        self.launched = created
        self.record: Record | None = None
        self.engine: Engine | None = None
        self.task: asyncio.Task[None] | None = None
        self.status: Status | None = None
        self.written: Status | None = None  # the file in /run, which a boot empties
        self.counts = Counts()
        self.read_at = -math.inf  # when this daemon last read EC2
        self.open_door = False  # this daemon has the token: it can call, and be called

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
        return self.region.now()

    def wall(self) -> float:
        return 1_700_000_000.0 + self.monotonic() + self.wall_ahead

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
            "vpc_cidrs": "10.0.0.0/16",
        }
        return {key: told[key] for key in paths}

    async def tags(self) -> Mapping[str, str]:
        if not self.tagged:
            return {}
        size = min(self.region.size, LARGEST)
        return {"muster:cluster": "web", "muster:size": str(size)}

    async def instances(self, tag: str, value: str) -> tuple[Instance, ...]:
        assert (tag, value) == ("muster:cluster", "web")
        if self.monotonic() - self.read_at < READ_EVERY - 0.001:
            self.region.broken.append(f"{self.short} read EC2 again before {READ_EVERY} s")
        self.read_at = self.monotonic()
        return await self._listed()

    async def _listed(self) -> tuple[Instance, ...]:
        self.counts.reads += 1
        await asyncio.sleep(self.chance.uniform(0.05, 0.3))
        return self.region.ec2.answer(self.instance_id)

    async def allocation(self, elastic_ip: str) -> str:
        raise CloudError(CloudErrorKind.WRONG, f"no allocation for {elastic_ip}")

    async def holders(self, addresses: tuple[str, ...]) -> Mapping[str, str]:
        return dict.fromkeys(addresses, "")

    async def elastic_holders(self, addresses: tuple[str, ...]) -> Mapping[str, str]:
        return dict.fromkeys(addresses, "")

    async def routed(
        self, tables: tuple[str, ...], addresses: tuple[str, ...]
    ) -> Mapping[tuple[str, str], str]:
        return {(table, address): self.instance_id for table in tables for address in addresses}

    async def may_fence(self, instance_id: str) -> None:
        assert instance_id != self.instance_id

    async def described(self, instance_ids: tuple[str, ...]) -> tuple[Instance, ...]:
        self.counts.reads += 1
        await asyncio.sleep(self.chance.uniform(0.05, 0.3))
        return self.region.ec2.described(self.instance_id, instance_ids)

    async def group_rules(self, group_ids: tuple[str, ...]) -> Mapping[str, tuple[GroupRule, ...]]:
        assert group_ids == ()
        return {}

    async def rehearse(self, action: str, about: str, where: str = "") -> None:
        assert (about, where) != (self.instance_id, "")
        assert action.startswith("ec2:")

    async def token(self) -> str:
        await asyncio.sleep(0.2)
        return TOKEN

    async def open(self, token: str, cluster: str, own_id: str) -> None:
        assert (token, cluster, own_id) == (TOKEN, "web", self.instance_id)
        self.open_door = True

    async def hello(self, instance_id: str, address: str, hello: Hello) -> Hello:
        self.counts.hellos += 1
        peer = await self.region.reach(self, address)
        if peer.instance_id != instance_id or peer.engine is None:
            raise PeerError(f"{address} is not {instance_id}", rejected=True)
        await self._be_known_to(peer.engine, address)
        answer = await peer.engine.hello(_on_the_wire(hello))
        await self.region.reach(peer, self.address)
        return _on_the_wire(answer)

    async def send(self, instance_id: str, address: str, message: Message, term: int) -> None:
        del term
        self.counts.messages += 1
        peer = await self.region.reach(self, address)
        engine = peer.engine
        if peer.instance_id != instance_id or engine is None or engine.formed():
            raise PeerError(f"{address} takes no messages", rejected=True)
        await self._be_known_to(engine, address)
        copies = 2 if self.chance.random() < self.region.faults.repeat else 1
        for _ in range(copies):
            if self.region.transcript is not None:
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
        if self.record is None:
            return None
        return replace(self.record, durable=self.region.recall(self.record.durable))

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
            self.region.foundings.learned(self, decided)
        self.region.saved(self)

    # --- life ---------------------------------------------------------------------------------

    def becomes(self, state: InstanceState | None = None, *, tagged: bool | None = None) -> None:
        """Change what EC2 knows of the instance."""
        self.state = self.state if state is None else state
        if tagged and not self.tagged:
            self.tagged_since = self.region.now()
        self.tagged = self.tagged if tagged is None else tagged
        self.region.ec2.note(self._as_instance(), tagged=self.tagged)

    def _as_instance(self) -> Instance:
        return Instance(
            self.instance_id,
            self.state,
            self.created,
            self.address,
            (self.address,),
            "eu-west-1a",
            "subnet-1",
            "vpc-1",
            started=self.launched,
            profile="arn:aws:iam::123456789012:instance-profile/muster",
        )

    def settings(self, tags: Tags) -> Settings:
        """Read the spec as the daemon would, from a file that does not exist and the tags."""
        settings = load(tags, Path("/nonexistent"), Path("/nonexistent"))
        cluster = replace(settings.spec.cluster, size=self.region.size)
        spec: Spec = replace(settings.spec, cluster=cluster, **self.region.spec_changes)  # type: ignore[arg-type]
        return replace(settings, spec=spec)

    def boot(self) -> None:
        """Start the daemon; a node whose cluster is enabled starts that too."""
        if self.host.disk.enabled:
            self.host.start_cluster()
        watch = Watch(self)
        reach = Reach(
            clock=self,
            metadata=self,
            cloud=lambda _node: self,
            provision=lambda _node: self.region.estate,
            disks=self.region.estate.at(self.instance_id),
            secrets=lambda _spec, _node: self,
            peers=self,
            helper=self.host,
            cluster=watch,
            network=self,
            random=self,
            load=self.settings,
            host_name=lambda: self.host.name,
        )
        world = World(self, self, self, self, watch, self._publish, self.written)
        self.read_at, self.open_door = -math.inf, False
        self.engine = Engine(world, Actions(reach))
        self.task = asyncio.create_task(self.engine.run())

    def _publish(self, status: Status) -> None:
        if self.status is None or status.phase != self.status.phase:
            self.region.tell(f"{self.short} is {status.phase}: {status.reason}")
        self.status = self.written = status

    def kill(self) -> None:
        """SIGKILL the daemon: what was not saved is gone."""
        if self.task is not None:
            self.task.cancel()
            self.region.ended.append(self.task)
        self.engine, self.task = None, None

    def crash(self) -> None:
        """The whole node goes: daemon, corosync, everything but the disk."""
        self.kill()
        self.written = None
        self.host.power_off()

    def lose_disk(self) -> None:
        """The whole node goes, and the next root volume is as launched."""
        self.crash()
        self.record, self.host.disk = None, Disk()
        self.region.foundings.forgets(self)

    def terminate(self) -> None:
        """EC2 ends the instance for good."""
        self.crash()
        self.becomes(InstanceState.TERMINATED)


def _on_the_wire(hello: Hello) -> Hello:
    """Return the hello as it arrives: what its sender may still change is a copy."""
    return replace(hello, proofs=dict(hello.proofs))


class SimRegion:
    """All nodes, the network between them, and what EC2 says of them."""

    def __init__(self, seed: int, size: int, created: Sequence[float] = ()) -> None:
        self.seed = seed
        self.size = size
        self.faults = Faults()
        self.chance = random.Random(seed)
        self.now = asyncio.get_running_loop().time
        self.cluster = ClusterWorld(self.now, ("fence-web",))
        self.cluster.connected = lambda a, b: not {(a, b), (b, a)} & self.faults.cut
        self.cluster.terminated = lambda one: any(
            node.instance_id == one and node.terminated for node in self.nodes
        )
        self.transcript: list[str] | None = None
        self.foundings = Foundings(self, REMEMBERED)
        self.moments: dict[str, asyncio.Future[SimNode]] = {}
        self.ended: list[asyncio.Task[None]] = []
        self.spec_changes: dict[str, object] = {}
        self.full: set[str] = set()  # instances whose disk takes nothing more
        self.broken: list[str] = []  # promises that were seen broken as it happened
        self.recall: Callable[[Durable], Durable] = lambda durable: durable
        self.ec2 = Ec2(self.now, self.chance)
        self.estate = Estate(self.chance)
        self.nodes: list[SimNode] = []
        # When who was fenced, and whose daemons ran then.
        self.fences: list[tuple[float, str, tuple[str, ...]]] = []
        self._at: dict[str, SimNode] = {}  # by address
        for at in created or [1000.0 + n for n in range(size)]:
            self.launch(at)

    async def reach(self, sender: SimNode, address: str) -> SimNode:
        """Carry a call over the network, or lose it."""
        assert sender.open_door
        low, high = self.faults.latency
        await asyncio.sleep(self.chance.uniform(low, high))
        peer = self._at.get(address)
        cut = peer is not None and (sender.instance_id, peer.instance_id) in self.faults.cut
        if peer is None or cut or self.chance.random() < self.faults.lose:
            await asyncio.sleep(4.0)
            raise PeerError(f"{address} does not answer", rejected=False)
        if peer.engine is None or not peer.open_door:
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

    def saved(self, node: SimNode) -> None:
        """Compare what all daemons know at the moment one of them has written it down."""
        there = (n for n in self.nodes if self.foundings.binds(n))
        elections = (n.engine.election() for n in there if n.engine is not None)
        try:
            check_together(elections)
        except InvariantError as broken:
            self.broken.append(f"{broken}, as {node.short} writes it down")

    def tell(self, what: str) -> None:
        """Write a line of the transcript, if there is one."""
        if self.transcript is not None:
            self.transcript.append(f"{self.now():8.3f} {what}")

    def launch(self, created: float) -> SimNode:
        """Return one more instance, not yet booted."""
        node = SimNode(self, len(self.nodes) + 1, created)
        self.nodes.append(node)
        self._at[node.address] = node
        node.becomes(InstanceState.RUNNING)
        return node

    async def end(self) -> None:
        """End every daemon and wait for it; one that does not end is a bug."""
        for node in self.nodes:
            node.crash()
        if self.ended:
            _, stuck = await asyncio.wait(self.ended, timeout=5.0)
            assert not stuck, f"{len(stuck)} daemons do not end when cancelled"
        await asyncio.sleep(0.01)  # until what they had begun has ended too

    def fence(self, instance_id: str) -> None:
        """EC2 stops an instance and starts it; its daemon is back a boot later."""
        node = next(each for each in self.nodes if each.instance_id == instance_id)
        now = asyncio.get_running_loop().time()
        self.fences.append((now, instance_id, tuple(n.host.name for n in self.nodes if n.engine)))
        node.crash()
        node.launched = 1_000_000.0 + now
        node.becomes()
        node.host.boots += 1
        self.ended.append(asyncio.create_task(self._boot_later(node)))

    async def _boot_later(self, node: SimNode) -> None:
        await asyncio.sleep(BOOT)
        if node.engine is None:
            node.boot()

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
