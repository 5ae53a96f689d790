"""Who has news tells it at once, not with the next round of hellos."""

import asyncio

from muster_sim.stage import play
from muster_sim.world import SimNode, SimRegion

SOON = 0.3  # virtual seconds; a round of hellos takes seconds


def proven(node: SimNode) -> set[str]:
    """Return the names of the members that, as the node knows, somebody can fence."""
    fencing = node.engine.status().fencing if node.engine is not None else None
    return {proof.node for proof in fencing.proved} if fencing is not None else set()


async def _told() -> None:
    region = SimRegion(0, 2)
    prover, other = region.nodes
    for node in region.nodes:
        node.boot()
    assert await region.until(lambda: other.host.name in proven(prover), 60.0)
    await asyncio.sleep(SOON)
    assert other.host.name in proven(other)
    await region.end()


def test_a_proof_of_fencing_is_told_at_once() -> None:
    play(_told())
