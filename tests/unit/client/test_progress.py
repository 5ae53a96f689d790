"""Progress lines: a log for cloud-init, a redrawn block for a terminal."""

from dataclasses import asdict, replace
from pathlib import Path

from tests.unit.client.conftest import context_in, formed, founding, printed

from muster import api
from muster.context import Context
from muster.fields import Document
from muster.progress import Progress


def event(seconds: float, kind: str, message: str) -> Document:
    """Return an event of a musterd that started 50 s before the tests' clock stands still."""
    return {
        "at": "2026-01-01T00:04:10Z" if seconds == 0 else "2026-01-01T00:04:52Z",
        "kind": kind,
        "message": message,
        "phase": "founding",
        "seconds": seconds,
        "fields": {},
    }


def wire(status: api.Status) -> Document:
    return {**asdict(status), "nodes": [asdict(node) for node in status.nodes]}


def test_a_log_tells_steps_and_what_changed_of_other_nodes(context: Context) -> None:
    progress = Progress(context)
    progress.events([event(0, "phase", "decided"), event(42.0, "step", "done")])
    progress.events([event(42.0, "phase", "lay: done")])
    progress.status(wire(founding()))
    progress.status(wire(founding()))
    second = replace(founding().nodes[1], reason="laying")
    nodes = (founding().nodes[0], second, founding().nodes[2])
    progress.status(wire(replace(founding(), nodes=nodes)))
    assert printed(context.out).splitlines() == [
        "     0.0 s  phase    founding: decided",
        "    42.0 s  step     done",
        "    50.0 s  node     ip-10-0-0-12: founding: preparing",
        "    50.0 s  node     ip-10-0-0-13: not heard of yet",
        "    50.0 s  node     ip-10-0-0-12: founding: laying",
    ]


def test_a_terminal_gets_one_block_that_is_redrawn(tmp_path: Path) -> None:
    context = context_in(tmp_path, terminal=True, NO_COLOR="1", COLUMNS="60")
    progress = Progress(context)
    progress.status(wire(founding()))
    progress.events([event(42.0, "step", "lay: done")])
    progress.status(wire(formed()))
    screen = emulate(printed(context.out))
    assert screen == [
        "    42.0 s  step     lay: done",
        "    50.0 s  formed: all 3 founders are online, fencing is ..",
        "        up  ip-10-0-0-11  formed",
        "        up  ip-10-0-0-12  formed",
        "        up  ip-10-0-0-13  formed",
    ]
    assert max(map(len, screen)) <= 60


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
