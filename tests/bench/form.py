"""`make bench-form`: founding with muster beside a bare pcs script, in the same lab, in turn."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from muster_bench import bare, mustered, options, tables
from muster_bench.rounds import SIZE, Round
from muster_lab.client import CHECKOUT, Lab
from muster_lab.image import newest_package
from muster_lab.ports import MachineError


def main() -> int:
    """Run the rounds; print, and write when asked."""
    parser = options.parser("form", __doc__, "benchform")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="where to put all figures")
    asked = parser.parse_args()
    lab = Lab(asked.name)
    try:
        ours, theirs = _rounds(lab, asked.rounds, asked.deb or newest_package(CHECKOUT))
    except MachineError as wrong:
        print(f"form: {wrong}", file=sys.stderr)
        return 1
    text = tables.founding(ours, theirs, SIZE)
    print(text)
    if asked.json:
        figures = {"muster": [asdict(each) for each in ours], "bare": [asdict(o) for o in theirs]}
        asked.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if asked.write:
        tables.write("founding", text)
    return 0


def _rounds(lab: Lab, count: int, package: Path) -> tuple[list[Round], list[Round]]:
    clean, ready = lab.prepare(package=None), lab.prepare(package=package)
    ours: list[Round] = []
    theirs: list[Round] = []
    for number in range(1, count + 1):
        for name, side, built, rounds in (
            ("bare", bare, clean, theirs),
            ("muster", mustered, ready, ours),
        ):
            rounds.append(side.run(lab, built))
            last = rounds[-1]
            print(
                f"round {number}, {name}: {last.seconds:.1f} s, {last.cpu:.1f} processor seconds,"
                f" load {last.load:.1f}",
                file=sys.stderr,
                flush=True,
            )
    return ours, theirs


if __name__ == "__main__":
    sys.exit(main())
