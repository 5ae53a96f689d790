"""Whether anything can follow from what was heard: what says nothing new is passed over."""

from dataclasses import replace

from muster_sim.samples import IDS, NOW, ROSTER, founder, hello
from musterd.knowledge import HEARD_FOR, STRANGER_FOR
from musterd.model import Phase

PEER = IDS[1]
SAID = hello(2)


def test_the_first_hello_is_news_and_its_repetition_is_not() -> None:
    k = founder()
    del k.heard[PEER]
    assert k.hear(PEER, SAID, NOW)
    assert not k.hear(PEER, replace(SAID, roster_age=SAID.roster_age + 5.0), NOW + 5.0)
    assert k.heard[PEER].at == NOW + 5.0


def test_anything_it_says_differently_is_news() -> None:
    for changed in (
        replace(SAID, phase=Phase.FORMED),
        replace(SAID, reason="another"),
        replace(SAID, roster=ROSTER[:2]),
        replace(SAID, proofs={IDS[0]: ("permissions", 1.0)}),
    ):
        k = founder()
        k.hear(PEER, SAID, NOW)
        assert k.hear(PEER, changed, NOW), changed


def test_another_read_of_ec2_with_the_same_answer_is_news_for_it_confirms_the_first() -> None:
    k = founder()
    k.hear(PEER, replace(SAID, roster_age=9.0), NOW)
    assert k.hear(PEER, replace(SAID, roster_age=0.0), NOW + 1.0)


def test_who_was_silent_for_long_is_news_again() -> None:
    k = founder()
    k.hear(PEER, SAID, NOW)
    late = HEARD_FOR + 0.1
    assert k.hear(PEER, replace(SAID, roster_age=SAID.roster_age + late), NOW + late)


def test_a_stranger_is_news_once_and_again_after_a_while() -> None:
    k = founder()
    assert k.turned_away("i-1", NOW)
    assert not k.turned_away("i-1", NOW + 1.0)
    assert k.turned_away("i-2", NOW + 1.0)
    assert k.turned_away("i-1", NOW + 2.0 + STRANGER_FOR)
