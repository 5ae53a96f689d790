"""Who knows which founding to be decided, and which of them nobody who belongs knows any more."""

from typing import TYPE_CHECKING

from musterd.model import Decree

if TYPE_CHECKING:
    from muster_sim.world import SimNode, SimRegion


class Foundings:
    """What the instances of a region have learned; `remembered` as for `any_left`."""

    def __init__(self, region: "SimRegion", remembered: float) -> None:
        self._region = region
        self._remembered = remembered
        self._knowers: dict[str, set[str]] = {}  # cluster uuid -> instance ids
        self.decided: list[tuple[SimNode, Decree]] = []  # as it was learned
        self.given_up: set[str] = set()  # foundings that nobody with the tag knows any more

    def learned(self, node: "SimNode", decree: Decree) -> None:
        """Note who knows a decree to be decided, and whom it replaces.

        The tag says who belongs: those who have it owe nothing to a founding all of whose knowers
        have lost it, are terminated, or have lost their disk.
        """
        self.given_up |= {
            uuid for uuid in self._knowers if uuid != decree.uuid and not self.is_known(uuid)
        }
        self._knowers.setdefault(decree.uuid, set()).add(node.instance_id)
        self.decided.append((node, decree))

    def forgets(self, node: "SimNode") -> None:
        """Note that an instance has lost its disk, and with it what it knew."""
        for knowers in self._knowers.values():
            knowers.discard(node.instance_id)

    def is_known(self, uuid: str) -> bool:
        """Tell whether somebody who belongs knows the founding."""
        return self.any_left(tuple(self._knowers.get(uuid, ())))

    def any_left(self, roster: tuple[str, ...]) -> bool:
        """Tell whether somebody of a roster kept the tag, and is not terminated.

        Who was given it back a moment ago was not listed in what others go by now.
        """
        listed = self._region.now() - self._remembered
        there = (n for n in self._region.nodes if n.instance_id in roster and not n.terminated)
        return any(n.tagged and n.tagged_since <= listed for n in there)

    def binds(self, node: "SimNode") -> bool:
        """Tell whether what the node has decided, if anything, still counts."""
        decided = node.record.durable.decided if node.record is not None else None
        return decided is None or decided.uuid not in self.given_up

    def contested(self) -> bool:
        """Tell whether somebody of a founding that was given up has the tag now."""
        nodes = self._region.nodes
        return any(n.tagged and not n.terminated and not self.binds(n) for n in nodes)
