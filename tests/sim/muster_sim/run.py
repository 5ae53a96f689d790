"""Run a story on whole daemons in virtual time, watch the promises, judge the end."""

import asyncio
from dataclasses import dataclass

from muster_sim.scenarios import CALM_AT, Story, Trouble, story
from muster_sim.virtual import VirtualLoop
from muster_sim.watchers import ViolationError, Watch, stuck
from muster_sim.world import SimNode, SimRegion
from musterd.errors import CloudError, CloudErrorKind
from musterd.model import InstanceState

PATIENCE = 240.0  # virtual seconds after the last trouble within which all must be well
_KINDS = {"EC2 fails": CloudErrorKind.UNREACHABLE, "EC2 throttles": CloudErrorKind.THROTTLED}


@dataclass(frozen=True)
class Verdict:
    """How a run ended."""

    seed: int
    problem: str  # "" when every promise was kept
    formed_at: float | None  # virtual seconds, None when all wait for the same named reason
    seconds: float  # virtual, in all
    messages: int
    transcript: tuple[str, ...] = ()


def run(seed: int, *, transcript: bool = False) -> Verdict:
    """Run the seed's story."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(_Run(story(seed), transcript=transcript).whole())
    finally:
        loop.close()


class _Run:
    def __init__(self, told: Story, *, transcript: bool) -> None:
        self._story = told
        self._region = SimRegion(told.seed, told.size, count=len(told.boots))
        self._region.transcript = [str(told)] if transcript else None
        self._region.faults.hidden = self._hidden_from
        self._region.faults.ec2 = self._ec2_error
        self._hidden: dict[str, frozenset[str]] = {}
        self._errors: dict[str, CloudErrorKind] = {}
        self._watch = Watch(self._region)
        self._tasks: list[asyncio.Task[None]] = []

    async def whole(self) -> Verdict:
        """Boot, trouble, calm, judge."""
        region, told = self._region, self._story
        for number, node in enumerate(region.nodes, 1):
            node.created = told.created[number - 1]
            if number not in told.absent:
                self._later(told.boots[number - 1], node)
        self._tasks += [asyncio.create_task(self._trouble(trouble)) for trouble in told.troubles]
        formed_at, problem = None, ""
        try:
            await self._watched(CALM_AT, until_formed=False)
            await asyncio.gather(*self._tasks)
            region.tell("calm")
            if await self._watched(PATIENCE, until_formed=True):
                formed_at = self._watch.formed_at
            else:
                problem = stuck(region, told.absent)
        except ViolationError as violation:
            problem = str(violation)
        for task in self._tasks:
            task.cancel()
        await region.end()
        now = asyncio.get_running_loop().time()
        lines = tuple(region.transcript or ())
        return Verdict(told.seed, problem, formed_at, now, region.messages, lines)

    async def _watched(self, seconds: float, *, until_formed: bool) -> bool:
        """Let time pass and look twice a second; True as soon as everybody is where it ends."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            self._watch.look()
            calm = all(task.done() for task in self._tasks)
            if self._watch.all_formed(self._story.absent) and (until_formed or calm):
                return True
            await asyncio.sleep(0.5)
        return False

    def _later(self, seconds: float, node: SimNode) -> None:
        async def boot() -> None:
            await asyncio.sleep(seconds)
            self._boot(node)

        self._tasks.append(asyncio.create_task(boot()))

    def _boot(self, node: SimNode) -> None:
        if node.engine is None and node.state is InstanceState.RUNNING:
            self._region.tell(f"{node.short} boots")
            node.boot()

    # --- troubles -----------------------------------------------------------------------------

    async def _trouble(self, trouble: Trouble) -> None:
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
        if trouble.what.startswith("cut"):
            await self._cut(trouble, nodes)
        elif trouble.what.startswith("EC2"):
            await self._ec2(trouble, nodes)
        elif trouble.what in {"lose", "repeat", "slow"}:
            await self._network(trouble)
        elif trouble.what == "disk full":
            self._region.full.add(nodes[0].instance_id)
            await asyncio.sleep(trouble.lasts)
            self._region.full.discard(nodes[0].instance_id)
            await self._down(Trouble(trouble.at, 1.0, "kill daemon"), nodes[0])
        else:
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
        """The readers get an error, or a list without some instance."""
        readers = [node.instance_id for node in nodes]
        for reader in readers:
            if trouble.what == "EC2 omits":
                index = int(trouble.strength * len(self._region.nodes))
                self._hidden[reader] = frozenset({self._region.nodes[index].instance_id})
            else:
                self._errors[reader] = _KINDS[trouble.what]
        await asyncio.sleep(trouble.lasts)
        for reader in readers:
            (self._hidden if trouble.what == "EC2 omits" else self._errors).pop(reader, None)

    def _hidden_from(self, reader: str) -> frozenset[str]:
        return self._hidden.get(reader, frozenset())

    def _ec2_error(self, reader: str) -> CloudError | None:
        kind = self._errors.get(reader)
        return CloudError(kind, f"EC2 {kind}") if kind is not None else None

    async def _down(self, trouble: Trouble, node: SimNode) -> None:
        if node.terminated or node.number in self._story.absent:
            return
        if trouble.what == "kill daemon":
            node.kill()
        elif trouble.what == "terminate and replace":
            node.terminate()
            await asyncio.sleep(trouble.lasts)
            loop = asyncio.get_running_loop()
            self._boot(self._region.launch(2000.0 + loop.time()))
            return
        else:
            node.crash()
        if trouble.what == "stop instance":
            node.state = InstanceState.STOPPED
        await asyncio.sleep(trouble.lasts)
        if node.state is InstanceState.STOPPED:
            node.state = InstanceState.RUNNING
        self._boot(node)
