"""Real fences: who is fenced next and by whom, what counts as back, and when nothing is fenced."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address
from unittest.mock import Mock

import pytest

from muster_sim.samples import IDS, NAMES, NOW, cluster, decree, facts, founder, hello
from musterd import drill, proofs
from musterd.election.types import Durable, Role
from musterd.errors import MusterError
from musterd.fences import Fences
from musterd.helper_wire import WireMember
from musterd.knowledge import Attempt, Fenced, Heard, Knowledge, Trouble
from musterd.model import ClusterResource, NodeFacts, Phase, ResourceState
from musterd.spec import Address, Fencing, Proof

DECIDED = Durable(1, IDS[0], None, decree())
UUID = decree().uuid


def done(number: int) -> NodeFacts:
    """The facts of a member that has done its part."""
    return replace(facts(number, laid=True, running=True), trusted=True, boot_id=f"boot-{number}-1")


def says(k: Knowledge, number: int, **changes: object) -> None:
    """Let a peer say something new."""
    said = replace(hello(number, Phase.FOUNDING, UUID), facts=done(number))
    others = {IDS[n - 1]: ("permissions", 1.0) for n in (1, 2, 3) if n != number}
    said = replace(said, proofs=others, **changes)  # type: ignore[arg-type]
    k.heard[IDS[number - 1]] = Heard(said, NOW)


def conductor() -> Knowledge:
    """The conductor of a founding in which everything but the real fences is done."""
    k = founder(DECIDED)
    assert k.settings is not None
    spec = replace(k.settings.spec, fencing=Fencing(prove=Proof.REAL))
    k.settings = replace(k.settings, spec=spec)
    k.election = replace(k.election, role=Role.LEADER)
    k.facts = done(1)
    k.cluster = cluster(*NAMES[:3])
    k.quorate_since = NOW - 60.0
    k.proofs = {IDS[n]: ("permissions", 1.0) for n in (1, 2)}
    for number in (2, 3):
        says(k, number)
    return k


def formed() -> Knowledge:
    """A member of a formed cluster that is well."""
    k = conductor()
    k.formed = True
    for number in (2, 3):
        says(k, number, phase=Phase.FORMED)
    return k


def test_the_conductor_fences_the_others_and_then_asks_for_itself() -> None:
    k = conductor()
    assert drill.target(k, NOW) == IDS[1]
    assert not drill.asks(k, NOW)
    proofs.prove(k, IDS[1], 5.0)
    assert drill.target(k, NOW) == IDS[2]
    proofs.prove(k, IDS[2], 6.0)
    assert drill.target(k, NOW) == ""
    assert drill.asks(k, NOW)
    proofs.prove(k, IDS[0], 7.0)
    assert not drill.asks(k, NOW)
    assert drill.agenda(k, NOW) == ()


def test_whoever_does_not_conduct_fences_nobody_unasked() -> None:
    k = conductor()
    k.election = replace(k.election, role=Role.FOLLOWER)
    assert drill.target(k, NOW) == ""
    assert not drill.asks(k, NOW)


def test_only_the_first_of_the_others_fences_who_asks() -> None:
    k = conductor()
    k.election = replace(k.election, role=Role.FOLLOWER)
    says(k, 3, fence_me=True)
    assert drill.target(k, NOW) == IDS[2]
    says(k, 3)
    says(k, 2, fence_me=True)
    assert drill.target(k, NOW) == IDS[1]
    # Seen from the third, the first is nearer.
    k.node = replace(k.node, instance_id=IDS[2], name=NAMES[2])  # type: ignore[type-var]
    assert drill.target(k, NOW) == ""


def test_who_asks_without_knowing_that_it_was_fenced_is_not_fenced_again() -> None:
    """Whoever asks for another fence knows of the first one."""
    k = conductor()
    k.election = replace(k.election, role=Role.FOLLOWER)
    proofs.prove(k, IDS[2], 5.0)
    says(k, 3, fence_me=True)
    assert drill.target(k, NOW) == ""
    says(k, 3, fence_me=True, real={IDS[2]: 5.0}, real_for=proofs.fingerprint(k))
    assert drill.target(k, NOW) == IDS[2]


def test_an_old_request_is_no_request() -> None:
    k = formed()
    says(k, 3, phase=Phase.FORMED, fence_me=True)
    k.heard[IDS[2]] = replace(k.heard[IDS[2]], at=NOW - drill.ASKED_WITHIN - 1.0)
    assert drill.target(k, NOW) == ""


def test_only_who_is_on_its_way_into_the_cluster_is_fenced_for_having_come() -> None:
    """A member that starts again says who its members are, or that it is formed."""
    k = formed()
    member = WireMember(IDS[2], NAMES[2], IPv4Address("10.0.0.13"))
    for told in (
        {"phase": Phase.JOINING, "members": (member,)},
        {"phase": Phase.STARTING},
        {"phase": Phase.FORMED},
    ):
        says(k, 3, **told)
        assert drill.target(k, NOW) == ""
    says(k, 3, phase=Phase.JOINING)
    assert drill.target(k, NOW) == IDS[2]
    k.cluster = replace(cluster(*NAMES[:3]), dc=NAMES[1])  # another one conducts
    assert drill.target(k, NOW) == ""


def test_no_real_fence_unless_the_spec_or_somebody_asks() -> None:
    k = conductor()
    assert k.settings is not None
    for prove in (Proof.NONE, Proof.PERMISSIONS):
        spec = replace(k.settings.spec, fencing=Fencing(prove=prove))
        k.settings = replace(k.settings, spec=spec)
        assert drill.target(k, NOW) == ""
        assert proofs.missing(k) == ()


def test_who_holds_a_floating_address_comes_last() -> None:
    k = conductor()
    assert k.settings is not None
    assert k.cluster is not None
    spec = k.settings.spec
    spec = replace(spec, address=(Address(IPv4Address("10.0.0.68")),))
    k.settings = replace(k.settings, spec=spec)
    held = tuple(
        ClusterResource(name, "x", "networking-group", ResourceState.STARTED, NAMES[1])
        for name in ("privip-10-0-0-68", "vip-10-0-0-68")
    )
    k.cluster = replace(k.cluster, resources=k.cluster.resources + held)
    k.reaches = ("10.0.0.68",)
    assert drill.target(k, NOW) == IDS[2]
    proofs.prove(k, IDS[2], 5.0)
    assert drill.target(k, NOW) == IDS[1]


def _offline(k: Knowledge) -> None:
    k.cluster = cluster(*NAMES[:2])


def _stopped(k: Knowledge) -> None:
    k.cluster = cluster(*NAMES[:3], started=False)


def _one_away(k: Knowledge) -> None:
    k.fenced[IDS[1]] = Fenced("boot-2-1", 1.0, NOW)


def _unheard(k: Knowledge) -> None:
    says(k, 3, facts=None)


DISTURBED = {
    "a member is offline": (_offline, NAMES[2]),
    "a resource is stopped": (_stopped, "fence-web to start"),
    "a fenced member is not back": (_one_away, f"{NAMES[1]} to come back"),
    "a member has not told its boot": (_unheard, NAMES[2]),
}


@pytest.mark.parametrize("founding", [True, False])
@pytest.mark.parametrize("case", DISTURBED)
def test_nothing_is_fenced_while_something_is_wrong(case: str, founding: bool) -> None:
    spoil, words = DISTURBED[case]
    k = conductor() if founding else formed()
    if not founding:
        k.drill = drill.begin(k, NOW, "", 10.0)
    spoil(k)
    assert words in drill.disturbance(k, NOW)
    assert drill.target(k, NOW) == ""
    assert not drill.asks(k, NOW)


def test_back_is_who_has_a_new_boot_and_is_online() -> None:
    k = conductor()
    k.fenced[IDS[1]] = Fenced("boot-2-1", 1.0, NOW)
    assert drill.returned(k) == ""
    booted = replace(done(2), boot_id="boot-2-2")
    says(k, 2, facts=booted, online=NAMES[:3])
    k.cluster = cluster(NAMES[0], NAMES[2])
    assert drill.returned(k) == ""
    k.cluster = cluster(*NAMES[:3])
    assert drill.returned(k) == IDS[1]
    assert [action.kind for action, _ in drill.agenda(k, NOW)] == ["fenced"]
    says(k, 2, facts=booted, online=())
    assert drill.returned(k) == "", "Corosync has not missed it yet"


async def test_where_another_agent_fences_the_new_boot_is_the_proof() -> None:
    """EC2 is asked nothing then: a call of the cloud would fail here."""
    k = conductor()
    assert k.settings is not None
    other = replace(k.settings.spec.fencing, agent="fence_virsh")
    k.settings = replace(k.settings, spec=replace(k.settings.spec, fencing=other))
    k.fenced[IDS[1]] = Fenced("boot-2-1", 0.0, NOW)
    says(k, 2, facts=replace(done(2), boot_id="boot-2-2"), online=NAMES[:3])
    clock, helper = Mock(wall=lambda: 5.0), Mock()
    confirmed = await Fences(clock, helper, Mock(side_effect=AssertionError)).confirm(k, print)
    confirmed(k)
    assert (dict(proofs.valid(k)), k.fenced) == ({IDS[1]: 5.0}, {})


def test_a_proof_is_void_after_any_change_of_what_it_proved() -> None:
    k = conductor()
    proofs.prove(k, IDS[1], 5.0)
    assert dict(proofs.valid(k)) == {IDS[1]: 5.0}
    assert k.settings is not None
    assert k.facts is not None
    faulty = replace(k.facts, map_faults=("it leaves out b",))
    k.facts, well = faulty, k.facts
    assert dict(proofs.valid(k)) == {}
    k.facts = well
    spec = replace(k.settings.spec, fencing=Fencing(prove=Proof.REAL, options={"power_wait": 5}))
    k.settings = replace(k.settings, spec=spec)
    assert dict(proofs.valid(k)) == {}
    proofs.prove(k, IDS[2], 6.0)  # the old one does not come back with the new
    assert dict(proofs.valid(k)) == {IDS[2]: 6.0}


def test_proofs_of_the_same_fencing_are_taken_over_from_peers() -> None:
    k = conductor()
    says(k, 2, real={IDS[0]: 7.0}, real_for=proofs.fingerprint(k))
    says(k, 3, real={IDS[1]: 8.0}, real_for="another")
    proofs.adopt(k)
    assert dict(proofs.valid(k)) == {IDS[0]: 7.0}
    says(k, 2, real={IDS[0]: 6.0}, real_for=proofs.fingerprint(k))
    proofs.adopt(k)
    assert dict(proofs.valid(k)) == {IDS[0]: 7.0}  # the latest counts


def test_a_test_that_is_asked_for_goes_over_all_and_ends() -> None:
    k = formed()
    for number, member in enumerate(IDS[:3]):
        proofs.prove(k, member, float(number))  # older proofs do not count
    k.drill = drill.begin(k, NOW, "", 10.0)
    assert k.drill.targets == (IDS[1], IDS[2], IDS[0])
    assert drill.progress(k, k.drill, NOW)[0] == "running"
    for member in (IDS[1], IDS[2]):
        assert drill.target(k, NOW) == member
        proofs.prove(k, member, 11.0)
    assert drill.asks(k, NOW)
    assert "asked to fence it" in drill.progress(k, k.drill, NOW)[1]
    proofs.prove(k, IDS[0], 12.0)
    back = ", ".join(NAMES[number] for number in (1, 2, 0))
    assert drill.progress(k, k.drill, NOW) == ("done", f"fenced and back: {back}")


@pytest.mark.parametrize("node", [NAMES[2], IDS[2]])
def test_one_node_is_named_either_way(node: str) -> None:
    k = formed()
    k.drill = drill.begin(k, NOW, node, 10.0)
    assert k.drill.targets == (IDS[2],)
    assert drill.target(k, NOW) == IDS[2]


def _well(_: Knowledge) -> None:
    """Nothing is wrong."""


def _forming(k: Knowledge) -> None:
    k.formed = False


REFUSED: dict[str, tuple[Callable[[Knowledge], None], str, str]] = {
    "itself": (_well, NAMES[0], "does not fence itself"),
    "a stranger": (_well, "nobody", "no member"),
    "before it is formed": (_forming, "", "before the cluster"),
    "in trouble": (_offline, "", "something else is wrong"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_tested_is_refused_with_the_reason(case: str) -> None:
    spoil, node, words = REFUSED[case]
    k = formed()
    spoil(k)
    with pytest.raises(MusterError, match=words) as refused:
        drill.begin(k, NOW, node, 10.0)
    assert refused.value.cure


def test_a_fence_that_fails_ends_the_test() -> None:
    k = formed()
    k.drill = drill.begin(k, NOW, "", 10.0)
    k.troubles["fence"] = Trouble("Pacemaker could not fence b")
    drill.check(k, NOW)
    assert drill.target(k, NOW) == ""
    assert drill.progress(k, k.drill, NOW) == (
        "failed",
        "Pacemaker could not fence b (nobody fenced yet)",
    )


def test_a_member_that_never_comes_back_ends_the_test() -> None:
    k = formed()
    k.drill = drill.begin(k, NOW, NAMES[1], 10.0)
    k.fenced[IDS[1]] = Fenced("boot-2-1", 1.0, NOW)
    drill.check(k, NOW + drill.PATIENCE)
    assert k.drill.failure == ""
    drill.check(k, NOW + drill.PATIENCE + 1.0)
    assert f"{NAMES[1]} was fenced and did not come back" in k.drill.failure


def test_a_return_that_ec2_could_not_be_asked_about_is_told_so() -> None:
    k = formed()
    k.drill = drill.begin(k, NOW, NAMES[1], 10.0)
    k.fenced[IDS[1]] = Fenced("boot-2-1", 1.0, NOW)
    k.troubles["fenced"] = Trouble("EC2 throttles")
    drill.check(k, NOW + drill.PATIENCE + 1.0)
    assert k.drill.failure.endswith(": EC2 throttles")


def test_a_reboot_that_was_no_fence_is_fenced_again() -> None:
    k = conductor()
    k.fenced[IDS[1]] = Fenced("boot-2-1", 1.0, NOW)
    for _ in range(drill.CONFIRMATIONS):
        drill.check(k, NOW)
        assert drill.target(k, NOW) == ""  # EC2's answers can be old
        drill.deny(k, IDS[1])
    drill.check(k, NOW)
    assert drill.target(k, NOW) == IDS[1]
    assert "EC2 says that it was not stopped" in k.troubles["fence"].sentence


def test_ec2_that_does_not_answer_says_nothing_of_a_fence() -> None:
    """However often it fails: who has come back is not fenced for that."""
    k = conductor()
    k.fenced[IDS[1]] = Fenced("boot-2-1", 1.0, NOW)
    k.troubles["fenced"] = Trouble("EC2 throttles")
    k.attempts["fenced"] = Attempt(NOW, 50)
    drill.check(k, NOW)
    assert drill.target(k, NOW) == ""


def test_a_fenced_member_that_was_terminated_is_not_waited_for() -> None:
    """EC2 could not start it again, and it was replaced: the next test may begin."""
    k = formed()
    k.fenced = {IDS[2]: Fenced("boot-3-1", 1.0, NOW)}
    assert drill.disturbance(k, NOW)
    drill.check(k, NOW)
    assert set(k.fenced) == {IDS[2]}
    k.candidates = replace(k.candidates, gone=frozenset({IDS[2]}))
    drill.check(k, NOW)
    assert k.fenced == {}
