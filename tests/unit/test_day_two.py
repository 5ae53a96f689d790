"""What a member, or who is to be one, reads off what it has heard of the others."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from muster_sim.samples import IDS, MEMBERS, NAMES, NOW, cluster, decree, facts, founder, hello
from musterd import day_two
from musterd.election.types import Durable
from musterd.errors import MusterError
from musterd.helper_wire import WireMember
from musterd.knowledge import HEARD_FOR, Heard, Knowledge, Trouble
from musterd.model import Phase

PROOF = ("permissions", NOW)
TOLD = tuple(WireMember(m.instance_id, m.name, IPv4Address(m.address)) for m in MEMBERS)


def newcomer(*proven_by: int, listed: bool = True) -> Knowledge:
    """The first of the samples as it joins the other two, of whom some can fence it."""
    k = founder()
    k.joining, k.facts = replace(decree(), seed=""), facts(laid=True)
    told = TOLD if listed else TOLD[1:]
    for number in (2, 3):
        said = replace(
            hello(number, Phase.FORMED, k.joining.uuid),
            members=told,
            proofs={IDS[0]: PROOF} if number in proven_by else {},
        )
        k.heard[said.instance_id] = Heard(said, NOW)
    return k


def test_who_joins_has_disks_once_every_member_can_fence_it() -> None:
    assert day_two.may_attach(newcomer(2, 3), NOW)
    assert not day_two.may_attach(newcomer(2), NOW)
    assert not day_two.may_attach(newcomer(), NOW)


def test_who_is_not_admitted_has_none() -> None:
    assert not day_two.may_attach(newcomer(2, 3, listed=False), NOW)
    outside = newcomer(2, 3)
    outside.facts = facts()
    assert not day_two.may_attach(outside, NOW)


def test_who_hears_no_member_has_none() -> None:
    k = newcomer(2, 3)
    k.heard.clear()
    assert not day_two.may_attach(k, NOW)


def test_a_member_that_fell_silent_keeps_nobody_from_its_disks() -> None:
    """It may be down, and the cluster short of this node's vote."""
    k = newcomer(2)
    k.heard[IDS[2]] = replace(k.heard[IDS[2]], at=NOW - HEARD_FOR - 1.0)
    assert day_two.may_attach(k, NOW)
    k.heard[IDS[1]] = replace(k.heard[IDS[1]], at=NOW - HEARD_FOR - 1.0)
    assert not day_two.may_attach(k, NOW)


def test_a_founder_has_disks_once_it_can_fence_the_others_itself() -> None:
    k = founder(Durable(1, IDS[0], None, decree()))
    assert not day_two.may_attach(k, NOW)
    k.proofs = dict.fromkeys(IDS[1:3], PROOF)
    assert day_two.may_attach(k, NOW)


def test_of_two_who_say_that_they_conduct_the_one_heard_later_does() -> None:
    k = newcomer(2, 3)
    assert day_two.heard_conductor(k) is None
    for number, at in ((1, NOW - 1.0), (2, NOW)):
        known = k.heard[IDS[number]]
        k.heard[IDS[number]] = Heard(replace(known.hello, conductor=True), at)
    assert day_two.heard_conductor(k) == k.heard[IDS[2]].hello
    k.candidates = replace(k.candidates, gone=frozenset({IDS[2]}))
    assert day_two.heard_conductor(k) == k.heard[IDS[1]].hello


def member() -> Knowledge:
    """A member of a formed cluster that has heard the two others."""
    k = founder(Durable(1, IDS[0], None, decree()))
    k.formed = True
    for number in (2, 3):
        said = replace(hello(number, Phase.FORMED), members=TOLD)
        k.heard[said.instance_id] = Heard(said, NOW)
    return k


def test_a_member_that_is_off_is_not_brought_up_to_date() -> None:
    """What it said last is old, and pcs would wait for it in vain."""
    k = member()
    old = replace(k.heard[IDS[1]].hello, members=TOLD[:2])
    k.heard[IDS[1]] = Heard(old, NOW)
    assert day_two.outdated(k) == (IDS[1],)
    k.troubles[f"greet:{IDS[1]}"] = Trouble("it does not answer", "", "", fatal=False)
    assert day_two.outdated(k) == ()


def test_whoever_is_to_leave_need_not_be_proven_any_more() -> None:
    """EC2 may have forgotten it: it would never be proven, and never taken out."""
    k = member()
    k.proofs = {IDS[1]: PROOF}
    assert day_two.need_proof(k)
    k.heard[IDS[1]] = Heard(replace(k.heard[IDS[1]].hello, leaving=(IDS[2],)), NOW)
    assert not day_two.need_proof(k)


def test_only_a_member_can_ask_that_another_leaves() -> None:
    """Who was taken out itself may have said so long ago."""
    k = member()
    outside = replace(k.heard[IDS[1]].hello, instance_id="i-x", leaving=(IDS[2],))
    k.heard["i-x"] = Heard(outside, NOW)
    assert day_two.asked_away(k) == frozenset()


def test_a_departure_that_would_end_the_cluster_is_refused_when_it_is_asked() -> None:
    k = member()
    k.cluster = cluster(*NAMES[:2])
    assert day_two.leaver(k, NAMES[2]).instance_id == IDS[2]
    with pytest.raises(MusterError, match="no quorum while") as refused:
        day_two.leaver(k, NAMES[1])
    assert NAMES[2] in refused.value.cure
    k.cluster = None  # nobody knows here who is away: the conductor will
    assert day_two.leaver(k, NAMES[1]).instance_id == IDS[1]


def test_who_has_another_spec_is_told_what_to_do_about_it() -> None:
    k = newcomer(2, 3, listed=False)
    assert k.settings is not None
    k.settings = replace(k.settings, digest="another")
    plan = day_two.newcomer_plan(k, NOW)
    assert "the members' spec" in plan.waiting_for
    assert "muster join" in plan.cure
