"""Whom EC2's answers make founders, and what no answer can take back."""

from ipaddress import IPv4Address

import pytest

from musterd import discovery
from musterd.model import Candidates, Instance, InstanceState, Read
from musterd.spec import Cluster, Spec, StaticPeer

SPEC = Spec(Cluster("web", 3))
A, B, C, D, E = (f"i-0000000{letter}" for letter in "abcde")
ROSTER = (A, B, C)


def instance(
    own: str, created: float = 0.0, state: InstanceState = InstanceState.RUNNING
) -> Instance:
    address = f"10.0.0.{ord(own[-1])}"
    return Instance(own, state, created, address, (address,), "eu-west-1a", "subnet-1", "vpc-1")


FOUR = tuple(instance(own, created) for created, own in enumerate((A, B, C, D)))


def test_the_first_by_creation_are_the_founders_in_that_order() -> None:
    found = discovery.candidates(reversed(FOUR), SPEC, A)
    assert found.roster == ROSTER
    assert not found.trouble


def test_equal_creation_times_are_ordered_by_instance_id() -> None:
    listed = [instance(own, 5.0) for own in (C, A, B, D)]
    assert discovery.candidates(listed, SPEC, A).roster == ROSTER


def test_a_later_instance_sees_the_founders_it_is_not_among() -> None:
    assert discovery.candidates(FOUR, SPEC, D).roster == ROSTER


@pytest.mark.parametrize("state", [s for s in InstanceState if s is not InstanceState.TERMINATED])
def test_every_state_but_terminated_keeps_a_founder(state: InstanceState) -> None:
    listed = [instance(A, 0.0, state), *FOUR[1:]]
    assert discovery.candidates(listed, SPEC, B).roster == ROSTER


def test_terminated_lets_the_next_in_order_take_the_place() -> None:
    listed = [instance(A, 0.0, InstanceState.TERMINATED), *FOUR[1:]]
    found = discovery.candidates(listed, SPEC, B)
    assert found.roster == (B, C, D)
    assert found.gone == {A}


def test_while_nobody_takes_its_place_the_terminated_is_named() -> None:
    listed = [instance(A, 0.0, InstanceState.TERMINATED), *FOUR[1:3]]
    found = discovery.candidates(listed, SPEC, B)
    assert found.roster == ()
    assert found.trouble == f"2 of 3 instances carry the tag muster:cluster=web; terminated: {A}"


def test_once_terminated_an_older_answer_does_not_bring_it_back() -> None:
    listed = [instance(A, 0.0, InstanceState.TERMINATED), *FOUR[1:]]
    before = discovery.candidates(listed, SPEC, B)
    assert discovery.candidates(FOUR, SPEC, B, before).roster == (B, C, D)


def test_a_terminated_instance_that_is_no_longer_listed_stays_gone() -> None:
    before = discovery.candidates([instance(A, 0.0, InstanceState.TERMINATED), *FOUR[1:]], SPEC, B)
    assert discovery.candidates(FOUR[1:], SPEC, B, before).gone == {A}


def test_an_answer_that_leaves_a_founder_out_does_not_shrink_the_roster() -> None:
    before = discovery.candidates(FOUR, SPEC, B)
    assert discovery.candidates(FOUR[1:], SPEC, B, before).roster == ROSTER


def test_an_empty_answer_does_not_shrink_the_roster() -> None:
    before = discovery.candidates(FOUR, SPEC, B)
    assert discovery.candidates((), SPEC, B, before).roster == ROSTER


def test_a_known_instance_is_taken_as_the_latest_answer_tells_it() -> None:
    pending = Candidates((instance(A, 0.0, InstanceState.PENDING),))
    found = discovery.candidates(FOUR, SPEC, A, pending)
    assert found.instances[0].state is InstanceState.RUNNING
    assert len(found.instances) == 4


def test_an_earlier_instance_that_shows_late_takes_its_place() -> None:
    before = discovery.candidates(FOUR[1:], SPEC, B)
    assert before.roster == (B, C, D)
    assert discovery.candidates(FOUR, SPEC, B, before).roster == ROSTER


