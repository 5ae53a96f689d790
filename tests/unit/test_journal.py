"""The journal: what is kept of actions and of other nodes, so that a timeline can be drawn."""

import pytest

from musterd.journal import Journal
from musterd.model import Phase


class Clock:
    """Time that moves when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_767_225_600.0 + self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def journal() -> Journal:
    return Journal(Clock())


def messages(journal: Journal) -> list[str]:
    return [event.message for event in journal.events(-1)]


def test_every_step_is_told_with_its_length(journal: Journal) -> None:
    for _ in range(2):
        journal.action("lay", 1.26, Phase.FOUNDING, failed=False)
    assert messages(journal) == ["lay is done: 1.3 s"] * 2
    assert journal.events(-1)[0].fields == {"action": "lay", "took": "1.260"}


def test_what_repeats_while_a_node_waits_is_told_at_first_only(journal: Journal) -> None:
    for _ in range(100):
        for action in ("instances", "survey", "greet", "holders"):
            journal.action(action, 0.1, Phase.WAITING, failed=False)
    told = messages(journal)
    listed = "asked EC2 for the instances: 0.1 s"
    assert told == [listed, "looked at this node: 0.1 s", listed]


def test_what_failed_is_no_end_of_an_action(journal: Journal) -> None:
    journal.action("identity", 5.0, Phase.STARTING, failed=True)
    assert messages(journal) == []
    journal.action("identity", 0.2, Phase.STARTING, failed=False)
    assert messages(journal) == ["asked the metadata service who this node is: 0.2 s"]


def test_another_node_is_told_of_when_its_phase_step_or_wait_changes(journal: Journal) -> None:
    peer = ("i-0123456789abcde2f", "ip-10-0-0-12")
    for reason in ("lay: cluster 8f is decided", "lay: writing keys", "start: 2 of 3 are ready"):
        journal.node(*peer, Phase.FOUNDING, reason, Phase.FOUNDING)
    journal.node(*peer, Phase.FOUNDING, "waiting for quorum", Phase.FOUNDING)
    journal.node(*peer, Phase.FORMED, "web is formed", Phase.FOUNDING)
    assert messages(journal) == [
        "ip-10-0-0-12: founding: lay: cluster 8f is decided",
        "ip-10-0-0-12: founding: start: 2 of 3 are ready",
        "ip-10-0-0-12: founding: waiting for quorum",
        "ip-10-0-0-12: formed: web is formed",
    ]
    assert [event.fields["doing"] for event in journal.events(-1)] == [
        "lay",
        "start",
        "waiting for quorum",
        "web is formed",
    ]
