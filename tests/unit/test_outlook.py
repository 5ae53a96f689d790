"""Where a node stands, in words, and when it votes: every wait names what it waits for."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from muster_sim.samples import (
    IDS,
    MEMBERS,
    NAMES,
    NOW,
    ROSTER,
    cluster,
    decree,
    facts,
    founder,
    hello,
)
from musterd import agreement, day_two
from musterd.election.types import Accepted, Durable, Role
from musterd.helper_wire import WireMember
from musterd.knowledge import HEARD_FOR, STRANGER_FOR, Heard, Knowledge, Trouble
from musterd.model import Candidates, CorosyncConfig, Decree, Member, Phase
from musterd.outlook import may_say_formed, outlook, unverified
from musterd.resources import wanted_ids
from musterd.spec import Address

DECIDED = Durable(1, IDS[0], None, decree())


def hears(k: Knowledge, number: int, **changes: object) -> None:
    said = replace(hello(number), **changes)  # type: ignore[arg-type]
    k.heard[IDS[number - 1]] = Heard(said, NOW)


def test_when_all_agree_a_founder_votes_for_the_roster_with_every_name() -> None:
    view = agreement.view(founder(), NOW)
    assert view is not None
    assert (view.roster, view.members) == (ROSTER, MEMBERS)
    assert outlook(founder(), NOW).phase is Phase.ELECTING


def test_a_roster_that_was_confirmed_stays_so_until_another_is_read() -> None:
    k = founder()
    k.confirmed = ()
    agreement.confirm(k, NOW)
    assert k.confirmed == ROSTER
    k.reads = ()
    agreement.confirm(k, NOW + 1000.0)
    assert k.confirmed == ROSTER
    k.candidates = replace(k.candidates, roster=IDS[1:4])
    agreement.confirm(k, NOW + 1000.0)
    assert k.confirmed == ()


Spoil = Callable[[Knowledge], object]


def _silent(k: Knowledge) -> None:
    k.heard[IDS[1]] = Heard(hello(2), NOW - HEARD_FOR - 1.0)


DISAGREEMENTS: tuple[tuple[Spoil, str], ...] = (
    (_silent, f"waiting for {NAMES[1]} ({IDS[1]}, 10.0.0.12) to answer on TCP 7224"),
    (lambda k: k.heard.pop(IDS[2]), f"waiting for {IDS[2]} (10.0.0.13) to answer on TCP 7224"),
    (lambda k: hears(k, 2, spec_digest="x", spec_keys={}), f"the spec of {NAMES[1]} differs"),
    (lambda k: hears(k, 2, roster=()), f"waiting for {NAMES[1]} to read EC2"),
    (lambda k: hears(k, 3, roster=IDS[1:4]), f"{NAMES[2]} sees another roster in EC2"),
    (lambda k: hears(k, 3, facts=None), f"waiting for {NAMES[2]} to be prepared"),
    (
        lambda k: hears(k, 3, facts=replace(facts(3), prepared=False)),
        f"waiting for {NAMES[2]} to be prepared",
    ),
    (
        lambda k: hears(k, 3, phase=Phase.FAILED, reason="no pcs"),
        f"{NAMES[2]} cannot take part: no pcs",
    ),
    (lambda k: setattr(k, "confirmed", ()), "a second read of EC2"),
    (
        lambda k: setattr(k, "candidates", Candidates(trouble="2 of 3 instances")),
        "2 of 3 instances",
    ),
    (lambda k: setattr(k, "candidates", Candidates()), "EC2 has not answered yet"),
)


@pytest.mark.parametrize(("spoil", "told"), DISAGREEMENTS, ids=[told for _, told in DISAGREEMENTS])
def test_who_is_not_sure_votes_for_nothing_and_says_why(spoil: Spoil, told: str) -> None:
    k = founder()
    spoil(k)
    assert agreement.view(k, NOW) is None
    stands = outlook(k, NOW)
    assert stands.phase is Phase.WAITING
    assert told in stands.reason


def test_who_is_silent_is_named_before_whoever_sees_something_else() -> None:
    """Every founder misses the same one, so that all name the same cause."""
    k = founder()
    hears(k, 2, roster=IDS[1:4])
    k.heard.pop(IDS[2])
    assert f"waiting for {IDS[2]}" in outlook(k, NOW).reason


def test_everybody_who_is_silent_is_named() -> None:
    """Another founder may know only one of them. Found by seed 34994 of the mixed ones."""
    k = founder()
    _silent(k)
    k.heard.pop(IDS[2])
    k.troubles[f"greet:{IDS[1]}"] = Trouble("it refuses the connection", cure="look there")
    stands = outlook(k, NOW)
    first, second = f"{NAMES[1]} ({IDS[1]}, 10.0.0.12)", f"{IDS[2]} (10.0.0.13)"
    assert stands.reason == (
        f"waiting for {first}, {second} to answer on TCP 7224: it refuses the connection"
    )
    assert stands.next == "look there"


def test_who_refuses_this_node_is_waited_for_with_its_own_reason_and_cure() -> None:
    k = founder()
    k.heard.pop(IDS[1])
    refused = f"{IDS[1]} refused the request"
    k.troubles[f"greet:{IDS[1]}"] = Trouble(refused, why="403: not a member", cure="look there")
    stands = outlook(k, NOW)
    assert stands.reason.endswith(f"to answer on TCP 7224: {refused}: 403: not a member")
    assert stands.next == "look there"


def test_an_error_of_ec2_is_told_while_there_is_no_roster() -> None:
    k = founder()
    k.candidates = Candidates()
    k.troubles["instances"] = Trouble("EC2 throttles", cure="wait")
    assert outlook(k, NOW).reason == "EC2 throttles"


def test_whoever_calls_with_the_token_and_is_not_listed_is_named() -> None:
    k = founder()
    k.candidates = Candidates(trouble="1 of 3 instances carry the tag", cure="launch 2 more")
    k.strangers = {IDS[1]: NOW - 30.0, IDS[2]: NOW - STRANGER_FOR - 1.0}
    stands = outlook(k, NOW)
    assert stands.reason == (
        f"1 of 3 instances carry the tag: {IDS[1]} called with this cluster's token, but EC2 does"
        " not list it for this node (yet)"
    )
    assert "muster:cluster=web" in stands.next
    k.candidates = replace(k.candidates, gone=frozenset({IDS[1]}))
    assert outlook(k, NOW).next == "launch 2 more"


def test_a_later_instance_names_the_founders_whatever_they_wait_for() -> None:
    k = founder()
    k.candidates = replace(k.candidates, roster=IDS[1:])
    k.heard.clear()
    stands = outlook(k, NOW)
    assert (stands.phase, stands.next) == (Phase.WAITING, "nothing to do")
    assert stands.reason == (
        f"3 earlier instances are the founders ({', '.join(IDS[1:])}); this node waits to join"
    )


def test_an_error_of_ec2_does_not_undo_a_roster_that_is_known() -> None:
    k = founder()
    k.troubles["instances"] = Trouble("EC2 throttles")
    assert agreement.view(k, NOW) is not None


def test_a_node_that_must_not_be_touched_fails_and_votes_for_nothing() -> None:
    k = founder()
    k.facts = replace(facts(), corosync=CorosyncConfig.FOREIGN, corosync_detail="cluster x")
    assert agreement.view(k, NOW) is None
    assert outlook(k, NOW).phase is Phase.FAILED


def test_any_peer_that_says_formed_ends_founding_for_everybody() -> None:
    k = founder()
    said = replace(hello(2), instance_id=IDS[3], name=NAMES[3], phase=Phase.FORMED, uuid="cd" * 16)
    k.heard[IDS[3]] = Heard(said, NOW - 1000.0)
    assert agreement.view(k, NOW) is None
    assert f"already formed ({NAMES[3]} says so)" in outlook(k, NOW).reason


def test_a_decision_one_was_not_told_of_is_named() -> None:
    k = founder()
    hears(k, 2, uuid="cd" * 16)
    assert f"{NAMES[1]} knows cluster {'cd' * 16} to be decided" in outlook(k, NOW).reason


@pytest.mark.parametrize("topic", ["store", "identity", "spec", "token"])
def test_what_comes_first_is_told_first(topic: str) -> None:
    k = founder()
    k.trusted = topic != "token"
    k.troubles[topic] = Trouble("broken", why="because", cure="mend it")
    k.troubles["greet:x"] = Trouble("later")
    stands = outlook(k, NOW)
    assert (stands.phase, stands.reason, stands.next) == (
        Phase.WAITING,
        "broken: because",
        "mend it",
    )


def test_trouble_only_a_person_can_end_is_a_failure() -> None:
    k = founder()
    k.troubles["spec"] = Trouble("wrong", fatal=True)
    assert outlook(k, NOW).phase is Phase.FAILED


# --- founding ---------------------------------------------------------------------------------


def done() -> Knowledge:
    """The conductor's knowledge when everything is done and verified."""
    k = founder(DECIDED)
    k.election = replace(k.election, role=Role.LEADER)
    own = replace(facts(laid=True, running=True), trusted=True, built=True)
    k.facts, k.cluster = own, cluster(*NAMES[:3])
    k.proofs = dict.fromkeys(ROSTER[1:], ("permissions", 0.0))
    for number in (2, 3):
        others = {m: "permissions" for m in ROSTER if m != IDS[number - 1]}
        look = replace(facts(number, laid=True, running=True), trusted=True)
        hears(k, number, facts=look, proofs=others, uuid=decree().uuid)
    return k