def test_too_few_instances_are_told_with_their_number_and_make_no_roster() -> None:
    found = discovery.candidates(FOUR[:2], SPEC, A)
    assert found.roster == ()
    assert "2 of 3 instances" in found.trouble
    assert "launch 1 more" in found.cure


def test_a_first_answer_without_this_instance_makes_no_roster() -> None:
    found = discovery.candidates(FOUR[:3], SPEC, D)
    assert found.roster == ()
    assert "does not list this instance" in found.trouble


def test_who_is_known_and_in_no_list_is_asked_for_by_id() -> None:
    before = discovery.candidates((*FOUR[:3], instance(E, 9.0)), SPEC, A)
    assert discovery.unlisted(FOUR[:2], before, (B, D), A) == (C, D, E)


def test_neither_oneself_nor_the_terminated_are_asked_for_by_id() -> None:
    before = discovery.candidates([instance(B, 1.0, InstanceState.TERMINATED), *FOUR[2:]], SPEC, A)
    assert discovery.unlisted(FOUR[2:], before, (A, B, C), A) == ()


@pytest.mark.parametrize("state", InstanceState)
def test_of_who_has_no_tag_only_that_it_is_terminated_counts(state: InstanceState) -> None:
    described = (instance(B, 1.0, state),)
    kept = described if state is InstanceState.TERMINATED else ()
    assert discovery.ended(described) == kept


def test_static_peers_found_in_the_order_they_are_listed() -> None:
    peers = [StaticPeer(own, IPv4Address(f"10.0.0.{n}"), f"n{n}") for n, own in enumerate((C, A))]
    listed = discovery.from_static(peers, instance(A))
    found = discovery.candidates(listed, Spec(Cluster("web", 2)), A)
    assert found.roster == (C, A)
    assert found.instances[0].address == "10.0.0.0"


# --- two reads --------------------------------------------------------------------------------


def test_one_read_confirms_nothing() -> None:
    assert not discovery.confirmed([Read(ROSTER, 10.0)], {}, ROSTER, 30.0)


def test_two_own_reads_some_seconds_apart_confirm() -> None:
    reads = [Read(ROSTER, 10.0), Read(ROSTER, 20.0)]
    assert discovery.confirmed(reads, {}, ROSTER, 20.0)


def test_two_reads_at_the_same_moment_do_not() -> None:
    reads = [Read(ROSTER, 10.0), Read(ROSTER, 10.0 + discovery.CONFIRM_AFTER / 2)]
    assert not discovery.confirmed(reads, {}, ROSTER, 20.0)


def test_a_founders_read_confirms_ours() -> None:
    peers = {B: Read(ROSTER, 10.0 - discovery.CONFIRM_AFTER)}
    assert discovery.confirmed([Read(ROSTER, 10.0)], peers, ROSTER, 11.0)


def test_peers_alone_confirm_nothing_that_we_have_not_read_ourselves() -> None:
    peers = {B: Read(ROSTER, 1.0), C: Read(ROSTER, 9.0)}
    assert not discovery.confirmed([Read((A, B, D), 10.0)], peers, ROSTER, 11.0)


def test_the_read_of_somebody_who_is_no_founder_does_not_count() -> None:
    assert not discovery.confirmed([Read(ROSTER, 10.0)], {E: Read(ROSTER, 1.0)}, ROSTER, 11.0)


def test_reads_of_another_roster_do_not_count() -> None:
    reads = [Read((A, B, D), 1.0), Read(ROSTER, 10.0)]
    assert not discovery.confirmed(reads, {}, ROSTER, 11.0)


def test_old_reads_confirm_nothing_any_more() -> None:
    reads = [Read(ROSTER, 0.0), Read(ROSTER, 100.0)]
    assert not discovery.confirmed(reads, {}, ROSTER, 100.0)


def test_no_roster_is_never_confirmed() -> None:
    assert not discovery.confirmed([Read((), 1.0), Read((), 9.0)], {}, (), 9.0)
