"""`muster status`: the cluster at a glance; also with musterd down, from what it last wrote."""

import argparse
import json
import time

from muster import render
from muster.context import Context
from muster.contract import BUSY, Exit
from muster.errors import ClientError, RefusedError, UnreachableError
from muster.transport import EventStream

REFRESH = 2.0  # seconds: how old a watched screen may become when no event comes
# Cursor home; erase to the end of the line; erase below (ECMA-48). Nothing is erased before its
# replacement is written, so that the screen does not flicker.
HOME, END_OF_LINE, BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
# A screen of its own, without a cursor, and back (xterm's private modes 1049 and 25).
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"

EXAMPLE = """examples:
  muster status --watch
  muster status --json | jq -r '.nodes[] | select(.online | not) | .name'

On a terminal that is too low for everything, what is well is summed up. With
musterd down, the last written status is shown, marked as such; exit code 5."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("--all", action="store_true", help="list everything, also what is well")
    parser.add_argument("--json", action="store_true", help="print the document (schema 1)")
    parser.add_argument("--watch", action="store_true", help="keep showing it; end with Ctrl-C")


def run(options: argparse.Namespace, context: Context) -> int:
    """Show the status once, or again and again."""
    if options.watch:
        return _watch(context, options)
    lines, code = _draw(context, options)
    context.say(*lines)
    return code


def _draw(context: Context, options: argparse.Namespace) -> tuple[list[str], Exit]:
    """Return what to print, and the exit code that goes with it."""
    unreachable = ""
    code = Exit.OK
    try:
        document = context.client.status()
    except UnreachableError as error:
        document = _last_written(context.status_file, error)
        unreachable, code = error.why or error.what, error.exit
    if options.json:
        if unreachable:
            document["stale"] = True
        return [json.dumps(document, indent=None if options.watch else 2)], code
    screen = context.screen()
    screen.height = max(screen.height - 1, 0)  # the prompt's line
    return render.status(document, screen, unreachable=unreachable, whole=options.all), code


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


def _watch(context: Context, options: argparse.Namespace) -> int:
    """Show the status after each event, and every two seconds for the ages."""
    in_place = context.terminal and not options.json
    shown: list[str] = []
    stream: EventStream | None = None
    if in_place:
        context.out.write(ENTER)
    try:
        while True:
            lines = _redraw(context, options)
            if in_place:
                _over(context, lines)
            elif lines != shown:
                context.say(*lines, *([] if options.json else [""]))
            shown = lines
            stream = _next_event(context, stream)
    except KeyboardInterrupt:
        return Exit.OK
    finally:
        if stream is not None:
            stream.close()
        if in_place:
            context.out.write(LEAVE)
            context.say(*shown)


def _redraw(context: Context, options: argparse.Namespace) -> list[str]:
    """Draw; an error is drawn too, because the daemon may come back."""
    try:
        return _draw(context, options)[0]
    except UnreachableError as error:
        return [json.dumps({"error": error.what})] if options.json else error.lines()


def _over(context: Context, lines: list[str]) -> None:
    """Print over the last screen; what does not fit is counted, never scrolled away."""
    room = context.height - 1
    if len(lines) > room:
        lines = [*lines[: room - 1], f"... and {len(lines) - room + 1} more lines"]
    context.out.write(HOME)
    context.out.write("".join(f"{line}{END_OF_LINE}\n" for line in lines))
    context.out.write(BELOW)
    context.out.flush()


def _next_event(context: Context, stream: EventStream | None) -> EventStream | None:
    """Wait until something happened or the screen grows old; return the stream to go on with."""
    try:
        stream = stream or context.client.events(follow=True)
    except UnreachableError:
        time.sleep(REFRESH)
        return None
    goes_on = False
    try:
        stream.take(REFRESH)
        goes_on = not stream.ended
    except RefusedError as error:
        if error.kind != BUSY:  # too many follow already: the screen grows old without one, too
            raise
    finally:
        if not goes_on:
            stream.close()
    if goes_on:
        return stream
    time.sleep(REFRESH)
    return None
