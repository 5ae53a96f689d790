"""`muster doctor`: everything the cluster needs, looked at now; what is wrong comes with a cure."""

import argparse
import json

from muster.context import Context
from muster.contract import Exit
from muster.fields import Document, number, rows, text
from muster.screen import BAD, FAINT, GOOD, ODD, STRONG, Screen

MARKS = {"error": "failed", "warning": "warning", "unproven": "unproven", "ok": "ok"}
PAINTS = {"error": BAD, "warning": ODD, "unproven": FAINT, "ok": GOOD}
WIDTH = max(map(len, MARKS.values()))

EXAMPLE = """example:
  muster doctor --json | jq -r '.checks[] | select(.outcome == "error") | .cure'

It tries the ports between the nodes both ways, rehearses what EC2 must allow,
and reads what EC2 and this node say of themselves; it changes nothing. Exit
code 0: no check failed; 4: one did."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("--json", action="store_true", help="print the document (schema 1)")
    parser.add_argument("--all", action="store_true", help="show each check that is well, too")


def run(options: argparse.Namespace, context: Context) -> int:
    """Look, and print the bad first."""
    document = context.client.preflight()
    checks = rows(document, "checks")
    if options.json:
        context.say(json.dumps(document, indent=2))
    else:
        context.say(*draw(document, context.screen(), every=options.all))
    return Exit.FAILED if any(text(c, "outcome") == "error" for c in checks) else Exit.OK


def draw(document: Document, screen: Screen, *, every: bool) -> list[str]:
    """Return the lines: each check that is not well with its cure, then how many are."""
    checks = rows(document, "checks")
    lines = []
    for check in checks:
        outcome, cure = text(check, "outcome"), text(check, "cure")
        if outcome == "ok" and not every:
            continue
        mark = screen.paint(f"{MARKS.get(outcome, outcome):<{WIDTH}}", PAINTS.get(outcome, STRONG))
        lines.append(f"{mark}  {text(check, 'check')}: {text(check, 'what')}")
        if cure:
            lines.append(f"{'':<{WIDTH}}  {screen.paint('cure: ' + cure, FAINT)}")
    counts = {
        outcome: sum(text(check, "outcome") == outcome for check in checks) for outcome in MARKS
    }
    told = ", ".join(f"{count} {MARKS[outcome]}" for outcome, count in counts.items() if count)
    lines.append(f"{len(checks)} checks in {number(document, 'seconds'):.1f} s: {told or 'none'}")
    return lines
