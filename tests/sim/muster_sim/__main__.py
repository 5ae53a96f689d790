"""`python -m muster_sim`: run many seeds, replay one, or explore the large spaces."""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from muster_bench import tables
from muster_sim import broken, cost, many, report, spaces
from muster_sim.explore import Explorer
from muster_sim.life import live
from muster_sim.run import Verdict, run

TELL_EVERY = 30.0  # seconds


def main(argv: list[str] | None = None) -> int:
    """Run what is asked; the exit status is 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="muster_sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many seeds (default 300)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--processes", type=int, default=many.processors(), help="side by side")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="append each result to a file")
    parser.add_argument("--report", type=Path, nargs="+", metavar="FILE", help="report from these")
    parser.add_argument("--write", type=Path, metavar="DOC", help="also write the report there")
    parser.add_argument("--seed", type=int, help="run this seed alone")
    parser.add_argument("--transcript", action="store_true", help="with --seed: tell what happens")
    parser.add_argument("--lives", action="store_true", help="of day two, not of the founding")
    parser.add_argument("--mixed", action="store_true", help="with day two in the stories")
    parser.add_argument("--explore", action="store_true", help="explore the large spaces instead")
    parser.add_argument("--broken", action="store_true", help="find what is written wrongly")
    parser.add_argument("--cost", type=int, nargs="+", metavar="N", help="messages of N nodes")
    asked = parser.parse_args(argv)
    many.quiet()
    if asked.explore:
        return _explore(asked.write)
    if asked.cost:
        return _cost(asked.cost, asked.write)
    if asked.broken:
        return _broken(asked.seeds, asked.write)
    if asked.seed is not None:
        verdict = _runner(asked)(asked.seed, transcript=asked.transcript)
        for line in verdict.transcript:
            print(line)
        print(f"seed {asked.seed}: {verdict.problem or 'every promise was kept'}")
        return int(bool(verdict.problem))
    if asked.report:
        return _reported(asked, *many.read(asked.report))
    seeds = range(asked.first, asked.first + asked.seeds)
    found = many.results(_runner(asked), seeds, asked.processes)
    told = tuple(_told(many.kept(asked.keep, found) if asked.keep else found))
    return _reported(asked, told, (many.commit(),))


def _runner(asked: argparse.Namespace) -> Callable[..., Verdict]:
    return live if asked.lives else partial(run, mixed=asked.mixed)


def _told(found: Iterable[many.Result]) -> Iterator[many.Result]:
    """Tell of each violation as it is found, and now and then how far the run is."""
    began = told = time.monotonic()
    for number, result in enumerate(found, 1):
        if result.problem:
            print(f"seed {result.seed}: {result.problem}", flush=True)
        if time.monotonic() - told > TELL_EVERY:
            told = time.monotonic()
            print(f"{number} seeds in {told - began:.0f} s", file=sys.stderr, flush=True)
        yield result


def _reported(
    asked: argparse.Namespace, found: Sequence[many.Result], commits: Iterable[str]
) -> int:
    told = report.lives if asked.lives else report.summary
    table = "lives" if asked.lives else "mixed" if asked.mixed else "seeds"
    text = told(found, commits)
    print(text)
    if asked.write is not None:
        tables.write(table, text, asked.write)
    return int(any(result.problem for result in found))


def _cost(sizes: Iterable[int], write: Path | None) -> int:
    """Found a cluster of each size, undisturbed, and count its messages."""
    rows = []
    for size in sizes:
        rows.append(report.cost(cost.cost(size)))
        print(rows[-1], flush=True)
    if write is not None:
        tables.write("cost", "\n".join((*report.COST, *rows)), write)
    return 0


def _broken(seeds: int, write: Path | None) -> int:
    """Find each wrong election by exploration, and by stories where they can."""
    rows, missed = [], 0
    for variant in broken.VARIANTS:
        found, verdict = variant.explored(), variant.sought(seeds)
        missed += not found.broken
        rows.append(report.wrong(variant.name, found, verdict, seeds))
        print(rows[-1], flush=True)
    if write is not None:
        tables.write("broken", "\n".join((*report.WRONG, *rows)), write)
    return int(missed > 0)


def _explore(write: Path | None) -> int:
    failed, rows, states = 0, [], 0
    for scenario in (*spaces.QUICK, *spaces.LARGE):
        found = Explorer(scenario).run()
        states += found.states
        rows.append(report.explored(scenario.name, str(spaces.Bounds(scenario)), found))
        print(rows[-1], flush=True)
        if found.broken:
            failed += 1
            print("\n".join((found.broken, *found.transcript)))
    total = f"{states:,} states, commit {many.commit()}: **{failed} scenarios with a violation**."
    print(total)
    if write is not None:
        tables.write("explored", "\n".join((total, "", *report.EXPLORED, *rows)), write)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
