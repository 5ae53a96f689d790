"""Members come and go while helpers, daemons and nodes are killed: the next conductor goes on."""

import asyncio
from collections.abc import Iterator

import pytest

from muster_sim.kills import CONDUCTOR, FOLLOWER, Cell, Executioner
from muster_sim.members import whole
from muster_sim.stage import play
from muster_sim.world import SimRegion
from musterd.errors import CloudError, CloudErrorKind
from musterd.model import InstanceState, Verb

pytestmark = pytest.mark.usefixtures("quiet_daemons")

SIZE = 3
NEWCOMER = SIZE + 1  # the number of the instance that is launched later
MOMENTS = ("before", "middle", "after")
VICTIMS = ("helper", "daemon", "node")


def _joins() -> Iterator[Cell]:
    for moment in MOMENTS:
        for victim in VICTIMS:
            yield Cell(Verb.ADMIT, moment, CONDUCTOR, victim)
            for verb in (Verb.OFFER, Verb.START, Verb.TRUST, Verb.PROBE_FENCING):
                yield Cell(verb, moment, FOLLOWER, victim)


async def _founded(size: int = SIZE) -> SimRegion:
    region = SimRegion(11, size)
    for node in region.nodes:
        node.boot()
    await whole(region)
    return region


def _uuids(region: SimRegion) -> set[str]:
    return {node.host.disk.uuid for node in region.nodes if not node.terminated}


@pytest.mark.parametrize("cell", tuple(_joins()), ids=str)
def test_a_join_that_is_cut_off_is_completed(cell: Cell) -> None:
    async def story() -> None:
        region = await _founded()
        try:
            newcomer = region.launch(2000.0)
            number = 0 if cell.verb is Verb.ADMIT else NEWCOMER
            executioner = Executioner(region, cell, number)
            newcomer.boot()
            await whole(region)
            assert executioner.struck is not None, f"nobody came to {cell.point}"
            assert len(_uuids(region)) == 1
        finally:
            await region.end()

    play(story())


