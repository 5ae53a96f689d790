"""Whole daemons that fence each other for real: one after another, each seen to return."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from muster_sim.stage import tell
from muster_sim.world import SimRegion
from musterd.errors import CloudError, CloudErrorKind, MusterError
from musterd.spec import Fencing, Proof

pytestmark = pytest.mark.usefixtures("quiet_daemons")

LONG = 600.0  # virtual seconds


def founded(seed: int, prove: Proof, story: Callable[[SimRegion], Awaitable[None]]) -> None:
    """Found a cluster of three whose spec wants this proof, then tell the story."""

    async def whole(region: SimRegion) -> None:
        region.spec_changes = {"fencing": Fencing(prove=prove)}
        for node in region.nodes:
            node.boot()
        await story(region)

    tell(lambda: SimRegion(seed, 3), whole)


def formed(region: SimRegion) -> bool:
    return region.phases() == ["formed"] * 3


def proven(region: SimRegion) -> set[str]:
    """Names that every node shows as really fenced."""
    shown = [
        {proof.node for proof in node.status.fencing.proved if proof.how == "real"}
        for node in region.nodes
        if node.status is not None
    ]
    return set.intersection(*shown)


@pytest.mark.parametrize("seed", range(5))
def test_a_founding_is_formed_only_when_each_node_was_fenced_once(seed: int) -> None:
    async def story(region: SimRegion) -> None:
        def never_too_soon() -> bool:
            fenced = {instance for _, instance, _ in region.fences}
            assert len(fenced) == 3 or "formed" not in region.phases()
            return formed(region)

        assert await region.until(never_too_soon, LONG)
        ids = {node.instance_id for node in region.nodes}
        assert {instance for _, instance, _ in region.fences} == ids
        assert len(region.fences) == 3
        assert all(len(up) == 3 for _, _, up in region.fences)  # never two away at once
        assert len({decree.uuid for _, decree in region.foundings.decided}) == 1
        await asyncio.sleep(60.0)
        assert proven(region) == {node.host.name for node in region.nodes}

    founded(seed, Proof.REAL, story)


def test_who_came_back_is_not_fenced_again_because_ec2_says_so_late() -> None:
    """It asks for its fence until it hears that it has had it."""

    async def story(region: SimRegion) -> None:
        assert await region.until(lambda: len(region.fences) == 3, LONG)
        late = CloudError(CloudErrorKind.THROTTLED, "EC2 throttles")
        region.ec2.errors = {node.instance_id: late for node in region.nodes}
        await asyncio.sleep(40.0)
        region.ec2.errors.clear()
        assert await region.until(lambda: formed(region), LONG)
        assert len(region.fences) == 3

    founded(3, Proof.REAL, story)


def test_a_member_that_joins_later_is_fenced_once_before_it_is_formed() -> None:
    """Only it: the others run what the cluster is for, and `muster fence-test` proves them anew."""

    async def story(region: SimRegion) -> None:
        assert await region.until(lambda: formed(region), LONG)
        region.fences.clear()
        newcomer = region.launch(2000.0)
        newcomer.boot()

        def never_too_soon() -> bool:
            assert region.fences or region.phases()[3] != "formed"
            return region.phases() == ["formed"] * 4

        assert await region.until(never_too_soon, LONG)
        for node in region.nodes:  # a daemon that starts again is no newcomer
            node.kill()
            node.boot()
            await asyncio.sleep(20.0)
        await asyncio.sleep(120.0)
        assert [instance for _, instance, _ in region.fences] == [newcomer.instance_id]
        assert proven(region) == {newcomer.host.name}

    founded(7, Proof.REAL, story)


@pytest.mark.parametrize("victim", [0, 1, 2])
def test_daemons_killed_during_the_proof_change_nothing_of_it(victim: int) -> None:
    async def story(region: SimRegion) -> None:
        await region.await_moment("fence")
        region.nodes[victim].kill()
        await asyncio.sleep(5.0)
        if region.nodes[victim].engine is None:
            region.nodes[victim].boot()
        assert await region.until(lambda: formed(region), LONG)
        fenced = {instance for _, instance, _ in region.fences}
        assert fenced == {node.instance_id for node in region.nodes}

    founded(7, Proof.REAL, story)


def test_nobody_is_fenced_unless_somebody_wants_it() -> None:
    async def story(region: SimRegion) -> None:
        assert await region.until(lambda: formed(region), LONG)
        assert region.fences == []

    founded(1, Proof.PERMISSIONS, story)


def test_on_request_each_is_fenced_the_asked_one_last() -> None:
    async def story(region: SimRegion) -> None:
        assert await region.until(lambda: formed(region), LONG)
        asked = region.nodes[1]
        assert asked.engine is not None
        await asyncio.sleep(30.0)
        operation = await asked.engine.fence_test("uid 0", "")
        assert await asked.engine.fence_test("uid 0", "") == operation
        assert await region.until(lambda: len(region.fences) == 3, LONG)
        assert [instance for _, instance, _ in region.fences][-1] == asked.instance_id
        everybody = {node.host.name for node in region.nodes}
        assert await region.until(lambda: proven(region) == everybody, LONG)
        assert len(region.fences) == 3

    founded(1, Proof.PERMISSIONS, story)


def test_one_node_is_fenced_and_the_operation_ends() -> None:
    async def story(region: SimRegion) -> None:
        assert await region.until(lambda: formed(region), LONG)
        await asyncio.sleep(30.0)
        first, _, third = region.nodes
        assert first.engine is not None
        engine = first.engine
        operation = await engine.fence_test("uid 0", third.host.name)
        with pytest.raises(MusterError, match="does not fence itself"):
            await region.nodes[1].engine.fence_test("uid 0", "ip-10-0-0-12")  # type: ignore[union-attr]

        def state() -> str:
            found = engine.operation(operation.id)
            assert found is not None
            return found.state

        assert await region.until(lambda: state() != "running", LONG)
        assert state() == "done"
        assert [instance for _, instance, _ in region.fences] == [third.instance_id]
        assert await region.until(lambda: proven(region) == {third.host.name}, 120.0)

    founded(1, Proof.PERMISSIONS, story)


def test_a_reboot_that_ec2_knows_nothing_of_proves_nothing() -> None:
    async def story(region: SimRegion) -> None:
        assert await region.until(lambda: formed(region), LONG)
        await asyncio.sleep(30.0)
        first, _, third = region.nodes
        fence = region.fence

        def soft(instance_id: str) -> None:
            fence(instance_id)
            third.launched = third.created  # EC2 never stopped it
            third.becomes()

        first.host.fence = soft
        assert first.engine is not None
        engine = first.engine
        operation = await engine.fence_test("uid 0", third.host.name)
        assert await region.until(
            lambda: (
                (found := engine.operation(operation.id)) is not None
                and found.state == "failed"
                and "EC2 says that it was not stopped" in found.detail
            ),
            LONG,
        )
        assert proven(region) == set()

    founded(1, Proof.PERMISSIONS, story)


@pytest.mark.parametrize("gap", [0.0, 1.0, 4.0, 20.0])
def test_two_who_ask_at_once_never_have_two_nodes_away(gap: float) -> None:
    async def story(region: SimRegion) -> None:
        assert await region.until(lambda: formed(region), LONG)
        await asyncio.sleep(30.0)
        first, _, third = region.nodes
        assert first.engine is not None
        assert third.engine is not None
        await first.engine.fence_test("uid 0", "")
        await asyncio.sleep(gap)
        with suppress(MusterError):  # somebody is away by then: it is refused at once
            await third.engine.fence_test("uid 0", "")
        await asyncio.sleep(LONG)
        assert len(region.fences) >= 1
        everybody = {node.host.name for node in region.nodes}
        assert [set(running) for _, _, running in region.fences] == [everybody] * len(region.fences)
        assert formed(region)

    founded(1, Proof.PERMISSIONS, story)
