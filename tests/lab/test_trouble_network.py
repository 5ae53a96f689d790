"""The network splits while founders vote: no side founds, and healed they found once."""

from collections.abc import Iterator

import pytest

from muster_lab.client import Lab
from observe import Document, following, leads, own_lab, spec_as_user_data, status, until
from troubled import case

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(900)]

ODD = '[cluster]\nname = "split"\nsize = 3\n[corosync]\ntoken_ms = 12000\n'


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """One lab."""
    with own_lab("network") as started:
        yield started


def test_a_split_of_one_and_two_during_the_vote(lab: Lab) -> None:
    """The vote begins when the odd spec goes away; the cut is made just before.

    For the two on one side the third has just said that it agrees, so that they elect a leader and
    both accept its decree. The third's acceptance is missing: nothing is decided.
    """
    with case(lab, "split") as one:
        [odd] = one.launch(1, spec_as_user_data(ODD))
        same, lonely = one.launch(2)
        for node in one.nodes:
            one.says(node, "waiting", "differs from this node's in corosync.token_ms", cure="same")
        _all_prepared_and_heard(lab, one.nodes)
        with following(lab, [odd, same]) as feed:
            lab.partition(lonely)
            lab.run(odd, "rm", "/etc/muster/muster.toml")
            lab.run(odd, "muster", "join")
            leader, _ = feed.until(leads)
            one.tell(f"{leader} leads the side of two")
        silent, cure = "to answer on TCP 7224", "security group must let its own members in"
        for node in (odd, same):
            one.says(node, "waiting", f"({lonely}, ", silent, cure=cure)
        one.says(lonely, "waiting", "waiting for ", silent, cure=cure)
        assert {status(lab, node)["cluster"]["uuid"] for node in one.nodes} == {""}
        lab.heal()
        one.founds(one.nodes)


def _all_prepared_and_heard(lab: Lab, nodes: list[str]) -> None:
    """Wait until every node has told every other one that it is prepared."""
    prepared: dict[str, str] = {}
    with following(lab, nodes) as feed:
        while left := set(nodes) - set(prepared):
            node, event = feed.until(lambda event: "prepare is done" in event["message"], of=left)
            prepared[node] = event["at"]
    for node in nodes:
        until(lab, node, lambda now: all(_heard_since(now, prepared)))


def _heard_since(now: Document, prepared: dict[str, str]) -> Iterator[bool]:
    """For each node whether it was heard in a second after the one in which it was prepared."""
    for each in now["nodes"]:
        yield each["last_heard"] > prepared[each["instance_id"]]
