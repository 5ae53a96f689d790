"""docs/journal.md names every kind of event with its fields, and every field of the journal."""

import re
from pathlib import Path

from musterd.engine import Engine
from musterd.journal import KEPT, STEPS, Journal
from musterd.model import Phase

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "journal.md").read_text(encoding="utf-8")
SOURCES = [
    (ROOT / "daemon" / "musterd" / f"{name}.py").read_text(encoding="utf-8")
    for name in (Engine.__module__.rpartition(".")[2], Journal.__module__.rpartition(".")[2])
]


def test_every_kind_is_described() -> None:
    told = set(re.findall(r"^\| `(\w+)` \|", PAGE.partition("## The journal")[0], re.MULTILINE))
    named = {
        kind
        for source in SOURCES
        for kind in re.findall(r'(?:\.add|_say)\(\s*"(\w+)"', source)
        + re.findall(r'kind = "(\w+)" if .* else "(?:\w+)"', source)
        + re.findall(r'kind = ".*" if .* else "(\w+)"', source)
    }
    assert named == told


def test_every_step_and_phase_is_named() -> None:
    for word in (*STEPS, *Phase):
        assert f"`{word}`" in PAGE


def test_the_number_of_kept_events_is_right() -> None:
    assert f"The last {KEPT} are kept" in PAGE
