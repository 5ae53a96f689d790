"""What must never be seen, at any moment of a run, and what must be seen at its end."""

import asyncio

from muster_sim.world import SimNode, SimRegion
from musterd.model import Decree, Phase


class ViolationError(AssertionError):
    """A promise was broken."""


class Watch:
    """Looks at all nodes of a region again and again."""

    def __init__(self, region: SimRegion) -> None:
        self._region = region
        self._seen = 0
        self._first: Decree | None = None
        self._quorate: frozenset[str] = frozenset()  # members of the last quorate cluster
        self._quorate_uuid = ""
        self.formed_at: float | None = None

    def look(self) -> None:
        """Raise ViolationError when there are two foundings or two clusters."""
        for node, decree in self._region.decided[self._seen :]:
            self._seen += 1
            if self._first is None or not self._anyone_left(self._first.roster):
                self._first = decree
            elif decree.uuid != self._first.uuid:
                raise ViolationError(f"{node.short} knows a second founding, {decree.uuid[:8]}")
        kept = {
            node.record.durable.decided.roster
            for node in self._region.nodes
            if not node.terminated and node.record is not None and node.record.durable.decided
        }
        if len(kept) > 1:
            raise ViolationError("one founding has two rosters")
        self._look_at_clusters()

    def _look_at_clusters(self) -> None:
        cluster = self._region.cluster
        quorate: dict[frozenset[str], str] = {}
        for host in cluster.hosts:
            if host.started_at is not None and cluster.quorate(host):
                members = frozenset(other.instance_id for other in cluster.partition_of(host))
                quorate[members] = host.disk.uuid
        for members, uuid in quorate.items():
            for others, other in quorate.items():
                if other != uuid or not members & others:
                    raise ViolationError(f"two quorate clusters: {uuid[:8]} and {other[:8]}")
            same = self._quorate_uuid in {"", uuid}
            if not same and self._anyone_left(tuple(self._quorate)):
                raise ViolationError(f"cluster {uuid[:8]} runs after {self._quorate_uuid[:8]} did")
            self._quorate, self._quorate_uuid = members, uuid

    def _anyone_left(self, roster: tuple[str, ...]) -> bool:
        return any(n.instance_id in roster and not n.terminated for n in self._region.nodes)

    def all_formed(self, absent: frozenset[int]) -> bool:
        """Tell whether every living member says formed and everybody else waits to join."""
        here = _here(self._region, absent)
        decided = next((n.record.durable.decided for n in here if n.record is not None), None)
        if decided is None:
            return False
        for node in here:
            if node.status is None or node.engine is None:
                return False
            if node.instance_id in decided.roster:
                if node.status.phase != Phase.FORMED:
                    return False
            elif not _waits_to_join(node):
                return False
        if self.formed_at is None:
            self.formed_at = asyncio.get_running_loop().time()
        return True


def _here(region: SimRegion, absent: frozenset[int]) -> list[SimNode]:
    return [n for n in region.nodes if not n.terminated and n.number not in absent]


_OUTSIDE = ("already formed", "waits to join", "decided for other founders")


def _waits_to_join(node: SimNode) -> bool:
    reason = node.status.reason if node.status is not None else ""
    return any(told in reason for told in _OUTSIDE)


def stuck(region: SimRegion, absent: frozenset[int]) -> str:
    """Return what is wrong with a region that did not form, "" when it rightly waits.

    It rightly waits when a node that everybody names is off for good, or was terminated.
    """
    lost = [n for n in region.nodes if n.terminated or n.number in absent]
    names = [name for n in lost for name in (n.instance_id, n.host.name)]
    unnamed = [
        f"{node.short} is {node.status.phase if node.status else 'off'}:"
        f" {node.status.reason if node.status else ''}"
        for node in _here(region, absent)
        if not _waits_to_join(node)
        and not (node.status and any(name in node.status.reason for name in names))
    ]
    return "; ".join(unnamed)
