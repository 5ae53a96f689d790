"""`muster events`: what happened on this node since musterd started, and what happens."""

import argparse
import json

from muster import ages, render
from muster.context import Context
from muster.contract import Exit
from muster.errors import UnreachableError
from muster.fields import Document, text
from muster.following import Follower, decode

FIRST = 5.0  # seconds that musterd may take to begin to answer

EXAMPLE = """examples:
  muster events --follow
  muster events --json | jq -r 'select(.kind == "finding") | .message'

Columns: seconds since musterd started, time in UTC, kind, what happened."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("--follow", action="store_true", help="go on; end with Ctrl-C")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")


def run(options: argparse.Namespace, context: Context) -> int:
    """Print the kept events, and with --follow each new one."""
    if options.follow:
        _follow(context, as_json=options.json)
        return Exit.OK
    with context.client.events(follow=False) as stream:
        while not stream.ended:
            lines = stream.take(FIRST)
            if not lines and not stream.ended:
                raise UnreachableError(
                    "cannot read the events",
                    why=f"musterd said nothing for {FIRST:.0f} seconds",
                    cure="sudo journalctl -u musterd -n 50",
                )
            _print(context, [event for line in lines if (event := decode(line))], options.json)
        if not stream.answered:
            raise UnreachableError(
                "cannot read the events",
                why="musterd closed the connection without an answer",
                cure="sudo journalctl -u musterd -n 50",
            )
    return Exit.OK


def _follow(context: Context, *, as_json: bool) -> None:
    """Print until interrupted, through restarts of the daemon."""
    try:
        with Follower(context.client) as follower:
            while True:
                _print(context, follower.take(), as_json)
    except KeyboardInterrupt:
        return


def _print(context: Context, events: list[Document], as_json: bool) -> None:
    """Print events, as JSON for programs or aligned for people."""
    if as_json:
        context.say(*(json.dumps(event) for event in events))
        return
    screen = context.screen()
    for event in events:
        moment = text(event, "at")
        clock = moment[11:19] if ages.parse(moment) is not None else "-"
        context.say(render.event(event, screen, clock))
