"""`muster apply`: carry out what `muster plan` shows, and nothing else."""

import argparse
import os
import time

from muster.commands import plan
from muster.context import Context
from muster.contract import Exit
from muster.errors import NotAllowedError
from muster.fields import flag, rows, text

LOOK_EVERY = 1.0  # seconds between two looks at how far it is

EXAMPLE = """example, on the node that `muster status` calls the conductor:
  muster plan --json | jq -r .plan      # the name of what you have looked at
  sudo muster apply NAME

Without a name it shows the plan and carries it out. When the cluster or the
spec has changed since the plan was made, nothing is run. Drift is left as it
is."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("plan", nargs="?", default="", help="the plan's name, as in --json")
    parser.add_argument(
        "--allow-restart", action="store_true", help="the whole cluster may be stopped for it"
    )


def run(options: argparse.Namespace, context: Context) -> int:
    """Show the plan unless it was named, ask for it, and tell how it ends."""
    if os.geteuid() != 0:
        raise NotAllowedError(
            "cannot do that as this user",
            why="only root may change the cluster",
            cure="run it with sudo",
        )
    name = options.plan
    if not name:
        document = context.client.plan()
        context.say(*plan.draw(document, context.screen()))
        commands = rows(document, "commands")
        if not commands:
            return Exit.OK
        if any(flag(command, "restart") for command in commands) and not options.allow_restart:
            context.complain(
                "muster apply: the plan stops the whole cluster",
                "  next: sudo muster apply --allow-restart",
            )
            return Exit.ERROR
        name = text(document, "plan")
    operation = context.client.apply(name, restart=options.allow_restart)
    while text(operation, "state") == "running":
        time.sleep(LOOK_EVERY)
        operation = context.client.operation(text(operation, "id"))
    done = text(operation, "state") == "done"
    (context.say if done else context.complain)(text(operation, "detail"))
    return Exit.OK if done else Exit.FAILED
