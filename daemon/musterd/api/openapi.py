"""The description of a control socket (OpenAPI 3.1), made from its routes and the public models."""

import re
from collections.abc import Iterable
from typing import Protocol

from pydantic import TypeAdapter

from muster.api import SCHEMA, Event, Problem

_SCHEMAS = "#/components/schemas/{model}"


class Described(Protocol):
    """What of a route is described."""

    @property
    def method(self) -> str:
        """HTTP method."""

    @property
    def path(self) -> str:
        """Path, with `{name}` where a part varies."""

    @property
    def summary(self) -> str:
        """A sentence."""

    @property
    def answer(self) -> type | str:
        """A public model, or a media type."""

    @property
    def status(self) -> int:
        """HTTP status of success."""


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
        "info": {"title": "muster", "version": str(SCHEMA)},
        "servers": [{"url": "http://localhost", "description": "over the unix socket"}],
        "paths": paths,
        "components": {"schemas": schemas["$defs"]},
    }


def _operation(route: Described) -> dict[str, object]:
    described: dict[str, object] = {
        "operationId": "_".join((route.method.lower(), *re.findall(r"[a-z]+", route.path))),
        "summary": route.summary,
        "responses": {
            str(route.status): {"description": "done", "content": _content(route.answer)},
            "default": {
                "description": "it could not be done; what to do is in `remedy`",
                "content": {"application/problem+json": {"schema": _reference(Problem)}},
            },
        },
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    if parameters:
        described["parameters"] = parameters
    return described


def _content(answer: type | str) -> dict[str, object]:
    if isinstance(answer, type):
        return {"application/json": {"schema": _reference(answer)}}
    return {answer: {"schema": {"type": "object" if answer == "application/json" else "string"}}}


def _reference(model: type) -> dict[str, str]:
    return {"$ref": _SCHEMAS.format(model=model.__name__)}
