"""The kill matrix: no point is left out, and its table says what was and what was not."""

from pathlib import Path

import pytest

from muster_kills.cells import CONDUCTED, FOUNDING, Cell, Role, Victim, cells
from muster_kills.results import OK, Result, append, load, table
from musterd.model import Verb

ALL = [point for points in FOUNDING.values() for point in points]


@pytest.mark.parametrize("point", ALL)
def test_the_helper_dies_at_every_point_in_every_role(point: str) -> None:
    roles = {c.role for c in cells() if c.point == point and c.victim is Victim.HELPER}
    verb = Verb(point.partition(":")[0])
    if verb in CONDUCTED:
        assert roles == {Role.CONDUCTOR}
    else:
        assert Role.EVERYBODY in roles or roles == {Role.CONDUCTOR, Role.FOLLOWER}
    if verb not in CONDUCTED | {Verb.PREPARE} and ":middle" in point:
        assert roles == {Role.CONDUCTOR, Role.FOLLOWER}


@pytest.mark.parametrize("victim", [Victim.DAEMON, Victim.NODE])
def test_daemon_and_node_die_in_each_verb_that_changes_something(victim: Victim) -> None:
    assert {c.verb for c in cells() if c.victim is victim} == set(FOUNDING) - {Verb.SURVEY}


def test_every_cell_is_another_one_and_at_a_point_that_exists() -> None:
    keys = [cell.key for cell in cells()]
    assert len(keys) == len(set(keys))
    assert {cell.point for cell in cells()} == set(ALL)


def test_the_latest_result_of_a_cell_counts(tmp_path: Path) -> None:
    file = tmp_path / "build" / "results.jsonl"
    assert load(file) == {}
    cell = Cell("lay:before", Victim.HELPER, Role.CONDUCTOR)
    append(Result(cell.key, "two clusters"), file)
    append(Result(cell.key, OK, "ab" * 16, 20.0, 51.4), file)
    assert load(file) == {cell.key: Result(cell.key, OK, "ab" * 16, 20.0, 51.4)}


def test_the_table_tells_good_bad_all_at_once_and_not_run() -> None:
    good = Result("lay:middle-key helper conductor", OK, healthy_after=51.4)
    bad = Result("lay:middle-key helper follower", "two clusters")
    both = Result("prepare:before helper all", OK, healthy_after=60.0)
    lines = table({result.key: result for result in (good, bad, both)}).splitlines()
    assert f"{len(cells())} cells, 3 run, 2 ended with one cluster" in lines[0]
    assert "Not kept: lay:middle-key helper follower: two clusters" in lines
    assert "| lay:middle-hosts | not run | not run | - | - | - | not run |" in lines
    [row] = [line for line in lines if line.startswith("| lay:middle-key |")]
    assert row.startswith("| lay:middle-key | 51 s | **not kept** |")
    told = "| prepare:before | 60 s (all nodes) | 60 s (all nodes) | - | - | - | - |"
    assert told in lines
    assert "| build:before | not run | - | - | - | - | - |" in lines
