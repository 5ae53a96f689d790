"""`tests/lab/kill-matrix`: run the cells that have no good result yet, one after another.

Each cell founds a cluster of three fresh nodes, kills the helper, the daemon or a whole node at a
named point, and proves what must hold afterwards. Results are kept in build/kill-matrix.jsonl, so
that a run that was interrupted goes on where it was.
"""

import argparse
import subprocess
import sys
from datetime import UTC, datetime
from subprocess import SubprocessError

from muster_bench import tables
from muster_kills import results
from muster_kills.cells import Cell, cells
from muster_kills.results import OK, Result
from muster_kills.run import run
from muster_lab.client import CHECKOUT, Lab
from muster_lab.ports import MachineError
from observe import own_lab

NODES_PER_LAB = 150
"""Launches after which the lab is made anew: terminated instances stay listed."""


def main() -> int:
    """Run, tell, write; 0 when every cell that was run kept the promises."""
    parser = argparse.ArgumentParser(prog="kill-matrix", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="cells whose name contains this")
    parser.add_argument("--again", action="store_true", help="also those that were good before")
    parser.add_argument("--list", action="store_true", help="say which cells would run")
    parser.add_argument("--write", action="store_true", help="the table into docs/kill-matrix.md")
    options = parser.parse_args()
    known = results.load()
    left = [
        cell
        for cell in cells()
        if options.only in cell.key
        and (options.again or cell.key not in known or known[cell.key].verdict != OK)
    ]
    if options.list:
        print("\n".join(cell.key for cell in left))
        return 0
    failed = sum(result.verdict != OK for result in _all(left))
    if options.write:
        tables.write("matrix", results.table(results.load()), results.DOCUMENT)
    return 1 if failed else 0


def _all(left: list[Cell]) -> list[Result]:
    """Run the cells, a line for each."""
    done: list[Result] = []
    commit = _commit()
    at_once = NODES_PER_LAB // 3
    for first in range(0, len(left), at_once):
        with own_lab("kill") as lab:
            for number, cell in enumerate(left[first : first + at_once], first + 1):
                result = _one(lab, cell, f"kill{number}", commit)
                results.append(result)
                done.append(result)
                times = f"struck {result.struck_after:.0f} s, healthy {result.healthy_after:.0f} s"
                print(f"{number}/{len(left)} {cell.key}: {result.verdict}; {times}", flush=True)
    return done


def _one(lab: Lab, cell: Cell, name: str, commit: str) -> Result:
    try:
        ended = run(lab, cell, name)
    except (AssertionError, MachineError, SubprocessError, ValueError, KeyError) as error:
        print(error, file=sys.stderr, flush=True)
        verdict = str(error).partition("\n")[0] or type(error).__name__
        return Result(cell.key, verdict, at=_now(), commit=commit)
    return Result(
        cell.key,
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
