"""An image of a used node: what booted from it has a memory that is not its own, and says so."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from muster_sim.stage import tell
from muster_sim.world import SimNode, SimRegion
from musterd.model import Phase

pytestmark = pytest.mark.usefixtures("quiet_daemons")

FOUNDING = 120.0  # virtual seconds, at most


def in_virtual_time(story: Callable[[SimRegion], Awaitable[None]]) -> None:
    """Found a cluster of three, then tell the story."""

    async def whole(region: SimRegion) -> None:
        for node in region.nodes:
            node.boot()
        assert await region.until(lambda: region.phases() == ["formed"] * 3, FOUNDING)
        await story(region)

    tell(lambda: SimRegion(1, 3), whole)


def clone(region: SimRegion, of: SimNode) -> SimNode:
    """Launch an instance from an image of a node's disk; note every phase it shows."""
    node = region.launch(2000.0)
    node.record = of.record
    return node


async def phases_of(node: SimNode) -> list[str]:
    """Boot and watch for a while."""
    seen: list[str] = []
    publish = node._publish

    def note(status: object) -> None:
        publish(status)  # type: ignore[arg-type]
        seen.append(node.status.phase if node.status else "")

    node._publish = note  # type: ignore[method-assign]
    node.boot()
    await asyncio.sleep(60.0)
    return seen


def test_a_clone_of_a_member_refuses_and_names_the_instance_it_was_captured_from() -> None:
    async def story(region: SimRegion) -> None:
        original = region.nodes[0]
        node = clone(region, original)
        assert Phase.FORMED not in await phases_of(node)
        assert node.status is not None
        assert node.status.phase == Phase.FAILED
        assert f"captured from {original.instance_id}" in node.status.reason
        assert "muster seal" in node.status.next
        assert node.record is original.record, "it must not write over what it found"
        assert node.host.verbs == []
        assert region.phases()[:3] == ["formed"] * 3

    in_virtual_time(story)


def test_a_clone_of_a_voter_never_votes() -> None:
    async def story(region: SimRegion) -> None:
        original = region.nodes[0]
        assert original.record is not None
        node = clone(region, original)
        node.record = replace(original.record, formed=False)
        await phases_of(node)
        assert node.record == replace(original.record, formed=False)
        assert node.status is not None
        assert node.status.phase == Phase.FAILED

    in_virtual_time(story)


def test_a_member_that_restarts_finds_its_own_memory() -> None:
    async def story(region: SimRegion) -> None:
        node = region.nodes[0]
        assert node.record is not None
        assert node.record.instance_id == node.instance_id
        node.kill()
        assert (await phases_of(node))[-1] == Phase.FORMED

    in_virtual_time(story)


def test_a_memory_without_an_instance_id_is_taken_as_its_own() -> None:
    """Written before records carried one."""

    async def story(region: SimRegion) -> None:
        node = region.nodes[0]
        node.kill()
        assert node.record is not None
        node.record = replace(node.record, instance_id="")
        assert (await phases_of(node))[-1] == Phase.FORMED

    in_virtual_time(story)
