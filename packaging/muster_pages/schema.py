"""The JSON Schema of `muster status --json`, from the public models and their docstrings."""

import ast
import inspect
import json
from typing import Any

from pydantic import TypeAdapter

from muster import api

ADDRESS = "docs/schema/status-v1.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
ABOUT = (
    "What `muster status --json` prints and `GET /v1/status` answers. Keys may be added to any"
    " object; none is taken away or changes its meaning within schema 1."
)
STALE = {
    "const": True,
    "description": "Only in what the client prints while musterd is down: this was read from the"
    " last written file, and `written` tells its age.",
}

Schema = dict[str, Any]  # JSON, as pydantic gives it


def status_schema() -> str:
    """Return the text of the schema's file."""
    schema: Schema = TypeAdapter(api.Status).json_schema(mode="serialization")
    spoken = _descriptions()
    definitions: dict[str, Schema] = schema.pop("$defs")
    for name, each in [("Status", schema), *definitions.items()]:
        _describe(each, spoken[name])
    schema["properties"]["schema"] = {"const": api.SCHEMA, **spoken_of(schema, "schema")}
    schema["properties"]["stale"] = STALE
    whole = {"$schema": DIALECT, "$id": ADDRESS, **schema, "title": "muster status, schema 1"}
    return json.dumps(whole | {"description": ABOUT, "$defs": definitions}, indent=2) + "\n"


def spoken_of(schema: Schema, key: str) -> Schema:
    """Return what a property's schema says for people."""
    return {"description": schema["properties"][key]["description"]}


def _describe(schema: Schema, spoken: dict[str, str]) -> None:
    """Add the attributes' docstrings, and that musterd always gives every key."""
    for key, value in schema["properties"].items():
        value.pop("title", None)
        value.pop("default", None)
        value["description"] = spoken[key]
    schema["required"] = list(schema["properties"])
    schema["additionalProperties"] = True


def _descriptions() -> dict[str, dict[str, str]]:
    """Return the string below each attribute of each model, which Python itself drops."""
    found: dict[str, dict[str, str]] = {}
    for model in ast.parse(inspect.getsource(api)).body:
        if not isinstance(model, ast.ClassDef):
            continue
        told = found.setdefault(model.name, {})
        for line, below in zip(model.body, model.body[1:], strict=False):
            if (
                isinstance(line, ast.AnnAssign)
                and isinstance(line.target, ast.Name)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
            ):
                told[line.target.id] = str(below.value.value)
    return found
