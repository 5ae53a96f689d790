"""The status screen against golden files (see `pictures`), and what must hold of every screen."""

import re
from dataclasses import replace

import pytest
from tests.unit.client import pictures
from tests.unit.client.conftest import NOW, formed
from tests.unit.client.pictures import PICTURES

from muster import render
from muster.fields import Document
from muster.screen import Screen

IN_A_TERMINAL = [name for name, (_, width, _) in PICTURES.items() if width]


def golden(name: str) -> str:
    return (pictures.GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PICTURES)
def test_the_screen_is_as_it_was_looked_at(name: str) -> None:
    assert pictures.drawn(name) == golden(name)


@pytest.mark.parametrize("name", IN_A_TERMINAL)
def test_a_terminal_is_never_overrun(name: str) -> None:
    _, width, height = PICTURES[name]
    lines = golden(name).splitlines()
    # A single word that is wider than the terminal cannot be broken, and must be copied whole.
    assert all(len(line) <= width or len(line.split()) <= 2 for line in lines)
    assert len(lines) <= height


@pytest.mark.parametrize("name", PICTURES)
def test_colour_adds_nothing_but_colour(name: str) -> None:
    painted = pictures.drawn(name, colour=True)
    assert "\x1b[" in painted
    plain = re.sub(r"\x1b\[[0-9]+m", "", painted)
    assert [line.rstrip() for line in plain.splitlines()] == golden(name).splitlines()


def test_a_status_from_the_file_is_marked_as_outdated() -> None:
    assert pictures.down() == golden("down-80")


def test_what_is_wrong_comes_before_everything_that_is_well() -> None:
    lines = golden("fenced-80x24").splitlines()
    wrong = next(n for n, line in enumerate(lines) if "ip-10-0-0-13 is not online" in line)
    assert wrong < lines.index("Nodes")
    assert "aws ec2 describe-instances --instance-ids i-0123456789abcde3f" in golden("fenced-80")


def test_a_member_lost_just_before_it_said_formed_is_offline() -> None:
    """What it did last matters less than that it is gone."""
    status = formed()
    lost = replace(status.nodes[2], phase="founding", online=False)
    document = pictures.wire(replace(status, nodes=(*status.nodes[:2], lost)))
    [told] = [
        line for line in render.status(document, Screen(NOW)) if line.startswith("  ip-10-0-0-13 ")
    ]
    assert told.split()[1] == "OFFLINE"


def test_a_document_of_another_age_is_still_drawn() -> None:
    """Missing keys, unknown keys and values of other types neither fail nor show."""
    document: Document = {"phase": "formed", "novel": [1], "nodes": [{}, "x"], "findings": None}
    lines = render.status(document, Screen(NOW))
    assert any("formed" in line for line in lines)


def test_a_peers_words_cannot_move_the_cursor() -> None:
    odd = {**pictures.wire(formed()), "reason": "all\x1b[2J is\r\nwell\x07"}
    told = "\n".join(render.status(odd, Screen(NOW)))
    assert "Reason     all[2J iswell\n" in told
    assert "\x1b" not in told


def test_what_the_first_musterd_wrote_is_still_drawn() -> None:
    assert pictures.old() == golden("old-80")


@pytest.mark.parametrize("width", range(40, 140, 7))
def test_cells_stay_apart_at_any_width(width: int) -> None:
    """However narrow, no two nodes look the same."""
    document = pictures.wire(formed())
    lines = render.status(document, Screen(NOW, width=width))
    start = lines.index(next(line for line in lines if line.startswith("  NAME")))
    assert len({line.split()[0] for line in lines[start + 1 : start + 4]}) == 3