def test_the_conductor_says_formed_once_everything_is_verified() -> None:
    assert unverified(done(), NOW) == ""
    assert may_say_formed(done(), NOW)


UNFINISHED: tuple[tuple[Spoil, str], ...] = (
    (lambda k: hears(k, 2, facts=None), f"{NAMES[1]} to say how far it is"),
    (_silent, f"{NAMES[1]} to say how far it is"),
    (
        lambda k: hears(k, 3, facts=facts(3, laid=True)),
        f"{NAMES[2]} to prove that it can fence the others",
    ),
    (lambda k: setattr(k, "cluster", cluster(*NAMES[:3], started=False)), "fence-web to start"),
)


@pytest.mark.parametrize(("spoil", "told"), UNFINISHED, ids=[told for _, told in UNFINISHED])
def test_what_is_not_verified_keeps_it_from_saying_formed(spoil: Spoil, told: str) -> None:
    k = done()
    spoil(k)
    assert unverified(k, NOW) == told
    assert not may_say_formed(k, NOW)
    assert outlook(k, NOW).phase is Phase.FOUNDING


def test_a_member_that_is_offline_does_not_hold_up_the_others() -> None:
    k = done()
    k.cluster = cluster(*NAMES[:2])
    k.heard.pop(IDS[2])
    assert unverified(k, NOW) == ""


