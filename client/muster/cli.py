"""The command line: a table of verbs; the module of a verb is imported when it is called."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from muster.context import Context
from muster.contract import Exit
from muster.errors import ClientError

TYPE_CHECKING = False  # typing's own constant costs 4 ms of import
if TYPE_CHECKING:
    from typing import Protocol

    class Command(Protocol):
        """What a module of `muster.commands` is."""

        def configure(self, parser: argparse.ArgumentParser, /) -> None:
            """Declare the options."""

        def run(self, options: argparse.Namespace, context: Context, /) -> int:
            """Do it; return the exit code."""


# verb -> (module, one line for `muster --help`), in the order people need them.
VERBS: dict[str, tuple[str, str]] = {
    "status": ("muster.commands.status", "the cluster at a glance"),
    "wait": ("muster.commands.wait", "wait until the cluster is formed or healthy"),
    "join": ("muster.commands.join", "found or join the cluster, writing the spec if given"),
    "plan": ("muster.commands.plan", "what differs from the spec, and what would be done"),
    "apply": ("muster.commands.apply", "carry out what `muster plan` shows"),
    "leave": ("muster.commands.leave", "have a member taken out of the formed cluster"),
    "doctor": ("muster.commands.doctor", "what stands in the cluster's way, cause and cure"),
    "fence-test": ("muster.commands.fence_test", "fence a node for real, and see it come back"),
    "events": ("muster.commands.events", "what happened on this node, and what happens"),
    "timeline": ("muster.commands.timeline", "how the cluster came to be, from boot to formed"),
    "metrics": ("muster.commands.metrics", "numbers for Prometheus"),
    "config": ("muster.commands.config", "the effective spec, and where each value came from"),
    "image": ("muster.commands.image", "from a disk file to instances; on a workstation"),
    "seal": ("muster.commands.seal", "make a node forget who it is, before an image of it"),
    "token": ("muster.commands.token", "a new cluster token, for a secret in a file or inline"),
}

HELP_WIDTH = 80  # columns
INTERRUPTED = 130  # 128 + SIGINT, as shells count
PIPE_CLOSED = 141  # 128 + SIGPIPE


def overview() -> str:
    """Return the text of `muster --help`."""
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {line}" for verb, (_, line) in VERBS.items())
    return f"""usage: muster VERB [options]

Asks and directs musterd, which turns EC2 instances into one fenced Pacemaker
cluster.

{verbs}

`muster VERB --help` says more, with an example; so does `man muster`.
Exit codes: 0 done, 1 refused or not possible, 2 usage, 3 timed out, 4 failed,
5 musterd does not answer."""


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"muster {version('muster')}"
    except PackageNotFoundError:
        return "muster (not installed: run from its sources)"


def _unknown(word: str, context: Context) -> int:
    """Complain about a word that is no verb, naming the nearest."""
    from difflib import get_close_matches

    near = get_close_matches(word, VERBS, 1)
    context.complain(f"muster: there is no verb {word!r}")
    context.complain(f"  next: muster {near[0] if near else '--help'}")
    return Exit.USAGE


def dispatch(arguments: Sequence[str], context: Context) -> int:
    """Run one command; return its exit code. Raises ClientError."""
    if not arguments or arguments[0] in {"-h", "--help", "help"}:
        context.say(overview())
        return Exit.OK if arguments else Exit.USAGE
    if arguments[0] in {"-V", "--version"}:
        context.say(_version())
        return Exit.OK
    verb, *rest = arguments
    if verb not in VERBS:
        return _unknown(verb, context)
    command: Command = import_module(VERBS[verb][0])
    options = parser_of(verb, command, context.width or HELP_WIDTH).parse_args(rest)
    return int(command.run(options, context))


def parser_of(verb: str, command: "Command", width: int) -> argparse.ArgumentParser:
    """Return the parser of one verb, its help at most HELP_WIDTH columns wide."""
    summary = VERBS[verb][1]
    parser = argparse.ArgumentParser(
        prog=f"muster {verb}",
        description=f"{summary[0].upper()}{summary[1:]}.",
        # With a width of its own, argparse does not import shutil (and bz2, lzma, ...) to ask.
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(
            prog, width=min(width, HELP_WIDTH)
        ),
    )
    command.configure(parser)
    return parser


def main(arguments: Sequence[str] | None = None, context: Context | None = None) -> int:
    """Run `muster`; return the exit code (see `muster.contract.Exit`)."""
    context = context or Context()
    try:
        return dispatch(sys.argv[1:] if arguments is None else arguments, context)
    except ClientError as error:
        context.complain(*error.lines())
        return error.exit
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) left. Python would complain once more while it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
