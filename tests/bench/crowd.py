"""`make bench-crowd`: founding while 200 `muster status` at a time ask one of the nodes."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from muster_bench import crowd, tables
from muster_lab.client import CHECKOUT, Lab
from muster_lab.image import newest_package
from muster_lab.ports import MachineError


def main() -> int:
    """Run the rounds; print, hold the figures against the promise, and write when asked."""
    parser = argparse.ArgumentParser(prog="crowd", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="(default 3)")
    parser.add_argument("--name", default="benchcrowd", help="which lab (default: benchcrowd)")
    parser.add_argument("--deb", type=Path, help="package (default: newest dist/muster_*.deb)")
    parser.add_argument("--json", type=Path, help="where to put all figures")
    parser.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    options = parser.parse_args()
    try:
        rounds = _rounds(Lab(options.name), options.rounds, options.deb or newest_package(CHECKOUT))
    except MachineError as wrong:
        print(f"crowd: {wrong}", file=sys.stderr)
        return 1
    text = crowd.table(rounds)
    print(text)
    if options.json:
        figures = {name: [asdict(each) for each in side] for name, side in rounds.items()}
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if options.write:
        tables.write("crowd", text)
    broken = crowd.wrongs(rounds)
    for each in broken:
        print(f"crowd: {each}", file=sys.stderr)
    return 1 if broken else 0


def _rounds(lab: Lab, count: int, package: Path) -> dict[str, list[crowd.Crowded]]:
    built = lab.prepare(package=package)
    found: dict[str, list[crowd.Crowded]] = {name: [] for name in crowd.SIDES}
    for number in range(1, count + 1):
        for name, command in crowd.SIDES.items():
            found[name].append(last := crowd.run(lab, built, command))
            print(
                f"round {number}, {name}: {last.seconds:.1f} s, {last.memory:.1f} MiB,"
                f" {last.calls} calls, {len(last.errors)} errors, load {last.load:.1f}",
                file=sys.stderr,
                flush=True,
            )
    return found


if __name__ == "__main__":
    sys.exit(main())
