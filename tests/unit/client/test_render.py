"""The status screen against golden files; change a file only when the new screen is better."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.unit.client.conftest import NOW, formed, founding, waiting

from muster import api, render
from muster.fields import Document

GOLDEN = Path(__file__).parent / "golden"
STATES: dict[str, Callable[[], api.Status]] = {
    "formed": formed,
    "founding": founding,
    "waiting": waiting,
}


def wire(status: api.Status) -> Document:
    """Return a status as a client reads it."""
    document = json.loads(json.dumps(asdict(status)))
    assert isinstance(document, dict)
    return document


def golden(name: str) -> str:
    return (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("state", STATES)
def test_a_pipe_gets_the_whole_screen(state: str) -> None:
    lines = render.status(wire(STATES[state]()), render.Screen(NOW))
    assert "\n".join(lines) + "\n" == golden(state)


@pytest.mark.parametrize("state", STATES)
def test_a_terminal_of_80_columns_is_never_overrun(state: str) -> None:
    lines = render.status(wire(STATES[state]()), render.Screen(NOW, width=80))
    assert "\n".join(lines) + "\n" == golden(f"{state}-80")
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("state", STATES)
def test_colour_adds_nothing_but_colour(state: str) -> None:
    document = wire(STATES[state]())
    painted = "\n".join(render.status(document, render.Screen(NOW, colour=True)))
    assert "\x1b[" in painted
    plain = re.sub(r"\x1b\[[0-9]+m", "", painted)
    assert [line.rstrip() for line in plain.splitlines()] == golden(state).splitlines()


def test_a_status_from_the_file_is_marked_as_outdated() -> None:
    screen = render.Screen(NOW + 7200, width=80)
    lines = render.status(wire(formed()), screen, unreachable="nobody listens on status.sock")
    assert "\n".join(lines) + "\n" == golden("down-80")


def test_a_document_of_another_age_is_still_drawn() -> None:
    """Missing keys, unknown keys and values of other types neither fail nor show."""
    document: Document = {"phase": "formed", "novel": [1], "nodes": [{}, "x"], "findings": None}
    lines = render.status(document, render.Screen(NOW))
    assert any("formed" in line for line in lines)
