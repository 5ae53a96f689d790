"""Whole daemons in virtual time: whatever goes wrong, one cluster or a named reason to wait."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from muster_sim.run import run
from muster_sim.scenarios import story

ROOT = Path(__file__).parents[2]
BLOCK = 8  # seeds a test
BLOCKS = 8
BIG = 999  # a seed with sixteen founders


@pytest.fixture(autouse=True)
def _quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


@pytest.mark.parametrize("first", range(0, BLOCK * BLOCKS, BLOCK))
def test_every_seed_ends_with_one_cluster_or_a_named_reason(first: int) -> None:
    verdicts = [run(seed) for seed in range(first, first + BLOCK)]
    broken = [f"seed {verdict.seed}: {verdict.problem}" for verdict in verdicts if verdict.problem]
    assert not broken, "\n".join((*broken, "replay: python -m muster_sim --seed N --transcript"))
    assert sum(verdict.formed_at is not None for verdict in verdicts) > BLOCK // 2


def test_sixteen_founders_found_one_cluster() -> None:
    assert story(BIG).size == 16
    assert not run(BIG).problem


def test_a_seed_tells_the_same_story_whatever_the_hash_seed() -> None:
    def told(hash_seed: str) -> str:
        path = os.pathsep.join(str(ROOT / part) for part in ("tests/sim", "daemon", "client"))
        return subprocess.run(
            [sys.executable, "-m", "muster_sim", "--seed", "7", "--transcript"],
            env={"PYTHONPATH": path, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
            text=True,
        ).stdout

    first = told("1")
    assert len(first.splitlines()) > 50
    assert first == told("2")
