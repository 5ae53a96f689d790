"""The members of a simulated cluster: when they are whole again, and who calls back who left."""

import asyncio
import random

from muster_sim.watchers import Watch
from muster_sim.world import SimNode, SimRegion

PATIENCE = 900.0  # virtual seconds: EC2 is read every 300 while nobody is missing


async def whole(region: SimRegion, seconds: float = PATIENCE) -> None:
    """Wait until every living member lists the same living instances; promises hold meanwhile."""
    watch = Watch(region)

    def looked() -> bool:
        watch.look()
        return all_list_all(region)

    assert await region.until(looked, seconds), [
        (n.short, n.status and (n.status.phase, n.status.reason)) for n in region.nodes
    ]


def all_list_all(region: SimRegion) -> bool:
    """Tell whether every living instance is a member, and lists the others."""
    here = [node for node in region.nodes if not node.terminated]
    ids = {node.instance_id for node in here}
    return all(lists(node, ids) for node in here)


def lists(node: SimNode, ids: set[str]) -> bool:
    """Tell whether a node is formed and its memory, corosync.conf and pcs list exactly these."""
    decided = node.record.durable.decided if node.record is not None else None
    return (
        node.engine is not None
        and node.engine.status().phase == "formed"
        and decided is not None
        and set(decided.roster) == ids == set(node.host.disk.members)
        and set(node.host.disk.trusted) >= ids
    )


def dispensable(region: SimRegion, node: SimNode) -> bool:
    """Tell whether the others go on without it: a majority of the list that all of them have."""
    here, listed = region.cluster.partition_of(node.host), node.host.disk.members
    agreed = all(set(other.disk.members) == set(listed) for other in here)
    return agreed and len(here) > 2 and (len(here) - 1) * 2 > len(listed)


async def call_back(region: SimRegion, chance: random.Random) -> None:
    """Do what status says on whoever was taken out, some time after: clear it, have it join."""
    while True:
        await asyncio.sleep(30.0 * chance.random())
        for node in region.nodes:
            if node.engine is None or node.engine.status().phase != "leaving":
                continue
            if node.host.disk.uuid:
                node.host.leave_cluster()  # pcs cluster destroy
            else:
                await node.engine.join("uid 0")
