"""What muster makes in EC2: once, whoever is killed when, and disks only where that is safe."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from muster_sim.stage import tell
from muster_sim.world import SimNode, SimRegion
from musterd.model import Volume
from musterd.spec import ALLOCATE, Address, Fencing, NewVolume, Proof, SharedDisk

pytestmark = pytest.mark.usefixtures("quiet_daemons")

LONG = 300.0  # virtual seconds
FLOATING = "10.0.0.100"
VOLUME = "vol-0123456789abcdef0"
SOUND = Volume(VOLUME, "io2", "eu-west-1a", "available", True)
Story = Callable[[SimRegion], Awaitable[None]]


def told(seed: int, story: Story, **wanted: object) -> None:
    """Have three nodes found a cluster with these parts of the spec, and tell the story."""

    async def whole(region: SimRegion) -> None:
        region.spec_changes = wanted
        for node in region.nodes:
            node.boot()
        await story(region)

    tell(lambda: SimRegion(seed, 3), whole)


def shows_elastic(node: SimNode) -> str:
    """The elastic address in a node's status."""
    addresses = node.status.addresses if node.status is not None else ()
    return addresses[0].elastic_ip if addresses else ""


def reasons(region: SimRegion) -> str:
    return "\n".join(node.status.reason for node in region.nodes if node.status is not None)


ALLOCATED = {"address": (Address(IPv4Address(FLOATING), elastic_ip=ALLOCATE),)}
OWN_TAGS = {"muster:cluster": "web", "muster:address": FLOATING}


@pytest.mark.parametrize("seed", range(4))
def test_one_elastic_address_is_allocated_and_everybody_finds_it(seed: int) -> None:
    async def story(region: SimRegion) -> None:
        region.estate.lag = 1.5
        known = lambda: all(shows_elastic(node) for node in region.nodes)  # noqa: E731
        assert await region.until(known, LONG)
        [(public, tags, _)] = region.estate.allocations.values()
        assert tags == OWN_TAGS
        assert {shows_elastic(node) for node in region.nodes} == {public}

    told(seed, story, **ALLOCATED)


@pytest.mark.parametrize("seed", range(6))
def test_a_conductor_killed_as_it_allocates_leaves_one_for_the_next(seed: int) -> None:
    async def story(region: SimRegion) -> None:
        region.estate.lag = 1.5
        assert await region.until(lambda: bool(region.estate.allocations), LONG)
        conductor = next(
            node for node in region.nodes if node.status and node.status.self.conductor
        )
        conductor.kill()
        await asyncio.sleep(20.0)
        conductor.boot()
        known = lambda: all(shows_elastic(node) for node in region.nodes)  # noqa: E731
        assert await region.until(known, LONG)
        assert len(region.estate.allocations) == 1

    told(seed, story, **ALLOCATED)


def test_one_that_is_there_with_the_tags_is_used() -> None:
    async def story(region: SimRegion) -> None:
        region.estate.allocations["eipalloc-7"] = ("203.0.113.77", OWN_TAGS, 0.0)
        known = lambda: shows_elastic(region.nodes[2]) == "203.0.113.77"  # noqa: E731
        assert await region.until(known, LONG)
        assert list(region.estate.allocations) == ["eipalloc-7"]

    told(1, story, **ALLOCATED)


def test_two_with_the_tags_are_a_question_for_a_person() -> None:
    async def story(region: SimRegion) -> None:
        for number in (7, 8):
            address = f"203.0.113.{number}"
            region.estate.allocations[f"eipalloc-{number}"] = (address, OWN_TAGS, 0.0)
        words = "several elastic addresses are tagged for 10.0.0.100: 203.0.113.7, 203.0.113.8"
        assert await region.until(lambda: words in reasons(region), LONG)
        assert len(region.estate.allocations) == 2

    told(1, story, **ALLOCATED)


def test_a_refused_allocation_is_told_and_tried_again() -> None:
    async def story(region: SimRegion) -> None:
        region.estate.denied = {"AllocateAddress"}
        words = "an elastic address for 10.0.0.100: the role may not call ec2:AllocateAddress"
        assert await region.until(lambda: words in reasons(region), LONG)
        region.estate.denied = set()
        assert await region.until(lambda: bool(region.estate.allocations), LONG)

    told(1, story, **ALLOCATED)


# --- shared disks -----------------------------------------------------------------------------

GIVEN = {"shared_disk": (SharedDisk(VOLUME, name="data"),)}
WANTED = {"shared_disk": (SharedDisk(name="data", create=NewVolume(size=10, iops=100)),)}


def formed(region: SimRegion) -> bool:
    return region.phases() == ["formed"] * 3


def attached(region: SimRegion) -> set[str]:
    return {each for volume in region.estate.made.values() for each in volume.attachments}


def strange(region: SimRegion) -> Volume:
    """Attach the volume to a stranger as well; return it as it was."""
    volume = region.estate.made[VOLUME]
    region.estate.put(replace(volume, attachments={**volume.attachments, "i-x": "attached"}))
    return volume


