"""One cell of the matrix: three blank nodes, a kill at the point, and what must come of it.

The fault point stops the helper (SIGSTOP) on every node that comes to it, and says so in the
journal. The runner asks that node whether it conducts, kills what the cell names, or lets it go on.
"""

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from muster_kills.cells import CONDUCTED, FOUNDING, Cell, Role, Victim
from muster_kills.points import ARM, HELPERS, POINTS_FOLDER, point_of
from muster_kills.proof import enabled, equal_files, one_cluster, second_run
from muster_lab.client import CHECKOUT, Lab
from musterd.model import Verb
from observe import (
    Document,
    Feed,
    following,
    ids,
    said,
    spec_as_user_data,
    status,
    tags,
    wait_for,
)

SIZE = 3
ADDRESS = "10.0.0.100"

# The journal may be ahead of the signal: it is written first.
_SIGNAL = """
while state=$(cut -d' ' -f3 "/proc/$1/stat") && [ "$state" != T ]; do sleep 0.02; done
kill -s "$2" "$1"
"""


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
    orders = {} if cell.late else {cell.point: "stop"}
    stock = cell.verb is Verb.PREPARE  # with the distribution's own cluster running
    begun = time.monotonic()
    with _nodes(lab, name, orders, stock=stock, address=cell.verb in CONDUCTED) as nodes:
        known = _Execution(lab, cell, nodes).perform()
        struck = time.monotonic() - begun
        wait_for(lab, "healthy", nodes)
        healthy = time.monotonic() - begun
        return Run(_proven(lab, nodes, known), struck, healthy)


def run_the_gauntlet(lab: Lab, name: str) -> Run:
    """Kill every helper at every point it comes to, one after the other, in a single founding.

    Raises:
        AssertionError: a promise was not kept, or a point was not reached.
    """
    orders = {point: "kill" for points in FOUNDING.values() for point in points}
    # Killed once it has pushed, `configure` is not asked for again: the cluster shows it.
    del orders["configure:after"]
    begun = time.monotonic()
    with _nodes(lab, name, orders, stock=True, address=True) as nodes:
        wait_for(lab, "healthy", nodes, timeout=900)
        healthy = time.monotonic() - begun
        left = [_orders_left(lab, node) for node in nodes]
        conducted = {point for verb in CONDUCTED for point in FOUNDING[verb]}
        assert set.union(*left) <= conducted, f"not reached everywhere: {set.union(*left)}"
        assert not set.intersection(*left), f"reached nowhere: {set.intersection(*left)}"
        return Run(_proven(lab, nodes, ""), healthy, healthy)


def _orders_left(lab: Lab, node: str) -> set[str]:
    return set(said(lab, node, "ls", POINTS_FOLDER).split())


def _proven(lab: Lab, nodes: Sequence[str], known: str) -> str:
    """Return the uuid of the one cluster, which is the known one if there is one known."""
    uuid = one_cluster(lab, nodes)
    assert known in {"", uuid}, f"{known} was decided, and {uuid} was founded"
    equal_files(lab, nodes)
    enabled(lab, nodes)
    second_run(lab, nodes)
    assert one_cluster(lab, nodes) == uuid, "a second run made another cluster"
    return uuid


@contextmanager
def _nodes(
    lab: Lab, name: str, orders: Mapping[str, str], *, stock: bool, address: bool
) -> Iterator[list[str]]:
    """Launch the nodes with these orders for their helpers, and terminate them in the end.

    A floating address makes the configuration more than a fence device.
    """
    spec = f'[cluster]\nname = "{name}"\nsize = {SIZE}\n'
    spec += f'[[address]]\nprivate_ip = "{ADDRESS}"\n' if address else ""
    files = {f"{POINTS_FOLDER}/{point}": what for point, what in orders.items()}
    user_data = spec_as_user_data(spec, files)
    nodes = ids(lab.launch(SIZE, tags=tags(name, SIZE), user_data=user_data, stock=stock))
    good = False
    try:
        yield nodes
        good = True
    finally:
        if not good:
            _keep_journals(lab, name, nodes)
        for node in nodes:
            lab.terminate(node, wait=False)


def _keep_journals(lab: Lab, name: str, nodes: Sequence[str]) -> None:
    """Keep the journals of a run that went wrong: the nodes' disks go."""
    folder = CHECKOUT / "build" / "kill-matrix" / f"{lab.layout.name}-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    for node in nodes:
        command = ["journalctl", "--output=short-precise", f"--directory={lab.journal(node)}"]
        with (folder / f"{node}.log").open("wb") as file:
            subprocess.run(command, stdout=file, check=False)


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
        with following(self._lab, self._nodes, HELPERS) as feed:
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
        node, event = feed.until(lambda event: point_of(event)[0] == self._cell.point)
        return node, point_of(event)[1]

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
        self._lab.run(victim, "sh", "-c", ARM, "arm", POINTS_FOLDER, self._cell.point)
        return victim

    def _disarm(self, nodes: set[str]) -> None:
        for node in nodes:
            self._lab.run(node, "rm", "--force", f"{POINTS_FOLDER}/{self._cell.point}")


def _decided(event: Document) -> bool:
    return event["kind"] == "election" and str(event["message"]).startswith("decided")
