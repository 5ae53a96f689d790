"""A node that fell silent does not return before its peers have given it up."""

from pathlib import Path

import pytest

from muster_helper.paths import Paths
from muster_helper.rejoin import awake, given_up_after, left_in_order, to_wait

NODES = "".join(f"    node {{\n        name: n{each}\n    }}\n" for each in range(3))
THREE = f"totem {{\n    version: 2\n    token: 10000\n}}\nnodelist {{\n{NODES}}}\n"


@pytest.fixture
def member(tmp_path: Path) -> Paths:
    """A node that was in a ring, and did not say good-bye."""
    paths = Paths(tmp_path)
    for path in (paths.corosync_conf, paths.corosync_state / "ringid_3", left_in_order(paths)):
        path.parent.mkdir(parents=True)
    paths.corosync_conf.write_text(THREE)
    (paths.corosync_state / "ringid_3").touch()
    return paths


def test_peers_give_up_after_token_and_consensus() -> None:
    """What Corosync 3.1.7 computed on three nodes: token 10650 ms, consensus 12780 ms."""
    assert given_up_after(THREE) == pytest.approx(10.650 + 12.780)


def test_a_consensus_in_the_file_counts() -> None:
    text = THREE.replace("token: 10000", "token: 10000\n    consensus: 30000")
    assert given_up_after(text) == pytest.approx(10.650 + 30.0)


def test_the_time_since_boot_counts(member: Paths) -> None:
    assert to_wait(member, 4.0) == pytest.approx(23.43 + 1 - 4.0)
    assert to_wait(member, 60.0) == 0


def test_a_node_that_left_in_order_returns_at_once_that_time_only(member: Paths) -> None:
    left_in_order(member).touch()
    assert to_wait(member, 4.0) == 0
    assert to_wait(member, 4.0) > 0


def test_a_node_that_never_was_in_a_ring_does_not_wait(member: Paths) -> None:
    (member.corosync_state / "ringid_3").unlink()
    assert to_wait(member, 4.0) == 0


@pytest.mark.parametrize("content", [None, "totem {\n"])
def test_without_a_usable_file_corosync_is_left_to_complain(
    member: Paths, content: str | None
) -> None:
    if content is None:
        member.corosync_conf.unlink()
    else:
        member.corosync_conf.write_text(content)
    assert to_wait(member, 4.0) == 0


def test_this_machine_began_in_the_past() -> None:
    assert awake() > 0
