"""`tests/lab/kill-matrix`: run the cells that have no good result yet, one after another.

Each cell founds a cluster of three fresh nodes, kills the helper, the daemon or a whole node at a
named point, and proves what must hold afterwards. Results are kept in build/kill-matrix.jsonl, so
that a run that was interrupted goes on where it was.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from subprocess import SubprocessError

from muster_bench import tables
from muster_kills import results
from muster_kills.cells import Cell, cells
from muster_kills.results import OK, Result
from muster_kills.run import Run, run, run_the_gauntlet
from muster_lab.client import CHECKOUT, Lab
from muster_lab.ports import MachineError
from observe import own_lab

Job = Callable[[Lab, str], Run]
"""Runs something in a lab, with a cluster of that name."""

CELLS_PER_LAB = 50
"""Runs after which the lab is made anew: terminated instances stay listed."""


def main() -> int:
    """Run, tell, write; 0 when every cell that was run kept the promises."""
    parser = argparse.ArgumentParser(prog="kill-matrix", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="cells whose name contains this")
    parser.add_argument("--again", action="store_true", help="also those that were good before")
    parser.add_argument("--list", action="store_true", help="say which cells would run")
    parser.add_argument("--write", action="store_true", help="the table into docs/kill-matrix.md")
    options = parser.parse_args()
    known = results.load()
    left = {
        key: job
        for key, job in _jobs().items()
        if options.only in key and (options.again or key not in known or known[key].verdict != OK)
    }
    if options.list:
        print("\n".join(left))
        return 0
    failed = sum(result.verdict != OK for result in _all(left))
    if options.write:
        tables.write("matrix", results.table(results.load()), results.DOCUMENT)
    return 1 if failed else 0


def _jobs() -> dict[str, Job]:
    """Return what runs each cell, by its key; the gauntlet first."""

    def job(cell: Cell) -> Job:
        return lambda lab, name: run(lab, cell, name)

    return {results.GAUNTLET: run_the_gauntlet, **{cell.key: job(cell) for cell in cells()}}


def _all(left: Mapping[str, Job]) -> list[Result]:
    """Run them, a line for each."""
    done: list[Result] = []
    commit = _commit()
    jobs = list(enumerate(left.items(), 1))
    for first in range(0, len(jobs), CELLS_PER_LAB):
        with own_lab("kill") as lab:
            for number, (key, job) in jobs[first : first + CELLS_PER_LAB]:
                result = _one(lab, key, job, f"kill{number}", commit)
                results.append(result)
                done.append(result)
                times = f"struck {result.struck_after:.0f} s, healthy {result.healthy_after:.0f} s"
                print(f"{number}/{len(left)} {key}: {result.verdict}; {times}", flush=True)
    return done


def _one(lab: Lab, key: str, job: Job, name: str, commit: str) -> Result:
    try:
        ended = job(lab, name)
    except (AssertionError, MachineError, SubprocessError, ValueError, KeyError) as error:
        print(error, file=sys.stderr, flush=True)
        verdict = str(error).partition("\n")[0] or type(error).__name__
        return Result(key, verdict, at=_now(), commit=commit)
    return Result(
        key,
        OK,
        uuid=ended.uuid,
        struck_after=round(ended.struck_after, 1),
        healthy_after=round(ended.healthy_after, 1),
        at=_now(),
        commit=commit,
    )


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _commit() -> str:
    told = subprocess.run(
        ["git", "-C", str(CHECKOUT), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        check=False,
        text=True,
    )
    return told.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
