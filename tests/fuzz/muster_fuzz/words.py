"""What is thrown at the doors: valid documents with something wrong, and noise.

A seeded generator of our own: a property-testing library draws some hundred inputs a second, these
are some ten thousand. Each input is drawn from its own number, so that one alone can be repeated.
"""

import copy
import json
from random import Random
from typing import Any

NASTY: tuple[Any, ...] = (
    *(
        "",
        "\x00",
        "\n",
        "../../etc/passwd",
        "--force",
        "-p",
        "$(reboot)",
        "i-0000000000000000\uff11",
    ),
    *("A" * 3000, "\u202e", "\U0001f980" * 50, "10.0.0.1 ", "010.0.0.1", "::1", "nan", "null"),
    *(-1, 0, 1, 2**31, 2**53, 2**63, 10**400, 1e308, -0.0, True, None, [], {}, [[]], {"": {}}),
    *(float("nan"), float("inf"), "\ud800"),
)
LETTERS = "abcABC019 _-.:/\\\"'{}[]\x00\n\x1b\u00e9\u4e2d\U0001f980"


def text(dice: Random, most: int = 12) -> str:
    """Return a few letters, some of them awkward."""
    return "".join(dice.choices(LETTERS, k=dice.randint(0, most)))


def json_value(dice: Random, depth: int = 2) -> Any:
    """Return any small JSON value."""
    kind = dice.randrange(7 if depth else 5)
    if kind < 2:
        return dice.choice(NASTY)
    if kind == 2:
        return dice.randint(-(10 ** dice.randint(0, 20)), 10 ** dice.randint(0, 20))
    if kind == 3:
        return dice.uniform(-1, 1) * 10.0 ** dice.randint(-300, 300)
    if kind == 4:
        return text(dice)
    inner = [json_value(dice, depth - 1) for _ in range(dice.randint(0, 3))]
    return inner if kind == 5 else {text(dice, 6): each for each in inner}


def wounded(dice: Random, document: Any, most: int = 3) -> Any:
    """Return the document with up to `most` places changed, removed or added to."""
    document = copy.deepcopy(document)
    for _ in range(dice.randint(0, most)):
        place = document
        while place:
            key: Any = dice.choice(list(place)) if isinstance(place, dict) else None
            if key is None:
                key = dice.randrange(len(place))
            if isinstance(place[key], dict | list) and place[key] and dice.random() < 0.6:
                place = place[key]
                continue
            _wound(dice, place, key)
            break
    return document


def _wound(dice: Random, place: Any, key: Any) -> None:
    match dice.randrange(4):
        case 0:
            del place[key]
        case 1 if isinstance(place, dict):
            place[text(dice, 8)] = json_value(dice)
        case _:
            place[key] = json_value(dice)


def torn(dice: Random, data: bytes) -> bytes:
    """Return the bytes with a piece cut out, doubled, or replaced by noise."""
    start = dice.randint(0, len(data))
    end = min(len(data), start + dice.randint(0, 64))
    piece = dice.choice((b"", data[start:end] * 2, dice.randbytes(dice.randint(0, 16))))
    return data[:start] + piece + data[end:]


def as_json(document: Any) -> bytes:
    """Return JSON, as loosely as Python writes it (NaN and lone surrogates included)."""
    return json.dumps(document).encode()


def body(dice: Random, documents: tuple[Any, ...]) -> bytes:
    """Return a body: most are nearly right, some broken, some nothing of the kind."""
    near = as_json(wounded(dice, dice.choice(documents)))
    kind = dice.randrange(40)
    if kind < 30:
        return near
    if kind < 35:
        return torn(dice, near)
    if kind < 37:
        return as_json(json_value(dice))
    if kind == 37:
        return dice.randbytes(dice.randint(0, 200))
    if kind == 38:
        return dice.choice((b"[", b'{"a":')) * dice.randint(1, 10_000)
    return b'{"v":"' + b"A" * dice.randint(1, 80_000) + b'"}'
