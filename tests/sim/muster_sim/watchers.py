"""What must never be seen, at any moment of a run, and what must be seen at its end."""

from collections.abc import Iterable

from muster_sim.world import SimNode, SimRegion
from musterd.model import Decree, Phase


class ViolationError(AssertionError):
    """A promise was broken."""


class Watch:
    """Looks at all nodes of a region again and again; `absent` ones never boot."""

    def __init__(self, region: SimRegion, absent: frozenset[int] = frozenset()) -> None:
        self._region = region
        self._absent = absent
        self._seen = 0
        self._first: Decree | None = None
        self._quorate: frozenset[str] = frozenset()  # members of the last quorate cluster
        self._quorate_uuid = ""
        self.formed = False  # every living member says formed, everybody else waits to join
        self.formed_at: float | None = None  # when that was so first

    def look(self) -> None:
        """Raise ViolationError when there are two foundings or two clusters."""
        if self._region.broken:
            raise ViolationError(self._region.broken[0])
        for node, decree in self._region.foundings.decided[self._seen :]:
            self._seen += 1
            if decree.uuid in self._region.foundings.given_up:  # somebody joins it all the same
                continue
            if self._first is None or not self._region.foundings.is_known(self._first.uuid):
                self._first = decree
            elif decree.uuid != self._first.uuid:
                raise ViolationError(f"{node.short} knows a second founding, {decree.uuid[:8]}")
        kept = {
            node.record.durable.decided.roster
            for node in self._region.nodes
            if not node.terminated and node.record is not None and node.record.durable.decided
            if self._region.foundings.binds(node)
            if not node.record.formed
        }
        if len(kept) > 1:
            raise ViolationError("one founding has two rosters")
        self._look_at_clusters()
        self.formed = self._all_formed()
        if self.formed and self.formed_at is None:
            self.formed_at = self._region.now()

    def _look_at_clusters(self) -> None:
        cluster, foundings = self._region.cluster, self._region.foundings
        quorate: dict[frozenset[str], str] = {}
        for host in cluster.hosts:
            given_up = host.disk.uuid in foundings.given_up
            if host.started_at is not None and cluster.quorate(host) and not given_up:
                members = frozenset(other.instance_id for other in cluster.partition_of(host))
                quorate[members] = host.disk.uuid
        for members, uuid in quorate.items():
            for others, other in quorate.items():
                if other != uuid or not members & others:
                    raise ViolationError(f"two quorate clusters: {uuid[:8]} and {other[:8]}")
            over = self._quorate_uuid in {"", uuid, *foundings.given_up}
            if not over and foundings.any_left(tuple(self._quorate)):
                raise ViolationError(f"cluster {uuid[:8]} runs after {self._quorate_uuid[:8]} did")
            self._quorate, self._quorate_uuid = members, uuid

    def _all_formed(self) -> bool:
        here = _here(self._region, self._absent)
        if not any(n.record is not None and n.record.durable.decided for n in here):
            return False
        lost = _lost(self._region, self._absent)
        for node in here:
            if node.status is not None and node.status.phase == Phase.FORMED:
                decree = node.record.durable.decided if node.record is not None else None
                there = decree is not None and node.instance_id in decree.roster
            else:
                there = not node.tagged or _waits_to_join(node, lost)
            if node.engine is None or not there:
                return False
        return True

    def said(self) -> tuple[tuple[str, str], ...]:
        """Return every daemon's phase and reason."""
        there = (node.status for node in self._region.nodes if node.engine is not None)
        return tuple((s.phase, s.reason) for s in there if s is not None)


def _here(region: SimRegion, absent: frozenset[int]) -> list[SimNode]:
    there = (n for n in region.nodes if not n.terminated and region.foundings.binds(n))
    return [node for node in there if node.number not in absent]


_OUTSIDE = ("already formed", "waits to join", "decided for other founders")
_FULL = "cannot join: a cluster has at most 16 members"


def _lost(region: SimRegion, absent: frozenset[int]) -> set[SimNode]:
    """Return the instances that are off for good, were terminated or have lost their tag."""
    return {n for n in region.nodes if n.terminated or n.number in absent or not n.tagged}


def _waits_to_join(node: SimNode, lost: Iterable[SimNode] = ()) -> bool:
    """Tell whether a node rightly stays outside: behind the founders, somebody lost, or 16."""
    reason = node.status.reason if node.status is not None else ""
    if node.status is not None and node.status.phase == Phase.JOINING:
        return _FULL in reason or any(_blames(reason, one) for one in lost)
    return any(told in reason for told in _OUTSIDE)


def _lacks_quorum(node: SimNode, lost: Iterable[SimNode]) -> bool:
    reason = node.status.reason if node.status is not None else ""
    return "no quorum" in reason and any(_blames(reason, one) for one in lost)


def _blames(reason: str, node: SimNode) -> bool:
    named = node.instance_id in reason or node.host.name in reason
    return named or (not node.tagged and "instances carry the tag" in reason)


def stuck(region: SimRegion, absent: frozenset[int]) -> str:
    """Return what is wrong with a region that did not form, "" when it rightly waits.

    It rightly waits when everybody names one and the same instance that is off for good, was
    terminated or has lost its tag.
    """
    lost = _lost(region, absent)
    waiting = [n for n in _here(region, absent) if n.tagged and not _waits_to_join(n)]
    if any(_lacks_quorum(node, lost) for node in waiting):  # nobody can be admitted then
        waiting = [n for n in waiting if n.status is None or n.status.phase != Phase.JOINING]
    blamed = set(lost)
    for node in waiting:
        reason = node.status.reason if node.status is not None else ""
        blamed &= {one for one in lost if _blames(reason, one)}
    if waiting and blamed:
        return ""
    return "; ".join(
        f"{node.short} is {node.status.phase if node.status else 'off'}:"
        f" {node.status.reason if node.status else ''}"
        for node in waiting
    )