def test_a_member_that_is_terminated_needs_no_proof_that_it_can_be_fenced() -> None:
    k = done()
    k.cluster = cluster(*NAMES[:2])
    hears(k, 2, facts=replace(facts(2, laid=True, running=True), trusted=True),
          proofs={IDS[0]: ("permissions", 0.0)})  # fmt: skip
    assert unverified(k, NOW) == f"{NAMES[1]} to prove that it can fence the others"
    k.candidates = replace(k.candidates, gone=frozenset({IDS[2]}))
    assert unverified(k, NOW) == ""


def test_no_address_is_reached_while_pacemaker_waits_for_the_fence_of_the_terminated() -> None:
    k = done()
    assert k.settings is not None
    wants = replace(k.settings.spec, address=(Address(IPv4Address("10.0.0.100")),))
    k.settings, k.cluster = replace(k.settings, spec=wants), cluster(*NAMES[:2], started=False)
    found = (
        *k.cluster.resources,
        *(replace(k.cluster.resources[0], id=i) for i in wanted_ids(wants)),
    )
    k.cluster = replace(k.cluster, resources=found)
    assert not may_say_formed(k, NOW)
    k.candidates = replace(k.candidates, gone=frozenset({IDS[2]}))
    assert may_say_formed(k, NOW)


