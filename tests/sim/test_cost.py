"""A founding costs each node a fixed number of rounds, and a round one message to each other."""

import pytest

from muster_sim import cost

pytestmark = pytest.mark.usefixtures("quiet_daemons")

ROUNDS = 22  # of hellos: each piece of news, and one every five seconds, whatever the size


@pytest.mark.parametrize("nodes", [2, 3, 7, 15])
def test_messages_grow_with_the_number_of_nodes_only(nodes: int) -> None:
    found = cost.cost(nodes)
    print(found)
    assert found.rounds <= ROUNDS
    assert found.hellos <= ROUNDS * nodes * (nodes - 1)
    # The leader repeats itself each second, and asks and proposes once; others only answer it,
    # or stand once in vain.
    assert found.leader <= (found.formed + 6.0) * (nodes - 1)
    assert found.others <= 2 * nodes
