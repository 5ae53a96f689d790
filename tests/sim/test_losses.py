"""What becomes of a founding when an instance, its tag or its clock is taken away: always told."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from muster_sim.stage import tell
from muster_sim.world import SimRegion
from musterd.model import InstanceState

pytestmark = pytest.mark.usefixtures("quiet_daemons")

FOUNDING = 120.0  # virtual seconds, at most
LONG = 90.0


def in_virtual_time(
    size: int, story: Callable[[SimRegion], Awaitable[None]], instances: int = 0
) -> None:
    """Tell a story of so many founders."""
    created = [1000.0 + n for n in range(instances or size)]
    tell(lambda: SimRegion(3, size, created), story)


def reasons(region: SimRegion) -> list[str]:
    return [n.status.reason if n.status is not None and n.engine else "" for n in region.nodes]


async def formed(region: SimRegion, count: int) -> bool:
    return await region.until(lambda: region.phases().count("formed") == count, FOUNDING)


def test_two_founders_of_whom_one_is_terminated_once_decided_name_it() -> None:
    async def story(region: SimRegion) -> None:
        first, second = region.nodes
        for node in region.nodes:
            node.boot()
        assert await region.until(lambda: len(region.foundings.decided) == 2, FOUNDING)
        second.terminate()
        replacement = region.launch(2000.0)
        replacement.boot()
        await asyncio.sleep(LONG)
        assert region.phases()[0] == "founding"
        assert second.host.name in reasons(region)[0]
        assert first.host.name in reasons(region)[2]
        assert region.phases()[2] == "waiting"

    in_virtual_time(2, story)


def test_a_founder_that_loses_its_tag_once_seen_is_a_founder_still() -> None:
    async def story(region: SimRegion) -> None:
        for node in region.nodes:
            node.boot()
        assert await region.until(lambda: "electing" in region.phases(), FOUNDING)
        region.nodes[2].becomes(tagged=False)
        assert await formed(region, 3)

    in_virtual_time(3, story)


def test_a_founder_last_seen_stopped_that_loses_its_tag_is_heard() -> None:
    """EC2 leaves it out from then on: nobody is told that it was started."""

    async def story(region: SimRegion) -> None:
        first, second, third = region.nodes
        third.becomes(InstanceState.STOPPED)
        first.boot()
        second.boot()
        await asyncio.sleep(15.0)
        third.becomes(InstanceState.RUNNING)
        third.boot()
        assert await region.until(lambda: third.counts.reads > 0, FOUNDING)
        await asyncio.sleep(1.0)  # of virtual time: it has its answer, nobody else has read since
        third.becomes(tagged=False)
        assert await formed(region, 3)

    in_virtual_time(3, story)


def test_who_never_saw_the_whole_roster_names_the_silent_founder_as_well() -> None:
    """One lost its tag, one never boots: the rest waits for the same one, and says so."""

    async def story(region: SimRegion) -> None:
        untagged, patient, restarted, absent = region.nodes
        for node in (untagged, patient, restarted):
            node.boot()
        await asyncio.sleep(15.0)
        untagged.becomes(tagged=False)
        restarted.kill()
        restarted.boot()
        await asyncio.sleep(LONG)
        told = reasons(region)
        assert "3 of 4 instances carry the tag" in told[2]
        assert all(absent.instance_id in told[n] for n in (1, 2)), told

    in_virtual_time(4, story)


def test_a_founder_terminated_after_it_lost_its_tag_is_replaced() -> None:
    """No list names it any more; EC2 still tells by its id what became of it."""

    async def story(region: SimRegion) -> None:
        first, second = region.nodes[:2]
        first.boot()
        second.boot()
        await asyncio.sleep(15.0)
        region.nodes[2].becomes(tagged=False)
        region.nodes[2].terminate()
        region.launch(2000.0).boot()
        assert await formed(region, 3), reasons(region)

    in_virtual_time(3, story)


def test_a_tag_that_is_missing_is_told_and_founds_once_it_is_there() -> None:
    async def story(region: SimRegion) -> None:
        region.nodes[0].becomes(tagged=False)
        for node in region.nodes:
            node.boot()
        await asyncio.sleep(LONG)
        assert region.foundings.decided == []
        told = reasons(region)
        assert "no tag muster:cluster" in told[0]
        assert all("2 of 3 instances carry the tag" in reason for reason in told[1:])
        region.nodes[0].becomes(tagged=True)
        assert await formed(region, 3)

    in_virtual_time(3, story)


def test_an_earlier_instance_that_gets_the_tag_too_late_joins() -> None:
    async def story(region: SimRegion) -> None:
        region.nodes[0].becomes(tagged=False)
        for node in region.nodes:
            node.boot()
        assert await formed(region, 3)
        region.nodes[0].becomes(tagged=True)
        await asyncio.sleep(LONG)
        assert region.phases() == ["formed"] * 4
        assert len({decree.uuid for _, decree in region.foundings.decided}) == 1

    in_virtual_time(3, story, instances=4)


def test_who_sees_another_roster_says_which_instance_makes_the_difference() -> None:
    async def story(region: SimRegion) -> None:
        first, second, third, fourth = region.nodes
        region.ec2.hidden[first.instance_id] = frozenset({second.instance_id})
        for node in region.nodes:
            node.boot()
        await asyncio.sleep(LONG)
        assert region.foundings.decided == []
        assert f"with {second.instance_id} and without {fourth.instance_id}" in reasons(region)[0]
        assert f"with {fourth.instance_id} and without {second.instance_id}" in reasons(region)[2]
        assert third.host.name in reasons(region)[0]
        del region.ec2.hidden[first.instance_id]
        assert await formed(region, 3)

    in_virtual_time(3, story, instances=4)


def test_the_wall_clock_decides_nothing() -> None:
    def told(*, jumping: bool) -> list[str]:
        lines: list[str] = []

        async def story(region: SimRegion) -> None:
            region.transcript = lines
            for node in region.nodes:
                node.boot()
            for jump in (7200.0, -86_400.0, 30.0, -5.0) * 4:
                await asyncio.sleep(1.5)
                region.nodes[int(region.now()) % 3].wall_ahead += jump if jumping else 0.0
            assert await formed(region, 3)

        in_virtual_time(3, story)
        return lines

    assert told(jumping=True) == told(jumping=False)


def test_a_member_that_lost_its_tag_is_found_by_its_id_when_fencing_is_proven() -> None:
    async def story(region: SimRegion) -> None:
        for node in region.nodes:
            node.boot()
        assert await region.until(lambda: len(region.foundings.decided) == 3, FOUNDING)
        region.nodes[1].becomes(tagged=False)
        region.nodes[2].kill()
        region.nodes[2].boot()
        assert await formed(region, 3), reasons(region)

    in_virtual_time(3, story)
