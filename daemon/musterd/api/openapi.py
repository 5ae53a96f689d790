"""The description of a control socket (OpenAPI 3.1), made from its routes and the public models.

docs/openapi.json is the administration socket's, as `make openapi` writes it.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from pydantic import TypeAdapter

from muster.api import SCHEMA, Event, Problem

LINES = "application/x-ndjson"
_SCHEMAS = "#/components/schemas/{model}"


@dataclass(frozen=True)
class Query:
    """A parameter of a route's query: its name, JSON type, a sentence, and what it may be."""

    name: str
    type: str
    what: str
    values: tuple[int, ...] = ()


class Described(Protocol):
    """What of a route is described."""

    @property
    def method(self) -> str:
        """HTTP method."""

    @property
    def path(self) -> str:
        """Path, with `{name}` where a part varies."""

    @property
    def access(self) -> str:
        """Which sockets have it: `read` both, `admin` only the administrator's."""

    @property
    def summary(self) -> str:
        """A sentence."""

    @property
    def answer(self) -> type | str:
        """A public model, or a media type."""

    @property
    def status(self) -> int:
        """HTTP status of success."""

    @property
    def query(self) -> tuple[Query, ...]:
        """Parameters of the query, none of them required."""


def document(routes: Iterable[Described]) -> dict[str, object]:
    """Return the OpenAPI document; made anew each time, because it is asked for rarely."""
    routes = tuple(routes)
    models = {route.answer for route in routes if isinstance(route.answer, type)}
    ordered = sorted(models | {Event, Problem}, key=lambda model: model.__name__)
    _, schemas = TypeAdapter.json_schemas(
        [(model.__name__, "serialization", TypeAdapter(model)) for model in ordered],
        ref_template=_SCHEMAS,
    )
    paths: dict[str, dict[str, object]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "muster",
            "version": str(SCHEMA),
            "description": "HTTP over unix sockets: /run/muster/status.sock (root:muster 0660) has"
            " what x-muster-access calls read, /run/muster/admin.sock (root 0600) everything."
            " Requests have at most 16 KiB and no values; never on TCP.",
        },
        "servers": [{"url": "http://localhost", "description": "over the unix socket"}],
        "paths": paths,
        "components": {"schemas": schemas["$defs"]},
    }


def _operation(route: Described) -> dict[str, object]:
    described: dict[str, object] = {
        "operationId": "_".join((route.method.lower(), *re.findall(r"[a-z]+", route.path))),
        "summary": route.summary,
        "x-muster-access": str(route.access),
        "responses": {
            str(route.status): {"description": "done", "content": _content(route.answer)},
            "default": {
                "description": "it could not be done; what to do is in `remedy`",
                "content": {"application/problem+json": {"schema": _reference(Problem)}},
            },
        },
    }
    if parameters := [*_in_path(route), *map(_in_query, route.query)]:
        described["parameters"] = parameters
    return described


def _in_path(route: Described) -> Iterable[dict[str, object]]:
    for name in re.findall(r"{(\w+)}", route.path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _in_query(query: Query) -> dict[str, object]:
    schema: dict[str, object] = {"type": query.type}
    if query.values:
        schema["enum"] = list(query.values)
    return {"name": query.name, "in": "query", "description": query.what, "schema": schema}


def _content(answer: type | str) -> dict[str, object]:
    if isinstance(answer, type):
        return {"application/json": {"schema": _reference(answer)}}
    if answer == LINES:
        line = {"contentMediaType": "application/json", "contentSchema": _reference(Event)}
        return {
            answer: {"schema": {"type": "string", "description": "Events, a line each", **line}}
        }
    return {answer: {"schema": {"type": "object" if answer == "application/json" else "string"}}}


def _reference(model: type) -> dict[str, str]:
    return {"$ref": _SCHEMAS.format(model=model.__name__)}
