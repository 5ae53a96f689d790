"""The screens that are kept as golden files: which status, on how large a terminal.

`python -m tests.unit.client.pictures` in the checkout's root draws them anew; look at each before
it is committed: a file changes only when the new screen is better.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from tests.unit.client.conftest import NOW, formed, founding, waiting
from tests.unit.client.states import fenced, silent, sixteen, wide

from muster import api, render
from muster.fields import Document
from muster.screen import Screen

GOLDEN = Path(__file__).parent / "golden"
FROZEN = Path(__file__).parent / "frozen"
DOWN = "nobody listens on /run/muster/status.sock"

# name -> status, columns, lines (0: a pipe)
PICTURES: dict[str, tuple[Callable[[], api.Status], int, int]] = {
    "formed": (formed, 0, 0),
    "formed-80": (formed, 80, 24),
    "founding": (founding, 0, 0),
    "founding-80": (founding, 80, 24),
    "waiting": (waiting, 0, 0),
    "waiting-80": (waiting, 80, 24),
    "silent-80": (silent, 80, 24),
    "fenced-80": (fenced, 80, 40),
    "fenced-80x24": (fenced, 80, 24),
    "sixteen-80": (sixteen, 80, 60),
    "sixteen-80x24": (sixteen, 80, 24),
    "wide-80": (wide, 80, 24),
    "wide-60": (wide, 60, 40),
}


def wire(status: api.Status) -> Document:
    """Return a status as a client reads it."""
    document = json.loads(json.dumps(asdict(status)))
    assert isinstance(document, dict)
    return document


def drawn(name: str, *, colour: bool = False) -> str:
    """Return a picture's text."""
    state, width, height = PICTURES[name]
    screen = Screen(NOW, colour=colour, width=width, height=height)
    return "\n".join(render.status(wire(state()), screen, whole=False)) + "\n"


def down() -> str:
    """Return the picture of a status that musterd left behind two hours ago."""
    screen = Screen(NOW + 7200, width=80)
    return "\n".join(render.status(wire(formed()), screen, unreachable=DOWN)) + "\n"


def old() -> str:
    """Return the picture of a document that the first musterd wrote."""
    document = json.loads((FROZEN / "status-v1.json").read_text(encoding="utf-8"))
    return "\n".join(render.status(document, Screen(NOW, width=80))) + "\n"


def main() -> int:
    """Draw every picture."""
    whole = {name: drawn(name) for name in PICTURES} | {"down-80": down(), "old-80": old()}
    for name, text in whole.items():
        (GOLDEN / f"{name}.txt").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
