"""`muster status`: the cluster at a glance; also with musterd down, from what it last wrote."""

import argparse
import json
import time

from muster import render
from muster.client import EventStream
from muster.context import Context
from muster.contract import Exit
from muster.errors import ClientError, UnreachableError

REFRESH = 2.0  # seconds: how old a watched screen may become when no event comes
CLEAR = "\x1b[H\x1b[J"  # cursor home, erase below (ECMA-48): flickers less than erasing all

EXAMPLE = """example:
  muster status --json | jq -r '.nodes[] | select(.online | not) | .name'

With musterd down, the last written status is shown, marked as such, and the exit code is 5."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("--json", action="store_true", help="print the document (schema 1)")
    parser.add_argument("--watch", action="store_true", help="keep showing it; end with Ctrl-C")


def run(options: argparse.Namespace, context: Context) -> int:
    """Show the status once, or again and again."""
    if options.watch:
        return _watch(context, as_json=options.json)
    lines, code = _draw(context, as_json=options.json)
    context.say(*lines)
    return code


def _draw(context: Context, *, as_json: bool, compact: bool = False) -> tuple[list[str], Exit]:
    """Return what to print, and the exit code that goes with it."""
    unreachable = ""
    code = Exit.OK
    try:
        document = context.client.status()
    except UnreachableError as error:
        document = _last_written(context.status_file, error)
        unreachable, code = error.why or error.what, error.exit
    if as_json:
        if unreachable:
            document["stale"] = True
        return [json.dumps(document, indent=None if compact else 2)], code
    return render.status(document, context.screen(), unreachable=unreachable), code


def _last_written(path: str, error: ClientError) -> dict[str, object]:
    """Return the status that musterd wrote last; raise `error` when there is none to be read."""
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except (OSError, ValueError):
        raise error from None
    if not isinstance(document, dict):
        raise error
    return document


def _watch(context: Context, *, as_json: bool) -> int:
    """Show the status after each event, and every two seconds for the ages."""
    shown: list[str] = []
    stream: EventStream | None = None
    try:
        while True:
            lines, _ = _redraw(context, as_json=as_json)
            if lines != shown or (context.terminal and not as_json):
                _show(context, lines, as_json=as_json)
                shown = lines
            stream = _next_event(context, stream)
    except KeyboardInterrupt:
        return Exit.OK
    finally:
        if stream is not None:
            stream.close()


def _redraw(context: Context, *, as_json: bool) -> tuple[list[str], Exit]:
    """Draw; an error is drawn too, because the daemon may come back."""
    try:
        return _draw(context, as_json=as_json, compact=True)
    except UnreachableError as error:
        return ([json.dumps({"error": error.what})] if as_json else error.lines()), error.exit


def _show(context: Context, lines: list[str], *, as_json: bool) -> None:
    """Print over the last screen on a terminal, below it elsewhere."""
    if context.terminal and not as_json:
        context.out.write(CLEAR)
    context.say(*lines, *([] if as_json or context.terminal else [""]))


def _next_event(context: Context, stream: EventStream | None) -> EventStream | None:
    """Wait until something happened or the screen grows old; return the stream to go on with."""
    try:
        stream = stream or context.client.events(follow=True)
        stream.take(REFRESH)
    except UnreachableError:
        time.sleep(REFRESH)
        return None
    if stream.ended:
        stream.close()
        time.sleep(REFRESH)
        return None
    return stream
