"""The demo from the launch to the node that came back.

Exit status: 0 everything was as promised; 1 something was not; 130 interrupted.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from muster_demo import failover
from muster_demo.cluster import CLUSTER, PRIVATE, SIZE, ask, events, status, user_data
from muster_demo.screen import Screen
from muster_lab.client import CHECKOUT, Lab
from muster_lab.image import newest_package
from muster_lab.ports import MachineError

FORMED = 300.0
"""Seconds that founding may take before the demo calls it failed; 30 to 60 are usual."""


class BrokenPromiseError(Exception):
    """Something is not as the demo said it would be."""


def main() -> int:
    """Run the demo; the lab stays up, whatever happens."""
    parser = argparse.ArgumentParser(
        prog="demo",
        description="Three nodes around a fake AWS region found a fenced cluster; one is killed.",
    )
    parser.add_argument("--name", default="demo", help="which lab (default: demo)")
    parser.add_argument("--deb", type=Path, help="package (default: newest dist/muster_*.deb)")
    options = parser.parse_args()
    screen = Screen()
    lab = Lab(options.name)
    try:
        _run(lab, screen, options.deb or newest_package(CHECKOUT))
    except (BrokenPromiseError, MachineError) as wrong:
        screen.failed(str(wrong))
        _hint(lab, screen)
        return 1
    except KeyboardInterrupt:
        print()
        screen.failed("interrupted; what was started is still there")
        _hint(lab, screen)
        return 130
    _hint(lab, screen)
    return 0


def _run(lab: Lab, screen: Screen, package: Path) -> None:
    lab.down()
    elastic = _launch(lab, screen, package)
    _found(lab, screen)
    holder = _reach(lab, screen, elastic)
    _crash(lab, screen, holder, elastic)


def _launch(lab: Lab, screen: Screen, package: Path) -> str:
    """Launch the instances; return the elastic address."""
    screen.heading(f"1  Launch {SIZE} instances of one image, with one tag and user data")
    lab.start(lab.prepare(package=package))
    elastic = lab.aws(
        *("ec2", "allocate-address", "--domain", "vpc"),
        *("--query", "PublicIp", "--output", "text"),
    ).stdout.strip()
    screen.command("aws ec2 allocate-address --domain vpc")
    screen.line(elastic)
    screen.command(
        f"aws ec2 run-instances --count {SIZE} --user-data ...  # tag muster:cluster={CLUSTER}"
    )
    launched = lab.launch(
        SIZE,
        tags={"muster:cluster": CLUSTER},
        user_data=user_data(elastic).encode(),
    )
    for each in launched:
        screen.line(f"{each.instance_id}  {each.hostname}  {each.address}  {each.zone}")
    screen.line(f"user data wants {PRIVATE}, {elastic} and a web page that names its node")
    return elastic


def _found(lab: Lab, screen: Screen) -> None:
    """Show the founding as the first node tells it, then the status."""
    screen.heading("2  They found the cluster; nobody logs in (this only watches)")
    screen.command("muster wait --for healthy --progress")
    words = ["muster", "wait", "--for", "healthy", "--progress", "--timeout", str(FORMED)]
    code = _watched(lab.node_command("1", [*screen.environment, *words]))
    if code:
        raise BrokenPromiseError(f"the cluster is not healthy: `muster wait` ended with {code}")
    formed = [each for each in events(lab, "1") if each["phase"] == "formed"]
    if not formed:
        raise BrokenPromiseError("`muster events` knows of no founding")
    screen.line(f"formed {formed[0]['seconds']:.1f} s after musterd started on node 1")
    screen.heading("3  What any node says of it")
    screen.command("muster status")
    sys.stdout.flush()
    subprocess.call(lab.node_command("2", [*screen.environment, "muster", "status"]))


def _watched(command: list[str]) -> int:
    """Run `muster wait --progress`; return its exit code.

    On a terminal it redraws a line for each node. Elsewhere these come as lines of their own,
    most of which repeat for the other nodes what this one has said of itself: they are left out.
    """
    sys.stdout.flush()
    if sys.stdout.isatty():
        return subprocess.call(command)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as waiting:
        assert waiting.stdout is not None
        for line in waiting.stdout:
            if " s  node " not in line:
                print(line, end="", flush=True)
    return waiting.returncode


def _reach(lab: Lab, screen: Screen, elastic: str) -> str:
    """Visit the address from outside; return the name of the node that answered."""
    screen.heading("4  The address, from hosts that are no members")
    found = {}
    for place, host, address in (
        ("bastion", "10.0.0.250 in the VPC", PRIVATE),
        ("internet", "198.51.100.10 on the internet", elastic),
    ):
        found[place] = ask(lab, place, address)
        screen.command(f"curl http://{address}/  # from {host}")
        screen.line(found[place] or "no answer")
    holder: str = next(each["node"] for each in status(lab, "1")["addresses"])
    if set(found.values()) != {holder}:
        raise BrokenPromiseError(f"{PRIVATE} is on {holder}, but {found} answered")
    return holder


def _crash(lab: Lab, screen: Screen, holder: str, elastic: str) -> None:
    """Kill the holder; hold everything that follows against what was promised."""
    screen.heading(f"5  Kill {holder}, which answers at the address")
    survivor = next(each.hostname for each in lab.nodes() if each.hostname != holder)
    screen.command(f"tests/lab/lab --name {lab.layout.name} kill {holder}")
    killed = time.monotonic()
    outcome = failover.watch(lab, screen, holder, survivor, elastic)
    if outcome.fenced is None:
        raise BrokenPromiseError(f"{holder} was not fenced within {failover.LIMIT:.0f} s")
    if len(outcome.answered) != 2:
        raise BrokenPromiseError(f"{PRIVATE} and {elastic} do not both answer from another node")
    # The fence was a reboot: the node comes back by itself.
    if code := subprocess.call(
        lab.node_command(survivor, ["muster", "wait", "--for", "healthy", "--timeout", "180"]),
        stdout=subprocess.DEVNULL,
    ):
        raise BrokenPromiseError(f"{holder} did not come back: `muster wait` ended with {code}")
    # Only now: the page may answer a moment before crm_mon has written where Pacemaker started it.
    said = next(each["node"] for each in status(lab, survivor)["addresses"])
    if said != outcome.holder:
        raise BrokenPromiseError(
            f"{outcome.holder} answers, but `muster status` says {said or 'no node'}"
        )
    screen.at(time.monotonic() - killed, f"{holder} is back; all {SIZE} nodes are healthy")


def _hint(lab: Lab, screen: Screen) -> None:
    """Say how to look around, and how to remove it all."""
    name = lab.layout.name
    path = os.path.relpath(CHECKOUT / "tests/lab/lab")
    screen.heading("Look around")
    for words, what in (
        ("run 1 bash", "a shell on node 1: muster status, muster events, pcs status, ..."),
        ("list", "the instances and what EC2 says of them"),
        ("outside bash", "a shell in the VPC on a host that is no member"),
        ("aws ec2 describe-instances", "the region, as its administrator"),
        ("kill 1", "another crash; also: freeze, partition, terminate, fault"),
        ("down", "remove it all; only the cached image stays (down --purge: that too)"),
    ):
        screen.line(f"{path} --name {name} {words:27} {what}")


if __name__ == "__main__":
    sys.exit(main())
