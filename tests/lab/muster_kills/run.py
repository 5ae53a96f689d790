"""One cell of the matrix: three blank nodes, a kill at the point, and what must come of it.

The fault point stops the helper (SIGSTOP) on every node that comes to it, and says so in the
journal. The runner asks that node whether it conducts, kills what the cell names, or lets it go on.
"""

import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from muster_helper.faults import FILE
from muster_kills.cells import CONDUCTED, Cell, Role, Victim
from muster_kills.proof import equal_files, one_cluster, second_run
from muster_lab.client import CHECKOUT, Lab
from musterd.model import Verb
from observe import Document, Feed, following, ids, spec_as_user_data, status, tags, wait_for

SIZE = 3
ADDRESS = "10.0.0.100"
STATE = "/var/lib/muster-helper"

_TOLD = re.compile(r"fault point (\S+): process (\d+) gets SIGSTOP")
_HELPERS = (
    *("journalctl", "--follow", "--lines=all", "--identifier=muster-helper"),
    *("--output=json", "--output-fields=MESSAGE"),
)
# The journal may be ahead of the signal: it is written first.
_SIGNAL = """
while state=$(cut -d' ' -f3 "/proc/$1/stat") && [ "$state" != T ]; do sleep 0.02; done
kill -s "$2" "$1"
"""
_ARM = f'printf %s "$1" > {STATE}/armed && mv {STATE}/armed {STATE}/{FILE}'


@dataclass(frozen=True)
class Run:
    """How a cell went; times in seconds from the launch."""

    uuid: str
    struck_after: float
    healthy_after: float


def run(lab: Lab, cell: Cell, name: str) -> Run:
    """Launch, kill, wait, prove, and terminate the nodes.

    Args:
        lab: running, with muster in its image.
        cell: what to kill where.
        name: of the cluster, new in this lab.

    Raises:
        AssertionError: a promise was not kept; the message tells the nodes' stories.
    """
    begun = time.monotonic()
    order = {} if cell.late else {f"{STATE}/{FILE}": f"{cell.point}=stop"}
    user_data = spec_as_user_data(_spec(cell, name), order)
    stock = cell.verb is Verb.PREPARE  # with the distribution's own cluster running
    nodes = ids(lab.launch(SIZE, tags=tags(name, SIZE), user_data=user_data, stock=stock))
    ended = None
    try:
        known = _Execution(lab, cell, nodes).perform()
        struck = time.monotonic() - begun
        wait_for(lab, "healthy", nodes)
        healthy = time.monotonic() - begun
        uuid = one_cluster(lab, nodes)
        assert known in {"", uuid}, f"{known} was decided, and {uuid} was founded"
        equal_files(lab, nodes)
        second_run(lab, nodes)
        assert one_cluster(lab, nodes) == uuid, "a second run made another cluster"
        ended = Run(uuid, struck, healthy)
    finally:
        if ended is None:
            _keep_journals(lab, cell, nodes)
        for node in nodes:
            lab.terminate(node, wait=False)
    return ended


def _keep_journals(lab: Lab, cell: Cell, nodes: Sequence[str]) -> None:
    """Keep the journals of a run that went wrong: the nodes' disks go."""
    folder = CHECKOUT / "build" / "kill-matrix" / cell.key.replace(" ", "-").replace(":", "-")
    folder.mkdir(parents=True, exist_ok=True)
    for node in nodes:
        command = ["journalctl", "--output=short-precise", f"--directory={lab.journal(node)}"]
        with (folder / f"{node}.log").open("wb") as file:
            subprocess.run(command, stdout=file, check=False)


def _spec(cell: Cell, name: str) -> str:
    """Return the spec; a floating address makes the configuration more than a fence device."""
    text = f'[cluster]\nname = "{name}"\nsize = {SIZE}\n'
    return text + (f'[[address]]\nprivate_ip = "{ADDRESS}"\n' if cell.verb in CONDUCTED else "")


class _Execution:
    """Waits at the fault point and kills."""

    def __init__(self, lab: Lab, cell: Cell, nodes: Sequence[str]) -> None:
        self._lab = lab
        self._cell = cell
        self._nodes = nodes
        self._struck: list[str] = []

    def perform(self) -> str:
        """Strike once the point is reached; return the uuid the victim knew, "" for none yet."""
        self._lab.wait_boot(*self._nodes)
        reporting = set(self._nodes)
        if self._cell.late:
            reporting = {self._arm_the_victim()}
        known = ""
        with following(self._lab, self._nodes, _HELPERS) as feed:
            while reporting:
                node, process = self._next(feed)
                reporting.discard(node)
                now = status(self._lab, node)
                if not self._chosen(now):
                    self._signal(node, process, "CONT")
                    continue
                known = now["cluster"]["uuid"]
                if self._cell.verb in CONDUCTED:  # nobody else comes there, unless it conducts then
                    self._disarm(reporting)
                    reporting.clear()
                self._strike(node, process)
                self._struck.append(node)
        assert self._struck, f"no {self._cell.role} came to {self._cell.point}"
        return known

    def _next(self, feed: Feed) -> tuple[str, str]:
        """Return which node is at the point, and the process id of its helper there."""
        node, event = feed.until(lambda event: _point_of(event)[0] == self._cell.point)
        return node, _point_of(event)[1]

    def _chosen(self, now: Document) -> bool:
        if self._cell.role is Role.EVERYBODY:
            return True
        conducts: bool = now["self"]["conductor"]
        return not self._struck and conducts == (self._cell.role is Role.CONDUCTOR)

    def _strike(self, node: str, process: str) -> None:
        match self._cell.victim:
            case Victim.HELPER:
                self._signal(node, process, "KILL")
            case Victim.DAEMON:
                self._lab.run(
                    node, "systemctl", "kill", "--signal=KILL", "--kill-whom=main", "musterd"
                )
                self._signal(node, process, "CONT")
            case Victim.NODE:
                self._lab.kill(node)
                self._lab.boot(node)

    def _signal(self, node: str, process: str, name: str) -> None:
        self._lab.run(node, "sh", "-c", _SIGNAL, "signal", process, name)

    def _arm_the_victim(self) -> str:
        """Wait for the decision, then choose by role and put the order in place there."""
        with following(self._lab, self._nodes) as feed:
            feed.until(_decided)
        [conductor] = [n for n in self._nodes if status(self._lab, n)["self"]["conductor"]]
        others = [node for node in self._nodes if node != conductor]
        victim = conductor if self._cell.role is Role.CONDUCTOR else others[0]
        self._lab.run(victim, "sh", "-c", _ARM, "arm", f"{self._cell.point}=stop")
        return victim

    def _disarm(self, nodes: set[str]) -> None:
        for node in nodes:
            self._lab.run(node, "rm", "--force", f"{STATE}/{FILE}")


def _point_of(event: dict[str, Any]) -> tuple[str, str]:
    told = _TOLD.search(str(event.get("MESSAGE", "")))
    return (told[1], told[2]) if told else ("", "")


def _decided(event: Document) -> bool:
    return event["kind"] == "election" and str(event["message"]).startswith("decided")
