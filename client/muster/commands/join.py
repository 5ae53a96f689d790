"""`muster join`: write the spec if given, and have musterd found or join the cluster."""

import argparse
import os
import re
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

from muster import spec_file
from muster.commands import wait
from muster.context import Context
from muster.contract import Exit
from muster.errors import NotAllowedError
from muster.fields import text
from muster.progress import Progress

CLUSTER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,31}")
GRACE = 5.0  # seconds: musterd reads the spec anew; until then it may tell an old failure
SMALLEST, LARGEST = 2, 16  # founding members

EXAMPLE = """example, the same on every node:
  sudo muster join --cluster web --size 3 --address 10.0.0.68 --wait

Without options, musterd takes the spec from /etc/muster/muster.toml, user data
and instance tags. An existing file that says otherwise is never overwritten.
With --wait, the exit codes are those of `muster wait`."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = EXAMPLE
    parser.add_argument("--cluster", type=_name, metavar="NAME", help="the cluster's name")
    parser.add_argument("--size", type=_size, metavar="N", help="how many nodes found it (2 to 16)")
    parser.add_argument(
        "--address", type=_address, metavar="IP", help="a floating private address of the cluster"
    )
    parser.add_argument(
        "--elastic-ip", type=_address, metavar="IP", help="an Elastic IP that follows --address"
    )
    parser.add_argument("--wait", action="store_true", help="show progress until it is formed")
    parser.add_argument(
        "--timeout", type=wait.seconds, metavar="S", help="with --wait: seconds to wait at most"
    )


def _name(words: str) -> str:
    if not CLUSTER_NAME.fullmatch(words):
        raise argparse.ArgumentTypeError(
            "1 to 32 letters, digits, _ or -, the first no -, make a cluster name"
        )
    return words


def _size(words: str) -> int:
    if not words.isascii() or not words.isdigit() or not SMALLEST <= int(words) <= LARGEST:
        raise argparse.ArgumentTypeError(f"a number from {SMALLEST} to {LARGEST} is needed")
    return int(words)


def _address(words: str) -> str:
    try:
        return str(IPv4Address(words))
    except AddressValueError as error:
        raise argparse.ArgumentTypeError(f"not an IPv4 address: {error}") from None


def run(options: argparse.Namespace, context: Context) -> int:
    """Write the spec if options give one, ask musterd, and with --wait follow it."""
    if options.elastic_ip and not options.address:
        context.complain("muster join: --elastic-ip needs --address", "  next: muster join --help")
        return Exit.USAGE
    if options.timeout is not None and not options.wait:
        context.complain("muster join: --timeout needs --wait", "  next: muster join --help")
        return Exit.USAGE
    if os.geteuid() != 0:
        raise NotAllowedError(
            "cannot join as this user",
            why="only root may change the node",
            cure="run it with sudo",
        )
    asked = spec_file.wanted(options.cluster, options.size, options.address, options.elastic_ip)
    if asked:
        path = Path(context.spec_file)
        written = spec_file.ensure(path, asked)
        context.say(f"{'wrote' if written else 'kept'} {path}")
    operation = context.client.join()
    if options.wait:
        return wait.until(context, "formed", options.timeout, Progress(context), grace=GRACE)
    detail = text(operation, "detail")
    context.say(f"joining{': ' + detail if detail else ''}", "  next: muster wait")
    return Exit.OK
