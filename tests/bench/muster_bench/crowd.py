"""A founding while two hundred callers at a time ask one of its nodes for the status.

On this machine three nodes, the region and the callers share two processors, and a caller is above
all a start of Python: forty milliseconds before it asks anything. So that the founding competes
with what musterd does for the callers, and not with their interpreters, they run at idle priority:
on the processor time that the founding leaves, as on instances that have some to spare. Priorities
hold among the processes of one session only (sched(7), "The autogroup feature"), so the callers'
session gets the least weight beside the nodes' services as well.
"""

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from muster_bench import mustered, tables
from muster_bench.rest import most_resident
from muster_bench.rounds import LIMIT, everywhere, fresh, load
from muster_lab.client import Lab
from muster_lab.image import Image

CROWD = 200
EVERY = 10.0
"""Seconds from one wave of callers to the next, at least."""

WHILE = 60.0
"""Seconds until the last wave may begin."""

SLOWER = 1.10
"""The founding may take so many times as long."""

GROWTH = 6.0
"""MiB that musterd's memory may be larger at its most than without callers: the answers under way,
and what Python keeps of them."""

SIDES: Mapping[str, Sequence[str]] = {
    "nobody asks": (),
    "as many programs that do not ask": ("muster", "--version"),
    "200 ask at a time": ("muster", "status"),
}
QUIET, ASKED = "nobody asks", "200 ask at a time"

# Runs in the node, from when its musterd has started.
PROGRAM = """
import json, os, subprocess, sys, time
command, crowd, every, least = json.load(sys.stdin)
os.setsid()
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
if os.path.exists("/proc/self/autogroup"):
    with open("/proc/self/autogroup", "w") as weight:
        weight.write("19")
begun, calls, errors, slowest = time.monotonic(), 0, [], 0.0
while command and time.monotonic() - begun < least:
    wave = time.monotonic()
    callers = [
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for _ in range(crowd)
    ]
    for each in callers:
        told = each.communicate()[0].decode()
        if each.returncode:
            errors.append(told[:300])
    calls += crowd
    slowest = max(slowest, time.monotonic() - wave)
    time.sleep(max(0.0, wave + every - time.monotonic()))
time.sleep(max(0.0, begun + least - time.monotonic()))
json.dump([calls, errors, slowest], sys.stdout)
"""
_START = "until systemctl --quiet is-active musterd.service; do sleep 0.1; done\nexec python3 -c"


@dataclass(frozen=True)
class Crowded:
    """One founding.

    Attributes:
        seconds: from the start of musterd until every node calls the cluster formed.
        memory: the most that musterd of the node that is asked had resident, MiB.
        calls: how many were made.
        errors: what those said that did not end with 0.
        slowest: seconds from the start of a wave until its last caller had its answer.
        load: the machine's load average (1 minute) when it began.
    """

    seconds: float
    memory: float
    calls: int
    errors: tuple[str, ...]
    slowest: float
    load: float


def run(lab: Lab, built: Image, command: Sequence[str]) -> Crowded:
    """Found a cluster on fresh nodes while a crowd runs a command on the first of them.

    Raises:
        MachineError: a node did not call the cluster formed in time.
    """
    with fresh(lab, built, mustered.USER_DATA) as (nodes, _):
        asked = nodes[0].instance_id
        words = ["sh", "-euc", f'{_START} "$0"', PROGRAM]
        with subprocess.Popen(
            lab.node_command(asked, words),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as crowd:
            try:
                busy, begun = load(), time.monotonic()
                assert crowd.stdin is not None
                json.dump([command, CROWD, EVERY, WHILE], crowd.stdin)
                crowd.stdin.close()
                crowd.stdin = None
                everywhere(lab, nodes, mustered.FOUND)
                seconds = time.monotonic() - begun
                told, _ = crowd.communicate(timeout=LIMIT)
            finally:
                crowd.kill()
        calls, errors, slowest = json.loads(told)
        memory = most_resident(lab.layout, asked, "musterd.service")
        return Crowded(seconds, memory, calls, tuple(errors), slowest, busy)


def table(rounds: Mapping[str, Sequence[Crowded]]) -> str:
    """Return the figures of all sides as Markdown."""
    several = len(next(iter(rounds.values())))
    loads = [each.load for side in rounds.values() for each in side]
    lines = [
        f"Foundings of three nodes, {several} on each side, in turn, fresh nodes each time; load"
        f" average before each {tables.spread(loads)} on two processors.",
        "",
        "| | founding, seconds | of the first | musterd at its most, MiB | calls | errors |"
        " a wave, seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    first = [each.seconds for each in rounds[QUIET]]
    for name, side in rounds.items():
        seconds = [each.seconds for each in side]
        waves = tables.spread([each.slowest for each in side]) if SIDES[name] else "-"
        columns = (
            tables.spread(seconds),
            f"{tables.ratio(seconds, first):.2f}",
            tables.spread([each.memory for each in side]),
            str(sum(each.calls for each in side)),
            str(sum(len(each.errors) for each in side)),
            waves,
        )
        lines.append(f"| {name} | {' | '.join(columns)} |")
    return "\n".join(lines)


def wrongs(rounds: Mapping[str, Sequence[Crowded]]) -> list[str]:
    """Return what was promised and is not so."""
    quiet, asked = rounds[QUIET], rounds[ASKED]
    slower = tables.ratio([one.seconds for one in asked], [one.seconds for one in quiet])
    grown = max(one.memory for one in asked) - max(one.memory for one in quiet)
    failed = [error for one in asked for error in one.errors]
    found = []
    if slower > SLOWER:
        found.append(f"the founding took {slower:.2f} times as long, promised is {SLOWER}")
    if grown > GROWTH:
        found.append(f"musterd's memory was {grown:.1f} MiB larger, promised is {GROWTH}")
    if failed:
        found.append(f"{len(failed)} calls failed, among them: {failed[0]}")
    return found