def test_a_follower_says_formed_only_after_a_member_of_its_cluster_does() -> None:
    k = done()
    k.election = replace(k.election, role=Role.FOLLOWER)
    assert not may_say_formed(k, NOW)
    hears(k, 2, phase=Phase.FORMED, uuid="cd" * 16)
    assert not may_say_formed(k, NOW)
    hears(k, 2, phase=Phase.FORMED, uuid=decree().uuid)
    assert may_say_formed(k, NOW)


def test_another_spec_than_the_founding_was_decided_for_stops_the_node() -> None:
    k = done()
    k.election = replace(
        k.election, durable=replace(DECIDED, decided=replace(decree(), spec_digest="other"))
    )
    assert not may_say_formed(k, NOW)
    stands = outlook(k, NOW)
    assert stands.phase is Phase.FAILED
    assert "put the same muster.toml back" in stands.next


# --- formed -----------------------------------------------------------------------------------


def test_a_formed_cluster_tells_who_is_offline_and_what_does_not_answer() -> None:
    k = done()
    k.formed = True
    assert "every member is online" in outlook(k, NOW).reason
    k.cluster = cluster(*NAMES[:2])
    assert f"offline: {NAMES[2]}" in outlook(k, NOW).reason
    known, k.candidates = k.candidates, replace(k.candidates, gone=frozenset({IDS[2]}))
    assert f"expel: EC2 calls {IDS[2]} terminated" in outlook(k, NOW).reason
    k.cluster = replace(k.cluster, dc=NAMES[1])  # another one conducts
    terminated = f"offline: {NAMES[2]}; terminated: {NAMES[2]} ({IDS[2]})"
    assert outlook(k, NOW).reason.endswith(terminated)
    assert "the conductor takes it out" in outlook(k, NOW).next
    k.candidates = known
    k.cluster = replace(cluster(NAMES[0]), quorate=False)
    assert "has no quorum" in outlook(k, NOW).reason
    k.cluster = None
    assert "Pacemaker does not answer" in outlook(k, NOW).reason
    assert outlook(k, NOW).phase is Phase.FORMED
    assert k.facts is not None
    k.facts = replace(k.facts, start_owed=True)
    assert "stopped as a whole" in outlook(k, NOW).reason


def test_a_cluster_that_nobody_conducts_says_where_musterd_is_silent() -> None:
    k = done()
    k.formed, k.cluster = True, replace(cluster(*NAMES[:3]), dc=NAMES[1])
    k.troubles[f"greet:{IDS[1]}"] = Trouble("10.0.0.12 refuses the connection")
    assert f"does not answer on {NAMES[1]} ({IDS[1]})" in outlook(k, NOW).reason
    k.cluster = replace(k.cluster, dc=NAMES[2])  # another one conducts, and answers
    assert "every member is online" in outlook(k, NOW).reason


def test_one_of_two_that_restarts_alone_says_for_whom_it_waits_and_what_ends_it() -> None:
    k = done()
    k.formed, k.candidates = True, replace(k.candidates, gone=frozenset({IDS[1]}))
    pair = replace(decree(), members=MEMBERS[:2])
    k.election = replace(k.election, durable=replace(k.election.durable, decided=pair))
    k.cluster = replace(cluster(NAMES[0]), offline=(NAMES[1],), quorate=False)
    told = outlook(k, NOW)
    assert f"no quorum; offline: {NAMES[1]}; terminated: {NAMES[1]} ({IDS[1]})" in told.reason
    assert "pcs quorum unblock" in told.next
    k.candidates = replace(k.candidates, gone=frozenset())
    assert "unblock" not in outlook(k, NOW).next  # it may come back


def test_who_would_join_a_cluster_of_terminated_members_is_told_that_nobody_is_left() -> None:
    """One living member is enough to wait for, however silent it is."""
    k = founder()
    k.joining = Decree("a" * 32, MEMBERS, "digest", seed="")
    k.candidates = replace(k.candidates, gone=frozenset(ROSTER[1:-1]))
    assert "is terminated" not in outlook(k, NOW).reason
    k.candidates = replace(k.candidates, gone=frozenset(ROSTER[1:]))
    now = outlook(k, NOW)
    assert now.phase is Phase.JOINING
    assert "every member of cluster aaaaaaaa is terminated" in now.reason
    assert "launch" in now.next


