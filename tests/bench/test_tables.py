"""What the benchmarks print, from figures that were not measured."""

from pathlib import Path

import pytest

from muster_bench import answers, mustered, tables
from muster_bench.rounds import Round


def rounds(*seconds: float) -> list[Round]:
    return [Round(each, each / 2, {"a": 1.0, "b": each - 1.0}, load=0.5) for each in seconds]


def test_the_ratio_is_that_of_the_medians() -> None:
    text = tables.founding(rounds(30.0, 24.0, 90.0), rounds(60.0, 50.0, 61.0), size=3)
    assert "| seconds | 30.0 (24.0 to 90.0) | 60.0 (50.0 to 61.0) | **0.50** |" in text
    assert "| b | 29.0 (23.0 to 89.0) |" in text


def test_the_client_is_compared_with_pcs() -> None:
    taken = {name: [40.0, 50.0, 90.0] for name in answers.COMMANDS} | {"pcs status": [500.0]}
    assert "| `muster status` | 50 (40 to 90) | 0.10 |" in answers.table(taken, load=0.5)


def test_a_single_round_has_no_spread() -> None:
    assert "| seconds | 30.0 | 60.0 | **0.50** |" in tables.founding(rounds(30.0), rounds(60.0), 3)


def test_parts_add_up_to_the_whole() -> None:
    told = [
        {"kind": "phase", "phase": "electing", "message": "", "seconds": 4.0},
        {"kind": "election", "phase": "electing", "message": "decided: x", "seconds": 5.5},
        {"kind": "phase", "phase": "formed", "message": "", "seconds": 30.0},
    ]
    parts = mustered.parts(told, 31.0)
    assert parts["discovery"] == 4.0
    assert parts["election"] == 1.5
    assert sum(parts.values()) == pytest.approx(31.0)


def test_only_the_marked_section_is_rewritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = tmp_path / "benchmarks.md"
    document.write_text("before\n<!-- a: begin -->\nold\n<!-- a: end -->\nafter\n")
    monkeypatch.setattr(tables, "DOCUMENT", document)
    tables.write("a", "new")
    assert document.read_text() == "before\n<!-- a: begin -->\nnew\n<!-- a: end -->\nafter\n"
    with pytest.raises(SystemExit, match="lacks the marks"):
        tables.write("b", "new")
