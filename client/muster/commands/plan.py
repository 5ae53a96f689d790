"""`muster plan`: where the cluster is not as the spec says, and what would be done about it."""

import argparse
import json

from muster.context import Context
from muster.contract import Exit
from muster.fields import Document, flag, rows, text
from muster.screen import FAINT, ODD, STRONG, Screen

EXAMPLE = """example, after muster.toml was changed on every node:
  muster plan && echo "nothing to do"

It touches nothing. What the spec's own change explains becomes a command, which
`muster apply` runs; what somebody changed by hand is told as drift, and left as
it is. Exit code 0: no difference; 2: some."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("--json", action="store_true", help="print the document (schema 1)")


def run(options: argparse.Namespace, context: Context) -> int:
    """Look, and print what is found."""
    document = context.client.plan()
    if options.json:
        context.say(json.dumps(document, indent=2))
    else:
        context.say(*draw(document, context.screen()))
    return Exit.USAGE if rows(document, "differences") else Exit.OK


def draw(document: Document, screen: Screen) -> list[str]:
    """Return the lines: differences, then commands with their reasons."""
    differences, commands = rows(document, "differences"), rows(document, "commands")
    if not differences:
        return ["the cluster is as the spec says"]
    lines = []
    for each in differences:
        drift = flag(each, "drift")
        mark = screen.paint("drift " if drift else "change", ODD if drift else STRONG)
        was, wish = text(each, "live") or "nothing", text(each, "wanted") or "nothing"
        lines.append(f"{mark}  {text(each, 'what')}: is {was}, the spec says {wish}")
        if text(each, "cure"):
            lines.append(f"        {screen.paint(text(each, 'cure'), FAINT)}")
    for command in commands:
        restart = "  (stops the whole cluster)" if flag(command, "restart") else ""
        lines.append(f"{screen.paint('run', STRONG)}     {text(command, 'command')}{restart}")
    if commands:
        lines.append(f"plan {text(document, 'plan')[:12]}: sudo muster apply")
    return lines