def test_who_waits_to_join_names_the_members_that_are_silent() -> None:
    """One of them may be the conductor; found by seed 76292 of the mixed ones."""
    k = founder()
    k.joining = Decree("a" * 32, MEMBERS, "digest", seed="")
    k.started = NOW - HEARD_FOR - 1.0
    assert "silent" not in outlook(k, NOW).reason
    _silent(k)
    stands = outlook(k, NOW)
    assert stands.phase is Phase.JOINING
    assert stands.reason.endswith(f"; musterd is silent on {NAMES[1]}")
    assert "musterd is active" in stands.next


def test_the_last_words_of_a_terminated_conductor_are_not_the_clusters() -> None:
    """It conducted, and its list is old: whoever joins asks those who are left."""
    k = founder()
    names = [WireMember(m.instance_id, m.name, IPv4Address(m.address)) for m in MEMBERS]
    formed = {"phase": Phase.FORMED, "uuid": "a" * 32}
    hears(k, 2, **formed, members=(names[0], names[1], names[2]), conductor=True)
    hears(k, 3, **formed, members=(names[0], names[2]))
    heard = day_two.told(k)
    assert heard is not None
    assert len(heard.members) == 3
    k.candidates = replace(k.candidates, gone=frozenset({IDS[1]}))
    heard = day_two.told(k)
    assert heard is not None
    assert heard.roster == (IDS[0], IDS[2])


def test_a_member_that_was_taken_out_while_it_was_away_says_so_and_what_to_type() -> None:
    k = done()
    k.formed, k.cluster = True, replace(cluster(NAMES[0]), quorate=False)
    assert k.decree is not None
    rest = tuple(
        WireMember(m.instance_id, m.name, IPv4Address(m.address))
        for m in k.decree.members
        if m.instance_id != k.own_id
    )
    gone_on = {"phase": Phase.FORMED, "uuid": k.decree.uuid, "members": rest}
    hears(k, 2, **gone_on)
    assert "has no quorum" in outlook(k, NOW).reason  # that one may be as much out of it
    hears(k, 2, conductor=True, **gone_on)
    stands = outlook(k, NOW)
    assert stands.phase is Phase.LEAVING
    assert "pcs cluster destroy" in stands.next
    k.cluster = replace(k.cluster, quorate=True)
    assert outlook(k, NOW).phase is Phase.FORMED


def test_a_token_that_cannot_be_read_again_holds_nobody_up() -> None:
    k = founder()
    before = outlook(k, NOW)
    k.troubles["token"] = Trouble("the secret cannot be had")
    assert outlook(k, NOW) == before


def test_a_leader_names_whom_it_has_yet_to_hear_and_the_others_say_so_too() -> None:
    lost = "i-0000000000000dead"
    elsewhere = Decree("ef" * 16, (Member(lost, "gone", "10.0.0.9"), *MEMBERS[1:]), "x", "")
    k = founder(Durable(1))
    k.election = replace(
        k.election,
        view=agreement.view(k, NOW),
        role=Role.LEADER,
        read_all=True,
        votes=((IDS[0], None), (IDS[1], Accepted(1, elsewhere)), (IDS[2], None)),
    )
    stands = outlook(k, NOW)
    assert stands.phase is Phase.ELECTING
    assert f"waiting to hear {lost}" in stands.reason
    follower = founder()
    follower.election = replace(follower.election, leader=IDS[1])
    hears(follower, 2, phase=Phase.ELECTING, reason=stands.reason)
    assert lost in outlook(follower, NOW).reason


def test_a_decision_elsewhere_is_told_before_what_else_would_keep_a_node_from_voting() -> None:
    k = founder()
    hears(k, 2, uuid="ab" * 16, roster=IDS[1:4])
    assert "decided for other founders" in outlook(k, NOW).reason
