"""The `lab` command: arguments in, one verb done, one sentence on failure."""

import argparse
import sys
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import TypeAlias

from muster_lab import verbs
from muster_lab.client import Lab
from muster_lab.firewall import Cut, Direction
from muster_lab.ports import MachineError


def tag(text: str) -> tuple[str, str]:
    """KEY=VALUE of a tag.

    Raises:
        argparse.ArgumentTypeError: there is no `=` or no key.
    """
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is no KEY=VALUE")
    return key, value


def parser() -> argparse.ArgumentParser:
    """All verbs and their options."""
    top = argparse.ArgumentParser(
        prog="lab",
        description="Real Pacemaker nodes in network namespaces around a fake AWS region.",
        epilog="NODE is an instance id, a host name, or a number as `lab list` shows it.",
    )
    top.add_argument("--name", help="which lab (default: $MUSTER_LAB, then `muster`)")
    add = top.add_subparsers(dest="verb", required=True, metavar="VERB")
    _add_life(add)
    _add_node_verbs(add)
    _add_commands(add)
    _add_trouble(add)
    return top


_Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def _package_options(verb: argparse.ArgumentParser) -> None:
    which = verb.add_mutually_exclusive_group()
    which.add_argument(
        "--deb", type=Path, help="package the nodes get (default: newest dist/muster_*.deb)"
    )
    which.add_argument("--no-muster", action="store_true", help="nodes without the package")


def _launch_options(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--user-data", type=Path, metavar="FILE", help="given to IMDS as it is")
    verb.add_argument("--stock", action="store_true", help="as the distribution's image boots")
    verb.add_argument("--tag", action="append", type=tag, default=[], metavar="K=V")


def _add_life(add: _Verbs) -> None:
    up = add.add_parser("up", help="start the lab if needed and launch nodes")
    up.set_defaults(do=verbs.up)
    up.add_argument("count", nargs="?", type=int, default=3, help="how many (default 3)")
    up.add_argument("--size", type=int, help="tag muster:size (default: the count)")
    up.add_argument("--cluster", default="web", help="tag muster:cluster (default web)")
    up.add_argument(
        "--address", action="append", type=IPv4Address, default=[], help="a floating address"
    )
    _package_options(up)
    _launch_options(up)
    launch = add.add_parser("launch", help="launch more nodes")
    launch.set_defaults(do=verbs.launch)
    launch.add_argument("--count", type=int, default=1)
    launch.add_argument("--no-metadata-tags", action="store_true", help="IMDS shows no tags")
    launch.add_argument("--imds", choices=("on", "off"), default="on")
    launch.add_argument("--subnet", help="subnet id (default: the first)")
    launch.add_argument("--deb", type=Path, help="package these nodes get (default: as before)")
    _launch_options(launch)
    down = add.add_parser("down", help="end it; nothing stays but the image cache")
    down.set_defaults(do=verbs.down)
    down.add_argument("--purge", action="store_true", help="remove the image cache too")
    deps = add.add_parser("deps", help="install what the lab needs on this machine")
    deps.set_defaults(do=verbs.deps)
    image = add.add_parser("image", help="build the node image and no lab")
    image.set_defaults(do=verbs.image)
    _package_options(image)


def _add_node_verbs(add: _Verbs) -> None:
    listing = add.add_parser("list", help="the nodes")
    listing.set_defaults(do=verbs.list_nodes)
    listing.add_argument("--json", action="store_true")
    for verb, text in (
        ("kill", "crash: silence, and EC2 still says running"),
        ("boot", "boot a killed node again"),
        ("freeze", "stop it where it is, as a hung kernel"),
        ("thaw", "let a frozen node run on"),
        ("stop", "StopInstances"),
        ("start", "StartInstances"),
        ("reboot", "RebootInstances"),
        ("terminate", "TerminateInstances"),
    ):
        one = add.add_parser(verb, help=text)
        one.set_defaults(do=verbs.act, force=False)
        one.add_argument("nodes", nargs="+", metavar="NODE")
        if verb == "stop":
            one.add_argument("--force", action="store_true", help="without asking the guest")
    wait = add.add_parser("wait-boot", help="wait until nodes have finished booting")
    wait.set_defaults(do=verbs.wait_boot)
    wait.add_argument("nodes", nargs="*", metavar="NODE")
    wait.add_argument("--timeout", type=float, default=180.0, metavar="SECONDS")


def _add_commands(add: _Verbs) -> None:
    run = add.add_parser("run", help="run a command in a node")
    run.set_defaults(do=verbs.run)
    run.add_argument("node", metavar="NODE")
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD")
    logs = add.add_parser("logs", help="a node's journal, also of a dead one")
    logs.set_defaults(do=verbs.logs)
    logs.add_argument("node", metavar="NODE")
    logs.add_argument("command", nargs=argparse.REMAINDER, metavar="JOURNALCTL-ARGUMENT")
    for verb, text in (
        ("outside", "run a command in the VPC on a host that is no node (10.0.0.250)"),
        ("internet", "run a command outside the VPC (198.51.100.10)"),
        ("aws", "the real aws command against the fake region, as administrator"),
    ):
        one = add.add_parser(verb, help=text)
        one.set_defaults(do=verbs.place)
        one.add_argument("command", nargs=argparse.REMAINDER, metavar="CMD")


def _add_trouble(add: _Verbs) -> None:
    partition = add.add_parser("partition", help="cut nodes off; adds to cuts in force")
    partition.set_defaults(do=verbs.partition)
    partition.add_argument("nodes", nargs="+", metavar="NODE")
    partition.add_argument("--from", dest="cut", choices=list(Cut), default=Cut.PEERS)
    partition.add_argument("--direction", choices=list(Direction), default=Direction.BOTH)
    heal = add.add_parser("heal", help="end all partitions")
    heal.set_defaults(do=verbs.heal)
    fault = add.add_parser("fault", help="make API or IMDS calls fail; without ACTION: list")
    fault.set_defaults(do=verbs.fault)
    fault.add_argument(
        "action", nargs="?", help="such as StopInstances, Describe*, or an IMDS path"
    )
    fault.add_argument("--clear", action="store_true", help="end all faults")
    fault.add_argument("--service", help="ec2 (default), imds, secretsmanager, sts, s3, iam, *")
    fault.add_argument("--status", type=int, help="HTTP status")
    fault.add_argument("--code", help="such as RequestLimitExceeded")
    fault.add_argument("--message")
    fault.add_argument("--probability", type=float)
    fault.add_argument("--delay", type=float, metavar="SECONDS")
    fault.add_argument("--count", type=int, help="spent after so many hits")
    fault.add_argument("--caller", metavar="NODE", help="only calls of this node, or `admin`")
    fault.add_argument("--hang", action="store_true", default=None, help="never answer")
    fault.add_argument("--after", action="store_true", default=None, help="do it, then fail")
    fault.add_argument("--lag", type=float, metavar="SECONDS", help="reads answer the past")
    fault.add_argument("--omit", action="append", metavar="NODE", help="reads leave it out")
    calls = add.add_parser("calls", help="who asked the region for what")
    calls.set_defaults(do=verbs.calls)
    calls.add_argument("--action")
    calls.add_argument("--service")
    calls.add_argument("--caller", metavar="NODE")
    calls.add_argument("--json", action="store_true")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one verb and return the exit code."""
    options = parser().parse_args(arguments)
    try:
        lab = Lab(options.name)
        code: int = options.do(lab, options)
    except (MachineError, ValueError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return code


if __name__ == "__main__":
    sys.exit(main())