@pytest.mark.parametrize("victim", VICTIMS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_replacement_that_is_cut_off_is_completed(moment: str, victim: str) -> None:
    async def story() -> None:
        region = await _founded()
        try:
            executioner = Executioner(region, Cell(Verb.EXPEL, moment, CONDUCTOR, victim))
            region.nodes[1].terminate()
            region.launch(2000.0).boot()
            await whole(region)
            assert executioner.struck is not None
            assert len(_uuids(region)) == 1
        finally:
            await region.end()

    play(story())


def test_the_dc_itself_is_terminated_and_replaced() -> None:
    async def story() -> None:
        region = await _founded()
        try:
            region.nodes[0].terminate()  # the first by name is the DC here
            region.launch(2000.0).boot()
            await whole(region)
        finally:
            await region.end()

    play(story())


def test_every_founder_is_replaced_one_after_the_other() -> None:
    async def story() -> None:
        region = await _founded()
        try:
            [before] = _uuids(region)
            for number in range(SIZE):
                region.nodes[number].terminate()
                region.launch(2000.0 + number).boot()
                await whole(region)
            assert _uuids(region) == {before}
        finally:
            await region.end()

    play(story())


def test_several_join_at_once_and_two_are_replaced_at_once() -> None:
    async def story() -> None:
        region = await _founded()
        try:
            for number in range(2):
                region.launch(2000.0 + number).boot()
            await whole(region)
            for node in region.nodes[1:3]:
                node.terminate()
            for number in range(2):
                region.launch(3000.0 + number).boot()
            await whole(region)
            assert len(_uuids(region)) == 1
        finally:
            await region.end()

    play(story())


@pytest.mark.parametrize("size", [2, 3])
def test_a_member_with_a_new_disk_joins_again_and_founds_nothing(size: int) -> None:
    """Its root volume was replaced (EC2 does that to a stopped or running instance)."""

    async def story() -> None:
        region = await _founded(size)
        try:
            [before] = _uuids(region)
            restored = region.nodes[1]
            restored.lose_disk()
            restored.boot()
            await whole(region)
            assert _uuids(region) == {before}
        finally:
            await region.end()

    play(story())


def test_a_newcomer_names_the_conductor_that_has_lost_its_tag_and_joins_when_it_is_back() -> None:
    async def story() -> None:
        region = await _founded()
        try:
            conductor = region.nodes[0]
            conductor.becomes(tagged=False)
            newcomer = region.launch(2000.0)
            newcomer.boot()

            def told() -> bool:
                reason = newcomer.status.reason if newcomer.status is not None else ""
                return f"EC2 does not list {conductor.host.name}" in reason

            assert await region.until(told, 120.0)
            conductor.becomes(tagged=True)
            await whole(region)
        finally:
            await region.end()

    play(story())


def test_a_member_terminated_after_it_lost_its_tag_is_taken_out_and_replaced() -> None:
    async def story() -> None:
        region = await _founded()
        try:
            region.nodes[1].becomes(tagged=False)
            region.nodes[1].terminate()
            region.launch(2000.0).boot()
            await whole(region)
        finally:
            await region.end()

    play(story())


def test_two_become_three_and_two_again() -> None:
    async def story() -> None:
        region = await _founded(2)
        try:
            third = region.launch(2000.0)
            third.boot()
            await whole(region)
            third.terminate()
            await whole(region)
        finally:
            await region.end()

    play(story())


def test_who_is_asked_to_leave_knows_it_soon_stays_away_and_joins_again_when_told_to() -> None:
    async def story() -> None:
        region = await _founded()
        try:
            leaver = region.nodes[2]
            assert leaver.engine is not None
            await leaver.engine.leave("", "uid 0")
            assert await region.until(lambda: region.phases()[2] == "leaving", 120.0)
            await asyncio.sleep(600.0)
            assert region.phases() == ["formed", "formed", "leaving"]
            assert all(len(node.host.disk.members) == SIZE - 1 for node in region.nodes[:2])
            await leaver.engine.join("uid 0")
            await whole(region)
        finally:
            await region.end()

    play(story())


def test_a_join_waits_for_the_end_of_a_partition() -> None:
    async def story() -> None:
        region = await _founded()
        try:
            alone, rest = region.nodes[2].instance_id, [n.instance_id for n in region.nodes[:2]]
            region.faults.cut = {pair for n in rest for pair in ((alone, n), (n, alone))}
            newcomer = region.launch(2000.0)
            newcomer.boot()
            await asyncio.sleep(120.0)
            assert newcomer.host.disk.uuid == ""
            region.faults.cut = set()
            await whole(region)
        finally:
            await region.end()

    play(story())


NOT_TERMINATED = ("stopped", "not listed", "throttled", "unreachable", "silent")


@pytest.mark.parametrize("trouble", NOT_TERMINATED)
def test_only_terminated_takes_a_member_out(trouble: str) -> None:
    async def story() -> None:
        region = await _founded()
        try:
            lost = region.nodes[1]
            lost.crash()
            if trouble == "stopped":
                lost.becomes(InstanceState.STOPPED)
            elif trouble == "not listed":
                lost.becomes(tagged=False)
            elif trouble != "silent":
                kind = getattr(CloudErrorKind, trouble.upper())
                for node in region.nodes:
                    region.ec2.errors[node.instance_id] = CloudError(kind, "EC2 fails")
            await asyncio.sleep(900.0)
            for node in (region.nodes[0], region.nodes[2]):
                assert lost.instance_id in node.host.disk.members
                assert Verb.EXPEL not in node.host.verbs
            region.ec2.errors.clear()
            lost.becomes(InstanceState.RUNNING, tagged=True)
            lost.boot()
            await whole(region)
        finally:
            await region.end()

    play(story())
