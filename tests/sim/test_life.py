"""Minutes in the life of a cluster, by seed: members come, go, crash and are cut off."""

import asyncio
import random

import pytest

from muster_sim.kills import BOOT, RESTART
from muster_sim.members import whole
from muster_sim.stage import play
from muster_sim.world import SimNode, SimRegion
from musterd.errors import CloudError, CloudErrorKind

pytestmark = pytest.mark.usefixtures("quiet_daemons")

SEEDS = 16
EVENTS = 12
LARGEST = 6  # instances alive
CALM = 1800.0  # virtual seconds until all must be whole again
KINDS = ("launch", "launch", "terminate", "terminate", "kill", "crash", "cut", "throttle")


class _Life:
    def __init__(self, seed: int, region: SimRegion) -> None:
        self._chance = random.Random(f"life/{seed}")
        self._region = region
        self._launched = 2000.0

    def _alive(self) -> list[SimNode]:
        return [node for node in self._region.nodes if not node.terminated]

    def _may_lose_one(self, node: SimNode) -> bool:
        """Tell whether the members that are online without it are a majority of its list."""
        here = self._region.cluster.partition_of(node.host)
        return len(here) > 2 and (len(here) - 1) * 2 > len(node.host.disk.members)

    async def go(self) -> None:
        """One event after another, some of them before the last one is over."""
        for _ in range(EVENTS):
            kind, node = self._chance.choice(KINDS), self._chance.choice(self._alive())
            await self._event(kind, node)
            await asyncio.sleep(self._chance.choice((1.0, 10.0, 60.0)) * self._chance.random())

    async def _event(self, kind: str, node: SimNode) -> None:
        region, loop = self._region, asyncio.get_running_loop()
        if kind == "launch" and len(self._alive()) < LARGEST:
            self._launched += 1.0
            region.launch(self._launched).boot()
        elif kind == "terminate" and node.host.started_at is not None and self._may_lose_one(node):
            node.terminate()
        elif kind == "kill" and node.engine is not None:
            node.kill()
            loop.call_later(RESTART, _boot, node)
        elif kind == "crash" and node.engine is not None:
            node.crash()
            loop.call_later(BOOT, _boot, node)
        elif kind == "cut":
            others = [one.instance_id for one in region.nodes if one is not node]
            cut = {
                pair
                for one in others
                for pair in ((node.instance_id, one), (one, node.instance_id))
            }
            region.faults.cut |= cut
            await asyncio.sleep(40.0 * self._chance.random())
            region.faults.cut -= cut
        elif kind == "throttle":
            wrong = CloudError(CloudErrorKind.THROTTLED, "EC2 throttles")
            region.ec2.errors[node.instance_id] = wrong
            loop.call_later(30.0, lambda: region.ec2.errors.pop(node.instance_id, None))


def _boot(node: SimNode) -> None:
    if not node.terminated and node.engine is None:
        node.boot()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_cluster_lives_on_as_one_and_is_whole_when_all_is_calm(seed: int) -> None:
    async def story() -> None:
        region = SimRegion(seed, 3)
        for node in region.nodes:
            node.boot()
        try:
            await whole(region)
            [before] = {node.host.disk.uuid for node in region.nodes}
            await _Life(seed, region).go()
            await whole(region, CALM)
            living = (node for node in region.nodes if not node.terminated)
            assert {node.host.disk.uuid for node in living} == {before}
        finally:
            await region.end()

    play(story())
