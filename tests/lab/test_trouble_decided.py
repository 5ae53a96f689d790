"""Trouble between the decree and `formed`: what was decided is carried on, by whoever is left."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from muster_lab.client import Lab
from observe import decides, following, leads, own_lab, status, steps
from troubled import case

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(900)]

GONE = "terminated, by EC2's word"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One lab; each test founds a cluster of its own."""
    with own_lab("decided") as started:
        yield started


def test_the_conductor_is_terminated_after_the_decree_and_replaced(lab: Lab) -> None:
    with case(lab, "lost") as one:
        nodes = one.launch(3)
        with following(lab, nodes) as feed:
            leader, _ = feed.until(leads)
            others = [node for node in nodes if node != leader]
            _, decided = feed.until(decides, of=others)
            lab.terminate(leader)
            one.tell(f"{leader}, the conductor, is terminated")
        [replacement] = one.launch(1)
        for node in others:
            one.says(node, "founding", cure="")
        one.says(replacement, "waiting", cure="")
        uuid = one.founds(others, "formed")
        assert uuid in decided["message"]
        for node in others:
            now = status(lab, node)
            one.tell(f"{now['self']['name']} {now['phase']}: {now['reason']} -> {now['next']}")
            reasons = {each["instance_id"]: each["reason"] for each in now["nodes"]}
            assert reasons.get(leader, GONE) == GONE  # until it is no member any more
        one.never_founded(replacement, uuid)


def test_all_nodes_lose_power_after_the_decree(lab: Lab) -> None:
    with case(lab, "power") as one:
        nodes = one.launch(3)
        with following(lab, nodes) as feed:
            _, decided = feed.until(decides)
            feed.until(steps("founders are ready"))
            with ThreadPoolExecutor() as at_once:
                list(at_once.map(lab.kill, nodes))
            one.tell("all nodes are without power")
        with ThreadPoolExecutor() as at_once:
            list(at_once.map(lab.boot, nodes))
        for node in nodes:
            now = one.says(node, "founding", cure="")
            assert now["cluster"]["uuid"] in decided["message"]
        assert one.founds(nodes) in decided["message"]
