"""What each verb of the `lab` command does and prints."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from muster_lab import requirements
from muster_lab.client import CHECKOUT, Lab, say_on_stderr
from muster_lab.cloud_config import user_data
from muster_lab.image import newest_package
from muster_lab.ports import MachineError
from muster_lab.views import Node


def up(lab: Lab, options: argparse.Namespace) -> int:
    """Start and launch."""
    size = options.size or options.count
    tags = {"muster:cluster": options.cluster, "muster:size": str(size), **dict(options.tag)}
    given = _read(options.user_data)
    if options.address:
        if given is not None:
            raise MachineError("cannot use --address with --user-data: write it into the file")
        given = user_data(options.cluster, size, options.address)
    _print_nodes(
        lab.up(
            options.count,
            package=_package(options),
            tags=tags,
            user_data=given,
            stock=options.stock,
        )
    )
    return 0


def launch(lab: Lab, options: argparse.Namespace) -> int:
    """RunInstances."""
    tags = dict(options.tag)
    built = lab.prepare(package=options.deb) if options.deb else None
    made = lab.launch(
        options.count,
        tags=tags,
        user_data=_read(options.user_data),
        stock=options.stock,
        imds=options.imds == "on",
        metadata_tags=not options.no_metadata_tags,
        subnet_id=options.subnet,
        built=built,
    )
    _print_nodes(made)
    return 0


def down(lab: Lab, options: argparse.Namespace) -> int:
    """End the lab, and the cache if asked."""
    if options.purge:
        lab.purge()
    else:
        lab.down()
    return 0


def deps(_lab: Lab, _options: argparse.Namespace) -> int:
    """Install what is missing."""
    requirements.install_missing()
    if reason := requirements.why_not():
        raise MachineError(reason)
    return 0


def image(lab: Lab, options: argparse.Namespace) -> int:
    """Build the image and print its layers."""
    for each in lab.prepare(package=_package(options)).layers:
        print(each)
    return 0


def list_nodes(lab: Lab, options: argparse.Namespace) -> int:
    """Print the nodes."""
    nodes = lab.nodes()
    if options.json:
        print(json.dumps([asdict(each) for each in nodes], indent=2))
    else:
        _print_nodes(nodes)
    return 0


def act(lab: Lab, options: argparse.Namespace) -> int:
    """Do the verb to each node in turn."""
    for each in options.nodes:
        match options.verb:
            case "kill":
                lab.kill(each)
            case "boot":
                lab.boot(each)
            case "freeze":
                lab.freeze(each)
            case "thaw":
                lab.thaw(each)
            case "stop":
                lab.stop(each, force=options.force)
            case "start":
                lab.start_node(each)
            case "reboot":
                lab.reboot(each)
            case "terminate":
                lab.terminate(each)
    return 0


def wait_boot(lab: Lab, options: argparse.Namespace) -> int:
    """Wait."""
    lab.wait_boot(*options.nodes, timeout=options.timeout)
    return 0


def run(lab: Lab, options: argparse.Namespace) -> int:
    """Become the command in the node: its input, output and exit code are this process's."""
    _become(lab.node_command(options.node, _command(options.command)))
    return 0


def logs(lab: Lab, options: argparse.Namespace) -> int:
    """Become journalctl on the node's journal, which a crash leaves on its disk."""
    folder = lab.journal(options.node)
    _become(["journalctl", f"--directory={folder}", "--no-pager", *options.command])
    return 0


def place(lab: Lab, options: argparse.Namespace) -> int:
    """Become the command in the bastion or on the internet."""
    if options.verb == "aws":
        _become(lab.place_command("bastion", ["aws", *options.command]))
    _become(lab.place_command(_PLACES[options.verb], _command(options.command)))
    return 0


_PLACES = {"outside": "bastion", "internet": "internet"}


def partition(lab: Lab, options: argparse.Namespace) -> int:
    """Cut."""
    lab.partition(*options.nodes, cut=options.cut, direction=options.direction)
    return 0


def heal(lab: Lab, _options: argparse.Namespace) -> int:
    """End all cuts."""
    lab.heal()
    return 0


_FAULT_FIELDS = (
    "service",
    "status",
    "code",
    "message",
    "probability",
    "delay",
    "count",
    "caller",
    "hang",
    "after",
    "lag",
    "omit",
)


def fault(lab: Lab, options: argparse.Namespace) -> int:
    """Add one, end all, or list."""
    given = {key: value for key in _FAULT_FIELDS if (value := getattr(options, key)) is not None}
    if options.clear:
        lab.clear_faults()
    elif options.action:
        print(lab.fault(options.action, **given))
    elif given:
        raise MachineError("cannot add a fault without an ACTION; `*` means all")
    else:
        for each in lab.faults():
            shown = {key: value for key, value in each.items() if value not in (None, "", [], 0)}
            print(json.dumps(shown))
    return 0


def calls(lab: Lab, options: argparse.Namespace) -> int:
    """Print the log of calls."""
    for each in lab.calls(action=options.action, caller=options.caller, service=options.service):
        if options.json:
            print(json.dumps(asdict(each)))
        else:
            print(
                f"{each.at[11:23]} {each.caller:20} {each.service}:{each.action} {each.outcome} "
                f"{each.seconds:.3f}s {each.detail}".rstrip()
            )
    return 0


def _package(options: argparse.Namespace) -> Path | None:
    if options.no_muster:
        return None
    chosen: Path = options.deb or newest_package(CHECKOUT)
    if not chosen.exists():
        raise MachineError(f"cannot find {chosen}: build it with `make deb`")
    say_on_stderr(f"nodes get {chosen.name}")
    return chosen


def _read(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()


def _command(words: Sequence[str]) -> list[str]:
    command = list(words[1:]) if words[:1] == ["--"] else list(words)
    if not command:
        raise MachineError("cannot run nothing: name a command")
    return command


def _become(line: Sequence[str]) -> None:
    sys.stdout.flush()
    os.execvp(line[0], list(line))


def _print_nodes(nodes: Sequence[Node]) -> None:
    for each in nodes:
        extra = [one for one in each.addresses if one != each.address]
        print(
            f"{each.number:3} {each.instance_id} {each.hostname:14} {each.state:13} "
            f"{each.machine:6} {each.zone} {' '.join(extra)}".rstrip()
        )
