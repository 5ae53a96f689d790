"""Every verb, killed before, in the middle and after, on either role, in three ways: one cluster.

The same matrix as docs/kill-matrix.md, whole, in virtual time: the helper dies, or the daemon with
the helper going on, or the node with both, and comes back.
"""

import asyncio
from collections.abc import Iterator

import pytest

from muster_sim.kills import CONDUCTOR, FOLLOWER, Cell, Executioner, uuid_of
from muster_sim.stage import play
from muster_sim.watchers import Watch
from muster_sim.world import SimRegion
from musterd.model import DAY_TWO, Phase, Verb
from musterd.spec import Fencing, Proof

pytestmark = pytest.mark.usefixtures("quiet_daemons")

SIZE = 3
PATIENCE = 300.0  # virtual seconds until all must be formed
QUIET = 60.0  # seconds in which daemons that were started again must change nothing


def _cells() -> Iterator[Cell]:
    for verb in Verb:
        if verb in {Verb.PREPARE, Verb.FENCE, *DAY_TWO}:
            continue  # there are no roles yet: see the last tests; a founding needs no other
        for moment in ("before", "middle", "after"):
            for victim in ("helper", "daemon", "node"):
                yield Cell(verb, moment, CONDUCTOR, victim)
                if verb not in {Verb.BUILD, Verb.CONFIGURE}:
                    yield Cell(verb, moment, FOLLOWER, victim)


async def _formed(region: SimRegion, seconds: float) -> None:
    """Let the nodes found their cluster; look twice a second that it stays one."""
    watch = Watch(region)

    def formed() -> bool:
        watch.look()
        assert Phase.FAILED not in region.phases(), region.phases()
        return watch.formed

    assert await region.until(formed, seconds), region.phases()


def _findings(region: SimRegion) -> list[str]:
    return [f.what for n in region.nodes if n.status is not None for f in n.status.findings]


async def _whole(cell: Cell, number: int, changes: dict[str, object]) -> str:
    """Found, kill, form, start every daemon anew; return the role of the victim in the end."""
    region = SimRegion(7, SIZE)
    region.spec_changes = changes
    executioner = Executioner(region, cell, number)
    for node in region.nodes:
        node.boot()
    try:
        await _formed(region, PATIENCE)
        struck = executioner.struck
        assert struck is not None, f"nobody came to {cell.point}"
        _assert_one_cluster(region, executioner.uuid)
        await asyncio.sleep(2.0)  # until the last status is published
        assert _findings(region) == []
        await _assert_a_second_run_is_idle(region)
    finally:
        await region.end()
    return CONDUCTOR if Verb.CONFIGURE in struck.host.verbs else FOLLOWER


def _assert_one_cluster(region: SimRegion, before: str) -> None:
    uuids = {node.host.disk.uuid for node in region.nodes} | {uuid_of(n) for n in region.nodes}
    assert len(uuids) == 1
    assert uuids >= {before} - {""}
    assert len({node.host.disk.keys for node in region.nodes}) == 1


async def _assert_a_second_run_is_idle(region: SimRegion) -> None:
    before = [list(node.host.verbs) for node in region.nodes]
    for node in region.nodes:
        node.kill()
        node.boot()
    await asyncio.sleep(QUIET)
    await _formed(region, 1.0)
    assert [node.host.verbs for node in region.nodes] == before


def _run(cell: Cell, number: int = 0, **changes: object) -> str:
    return play(_whole(cell, number, changes))


@pytest.mark.parametrize("cell", tuple(_cells()), ids=str)
def test_killed_it_ends_with_one_cluster(cell: Cell) -> None:
    _run(cell)


@pytest.mark.parametrize("victim", ["helper", "daemon", "node"])
@pytest.mark.parametrize("moment", ["before", "middle", "after"])
def test_killed_before_there_are_roles(moment: str, victim: str) -> None:
    """Each node once: so it befalls the conductor to be, and followers."""
    cell = Cell(Verb.PREPARE, moment, "", victim)
    assert {_run(cell, number) for number in range(1, SIZE + 1)} == {CONDUCTOR, FOLLOWER}


@pytest.mark.parametrize("role", [CONDUCTOR, FOLLOWER])
def test_a_last_step_that_was_done_before_its_helper_died_leaves_no_finding(role: str) -> None:
    """With nothing to prove, no other step comes that could succeed instead."""
    _run(Cell(Verb.TRUST, "after", role, "helper"), fencing=Fencing(prove=Proof.NONE))


@pytest.mark.parametrize("victim", ["helper", "daemon", "node"])
@pytest.mark.parametrize("moment", ["before", "middle", "after"])
def test_killed_while_it_fences_for_the_proof(moment: str, victim: str) -> None:
    _run(Cell(Verb.FENCE, moment, CONDUCTOR, victim), fencing=Fencing(prove=Proof.REAL))
