"""Many seeds, in as many processes as there are processors, and what came of each."""

import gc
import json
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import structlog

from muster_sim.run import Verdict

BLOCK = 20  # seeds a process takes at a time


@dataclass(frozen=True)
class Result:
    """A run in few words. Times are virtual seconds."""

    seed: int
    size: int
    nodes: int
    problem: str
    formed_at: float | None
    calm_at: float
    troubled: bool
    seconds: float
    hellos: int
    messages: int


def results(
    run: Callable[[int], Verdict], seeds: Sequence[int], processes: int
) -> Iterator[Result]:
    """Yield what came of each seed (`run` runs one, and is a function of a module), in no order."""
    blocks = [seeds[first : first + BLOCK] for first in range(0, len(seeds), BLOCK)]
    if processes <= 1:
        for block in blocks:
            yield from _block(run, block)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        for found in pool.imap_unordered(partial(_block, run), blocks):
            yield from found


def processors() -> int:
    """Return how many processors this process may use; PyPy tells only how many there are."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable is not None else os.cpu_count() or 1


def quiet() -> None:
    """Let daemons log nothing: their transcript is what counts."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(50), cache_logger_on_first_use=True
    )


def commit() -> str:
    """Return the commit whose stories these are; a change of the stories changes all seeds."""
    asked = ("git", "describe", "--always", "--dirty", "--abbrev=10")
    told = subprocess.run(
        asked, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return told.stdout.strip() or "unknown"


def kept(path: Path, found: Iterable[Result]) -> Iterator[Result]:
    """Yield the results on, each written to a file of JSON lines first."""
    now = commit()
    with path.open("a", encoding="utf-8", buffering=1) as file:
        for result in found:
            file.write(json.dumps({"commit": now, **asdict(result)}) + "\n")
            yield result


def read(paths: Iterable[Path]) -> tuple[tuple[Result, ...], tuple[str, ...]]:
    """Return the results in such files, by seed, and the commits they are of."""
    found: dict[int, Result] = {}
    commits: dict[str, None] = {}
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            values = json.loads(line)
            commits[values.pop("commit")] = None
            found[values["seed"]] = Result(**values)
    return tuple(found[seed] for seed in sorted(found)), tuple(commits)


def _block(run: Callable[[int], Verdict], seeds: Sequence[int]) -> list[Result]:
    """Run some seeds; what a run leaves behind is collected after it, not while it runs.

    Not so by PyPy: its collector finds the right moments, and a whole collection is dear there.
    """
    quiet()
    if sys.implementation.name == "pypy":
        return [_result(run(seed)) for seed in seeds]
    gc.disable()
    try:
        return [_result(run(seed)) for seed in seeds]
    finally:
        gc.enable()
        gc.collect()


def _result(verdict: Verdict) -> Result:
    return Result(
        seed=verdict.seed,
        size=verdict.size,
        nodes=verdict.nodes,
        problem=verdict.problem,
        formed_at=verdict.formed_at,
        calm_at=verdict.calm_at,
        troubled=verdict.troubled,
        seconds=verdict.seconds,
        hellos=verdict.hellos,
        messages=verdict.messages,
    )
