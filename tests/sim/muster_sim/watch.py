"""The running cluster of a simulated region, as one node's watch unit tells it."""

import asyncio
from typing import TYPE_CHECKING

from musterd.model import ClusterState

if TYPE_CHECKING:
    from muster_sim.world import SimNode


class Watch:
    """The running cluster as this node's watch unit would tell it."""

    def __init__(self, node: "SimNode") -> None:
        self._node = node
        self._told: ClusterState | None = None

    def state(self) -> ClusterState | None:
        self._told = self._node.region.cluster.state_of(self._node.host)
        return self._told

    async def changed(self) -> None:
        """Return when crm_mon would show something else than was last told."""
        if self._node.host.started_at is None and self._told is None:
            await self._node.host.starts.wait()
        while self._node.region.cluster.state_of(self._node.host) == self._told:  # noqa: ASYNC110 -- time changes it
            await asyncio.sleep(0.5)

    def holds(self, address: str) -> bool:
        return self._node.holds(address)
