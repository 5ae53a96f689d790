"""Reads values out of decoded JSON, tolerantly: what is missing or of another type reads as empty.

Schema 1 lets keys be added, so a client meets documents of older and of newer daemons. Building the
models of `muster.api` from them would cost more time than the whole rest of a status.
"""

from collections.abc import Mapping

Document = Mapping[str, object]


def text(document: Document, key: str) -> str:
    """Return a string; "" where there is none.

    What a terminal would obey is left out: some strings are other nodes' words.
    """
    value = document.get(key)
    if not isinstance(value, str):
        return ""
    return value if value.isprintable() else "".join(filter(str.isprintable, value))


def flag(document: Document, key: str) -> bool:
    """Return a boolean; False where there is none."""
    return document.get(key) is True


def number(document: Document, key: str) -> float:
    """Return a number; 0 where there is none."""
    value = document.get(key)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0


def part(document: Document, key: str) -> Document:
    """Return an object; an empty one where there is none."""
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def rows(document: Document, key: str) -> list[Document]:
    """Return the objects of an array; other items are left out."""
    value = document.get(key)
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
