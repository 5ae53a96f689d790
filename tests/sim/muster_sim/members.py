"""When the members of a simulated cluster are whole again: everybody lists all who live."""

from muster_sim.watchers import Watch
from muster_sim.world import SimNode, SimRegion

PATIENCE = 900.0  # virtual seconds: EC2 is read every 300 while nobody is missing


async def whole(region: SimRegion, seconds: float = PATIENCE) -> None:
    """Wait until every living member lists the same living instances; promises hold meanwhile."""
    watch = Watch(region)

    def all_list_all() -> bool:
        watch.look()
        here = [node for node in region.nodes if not node.terminated]
        ids = {node.instance_id for node in here}
        return all(lists(node, ids) for node in here)

    assert await region.until(all_list_all, seconds), [
        (n.short, n.status and (n.status.phase, n.status.reason)) for n in region.nodes
    ]


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
