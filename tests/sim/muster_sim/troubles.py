"""What goes wrong in a story, done to a region."""

import asyncio
from contextlib import suppress

from muster_sim.members import dispensable
from muster_sim.scenarios import CALM_AT, Trouble
from muster_sim.world import LONGEST_LAG, SimNode, SimRegion
from musterd.errors import CloudError, CloudErrorKind, MusterError
from musterd.model import InstanceState

_KINDS = {"EC2 fails": CloudErrorKind.UNREACHABLE, "EC2 throttles": CloudErrorKind.THROTTLED}
_MISTAKEN = 0.6  # strength up to which a tag that was taken away comes back


class Troubles:
    """Makes troubles come and go. `absent` instances are switched off for good."""

    def __init__(self, region: SimRegion, absent: frozenset[int]) -> None:
        self._region = region
        self._absent = absent

    def boot(self, node: SimNode) -> None:
        """Start a node's daemon, unless it runs or the instance does not."""
        if node.engine is None and node.state is InstanceState.RUNNING:
            self._region.tell(f"{node.short} boots")
            node.boot()

    async def befall(self, trouble: Trouble) -> None:
        """Wait for the trouble's moment, let it last, end it."""
        nodes = [self._region.nodes[number - 1] for number in trouble.nodes]
        if trouble.after:
            try:
                async with asyncio.timeout(CALM_AT):
                    it = await self._region.await_moment(trouble.after)
            except TimeoutError:
                return
            nodes = nodes or [it]
        await asyncio.sleep(trouble.at)
        self._region.tell(f"trouble: {trouble} ({'+'.join(node.short for node in nodes)})")
        match trouble.what.split():
            case ["cut", *_]:
                await self._cut(trouble, nodes)
            case ["EC2", *_]:
                await self._ec2(trouble, nodes)
            case ["lose" | "repeat" | "slow"]:
                await self._network(trouble)
            case ["tag", _]:
                await self._tag(trouble, nodes[0])
            case ["clock", "jumps"]:
                nodes[0].wall_ahead += 20_000.0 * (trouble.strength - 0.5)
            case ["launch"]:
                self._launch()
            case ["leave"]:
                await self._leave(nodes[0])
            case ["lose", "disk"]:
                await self._lose_disk(trouble, nodes[0])
            case ["disk", "full"]:
                await self._full(trouble, nodes[0])
            case _:
                await self._down(trouble, nodes[0])
        self._region.tell(f"over: {trouble}")

    async def _cut(self, trouble: Trouble, nodes: list[SimNode]) -> None:
        inside = [node.instance_id for node in nodes]
        outside = [n.instance_id for n in self._region.nodes if n not in nodes]
        cut = {(a, b) for a in inside for b in outside}
        if trouble.what == "cut both ways":
            cut |= {(b, a) for a, b in cut}
        self._region.faults.cut |= cut
        await asyncio.sleep(trouble.lasts)
        self._region.faults.cut -= cut

    async def _network(self, trouble: Trouble) -> None:
        faults = self._region.faults
        if trouble.what == "lose":
            faults.lose = trouble.strength
        elif trouble.what == "repeat":
            faults.repeat = trouble.strength
        else:
            faults.latency = (0.01, 3.0 * trouble.strength)
        await asyncio.sleep(trouble.lasts)
        if trouble.what == "lose":
            faults.lose = 0.0
        elif trouble.what == "repeat":
            faults.repeat = 0.0
        else:
            faults.latency = (0.001, 0.02)

    async def _ec2(self, trouble: Trouble, nodes: list[SimNode]) -> None:
        """The readers get an error, or a list that is old or without some instance."""
        ec2, readers = self._region.ec2, [node.instance_id for node in nodes]
        for reader in readers:
            if trouble.what == "EC2 omits":
                index = int(trouble.strength * len(self._region.nodes))
                ec2.hidden[reader] = frozenset({self._region.nodes[index].instance_id})
            elif trouble.what == "EC2 lags":
                ec2.lag[reader] = LONGEST_LAG * trouble.strength
            else:
                kind = _KINDS[trouble.what]
                ec2.errors[reader] = CloudError(kind, f"EC2 {kind}")
        await asyncio.sleep(trouble.lasts)
        for reader in readers:
            if trouble.what == "EC2 omits":
                ec2.hidden.pop(reader, None)
            elif trouble.what == "EC2 lags":
                ec2.lag.pop(reader, None)
            else:
                ec2.errors.pop(reader, None)

    async def _tag(self, trouble: Trouble, node: SimNode) -> None:
        """A person takes the tag away, mostly by mistake; or gives it to one that had none."""
        if node.terminated:
            return
        gained = trouble.what == "tag gained"
        node.becomes(tagged=gained)
        await asyncio.sleep(trouble.lasts)
        if not gained and trouble.strength < _MISTAKEN and not node.terminated:
            node.becomes(tagged=True)

    async def _full(self, trouble: Trouble, node: SimNode) -> None:
        self._region.full.add(node.instance_id)
        await asyncio.sleep(trouble.lasts)
        self._region.full.discard(node.instance_id)
        await self._down(Trouble(trouble.at, 1.0, "kill daemon"), node)

    def _launch(self) -> None:
        self.boot(self._region.launch(2000.0 + asyncio.get_running_loop().time()))

    async def _leave(self, node: SimNode) -> None:
        if node.engine is not None:
            with suppress(MusterError):  # refused: it is in no cluster
                await node.engine.leave("", "uid 0")

    async def _lose_disk(self, trouble: Trouble, node: SimNode) -> None:
        """The root volume of a member that the others do without is made anew."""
        if node.engine is None or not (node.engine.formed() and dispensable(self._region, node)):
            return
        node.lose_disk()
        await asyncio.sleep(trouble.lasts)
        self.boot(node)

    async def _down(self, trouble: Trouble, node: SimNode) -> None:
        if node.terminated or node.number in self._absent:
            return
        if trouble.what == "kill daemon":
            node.kill()
        elif trouble.what == "terminate and replace":
            node.terminate()
            await asyncio.sleep(trouble.lasts)
            self._launch()
            return
        else:
            node.crash()
        if trouble.what == "stop instance":
            node.becomes(InstanceState.STOPPED)
        await asyncio.sleep(trouble.lasts)
        if node.state is InstanceState.STOPPED:
            node.becomes(InstanceState.RUNNING)
        self.boot(node)
