"""What came of the runs: a line of JSON each in a file outside git, and the table in the docs."""

import json
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from muster_kills.cells import FOUNDING, Cell, Role, Victim, cells
from muster_lab.client import CHECKOUT

FILE = CHECKOUT / "build" / "kill-matrix.jsonl"
DOCUMENT = CHECKOUT / "docs" / "kill-matrix.md"
OK = "ok"
GAUNTLET = "every point, every node"


@dataclass(frozen=True)
class Result:
    """One run; `verdict` is OK or what was wrong, times in seconds from the launch."""

    key: str
    verdict: str
    uuid: str = ""
    struck_after: float = 0.0
    healthy_after: float = 0.0
    at: str = ""  # when it ended, RFC 3339
    commit: str = ""


def load(path: Path = FILE) -> dict[str, Result]:
    """Return the latest result of each cell."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    results = [Result(**json.loads(line)) for line in lines]
    return {result.key: result for result in results}


def append(result: Result, path: Path = FILE) -> None:
    """Keep a result."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(result)) + "\n")


def table(results: Mapping[str, Result]) -> str:
    """Return the summary and one row per point."""
    return "\n".join((*_summary(results), "", *_rows(results)))


def _summary(results: Mapping[str, Result]) -> Iterator[str]:
    done = [results[cell.key] for cell in cells() if cell.key in results]
    good = [result for result in done if result.verdict == OK]
    yield (
        f"{len(cells())} cells, {len(done)} run, {len(good)} ended with one cluster, equal files,"
        " the uuid that was decided, and a second run that changed nothing."
    )
    if good:
        times = [result.healthy_after for result in good]
        yield (
            f"From the launch until every node was healthy: median {statistics.median(times):.0f} s"
            f" ({min(times):.0f} to {max(times):.0f})."
        )
    gauntlet = results.get(GAUNTLET)
    if gauntlet is not None and gauntlet.verdict == OK:
        yield (
            "\nThe founding in which every helper of every node was killed at every point ended the"
            f" same way, {gauntlet.healthy_after:.0f} s after the launch."
        )
    for result in (*done, *([gauntlet] if gauntlet else ())):
        if result.verdict != OK:
            yield f"\nNot kept: {result.key}: {result.verdict}"


def _rows(results: Mapping[str, Result]) -> Iterator[str]:
    columns = [(victim, role) for victim in Victim for role in (Role.CONDUCTOR, Role.FOLLOWER)]
    heads = [f"{victim}, {role}" for victim, role in columns]
    yield f"| point | {' | '.join(heads)} |"
    yield f"|---|{'---|' * len(heads)}"
    wanted = {cell.key for cell in cells()}
    for points in FOUNDING.values():
        for point in points:
            told = [_told(point, victim, role, wanted, results) for victim, role in columns]
            yield f"| {point} | {' | '.join(told)} |"


def _told(
    point: str, victim: Victim, role: Role, wanted: set[str], results: Mapping[str, Result]
) -> str:
    """Return what stands in a field; a run that struck every node counts for both roles."""
    told = []
    for each, words in ((role, ""), (Role.EVERYBODY, " (all nodes)")):
        key = Cell(point, victim, each).key
        if key not in wanted:
            continue
        result = results.get(key)
        if result is None:
            told.append(f"not run{words}")
        elif result.verdict == OK:
            told.append(f"{result.healthy_after:.0f} s{words}")
        else:
            told.append(f"**not kept**{words}")
    return ", ".join(told) or "-"
