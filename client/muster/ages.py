"""Times for people: RFC 3339 in, "4 minutes ago" out."""

from datetime import datetime

JUST_NOW = 2.0  # seconds
UNITS = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
SHORT = {"second": "s", "minute": "min", "hour": "h"}


def parse(stamp: str) -> float | None:
    """Return seconds since 1970 of an RFC 3339 time, None for anything else."""
    try:
        moment = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo is not None else None


def span(seconds: float) -> str:
    """Return a length of time in its largest unit: "4 minutes", "1 hour"."""
    for size, unit in UNITS:
        if seconds >= 2 * size or (seconds >= size and size < 86_400):
            count = int(seconds // size)
            return f"{count} {unit}" + ("s" if count != 1 else "")
    return "a moment"


def short_span(seconds: float) -> str:
    """Return a length of time for a table's cell: "4 min", "1 h"."""
    count, _, unit = span(seconds).partition(" ")
    return f"{count} {SHORT.get(unit.rstrip('s'), unit)}"


def ago(stamp: str, now: float, *, short: bool = False) -> str:
    """Return how long ago `stamp` was; "never" when it is empty.

    Args:
        stamp: RFC 3339, as musterd writes it.
        now: seconds since 1970.
        short: abbreviate the unit.
    """
    if not stamp:
        return "never"
    moment = parse(stamp)
    if moment is None:
        return stamp
    seconds = now - moment
    if abs(seconds) < JUST_NOW:
        return "just now"
    words = (short_span if short else span)(abs(seconds))
    return f"{words} ago" if seconds > 0 else f"in {words}"
