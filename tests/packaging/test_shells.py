"""Manual pages and completions: what the shells and man make of them."""

import re
import subprocess
from pathlib import Path

import pytest

from muster import cli

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"
MANUAL = sorted((PACKAGING / "man").iterdir())
ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
compopt() { echo FILES; }
_muster
echo "${COMPREPLY[*]}"
"""


def completed(*words: str) -> list[str]:
    """Return what bash offers for the last word."""
    done = subprocess.run(
        ["bash", "-c", ASK, "bash", str(PACKAGING / "completions/muster.bash"), *words],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["muster", "sta"], ["status"]),
        (["muster", ""], [*cli.VERBS, "--help", "--version"]),
        (["muster", "status", "--"], ["--all", "--json", "--watch", "--help"]),
        (["muster", "wait", "--for", ""], ["formed", "healthy"]),
        (["muster", "wait", "--for", "h"], ["healthy"]),
        (["muster", "wait", "--timeout", ""], []),
        (["muster", "timeline", "--svg", ""], ["FILES"]),
        (["muster", "timeline", "no"], ["FILES"]),
        (["muster", "timeline", "--s"], ["--svg"]),
    ],
)
def test_bash_offers_what_may_follow(words: list[str], offered: list[str]) -> None:
    assert completed(*words) == offered


def test_zsh_understands_its_completion() -> None:
    file = PACKAGING / "completions" / "_muster"
    done = subprocess.run(["zsh", "-n", file], capture_output=True, check=False, timeout=30)
    assert (done.returncode, done.stderr) == (0, b"")
    text = file.read_text(encoding="utf-8")
    assert all(f"'{verb}:" in text and f" {verb}) _arguments" in text for verb in cli.VERBS)


@pytest.mark.parametrize("page", MANUAL, ids=lambda page: page.name)
def test_a_manual_page_is_without_fault(page: Path) -> None:
    done = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", page], capture_output=True, text=True, timeout=30
    )
    assert done.stdout == ""
    assert done.returncode == 0


def test_the_manual_shows_examples_as_they_are_typed() -> None:
    done = subprocess.run(
        ["mandoc", "-T", "ascii", PACKAGING / "man" / "muster.1"],
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    plain = re.sub(".\x08", "", done.stdout)  # bold is struck twice
    for verb in cli.VERBS:
        assert f"muster {verb}" in plain
    assert "muster status --json | jq -r '.nodes[] | select(.online | not) | .name'" in plain
