"""What an undisturbed founding costs in messages, by the number of founders."""

from dataclasses import dataclass

from muster_sim.stage import play
from muster_sim.world import SimNode, SimRegion

PATIENCE = 300.0  # virtual seconds
TOGETHER = 3.0  # virtual seconds within which the instances of a launch boot


@dataclass(frozen=True)
class Cost:
    """Requests until all nodes say formed; times in virtual seconds since the last one's boot."""

    nodes: int
    decided: float
    formed: float
    hellos: int  # of all nodes; each is one request and its answer
    most_hellos: int  # of the node that sent most
    leader: int  # election messages of the node that led
    others: int  # of the one that sent most beside it

    @property
    def rounds(self) -> float:
        """How often the node with most hellos said one to each of the others."""
        return self.most_hellos / (self.nodes - 1)


def cost(nodes: int) -> Cost:
    """Found a cluster of so many nodes that boot together."""
    return play(_found(nodes))


async def _found(nodes: int) -> Cost:
    region = SimRegion(0, nodes)
    chance = region.chance
    for at, node in sorted(((chance.uniform(0.0, TOGETHER), n) for n in region.nodes), key=_first):
        await region.until(lambda at=at: region.now() >= at, TOGETHER)  # type: ignore[misc]
        node.boot()
    booted = region.now()
    assert await region.until(lambda: len(region.foundings.decided) == nodes, PATIENCE)
    decided = region.now() - booted
    assert await region.until(lambda: region.phases() == ["formed"] * nodes, PATIENCE)
    formed = region.now() - booted
    sent = sorted(node.counts.messages for node in region.nodes)
    hellos = [node.counts.hellos for node in region.nodes]
    await region.end()
    return Cost(nodes, decided, formed, sum(hellos), max(hellos), sent[-1], sent[-2])


def _first(booting: tuple[float, SimNode]) -> float:
    return booting[0]
