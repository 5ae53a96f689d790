"""Whole daemons in virtual time: whatever goes wrong, one cluster or a named reason to wait."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from muster_sim import many, report
from muster_sim.run import run
from muster_sim.scenarios import story

pytestmark = pytest.mark.usefixtures("quiet_daemons")

ROOT = Path(__file__).parents[2]
SEEDS = 2_000
MIXED = 200
BIG = 999  # a seed with sixteen founders
WAITING = (8, 9, 47)  # seeds whose founding waits for somebody lost


@pytest.mark.timeout(900)
def test_every_seed_ends_with_one_cluster_or_a_named_reason() -> None:
    found = tuple(many.results(run, range(SEEDS), many.processors()))
    print(report.summary(sorted(found, key=lambda result: result.seed), ("this one",)))
    broken = [f"seed {result.seed}: {result.problem}" for result in found if result.problem]
    assert not broken, "\n".join((*broken, "replay: python -m muster_sim --seed N --transcript"))
    assert len({result.seed for result in found}) == SEEDS
    assert sum(result.formed_at is not None for result in found) > SEEDS * 0.8


@pytest.mark.timeout(900)
def test_day_two_may_begin_before_the_founding_is_over() -> None:
    """Instances come, leave, are replaced and lose their disk amid the troubles of a story."""
    found = tuple(many.results(partial(run, mixed=True), range(MIXED), many.processors()))
    broken = [f"seed {result.seed}: {result.problem}" for result in found if result.problem]
    assert not broken, "\n".join((*broken, "replay: python -m muster_sim --mixed --seed N"))
    assert sum(result.formed_at is not None for result in found) > MIXED * 0.8


def test_sixteen_founders_found_one_cluster() -> None:
    assert story(BIG).size == 16
    assert not run(BIG).problem


@pytest.mark.parametrize("seed", WAITING)
def test_who_waits_unmoved_is_judged_as_if_watched_to_the_end(seed: int) -> None:
    early, late = run(seed), run(seed, patient=True)
    assert early.formed_at is None
    assert early.seconds < late.seconds
    assert (early.problem, early.formed_at) == (late.problem, late.formed_at) == ("", None)


def test_a_seed_tells_the_same_story_whatever_the_hash_seed() -> None:
    def told(hash_seed: str) -> str:
        folders = ("sim", "bench", "lab")
        parts = [*(f"tests/{folder}" for folder in folders), "daemon", "client"]
        return subprocess.run(
            [sys.executable, "-m", "muster_sim", "--seed", "7", "--transcript"],
            env={
                "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in parts),
                "PYTHONHASHSEED": hash_seed,
            },
            capture_output=True,
            check=True,
            text=True,
        ).stdout

    first = told("1")
    assert len(first.splitlines()) > 50
    assert first == told("2")
