"""On real nodes, members come and go while helpers die and EC2 does not answer."""

from collections.abc import Iterator, Mapping

import pytest

from grown import Grown, assert_one_cluster
from muster_kills.points import POINTS_FOLDER
from observe import ids, own_lab, said, status, tags, until, until_calls, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(900)]

SIZE = 3
# None of these says that an instance is terminated.
ANSWERS: Mapping[str, int] = {
    "RequestLimitExceeded": 503,
    "Unavailable": 503,
    "InvalidInstanceID.NotFound": 400,
    "UnauthorizedOperation": 403,
}


@pytest.fixture(scope="module")
def grown() -> Iterator[Grown]:
    with own_lab("odd") as lab:
        nodes = lab.launch(SIZE, tags=tags("web", SIZE))
        wait_for(lab, "healthy", ids(nodes))
        uuid = status(lab, nodes[0].instance_id)["cluster"]["uuid"]
        yield Grown(lab, uuid, list(nodes))


def kill_helpers_at(grown: Grown, *points: str) -> None:
    """Have each member's helper die once at each of these points."""
    orders = "; ".join(f"printf kill > {POINTS_FOLDER}/{point}" for point in points)
    for node in grown.nodes:
        said(grown.lab, node.instance_id, "sh", "-c", f"mkdir -p {POINTS_FOLDER}; {orders}")


def assert_died_at(grown: Grown, *points: str) -> None:
    """Some member's helper has come to each point; no order is left behind."""
    members = ids(grown.nodes[:SIZE])
    left = [set(said(grown.lab, member, "ls", POINTS_FOLDER).split()) for member in members]
    for point in points:
        assert any(point not in orders for orders in left), point
    for member in members:
        said(grown.lab, member, "rm", "-r", POINTS_FOLDER)


def test_an_admission_that_is_cut_off_is_completed(grown: Grown) -> None:
    points = ("admit:middle-mapped", "admit:middle-added")
    kill_helpers_at(grown, *points)
    [newcomer] = grown.lab.launch(1, tags=tags("web", SIZE))
    wait_for(grown.lab, "formed", [newcomer.instance_id])
    assert_died_at(grown, *points)
    grown.nodes.append(newcomer)
    assert_one_cluster(grown)


def test_nothing_but_terminated_takes_a_member_out(grown: Grown) -> None:
    """A member is terminated, and EC2 says everything else than that."""
    lab, lost = grown.lab, grown.nodes.pop()
    first = next(iter(ANSWERS))
    lab.fault("DescribeInstances", code=first, status=ANSWERS[first])
    lab.terminate(lost.instance_id)
    told = [n for n in grown.nodes if status(lab, n.instance_id)["self"]["conductor"]]
    conductor = told[0].instance_id
    until(lab, conductor, lambda found: lost.hostname in found["reason"])
    for code, number in ANSWERS.items():
        lab.clear_faults()
        lab.fault("DescribeInstances", code=code, status=number)
        before = len(lab.calls(action="DescribeInstances", caller=conductor))
        until_calls(
            lab,
            lambda calls, before=before: len(calls) >= before + 3,  # type: ignore[misc]
            action="DescribeInstances",
            caller=conductor,
        )
        for node in grown.nodes:
            conf = said(lab, node.instance_id, "cat", "/etc/corosync/corosync.conf")
            assert lost.hostname in conf
    points = ("expel:middle-confirmed", "expel:middle-removed")
    kill_helpers_at(grown, *points)
    lab.clear_faults()
    until(lab, conductor, lambda found: found["cluster"]["size"] == SIZE)
    assert_one_cluster(grown)
    assert_died_at(grown, *points)


def test_the_whole_cluster_is_stopped_and_started(grown: Grown) -> None:
    for node in grown.nodes:
        grown.lab.stop(node.instance_id, wait=False)
    for node in grown.nodes:
        grown.lab.stop(node.instance_id)
    for node in grown.nodes:
        grown.lab.start_node(node.instance_id)
    wait_for(grown.lab, "healthy", ids(grown.nodes))
    assert_one_cluster(grown)


def test_the_last_member_but_two_leaves_and_comes_back(grown: Grown) -> None:
    """Three become two, with the rules of two; the one that left joins again when it is told to."""
    lab = grown.lab
    conductor = next(n for n in grown.nodes if status(lab, n.instance_id)["self"]["conductor"])
    leaving = next(n for n in grown.nodes if n is not conductor)
    grown.nodes.remove(leaving)
    said(lab, leaving.instance_id, "muster", "leave")
    until(lab, leaving.instance_id, lambda found: found["phase"] == "leaving")
    assert_one_cluster(grown)
    here = conductor.instance_id
    assert "two_node: 1" in said(lab, here, "cat", "/etc/corosync/corosync.conf")
    assert "pcmk_delay_max" in said(lab, here, "pcs", "stonith", "config")
    assert "priority-fencing-delay" in said(lab, here, "pcs", "property", "config")
    said(lab, leaving.instance_id, "muster", "join")
    grown.nodes.append(leaving)
    assert_one_cluster(grown)
    assert "two_node" not in said(lab, here, "cat", "/etc/corosync/corosync.conf")
    assert "pcmk_delay_max" not in said(lab, here, "pcs", "stonith", "config")


def test_a_member_that_lost_its_tag_before_it_was_terminated_is_replaced(grown: Grown) -> None:
    """No list of EC2 names it any more; daemon and helper ask for it by its id."""
    lab, lost = grown.lab, grown.nodes.pop()
    lab.aws("ec2", "delete-tags", "--resources", lost.instance_id, "--tags", "Key=muster:cluster")
    lab.terminate(lost.instance_id)
    grown.nodes += lab.launch(1, tags=tags("web", SIZE))
    wait_for(lab, "formed", [grown.nodes[-1].instance_id])
    assert_one_cluster(grown)
    config = said(lab, grown.nodes[0].instance_id, "pcs", "stonith", "config")
    assert lost.instance_id not in config
