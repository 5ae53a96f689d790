"""Progress lines: a log for cloud-init, a redrawn block for a terminal."""

from dataclasses import asdict
from pathlib import Path

import pytest
from tests.unit.client import stories
from tests.unit.client.conftest import context_in, formed, founding, printed
from tests.unit.client.pictures import GOLDEN, wire
from tests.unit.client.states import sixteen

from muster.context import Context
from muster.progress import Progress


def test_a_log_tells_every_step_with_its_length_and_the_other_nodes(context: Context) -> None:
    progress = Progress(context)
    progress.status(wire(founding()))
    progress.events(stories.founding())
    progress.status(wire(formed()))
    assert printed(context.out) == (GOLDEN / "progress-log.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("moment", [0.0, 12.5, 31.5])
def test_a_terminal_shows_each_node_with_what_it_does_and_for_how_long(
    tmp_path: Path, moment: float
) -> None:
    screen = drawn(tmp_path, moment)
    assert screen == (GOLDEN / f"progress-{moment:.0f}.txt").read_text(encoding="utf-8")
    assert max(map(len, screen.splitlines()[-4:])) <= 80


def drawn(folder: Path, moment: float) -> str:
    """Return what an 80-column terminal shows at a moment of the founding."""
    context = context_in(folder, terminal=True, NO_COLOR="1", COLUMNS="80", LINES="24")
    now = [stories.START]
    context.wall = lambda: now[0]
    progress = Progress(context)
    progress.tick()
    for event in stories.until(moment):
        now[0] = stories.START + float(str(event["seconds"]))
        progress.events([event])
        if event["kind"] == "phase":
            stands = {"phase": event["phase"], "reason": event["message"]}
            status = formed() if event["phase"] == "formed" else founding()
            progress.status({**wire(status), **stands})
    now[0] = stories.START + moment
    progress.tick()
    return "\n".join(emulate(printed(context.out))) + "\n"


def emulate(told: str) -> list[str]:
    """Return what a terminal shows: the moves are ours (cursor up N, carriage return, erase)."""
    lines: list[str] = []
    for part in told.split("\x1b["):
        up, mark, rest = part.partition("A\r")
        if mark and up.isdigit():
            lines = lines[: len(lines) - int(up)]
            part = rest
        lines += part.removeprefix("J").splitlines()
    return lines


def test_more_nodes_than_lines_are_counted(tmp_path: Path) -> None:
    """What has left the screen at its top could not be redrawn."""
    context = context_in(tmp_path, terminal=True, NO_COLOR="1", COLUMNS="80", LINES="12")
    progress = Progress(context)
    progress.status(asdict(sixteen()) | {"nodes": [asdict(each) for each in sixteen().nodes]})
    lines = emulate(printed(context.out))
    assert len(lines) == 11
    assert lines[-1] == "... and 7 more nodes"
