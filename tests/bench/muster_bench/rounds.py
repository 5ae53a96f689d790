"""What both sides of a round share: fresh nodes, the clock, the processor time, the wanted end."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from muster_lab.client import Lab
from muster_lab.image import Image
from muster_lab.layout import CGROUPS
from muster_lab.ports import MachineError
from muster_lab.views import Node

SIZE = 3
NAME = "bench"
PRIVATE = "10.0.0.100"
REGION = "eu-west-1"
LIMIT = 300
"""Seconds that one side of a round may take."""


@dataclass
class Round:
    """One founding.

    Attributes:
        seconds: from the first command to everything running and usable.
        cpu: processor seconds of all nodes in that time.
        parts: seconds of each part, in order; they add up to `seconds`.
        load: the machine's load average (1 minute) when it began.
    """

    seconds: float
    cpu: float
    parts: dict[str, float]
    load: float


@dataclass
class Stopwatch:
    """Splits the time since it was made into named parts."""

    begun: float = field(default_factory=time.monotonic)
    parts: dict[str, float] = field(default_factory=dict)

    def lap(self, name: str) -> None:
        """End the part that ran until now."""
        self.parts[name] = time.monotonic() - self.begun - sum(self.parts.values())


@contextmanager
def fresh(lab: Lab, built: Image, user_data: str | None) -> Iterator[tuple[list[Node], str]]:
    """Booted, quiet nodes that know of no cluster, and an elastic address; removed afterwards."""
    lab.down()
    try:
        lab.start(built, region=REGION)
        allocate = ("ec2", "allocate-address", "--domain", "vpc", "--query", "PublicIp")
        elastic = lab.aws(*allocate, "--output", "text").stdout.strip()
        nodes = lab.launch(
            SIZE,
            tags={"muster:cluster": NAME},
            user_data=None if user_data is None else user_data.format(elastic=elastic).encode(),
        )
        lab.wait_boot()
        yield nodes, elastic
    finally:
        lab.down()


def everywhere(lab: Lab, nodes: Sequence[Node], script: str, stdin: str = "") -> None:
    """Run a shell script on all nodes side by side; raise MachineError if one fails."""
    running = [
        (
            each,
            subprocess.Popen(
                lab.node_command(each.instance_id, ["sh", "-euc", script]),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ),
        )
        for each in nodes
    ]
    for _, process in running:
        assert process.stdin is not None
        process.stdin.write(stdin)
        process.stdin.close()
        process.stdin = None
    for each, process in running:
        said, _ = process.communicate(timeout=LIMIT)
        if process.returncode:
            raise MachineError(f"{each.hostname}: ended with {process.returncode}: {said[-1500:]}")


def cpu(lab: Lab) -> float:
    """Processor seconds of all the lab's nodes until now (cgroup v2, cpu.stat)."""
    groups = CGROUPS / "unified" if (CGROUPS / "unified").exists() else CGROUPS
    total = 0.0
    for stat in groups.glob(f"{lab.layout.prefix}i-*/cpu.stat"):
        words = dict(line.split() for line in stat.read_text(encoding="ascii").splitlines())
        total += int(words["usage_usec"]) / 1e6
    return total


def load() -> float:
    """The load average of the last minute."""
    return float(Path("/proc/loadavg").read_text(encoding="ascii").split()[0])


def must_answer(lab: Lab, elastic: str) -> None:
    """Hold the result against what both sides promise: the address answers, inside and out."""
    lab.outside("ping", "-c1", "-W2", PRIVATE)
    lab.outside("ping", "-c1", "-W2", elastic, place="internet")
