"""What each node did when, as one node's events tell it."""

import pytest
from tests.unit.client import stories

from muster.fields import Document
from muster.history import OTHERS, OWN, PACEMAKER, PHASE, STEP, History


def told(events: list[Document]) -> History:
    history = History()
    for event in events:
        history.add(event)
    return history


def test_the_own_node_is_told_in_steps_and_waits() -> None:
    bars = told(stories.founding()).tracks[OWN].bars
    assert [(bar.label, bar.kind, bar.begin, bar.end) for bar in bars] == [
        ("starting", PHASE, 0.0, 1.1),
        ("waiting", PHASE, 1.1, 1.1),
        ("prepare", STEP, 1.1, 2.9),
        ("waiting", PHASE, 2.9, 6.5),
        ("electing", PHASE, 6.5, 7.1),
        ("lay", STEP, 7.1, 8.3),
        ("ip-10-0-0-13 to write the cluster's files", OTHERS, 8.3, 8.5),
        ("start", STEP, 8.5, 12.0),
        ("build", STEP, 12.1, 14.4),
        ("Pacemaker to elect its DC", PACEMAKER, 14.4, 15.6),
        ("configure", STEP, 15.6, 15.9),
        ("Pacemaker to take up its resources", PACEMAKER, 15.9, 17.5),
        ("trust", STEP, 17.5, 20.1),
        ("probe-fencing", STEP, 20.1, 24.0),
        ("vip-10-0-0-68 to start", PACEMAKER, 24.0, 31.2),
        ("formed", PHASE, 31.2, None),
    ]


def test_after_a_step_a_node_goes_on_waiting_without_saying_so_again() -> None:
    """The reason to wait is told when it changes, also in the middle of a step."""
    events = [
        stories.event(1.0, "phase", "waiting", "EC2 has not answered yet"),
        stories.step(1.1, "prepare", "the node is not ready for a cluster yet", "waiting"),
        stories.action(2.9, "waiting", "prepare", 1.8),
        stories.event(6.0, "phase", "electing", "the founders are agreeing"),
    ]
    bars = told(events).tracks[OWN].bars
    assert [(bar.label, bar.begin) for bar in bars] == [
        ("waiting", 1.0),
        ("prepare", 1.1),
        ("waiting", 2.9),
        ("electing", 6.0),
    ]


def test_what_was_read_has_its_own_bars() -> None:
    asked = told(stories.founding()).tracks[OWN].asked
    assert [(bar.label, round(bar.begin, 2), bar.end) for bar in asked] == [
        ("identity", 0.02, 0.4),
        ("spec", 0.41, 0.5),
        ("token", 0.49, 0.9),
        ("survey", 0.6, 1.1),
        ("instances", 1.2, 1.4),
        ("instances", 6.2, 6.4),
    ]


def test_other_nodes_are_told_by_their_hellos() -> None:
    track = told(stories.founding()).tracks["i-0123456789abcde2f"]
    assert track.name == "ip-10-0-0-12"
    assert [bar.label for bar in track.bars] == [
        "waiting",
        "electing",
        "lay",
        "start",
        "Pacemaker to elect its DC",
        "trust",
        "vip-10-0-0-68 to start",
        "formed",
    ]


def test_the_start_is_known_better_than_to_the_second() -> None:
    start = told(stories.founding()).start
    assert start == pytest.approx(stories.START, abs=0.16)


def test_a_restarted_musterd_begins_a_new_history() -> None:
    again = [stories.event(0.0, "phase", "formed", "web is formed; its state is being read")]
    history = told([*stories.until(12.0), *again])
    assert [bar.label for bar in history.tracks[OWN].bars] == ["formed"]
    assert len(history.tracks) == 1


def test_events_without_the_new_fields_are_no_harm() -> None:
    """An older musterd tells phases and steps only, and a newer one what we do not know."""
    odd = stories.event(1.0, "weather", "waiting", "rain")
    bare = {**stories.action(2.0, "waiting", "lay", 1.0), "fields": {"action": "lay"}}
    history = told([odd, bare, {"kind": "phase"}])
    assert history.tracks[OWN].asked == []
