"""Filters and paging, as the Describe actions share them."""

import base64
import binascii
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from .errors import AwsError, invalid_value

Thing = TypeVar("Thing")
Values = Callable[[Thing], Iterable[object]]

_TOKEN = "muster-lab:"


def keep(
    things: Iterable[Thing],
    filters: Sequence[Mapping[str, Any]],
    fields: Mapping[str, Values[Thing]],
    tags: Callable[[Thing], Mapping[str, str]],
) -> list[Thing]:
    """The things that every filter lets pass.

    Within one filter any value is enough; `*` and `?` are wildcards, as in EC2.

    Args:
        things: what to choose from.
        filters: from the request, each with `Name` and `Values`.
        fields: by filter name, what a thing has to offer.
        tags: of a thing; serves `tag:KEY` and `tag-key`.

    Raises:
        AwsError: a filter nobody knows, or one without values.
    """
    for wanted in filters:
        _check(wanted, fields)
    return [thing for thing in things if all(_passes(thing, f, fields, tags) for f in filters)]


def _check(wanted: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse a filter even where there is nothing to filter."""
    name = wanted.get("Name", "")
    if not (name in known or name == "tag-key" or name.startswith("tag:")):
        raise AwsError("InvalidParameterValue", f"The filter '{name}' is invalid")
    if not wanted.get("Values"):
        raise AwsError("InvalidParameterValue", f"The filter '{name}' has no values")


def _passes(
    thing: Thing,
    wanted: Mapping[str, Any],
    fields: Mapping[str, Values[Thing]],
    tags: Callable[[Thing], Mapping[str, str]],
) -> bool:
    name, patterns = wanted["Name"], wanted["Values"]
    if name == "tag-key":
        offered: list[object] = list(tags(thing))
    elif name.startswith("tag:"):
        value = tags(thing).get(name.removeprefix("tag:"))
        offered = [] if value is None else [value]
    else:
        offered = list(fields[name](thing))
    return any(fnmatchcase(_text(o), _literal(p)) for o in offered for p in patterns)


def _literal(pattern: str) -> str:
    """EC2 knows `*` and `?` only: a bracket is a bracket."""
    return pattern.replace("[", "[[]")


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def page(
    things: Sequence[Thing], params: Mapping[str, Any], *, smallest: int = 5
) -> tuple[list[Thing], str | None]:
    """One page and the token of the next.

    Raises:
        AwsError: the size is out of bounds or the token is not ours.
    """
    size = params.get("MaxResults")
    if size is not None and not smallest <= size <= 1000:
        raise invalid_value(size, "maxResults")
    start = _position(params.get("NextToken"))
    end = len(things) if size is None else start + size
    rest = base64.b64encode(f"{_TOKEN}{end}".encode()).decode() if end < len(things) else None
    return list(things[start:end]), rest


def _position(token: str | None) -> int:
    if not token:
        return 0
    try:
        text = base64.b64decode(token, validate=True).decode()
        if text.startswith(_TOKEN):
            return int(text.removeprefix(_TOKEN))
    except (ValueError, binascii.Error) as error:
        raise invalid_value(token, "nextToken") from error
    raise invalid_value(token, "nextToken")
