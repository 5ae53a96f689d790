"""The time since which a node is in its phase: a restart of musterd does not change the cluster."""

from muster_sim.stage import play
from muster_sim.world import SimNode, SimRegion

DOWN = 90.0  # virtual seconds without the daemon


def since(node: SimNode, phase: str) -> str:
    assert node.status is not None
    assert node.status.phase == phase
    return node.status.since


async def _back(region: SimRegion, node: SimNode, phase: str) -> None:
    """The daemon comes back after a while, and says the phase itself."""
    node.status = None
    await region.until(lambda: False, DOWN)
    node.boot()
    assert await region.until(lambda: node.status is not None and node.status.phase == phase, 60.0)


def test_a_formed_node_stays_formed_since() -> None:
    async def story() -> None:
        region = SimRegion(0, 2)
        for node in region.nodes:
            node.boot()
        assert await region.until(lambda: region.phases() == ["formed", "formed"], 120.0)
        node = region.nodes[0]
        before = since(node, "formed")
        node.kill()
        await _back(region, node, "formed")
        assert since(node, "formed") == before
        await region.end()

    play(story())


def test_a_reboot_begins_anew() -> None:
    """The last status lies in /run, which a boot empties: before it, nothing was formed here."""

    async def story() -> None:
        region = SimRegion(0, 2)
        for node in region.nodes:
            node.boot()
        assert await region.until(lambda: region.phases() == ["formed", "formed"], 120.0)
        node = region.nodes[0]
        before = since(node, "formed")
        node.crash()
        await _back(region, node, "formed")
        assert since(node, "formed") > before
        await region.end()

    play(story())


def test_a_wait_goes_on_and_what_follows_it_is_new() -> None:
    async def story() -> None:
        region = SimRegion(0, 2)
        node, other = region.nodes
        node.boot()
        assert await region.until(
            lambda: node.status is not None and node.status.phase == "waiting", 60.0
        )
        waited = since(node, "waiting")
        node.kill()
        await _back(region, node, "waiting")
        assert since(node, "waiting") == waited
        other.boot()
        assert await region.until(lambda: region.phases() == ["formed", "formed"], 120.0)
        assert since(node, "formed") > waited
        await region.end()

    play(story())
