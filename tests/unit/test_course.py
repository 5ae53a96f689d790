"""What is due when: the order of a node's own steps, and how often it asks the world."""

from dataclasses import replace
from pathlib import Path

import pytest

from muster_sim.samples import IDS, NAMES, NOW, cluster, decree, facts, founder
from musterd import course, day_two, discovery
from musterd.course import Action
from musterd.election import machine
from musterd.election.types import Durable, Role
from musterd.helper_wire import Tags
from musterd.knowledge import Attempt, Knowledge
from musterd.model import Candidates, ClusterResource, InstanceState, ResourceState
from musterd.settings import load

DECIDED = Durable(1, IDS[0], None, decree())


def due(k: Knowledge, now: float = NOW) -> tuple[Action, ...]:
    return course.due(k, course.agenda(k, now), now)


def kinds(k: Knowledge, now: float = NOW) -> list[str]:
    return [action.kind for action in due(k, now)]


def test_a_node_first_learns_who_it_is_then_what_is_wanted() -> None:
    blank = Knowledge(election=machine.start("", Durable()))
    assert kinds(blank) == ["identity"]
    blank.node = founder().node
    assert kinds(blank) == ["spec"]


def test_nothing_is_asked_of_peers_before_the_token_is_here() -> None:
    k = founder()
    k.trusted = False
    assert "token" in kinds(k)
    assert not {"greet", "instances"} & set(kinds(k))


def test_every_listed_instance_is_greeted_but_not_oneself() -> None:
    greeted = [action.target for action in due(founder(), NOW) if action.kind == "greet"]
    assert greeted == list(IDS[1:4])


def test_ec2_is_not_read_more_often_than_every_ten_seconds() -> None:
    k = founder()
    k.attempts["instances"] = Attempt(began=NOW)
    assert Action("instances") not in due(k, NOW + discovery.READ_EVERY - 0.1)
    assert Action("instances") in due(k, NOW + discovery.READ_EVERY)


def test_later_instances_of_a_launch_put_their_first_read_off() -> None:
    k = founder()
    assert k.node is not None
    k.node, k.reads, k.trusted_at = replace(k.node, launch_index=2), (), NOW
    assert "instances" not in kinds(k, NOW)
    assert "instances" in kinds(k, NOW + discovery.STAGGER)


def test_what_failed_is_tried_again_later_and_later_but_never_given_up() -> None:
    k = founder()
    waits = []
    for failures in range(1, 12):
        k.attempts["token"] = Attempt(NOW, failures)
        k.trusted = False
        tried = (n / 2 for n in range(200))
        waits.append(next(s for s in tried if Action("token") in due(k, NOW + s)))
    assert waits == sorted(waits)
    assert waits[0] == course.FIRST_RETRY
    assert waits[-1] == course.LAST_RETRY


def test_hurry_makes_a_failed_action_due_at_once() -> None:
    k = founder()
    k.attempts["instances"] = Attempt(NOW, 5)
    k.hurry("instances")
    assert Action("instances") in due(k, NOW)


def test_what_is_under_way_does_not_wake_the_engine() -> None:
    k = founder()
    everything = {action.key for action in due(k, NOW)}
    assert course.next_due(k, course.agenda(k, NOW), set()) <= NOW
    assert course.next_due(k, course.agenda(k, NOW), everything) > NOW


def test_an_unprepared_node_is_prepared_before_anything_is_decided() -> None:
    k = founder()
    k.facts = replace(facts(), prepared=False)
    assert "step" in kinds(k)


def test_a_decision_makes_the_next_step_due() -> None:
    assert "step" not in kinds(founder())
    assert "step" in kinds(founder(DECIDED))


def test_nobody_has_to_prove_that_it_can_fence_a_terminated_instance() -> None:
    k = founder(DECIDED)
    k.proofs = {IDS[1]: ("permissions", 0.0)}
    assert day_two.need_proof(k)
    k.candidates = replace(k.candidates, gone=frozenset({IDS[2]}))
    assert not day_two.need_proof(k)


def test_a_formed_node_takes_no_steps() -> None:
    k = founder(DECIDED)
    k.formed = True
    assert "step" not in kinds(k)


@pytest.mark.parametrize(
    ("role", "formed", "dc", "expected"),
    [
        (Role.LEADER, False, NAMES[1], True),
        (Role.FOLLOWER, False, NAMES[0], False),
        (Role.FOLLOWER, True, NAMES[0], True),
        (Role.LEADER, True, NAMES[1], False),
    ],
)
def test_the_conductor_is_the_leader_and_once_formed_the_dc(
    role: Role, formed: bool, dc: str, expected: bool
) -> None:
    k = founder(DECIDED)
    k.election, k.formed = replace(k.election, role=role), formed
    k.cluster = replace(cluster(*NAMES[:3]), dc=dc)
    assert course.conductor(k) is expected


