"""When a node may have the shared disks: those who would fence it have proven that they can."""

from dataclasses import replace
from ipaddress import IPv4Address

from muster_sim.samples import IDS, MEMBERS, NOW, decree, facts, founder, hello
from musterd import day_two
from musterd.election.types import Durable
from musterd.helper_wire import WireMember
from musterd.knowledge import Heard, Knowledge
from musterd.model import Phase

PROOF = ("permissions", NOW)


def newcomer(*proven_by: int, listed: bool = True) -> Knowledge:
    """The first of the samples as it joins the other two, of whom some can fence it."""
    k = founder()
    k.joining, k.facts = replace(decree(), seed=""), facts(laid=True)
    members = MEMBERS if listed else MEMBERS[1:]
    told = tuple(WireMember(m.instance_id, m.name, IPv4Address(m.address)) for m in members)
    for number in (2, 3):
        said = replace(
            hello(number, Phase.FORMED, k.joining.uuid),
            members=told,
            proofs={IDS[0]: PROOF} if number in proven_by else {},
        )
        k.heard[said.instance_id] = Heard(said, NOW)
    return k


def test_who_joins_has_disks_once_every_member_can_fence_it() -> None:
    assert day_two.may_attach(newcomer(2, 3))
    assert not day_two.may_attach(newcomer(2))
    assert not day_two.may_attach(newcomer())


def test_who_is_not_admitted_has_none() -> None:
    assert not day_two.may_attach(newcomer(2, 3, listed=False))
    outside = newcomer(2, 3)
    outside.facts = facts()
    assert not day_two.may_attach(outside)


def test_who_hears_no_member_has_none() -> None:
    k = newcomer(2, 3)
    k.heard.clear()
    assert not day_two.may_attach(k)


def test_a_founder_has_disks_once_it_can_fence_the_others_itself() -> None:
    k = founder(Durable(1, IDS[0], None, decree()))
    assert not day_two.may_attach(k)
    k.proofs = dict.fromkeys(IDS[1:3], PROOF)
    assert day_two.may_attach(k)