def proved_by(node: SimNode) -> set[str]:
    """The names of those of whom a node knows that they can be fenced."""
    proved = node.engine.status().fencing.proved if node.engine is not None else ()
    return {proof.node for proof in proved}


@pytest.mark.parametrize("seed", range(4))
def test_a_volume_is_made_once_and_attached_to_every_node_by_itself(seed: int) -> None:
    async def story(region: SimRegion) -> None:
        def never_unproven() -> bool:
            for node in region.nodes:
                proved = node.engine.status().fencing.proved if node.engine is not None else ()
                assert proved or node.instance_id not in attached(region)
            return formed(region)

        assert await region.until(never_unproven, LONG)
        assert len(region.estate.made) == 1
        assert attached(region) == {node.instance_id for node in region.nodes}

    told(seed, story, **WANTED)


@pytest.mark.parametrize("seed", range(4))
def test_a_conductor_killed_as_it_makes_a_volume_leaves_one_for_the_next(seed: int) -> None:
    async def story(region: SimRegion) -> None:
        assert await region.until(lambda: bool(region.estate.made), LONG)
        killed = next(node for node in region.nodes if node.status and node.status.self.conductor)
        killed.kill()
        await asyncio.sleep(15.0)
        killed.boot()
        assert await region.until(lambda: formed(region), LONG)
        assert len(region.estate.made) == 1

    told(seed, story, **WANTED)


def test_a_founder_that_is_down_keeps_nobody_from_their_disks() -> None:
    async def story(region: SimRegion) -> None:
        await region.await_moment("decided")
        down = next(
            node for node in region.nodes if not (node.status and node.status.self.conductor)
        )
        down.crash()
        others = [node for node in region.nodes if node is not down]

        def both() -> bool:
            return [node.status.phase for node in others if node.status] == ["formed"] * 2

        assert await region.until(both, LONG)
        assert attached(region) == {node.instance_id for node in others}

    told(1, story, **WANTED)


@pytest.mark.parametrize("seed", range(4))
def test_who_joins_starts_only_once_it_has_its_disks_and_others_can_fence_it(seed: int) -> None:
    async def story(region: SimRegion) -> None:
        assert await region.until(lambda: formed(region), LONG)
        founders = list(region.nodes)
        newcomer = region.launch(2000.0)
        newcomer.boot()

        def never_too_early() -> bool:
            has = newcomer.instance_id in attached(region)
            assert has or newcomer.host.started_at is None
            if has and newcomer.host.started_at is None:
                assert all(newcomer.host.name in proved_by(node) for node in founders)
            return newcomer.status is not None and newcomer.status.phase == "formed"

        assert await region.until(never_too_early, LONG)
        assert newcomer.instance_id in attached(region)

    told(seed, story, **WANTED)


def test_nobody_is_admitted_while_it_could_not_have_the_disks() -> None:
    async def story(region: SimRegion) -> None:
        region.estate.put(SOUND)
        assert await region.until(lambda: formed(region), LONG)
        volume = strange(region)
        newcomer = region.launch(2000.0)
        newcomer.boot()

        def told_why() -> bool:
            status = newcomer.status
            return status is not None and status.phase == "joining" and "i-x" in status.reason

        assert await region.until(told_why, LONG)
        await asyncio.sleep(60.0)
        assert all(len(node.host.disk.members) == 3 for node in region.nodes[:3])
        region.estate.put(volume)
        assert await region.until(lambda: region.phases() == ["formed"] * 4, LONG)

    told(1, story, **GIVEN)


def test_a_volume_that_is_unsafe_founds_nothing_until_it_is_cured() -> None:
    async def story(region: SimRegion) -> None:
        region.estate.put(replace(SOUND, multi_attach=False))
        assert await region.until(lambda: "made without Multi-Attach" in reasons(region), LONG)
        await asyncio.sleep(60.0)
        engine = region.nodes[0].engine
        assert engine is not None
        examined = await engine.preflight()
        assert any("made without Multi-Attach" in check.what for check in examined.checks)
        assert not region.foundings.decided
        assert attached(region) == set()
        region.estate.put(SOUND)
        assert await region.until(lambda: formed(region), LONG)

    told(1, story, **GIVEN)


def test_a_disk_with_another_serial_is_never_taken_for_the_volume() -> None:
    async def story(region: SimRegion) -> None:
        region.estate.put(SOUND)
        region.estate.odd = {VOLUME}
        words = f"but the kernel there has no NVMe disk with serial {VOLUME.replace('-', '')}"
        assert await region.until(lambda: words in reasons(region), LONG)
        await asyncio.sleep(60.0)
        assert "formed" not in region.phases()

    told(1, story, **GIVEN)


def test_a_stranger_at_the_disk_of_a_formed_cluster_is_a_finding() -> None:
    async def story(region: SimRegion) -> None:
        region.estate.put(SOUND)
        assert await region.until(lambda: formed(region), LONG)
        strange(region)

        def found() -> bool:
            status = region.nodes[1].status
            return status is not None and any("i-x as well" in f.what for f in status.findings)

        assert await region.until(found, LONG)

    told(1, story, **GIVEN, fencing=Fencing(prove=Proof.PERMISSIONS))
