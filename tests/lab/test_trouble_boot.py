"""Founders that do not boot, or boot late: the others wait and name them, and none founds alone."""

from collections.abc import Iterator

import pytest

from muster_lab.client import Lab
from observe import moments, own_lab, status, until_calls
from troubled import case

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(900)]

SILENT = "to answer on TCP 7224"
LATE = 60.0
"""Seconds by which founders boot late, counted from the first one's first read of EC2."""


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One lab; each test founds a cluster of its own."""
    with own_lab("boot") as started:
        yield started


def test_one_never_boots_and_its_replacement_founds(lab: Lab) -> None:
    with case(lab, "absent") as one:
        *present, absent = one.launch(3)
        lab.kill(absent)
        for node in present:
            one.says(
                node, "waiting", f"waiting for {absent}", SILENT, cure="is musterd running there?"
            )
        lab.terminate(absent)
        for node in present:
            words = (
                "2 of 3 instances carry the tag muster:cluster=absent",
                f"terminated: {absent}",
            )
            one.says(node, "waiting", *words, cure="launch 1 more with that tag")
            assert "founding" not in one.phases(node)
        [replacement] = one.launch(1)
        one.founds([*present, replacement])
        for node in present:
            told = {each["instance_id"] for each in status(lab, node)["nodes"]}
            assert told == {*present, replacement}


def test_two_of_three_boot_a_minute_late(lab: Lab) -> None:
    with case(lab, "late") as one:
        early, *late = one.launch(3)
        for node in late:
            lab.kill(node)
        told = one.says(early, "waiting", "waiting for", SILENT, cure="is musterd running there?")
        assert any(node in told["reason"] for node in late)
        until_calls(
            lab,
            lambda calls: moments(calls)[-1] - moments(calls)[0] > LATE,
            action="DescribeInstances",
            caller=early,
        )
        assert one.phases(early) == {"starting", "waiting"}
        for node in late:
            lab.boot(node)
        one.founds([early, *late])
