"""`make fuzz`: every target in turn; the figures go into docs/fuzzing.md when nothing was wrong."""

import argparse
import platform
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from muster_fuzz.attacks import helper, peer, peer_tls, token
from muster_fuzz.control import control
from muster_fuzz.report import Report

RUNS: tuple[tuple[Callable[[int], Report], int], ...] = (  # and the share of the inputs
    (peer, 1),
    (peer_tls, 10),
    (helper, 1),
    (token, 1),
    (control, 1),
)
PAGE = Path(__file__).resolve().parents[3] / "docs/fuzzing.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"


def table(reports: list[Report]) -> str:
    """Return the figures as the page shows them."""
    today = datetime.now(UTC).date()
    rows = [
        f"{today}, Python {platform.python_version()}, two shared processors.\n",
        "| target | how | inputs | server errors, tracebacks, wrong answers | MiB resident after a"
        " tenth, at the end | seconds |",
        "|---|---|---|---|---|---|",
    ]
    rows += [
        f"| {each.target} | {each.how} | {each.inputs:,} | {len(each.complaints)} "
        f"| {each.before:.1f}, {each.after:.1f} | {each.seconds:.0f} |"
        for each in reports
    ]
    rows.append("\nWhat came of the inputs:\n")
    for each in reports:
        came = ", ".join(f"{what} {count:,}" for what, count in each.outcomes.most_common())
        rows.append(f"- {each.target}: {came}")
    return "\n".join(rows) + "\n"


def main() -> int:
    """Run; return 1 when anything was found."""
    options = argparse.ArgumentParser(prog="muster_fuzz", description=__doc__)
    options.add_argument("--inputs", type=int, default=20_000, help="to each target")
    options.add_argument("--only", choices=[run.__name__ for run, _ in RUNS])
    given = options.parse_args()
    reports, problems = [], []
    for run, share in RUNS:
        if given.only in (None, run.__name__):
            report = run(given.inputs // share)
            reports.append(report)
            problems += report.problems()
            print(table([report]), flush=True)
    print("\n".join(problems))
    if not problems and given.only is None and PAGE.exists():
        text = PAGE.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        PAGE.write_text(before + BEGIN + table(reports) + END + after, encoding="utf-8")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
