"""The life of a cluster after its founding, by seed: everything of day two, one upon the other.

Members come, are terminated, leave and return, lose their root volume, crash and are cut off, while
EC2 throttles. Nobody waits for one event's end before the next begins.
"""

import asyncio
import random
from contextlib import suppress

from muster_sim.kills import BOOT, RESTART
from muster_sim.members import call_back, dispensable, whole
from muster_sim.run import Verdict
from muster_sim.stage import play
from muster_sim.watchers import ViolationError
from muster_sim.world import SimNode, SimRegion
from musterd.errors import CloudError, CloudErrorKind, MusterError

EVENTS = 12
FOUNDERS = (2, 3, 3, 3)
LARGEST = 6  # instances alive
CALM = 1800.0  # virtual seconds until all must be whole again
LATER = 2000.0  # when the first late instance is launched, as EC2 dates it
KINDS = (
    *("launch", "launch", "terminate", "terminate", "leave", "disk"),
    *("kill", "crash", "cut", "throttle"),
)


def live(seed: int, *, transcript: bool = False) -> Verdict:
    """Run the seed's life: found, events, calm; then every living instance must be a member."""

    async def story() -> Verdict:
        life = _Life(seed, transcript=transcript)
        try:
            return await life.whole()
        finally:
            await life.region.end()

    return play(story())


class _Life:
    def __init__(self, seed: int, *, transcript: bool) -> None:
        self._seed = seed
        self._chance = random.Random(f"life/{seed}")
        self._founders = self._chance.choice(FOUNDERS)
        self.region = SimRegion(seed, self._founders)
        told = f"life {seed}: {self._founders} founders, {EVENTS} events"
        self.region.transcript = [told] if transcript else None
        self._launched = LATER

    async def whole(self) -> Verdict:
        """Found, live, and judge."""
        called = asyncio.create_task(call_back(self.region, self._chance))
        loop, problem, calm_at, whole_at = asyncio.get_running_loop(), "", 0.0, None
        try:
            for node in self.region.nodes:
                node.boot()
            await whole(self.region)
            [before] = {node.host.disk.uuid for node in self.region.nodes}
            for _ in range(EVENTS):
                await self._event(self._chance.choice(KINDS))
                await asyncio.sleep(self._chance.choice((1.0, 10.0, 60.0)) * self._chance.random())
            calm_at = loop.time()
            self.region.tell("calm")
            await whole(self.region, CALM)
            whole_at = loop.time()
            if {node.host.disk.uuid for node in self._alive()} != {before}:
                problem = "the cluster is another one"
        except (ViolationError, AssertionError) as wrong:
            problem = str(wrong).partition("\n")[0]
        called.cancel()
        return Verdict(
            seed=self._seed,
            size=self._founders,
            nodes=len(self.region.nodes),
            problem=problem,
            formed_at=whole_at,
            calm_at=calm_at,
            troubled=True,
            seconds=loop.time(),
            hellos=sum(node.counts.hellos for node in self.region.nodes),
            messages=sum(node.counts.messages for node in self.region.nodes),
            transcript=tuple(self.region.transcript or ()),
        )

    def _alive(self) -> list[SimNode]:
        return [node for node in self.region.nodes if not node.terminated]

    async def _event(self, kind: str) -> None:
        node = self._chance.choice(self._alive())
        self.region.tell(f"event: {kind} {node.short}")
        if kind == "launch" and len(self._alive()) < LARGEST:
            self._launched += 1.0
            self.region.launch(self._launched).boot()
        elif (
            kind == "terminate"
            and node.host.started_at is not None
            and dispensable(self.region, node)
        ):
            node.terminate()
        elif kind == "leave" and node.engine is not None:
            with suppress(MusterError):  # refused: it is in no cluster
                await node.engine.leave("", "uid 0")
        elif kind == "disk" and node.engine is not None and dispensable(self.region, node):
            node.lose_disk()
            self._again(node, BOOT)
        elif kind in {"kill", "crash"} and node.engine is not None:
            node.kill() if kind == "kill" else node.crash()
            self._again(node, RESTART if kind == "kill" else BOOT)
        elif kind == "cut":
            await self._cut_off(node)
        elif kind == "throttle":
            self._throttle(node)

    def _again(self, node: SimNode, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, _boot, node)

    async def _cut_off(self, node: SimNode) -> None:
        own, faults = node.instance_id, self.region.faults
        others = [one.instance_id for one in self.region.nodes if one is not node]
        cut = {pair for one in others for pair in ((own, one), (one, own))}
        faults.cut |= cut
        await asyncio.sleep(40.0 * self._chance.random())
        faults.cut -= cut

    def _throttle(self, node: SimNode) -> None:
        errors, own = self.region.ec2.errors, node.instance_id
        errors[own] = CloudError(CloudErrorKind.THROTTLED, "EC2 throttles")
        asyncio.get_running_loop().call_later(30.0, lambda: errors.pop(own, None))


def _boot(node: SimNode) -> None:
    if not node.terminated and node.engine is None:
        node.boot()
