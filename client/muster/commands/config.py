"""`muster config`: the effective spec, and where each value came from. Never a secret."""

import argparse
import json

from muster.context import Context
from muster.contract import Exit
from muster.fields import Document, part, text
from muster.screen import FAINT, STRONG, Screen

UNSHOWN = ("secret", "token")  # musterd leaves it out; should it ever not, it still stays hidden

EXAMPLE = """example:
  muster config --json | jq -r '.origins["cluster.size"]'

Later sources win: defaults, instance tags, user data, /etc/muster/muster.toml."""

Line = tuple[str, str]  # "key = value" (or a table's header), where it came from


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("--json", action="store_true", help="print spec, origins and digest")


def run(options: argparse.Namespace, context: Context) -> int:
    """Print the spec as TOML, each value with its source."""
    document = context.client.config()
    if options.json:
        hidden = _without_token(document)
        context.say(json.dumps(hidden, indent=2))
        return Exit.OK
    context.say(*draw(document, context.screen()))
    return Exit.OK


def draw(document: Document, screen: Screen) -> list[str]:
    """Return the lines of `GET /v1/config`: valid TOML, the sources as comments."""
    document = _without_token(document)
    origins = part(document, "origins")
    lines: list[Line] = [(f"# digest {text(document, 'digest')}", "")]
    for name, value in part(document, "spec").items():
        if isinstance(value, dict):
            _table(lines, f"[{name}]", value, name, origins)
        elif isinstance(value, list):
            for entry in value:
                _table(lines, f"[[{name}]]", entry, name, origins)
    width = max(len(words) for words, origin in lines if origin) if len(lines) > 1 else 0
    drawn = []
    for words, origin in lines:
        if origin:
            drawn.append(f"{words:<{width}}  " + screen.paint(f"# {origin}", FAINT))
        else:
            drawn.append(screen.paint(words, STRONG if words.startswith("[") else FAINT))
    return drawn


def _table(lines: list[Line], header: str, table: Document, dotted: str, origins: Document) -> None:
    """Add one table; what is not given (null, empty) is left out."""
    lines += [("", ""), (header, "")]
    for key, value in table.items():
        if value is None or value in ({}, [], ""):
            continue
        name = f"{dotted}.{key}"
        lines.append((f"{_key(key)} = {_toml(value)}", _origin(name, origins)))


def _origin(name: str, origins: Document) -> str:
    """Return where a value came from: the nearest key that a source gave, or the defaults."""
    inner = sorted({str(origins[key]) for key in origins if key.startswith(f"{name}.")})
    if inner:
        return ", ".join(inner)
    while name:
        if name in origins:
            return str(origins[name])
        name = name.rpartition(".")[0]
    return "default"


def _toml(value: object) -> str:
    """Return a value as TOML writes it; JSON's strings, numbers and booleans are TOML's too."""
    if isinstance(value, dict):
        if not value:
            return "{}"
        return (
            "{ " + ", ".join(f"{_key(key)} = {_toml(item)}" for key, item in value.items()) + " }"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    """Return a key, quoted unless it may stand bare (TOML 1.0, keys)."""
    bare = key.replace("-", "").replace("_", "")
    return key if bare.isascii() and bare.isalnum() else json.dumps(key)


def _without_token(document: Document) -> Document:
    """Return the document without the token's value."""
    table, key = UNSHOWN
    spec = part(document, "spec")
    if key not in part(spec, table):
        return document
    secret = {name: value for name, value in part(spec, table).items() if name != key}
    return {**document, "spec": {**spec, table: secret}}
