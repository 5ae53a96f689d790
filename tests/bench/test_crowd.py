"""Two hundred at a time ask while a cluster is founded: each is answered, and memory stays."""

from collections.abc import Iterator

import pytest

from muster_bench import crowd
from muster_bench.crowd import ASKED, QUIET, SIDES, Crowded
from muster_lab.client import CHECKOUT, Lab
from muster_lab.image import newest_package

ROOM = 70e6 / 2**20 + crowd.GROWTH  # MiB: what a daemon at rest may have, and what a crowd may add


def rounds(quiet: float, asked: float, **changes: object) -> dict[str, list[Crowded]]:
    one = Crowded(quiet, 60.0, 0, (), 0.0, 1.0)
    found = {name: [one] for name in SIDES}
    values = {"memory": 62.0, "calls": 1200, "errors": (), "slowest": 9.5, "load": 1.0, **changes}
    found[ASKED] = [Crowded(asked, **values)]  # type: ignore[arg-type] # a test's own values
    return found


def test_the_table_compares_with_the_founding_that_nobody_watched() -> None:
    text = crowd.table(rounds(40.0, 42.0))
    assert f"| {QUIET} | 40.0 | 1.00 | 60.0 | 0 | 0 | - |" in text
    assert f"| {ASKED} | 42.0 | 1.05 | 62.0 | 1200 | 0 | 9.5 |" in text
    assert crowd.wrongs(rounds(40.0, 42.0)) == []


def test_each_promise_is_held_against_the_figures() -> None:
    [slow] = crowd.wrongs(rounds(40.0, 45.0))
    assert "1.12 times as long" in slow
    [large] = crowd.wrongs(rounds(40.0, 40.0, memory=90.0))
    assert "30.0 MiB larger" in large
    [failed] = crowd.wrongs(rounds(40.0, 40.0, errors=("no answer",)))
    assert "1 calls failed, among them: no answer" in failed


@pytest.fixture
def lab() -> Iterator[Lab]:
    lab = Lab("crowdtest")
    yield lab
    lab.down()


@pytest.mark.lab
@pytest.mark.long
@pytest.mark.timeout(600)
def test_nobody_is_turned_away_while_a_cluster_is_founded(lab: Lab) -> None:
    """The seconds are `make bench-crowd`'s: one founding on a busy machine says nothing of them."""
    found = crowd.run(lab, lab.prepare(package=newest_package(CHECKOUT)), SIDES[ASKED])
    assert found.calls >= crowd.CROWD
    assert found.errors == ()
    assert found.memory < ROOM
