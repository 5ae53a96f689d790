"""`muster leave`: have a member taken out of the formed cluster."""

import argparse
import os

from muster.context import Context
from muster.contract import Exit
from muster.errors import NotAllowedError
from muster.fields import text

EXAMPLE = """example, on any member:
  sudo muster leave ip-10-0-0-13

Its resources move first. It is refused while the cluster would lose its quorum
or be left with one node. A member that EC2 calls terminated leaves by itself,
unless [replace] mode is "manual". To come back, type `muster join` on it."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("node", nargs="?", default="", help="its name; this node without it")


def run(options: argparse.Namespace, context: Context) -> int:
    """Ask, and say where to look."""
    if os.geteuid() != 0:
        raise NotAllowedError(
            "cannot do that as this user",
            why="only root may change the cluster",
            cure=f"sudo muster leave {options.node}".rstrip(),
        )
    operation = context.client.leave(options.node)
    context.say(f"leaving: {text(operation, 'detail')}", "  next: muster status --watch")
    return Exit.OK
