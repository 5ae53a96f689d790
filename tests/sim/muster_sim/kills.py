"""Who is killed where in a simulated region: its helper, its daemon, or the whole node."""

import asyncio
from dataclasses import dataclass

from muster_sim.world import SimNode, SimRegion
from musterd.errors import HelperError
from musterd.model import Verb

RESTART = 2.0  # seconds: RestartSec= of musterd.service
BOOT = 8.0  # seconds
CONDUCTOR, FOLLOWER = "conductor", "follower"


@dataclass(frozen=True)
class Cell:
    """What is killed where."""

    verb: Verb
    moment: str
    role: str
    victim: str

    @property
    def point(self) -> str:
        """The point at which it happens."""
        return f"{self.verb}:{self.moment}"

    def __str__(self) -> str:
        """Return the name of the test."""
        return f"{self.point}-{self.role}-{self.victim}"


class Executioner:
    """Kills once, at the cell's point, on the first node of its role (or of the number) there."""

    def __init__(self, region: SimRegion, cell: Cell, number: int = 0) -> None:
        self._region = region
        self._cell = cell
        self._number = number
        self.struck: SimNode | None = None
        self.uuid = ""  # of the cluster, as the victim knew it
        for node in region.nodes:
            node.host.reach = lambda point, node=node: self._reached(node, point)  # type: ignore[misc]

    def _reached(self, node: SimNode, point: str) -> None:
        if self.struck is None and point == self._cell.point and self._chosen(node):
            self.struck = node
            self.uuid = uuid_of(node)
            self._strike(node)

    def _chosen(self, node: SimNode) -> bool:
        if self._number:
            return node.number == self._number
        if node.engine is None:
            return False
        status = node.engine.status()  # not the published one, which may be a second old
        if not status.cluster.uuid:
            return False  # nobody conducts yet
        return status.self.conductor == (self._cell.role == CONDUCTOR)

    def _strike(self, node: SimNode) -> None:
        loop = asyncio.get_running_loop()
        if self._cell.victim == "helper":
            raise HelperError("muster-helper ended without an answer", refused=False)
        if self._cell.victim == "daemon":
            node.kill()
            loop.call_later(RESTART, node.boot)
        else:
            node.crash()
            loop.call_later(BOOT, node.boot)


def uuid_of(node: SimNode) -> str:
    """Return the uuid of the cluster that a node remembers, "" for none."""
    decided = node.record.durable.decided if node.record is not None else None
    return decided.uuid if decided is not None else ""
