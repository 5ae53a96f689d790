"""What every benchmark can be told."""

from argparse import ArgumentParser
from pathlib import Path


def parser(prog: str, about: str | None, lab: str) -> ArgumentParser:
    """Return a parser of the options that all have; `lab` is the default name of theirs."""
    made = ArgumentParser(prog=prog, description=about)
    made.add_argument("--name", default=lab, help=f"which lab (default: {lab})")
    made.add_argument("--deb", type=Path, help="package (default: newest dist/muster_*.deb)")
    made.add_argument("--write", action="store_true", help="into docs/benchmarks.md")
    return made
