"""Medians as Markdown, and the place in docs/benchmarks.md that a benchmark may rewrite."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the lab behind it is not for who only writes a table
    from muster_bench.rounds import Round

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "benchmarks.md"


def spread(values: Sequence[float], digits: int = 1) -> str:
    """The median, and the least and the most when there are several."""
    middle = f"{median(values):.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def middle(values: Sequence[float]) -> float:
    """The median."""
    return median(values)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Ratio of the medians."""
    return median(ours) / median(theirs)


def founding(mustered: Sequence["Round"], bare: Sequence["Round"], size: int) -> str:
    """The comparison, with the parts of both sides."""
    seconds = ([each.seconds for each in mustered], [each.seconds for each in bare])
    used = ([each.cpu for each in mustered], [each.cpu for each in bare])
    loads = [each.load for each in (*mustered, *bare)]
    lines = [
        f"{size} nodes, {len(mustered)} rounds of each in turn, fresh nodes each time; load average"
        f" before a round {spread(loads)}.",
        "",
        "| | muster | bare pcs script | ratio of medians |",
        "|---|---|---|---|",
        f"| seconds | {spread(seconds[0])} | {spread(seconds[1])} | **{ratio(*seconds):.2f}** |",
        f"| processor seconds of all nodes | {spread(used[0])} | {spread(used[1])}"
        f" | {ratio(*used):.2f} |",
        "",
        "| muster: part | seconds |",
        "|---|---|",
        *_parts(mustered),
        "",
        "| bare script: part | seconds |",
        "|---|---|",
        *_parts(bare),
    ]
    return "\n".join(lines)


def write(section: str, text: str, path: Path | None = None) -> None:
    """Replace what stands between the section's two marks in a document (default: DOCUMENT)."""
    path = path or DOCUMENT
    begin, end = f"<!-- {section}: begin -->", f"<!-- {section}: end -->"
    document = path.read_text(encoding="utf-8")
    before, _, rest = document.partition(begin)
    _, mark, after = rest.partition(end)
    if not mark:
        raise SystemExit(f"{path} lacks the marks {begin} and {end}")
    path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")


def _parts(rounds: Sequence["Round"]) -> list[str]:
    names = list(dict.fromkeys(name for each in rounds for name in each.parts))
    return [
        f"| {name} | {spread([each.parts[name] for each in rounds if name in each.parts])} |"
        for name in names
    ]
