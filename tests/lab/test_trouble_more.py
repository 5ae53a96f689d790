"""More instances under the tag than founders: the first three found, whoever is later waits."""

import json
from collections.abc import Iterator

import pytest

from muster_lab.client import Lab
from observe import following, own_lab, status
from troubled import case

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(900)]

LATER = "3 earlier instances are the founders"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One lab; each test founds a cluster of its own."""
    with own_lab("more") as started:
        yield started


def test_a_fourth_instance_appears_in_the_middle_of_founding(lab: Lab) -> None:
    with case(lab, "fourth") as one:
        founders = one.launch(3)
        with following(lab, founders) as feed:
            feed.until(lambda event: event["phase"] == "waiting")
        [fourth] = one.launch(1)
        one.says(fourth, "waiting", LATER, *founders, cure="nothing to do")
        one.never_founded(fourth, one.founds(founders))
        told = [each["instance_id"] for each in status(lab, founders[0])["nodes"]]
        assert told[3:] == [fourth]


def test_six_instances_of_a_size_of_three(lab: Lab) -> None:
    with case(lab, "six") as one:
        nodes = one.launch(6)
        founders, later = _first_three(lab, nodes)
        for node in later:
            one.says(node, "waiting", LATER, *founders, cure="nothing to do")
        uuid = one.founds(founders)
        for node in later:
            one.never_founded(node, uuid)


def _first_three(lab: Lab, nodes: list[str]) -> tuple[list[str], list[str]]:
    """Those who found by the attach time of their interface and their id, and the rest."""
    answer = json.loads(lab.aws("ec2", "describe-instances", "--instance-ids", *nodes).stdout)
    listed = [each for group in answer["Reservations"] for each in group["Instances"]]
    attached = {
        each["InstanceId"]: each["NetworkInterfaces"][0]["Attachment"]["AttachTime"]
        for each in listed
    }
    order = sorted(nodes, key=lambda node: (attached[node], node))
    return order[:3], order[3:]