def test_without_quorum_nobody_conducts_a_formed_cluster() -> None:
    k = founder(DECIDED)
    k.formed = True
    k.cluster = replace(cluster(*NAMES[:3]), quorate=False)
    assert not course.conductor(k)


# --- who is served ----------------------------------------------------------------------------


def test_the_door_knows_listed_instances_and_members_only() -> None:
    k = founder(DECIDED)
    assert course.member_addresses(k, IDS[3]) == frozenset({"10.0.0.14"})
    assert course.member_addresses(k, "i-0000000000000beef") is None
    assert course.member_addresses(k, IDS[0]) is None
    k.candidates = Candidates()
    assert course.member_addresses(k, IDS[1]) == frozenset({"10.0.0.12"})
    assert course.member_addresses(k, IDS[3]) is None


def test_a_terminated_member_is_not_served_any_more() -> None:
    k = founder(DECIDED)
    k.candidates = Candidates(gone=frozenset({IDS[1]}))
    assert course.member_addresses(k, IDS[1]) is None
    assert IDS[1] not in course.peers(k)


def test_the_token_is_read_again_now_and_then() -> None:
    k = founder()
    k.trusted_at, k.attempts["token"] = NOW, Attempt(NOW)
    assert "token" not in kinds(k, NOW + course.TOKEN_EVERY - 1)
    assert "token" in kinds(k, NOW + course.TOKEN_EVERY)


def test_a_doubted_token_is_read_again_but_not_more_than_once_a_minute() -> None:
    k = founder()
    k.trusted_at, k.attempts["token"], k.doubted = NOW, Attempt(NOW), True
    assert "token" not in kinds(k, NOW + course.TOKEN_DOUBTED - 1)
    assert "token" in kinds(k, NOW + course.TOKEN_DOUBTED)
    k.attempts["token"] = Attempt(NOW + course.TOKEN_DOUBTED, failures=3)
    assert "token" not in kinds(k, NOW + 2 * course.TOKEN_DOUBTED - 1)


def test_while_keys_are_laid_the_token_stays() -> None:
    k = founder()
    k.election = machine.start(IDS[0], DECIDED)
    k.doubted = True
    assert "token" not in kinds(k)
    k.formed = True
    assert "token" in kinds(k)


@pytest.mark.parametrize("state", list(InstanceState))
def test_whoever_keeps_its_address_is_a_member(state: InstanceState) -> None:
    """A stopped one too: if it calls it was started, and EC2 is late in saying so."""
    k = founder()
    first, second, *rest = k.candidates.instances
    k.candidates = replace(k.candidates, instances=(first, replace(second, state=state), *rest))
    found = course.member_addresses(k, second.instance_id)
    leaving = state in {InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED}
    assert (found is None) == leaving
    assert course.member_addresses(k, k.own_id) is None


def test_a_decided_member_stays_one_until_it_is_terminated() -> None:
    k = founder()
    k.election = machine.start(IDS[0], DECIDED)
    second = k.candidates.instances[1]
    k.candidates = Candidates()
    assert course.member_addresses(k, second.instance_id) == frozenset({second.address})
    k.candidates = Candidates(gone=frozenset({second.instance_id}))
    assert course.member_addresses(k, second.instance_id) is None


@pytest.mark.parametrize(
    ("holder", "led", "every"),
    [
        (IDS[1], IDS[1], course.HOLDERS_EVERY),
        (IDS[0], IDS[1], course.HOLDERS_DOUBTED),
        (IDS[1], IDS[0], course.HOLDERS_DOUBTED),
    ],
)
def test_an_address_that_moved_is_looked_for_soon(
    tmp_path: Path, holder: str, led: str, every: float
) -> None:
    """Pacemaker has it on the second node; EC2 should, and lead the elastic one there."""
    spec = tmp_path / "muster.toml"
    spec.write_text('[[address]]\nprivate_ip = "10.0.0.100"\nelastic_ip = "203.0.113.1"\n')
    k = founder(DECIDED)
    k.settings, k.formed = load(Tags(cluster="web", size=3), tmp_path / "none", spec), True
    vip = ClusterResource("vip-10-0-0-100", "IPaddr2", "g", ResourceState.STARTED, NAMES[1])
    k.cluster = replace(cluster(*NAMES[:3]), resources=(vip,))
    k.holders, k.elastics = {"10.0.0.100": holder}, {"203.0.113.1": led}
    k.allocations = {"203.0.113.1": "eipalloc-1"}
    k.attempts["holders"] = Attempt(NOW)
    assert "holders" not in kinds(k, NOW + every - 1.0)
    assert "holders" in kinds(k, NOW + every)
