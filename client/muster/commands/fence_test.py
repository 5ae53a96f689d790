"""`muster fence-test`: fence a node for real, proven by a new boot and EC2's own word."""

import argparse
import os
import time

from muster.commands import wait
from muster.context import Context
from muster.contract import Exit
from muster.errors import NotAllowedError
from muster.fields import Document, text

LOOK_EVERY = 1.0  # seconds between two looks at how far it is
PATIENCE = 900.0  # seconds, unless --timeout says otherwise

EXAMPLE = """example:
  sudo muster fence-test ip-10-0-0-12

Pacemaker fences the node; it is proven when the node is back with a new boot
and EC2 says that it was stopped and started. Nodes with floating addresses come
last, each waits until all is well again, and the node it is typed on is fenced
by another one at the very end."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("node", nargs="?", metavar="NODE", help="its name or instance id")
    parser.add_argument("--all", action="store_true", help="every node, one after another")
    parser.add_argument(
        "--timeout",
        type=wait.seconds,
        default=PATIENCE,
        metavar="S",
        help="seconds to wait at most (15 minutes); it goes on without you",
    )


def run(options: argparse.Namespace, context: Context) -> int:
    """Ask musterd, and tell how far it is until it is over."""
    if bool(options.node) == options.all:
        context.complain(
            "muster fence-test: name a node, or --all", "  next: muster fence-test --help"
        )
        return Exit.USAGE
    if os.geteuid() != 0:
        raise NotAllowedError(
            "cannot fence as this user",
            why="only root may",
            cure=f"sudo muster fence-test {options.node or '--all'}",
        )
    operation = context.client.fence_test(options.node or "")
    return _follow(operation, context, options.timeout)


def _follow(operation: Document, context: Context, timeout: float) -> int:
    """Print each new sentence; return the exit code."""
    told, deadline = "", time.monotonic() + timeout
    while True:
        if (detail := text(operation, "detail")) != told:
            context.say(detail)
            told = detail
        if text(operation, "state") != "running":
            return Exit.OK if text(operation, "state") == "done" else Exit.FAILED
        if time.monotonic() >= deadline:
            context.complain("it goes on", "  next: muster status")
            return Exit.TIMED_OUT
        time.sleep(LOOK_EVERY)
        operation = context.client.operation(text(operation, "id"))
