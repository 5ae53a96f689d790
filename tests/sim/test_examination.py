"""Whole daemons examined: what each side tries for the other, and what a stuck founding shows."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from muster.api import Preflight
from muster_sim.stage import tell
from muster_sim.world import SimNode, SimRegion
from musterd.course import PREFLIGHT_AFTER, PREFLIGHT_EVERY
from musterd.errors import CloudError, CloudErrorKind

pytestmark = pytest.mark.usefixtures("quiet_daemons")


def in_virtual_time(story: Callable[[SimRegion], Awaitable[None]]) -> None:
    """Boot three nodes, the first one way deaf to the second, then tell the story."""

    async def whole(region: SimRegion) -> None:
        first, second, _ = region.nodes
        region.faults.cut = {(second.instance_id, first.instance_id)}
        for node in region.nodes:
            node.boot()
        await story(region)

    tell(lambda: SimRegion(1, 3), whole)


async def examined(node: SimNode) -> Preflight:
    assert node.engine is not None
    return await node.engine.preflight()


def errors(found: Preflight, check: str) -> list[str]:
    return [c.what for c in found.checks if (c.check, c.outcome) == (check, "error")]


def test_each_direction_is_told_by_whoever_can_tell_it() -> None:
    async def story(region: SimRegion) -> None:
        await asyncio.sleep(10.0)
        first, second, third = region.nodes
        closed = f"to {first.host.name} is not let through"
        # Unable to ask the first what of its datagrams came, the second cannot tell.
        assert errors(await examined(second), "ports") == [
            f"TCP {port} from {second.host.name} {closed}" for port in (2224, 7224)
        ]
        # The first has never heard the second, so it knows no name of it.
        assert errors(await examined(first), "ports") == [
            f"TCP 2224 from {second.instance_id} {closed}",
            f"TCP 7224 from {second.instance_id} {closed}",
            f"UDP 5405 from {second.instance_id} {closed}: Corosync's traffic",
        ]
        assert errors(await examined(third), "ports") == []

    in_virtual_time(story)


def test_who_asks_is_told_of_the_node_as_it_is_now() -> None:
    """What somebody installs or breaks shows at once, not with the daemon's next look."""

    async def story(region: SimRegion) -> None:
        await asyncio.sleep(10.0)
        third = region.nodes[2]
        third.host.lacks = ("pcs is not installed: `apt install pcs`",)
        assert errors(await examined(third), "software") == ["pcs is not installed"]
        third.host.lacks = ()
        assert errors(await examined(third), "software") == []

    in_virtual_time(story)


def test_a_founding_that_is_stuck_shows_why_by_itself() -> None:
    async def story(region: SimRegion) -> None:
        second = region.nodes[1]
        await asyncio.sleep(PREFLIGHT_AFTER / 2)
        assert second.status is not None
        assert [f for f in second.status.findings if "let through" in f.what] == []
        await asyncio.sleep(PREFLIGHT_AFTER + 20.0)
        found = [f.what for f in second.status.findings if "let through" in f.what]
        assert any("TCP 2224" in what for what in found)
        region.faults.cut = set()
        await asyncio.sleep(PREFLIGHT_EVERY + 60.0)
        assert region.phases() == ["formed"] * 3
        assert second.status.findings == ()

    in_virtual_time(story)


def test_nothing_hangs_when_nobody_answers() -> None:
    async def story(region: SimRegion) -> None:
        await asyncio.sleep(10.0)
        first = region.nodes[0]
        silent = CloudError(CloudErrorKind.UNREACHABLE, "no answer to ec2:X", cure="an endpoint")
        region.ec2.errors[first.instance_id] = silent
        region.faults.lose = 1.0
        began = first.monotonic()
        found = await examined(first)
        assert first.monotonic() - began < 20.0
        assert errors(found, "endpoints") == ["no answer to ec2:X"]

    in_virtual_time(story)


def test_those_who_ask_at_once_share_one_look() -> None:
    async def story(region: SimRegion) -> None:
        await asyncio.sleep(10.0)
        first = region.nodes[0]
        before = first.counts.reads
        await asyncio.gather(*(examined(first) for _ in range(5)))
        assert first.counts.reads - before <= 2

    in_virtual_time(story)
