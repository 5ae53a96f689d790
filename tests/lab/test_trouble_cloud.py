"""EC2 fails or leaves instances out: never read as "there are no others", always named."""

from collections.abc import Iterator

import pytest

from muster_lab.client import Lab
from observe import moments, own_lab, status, until_calls
from troubled import case

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(900)]

OUTAGE = 120.0
"""Seconds for which EC2 answers no DescribeInstances."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One lab; each test founds a cluster of its own."""
    with own_lab("cloud") as started:
        yield started


def test_ec2_is_out_of_order_for_two_minutes(lab: Lab) -> None:
    lab.fault("DescribeInstances", code="Unavailable", status=503, message="The server is busy")
    asked = len(lab.calls(action="DescribeInstances"))
    with case(lab, "outage") as one:
        nodes = one.launch(3)
        for node in nodes:
            told = "EC2 cannot answer ec2:DescribeInstances now: Unavailable"
            one.says(node, "waiting", told, cure="nothing to do: muster asks again")
        for node in nodes:
            until_calls(
                lab,
                lambda calls: moments(calls)[-1] - moments(calls)[0] > OUTAGE,
                action="DescribeInstances",
                caller=node,
            )
            assert one.phases(node) == {"starting", "waiting"}
            assert [each["instance_id"] for each in status(lab, node)["nodes"]] == [node]
        reads = lab.calls(action="DescribeInstances")[asked:]
        assert {call.outcome for call in reads} == {"Unavailable"}
        lab.clear_faults()
        one.founds(nodes)


def test_one_node_sees_only_itself(lab: Lab) -> None:
    with case(lab, "alone") as one:
        *others, alone = one.launch(3)
        lab.fault("DescribeInstances", caller=alone, omit=others)
        seen = "1 of 3 instances carry the tag muster:cluster=alone"
        called = "called with this cluster's token, but EC2 does not list them for this node"
        one.says(alone, "waiting", seen, called, *others, cure="that the VPC is the same")
        for node in others:
            refused = f"{alone} refused the request: 403: {node} is not a member here"
            on_that_node = "`muster status` on that node says how it sees this one"
            one.says(node, "waiting", f"waiting for {alone}", refused, cure=on_that_node)
        assert {status(lab, node)["cluster"]["uuid"] for node in one.nodes} == {""}
        lab.clear_faults()
        one.founds(one.nodes)
