"""Minutes in the life of a cluster, by seed: it lives on as one, and is whole when all is calm."""

import pytest

from muster_sim.life import live

pytestmark = pytest.mark.usefixtures("quiet_daemons")

SEEDS = 24


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_cluster_lives_on_as_one_and_is_whole_when_all_is_calm(seed: int) -> None:
    assert live(seed).problem == ""
