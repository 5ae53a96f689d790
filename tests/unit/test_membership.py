"""Who joins a formed cluster, who leaves it, and who never does."""

from dataclasses import replace

import pytest

from musterd.membership import (
    UNLISTED_PATIENCE,
    Membership,
    Newcomer,
    adopted,
    changed,
    departure,
    joining,
    member_step,
    newcomer_step,
    next_change,
)
from musterd.model import (
    ClusterState,
    CorosyncConfig,
    Decree,
    Member,
    NodeFacts,
    Phase,
    Plan,
    Step,
    Verb,
)

A, B, C, D, E = (Member(f"i-0000000{n}", f"node{n}", f"10.0.0.{n}") for n in (1, 2, 3, 4, 5))
DECREE = Decree("ab" * 16, (A, B, C), "digest", "")
FACTS = NodeFacts(
    instance_id=D.instance_id,
    name=D.name,
    versions={},
    missing=(),
    corosync=CorosyncConfig.ABSENT,
    corosync_detail="",
    corosync_digest="",
    keys_digest="",
    cib=False,
    prepared=True,
    laid=False,
    trusted=False,
    enabled=False,
    running=False,
    built=False,
)
OFFERED = replace(FACTS, offered=True)
LAID = replace(FACTS, laid=True, corosync=CorosyncConfig.OURS)
NEWCOMER = Newcomer(D.instance_id, D.name, D.address, Phase.JOINING, (), OFFERED)


def cluster(*online: Member, offline: tuple[Member, ...] = ()) -> ClusterState:
    return ClusterState(
        dc=A.name,
        quorate=True,
        online=tuple(m.name for m in online),
        offline=tuple(m.name for m in offline),
        resources=(),
        failures=(),
    )


QUIET = Membership(
    decree=DECREE,
    own_id=A.instance_id,
    cluster=cluster(A, B, C),
    newcomers=(),
    formed={A.instance_id, B.instance_id, C.instance_id},
    gone=set(),
    asked=set(),
    automatic=True,
)


def test_a_whole_cluster_is_left_alone() -> None:
    assert next_change(QUIET) == Plan()


def test_one_whom_only_the_fencing_map_knows_is_finished_unless_it_still_asks_to_join() -> None:
    cut_off = replace(QUIET, lingering=(D.instance_id,))
    step = next_change(cut_off).step
    assert step is not None
    assert (step.verb, step.target) == (Verb.EXPEL, D.instance_id)
    step = next_change(replace(cut_off, newcomers=(NEWCOMER,))).step
    assert step is not None
    assert step.verb is Verb.ADMIT


def test_a_member_that_missed_a_change_gets_the_list_again() -> None:
    step = next_change(replace(QUIET, outdated=(C.instance_id,))).step
    assert step is not None
    assert (step.verb, step.target) == (Verb.ADMIT, C.instance_id)


# --- joining ----------------------------------------------------------------------------------


def test_a_newcomer_that_offers_is_admitted() -> None:
    step = next_change(replace(QUIET, newcomers=(NEWCOMER,))).step
    assert step is not None
    assert (step.verb, step.target) == (Verb.ADMIT, D.instance_id)


def test_a_newcomer_that_is_not_ready_is_not_admitted_yet() -> None:
    waiting = replace(NEWCOMER, facts=FACTS)
    unseen = replace(NEWCOMER, facts=None)
    for one in (waiting, unseen, replace(NEWCOMER, phase=Phase.WAITING)):
        assert next_change(replace(QUIET, newcomers=(one,))) == Plan()


def test_newcomers_are_admitted_one_at_a_time() -> None:
    other = replace(NEWCOMER, instance_id="i-00000005", name="node5", address="10.0.0.5")
    first = next_change(replace(QUIET, newcomers=(other, NEWCOMER))).step
    assert first is not None
    assert first.target == D.instance_id
    # Admitted, and not online yet: the other one waits until it is, and is done.
    now = replace(QUIET, decree=changed(DECREE, D, ""), newcomers=(other,))
    assert "node4 to come online" in next_change(now).waiting_for
    now = replace(now, cluster=cluster(A, B, C, D))
    assert "node4 to finish joining" in next_change(now).waiting_for
    now = replace(now, formed={*QUIET.formed, D.instance_id})
    assert next_change(now).step is not None


def test_nobody_is_admitted_while_a_member_is_away() -> None:
    now = replace(QUIET, newcomers=(NEWCOMER,), cluster=cluster(A, B, offline=(C,)))
    assert "node3 to come online" in next_change(now).waiting_for


@pytest.mark.parametrize(
    ("newcomer", "why"),
    [
        (replace(NEWCOMER, spec_differs=("fencing.agent",)), "differs in fencing.agent"),
        (replace(NEWCOMER, name=B.name), "this name already (i-00000002)"),
    ],
)
def test_it_is_told_why_a_newcomer_that_asks_cannot_belong(newcomer: Newcomer, why: str) -> None:
    told = next_change(replace(QUIET, newcomers=(newcomer,)))
    assert told.step is None
    assert told.blocked.startswith(f"{newcomer.name} ({newcomer.instance_id}) cannot join: ")
    assert why in told.blocked
    assert told.cure


def test_a_newcomer_that_cannot_belong_keeps_nobody_else_out() -> None:
    other = replace(NEWCOMER, instance_id="i-00000005", name=B.name)
    step = next_change(replace(QUIET, newcomers=(other, NEWCOMER))).step
    assert step is not None
    assert step.target == D.instance_id


def test_the_seventeenth_is_told_that_a_cluster_has_sixteen_members() -> None:
    more = tuple(Member(f"i-{n:08x}", f"n{n}", f"10.0.0.{n}") for n in range(20, 33))
    full = replace(DECREE, members=(*DECREE.members, *more))
    now = replace(QUIET, decree=full, newcomers=(NEWCOMER,), cluster=cluster(*full.members))
    told = next_change(now)
    assert "at most 16 members" in told.blocked
    assert "muster leave" in told.cure


def test_a_member_that_starts_from_nothing_is_taken_off_the_list_and_admitted_again() -> None:
    away = replace(QUIET, cluster=cluster(A, B, offline=(C,)), blank=(C.instance_id,))
    step = next_change(away).step
    assert step is not None
    assert (step.verb, step.target) == (Verb.EXPEL, C.instance_id)
    again = Newcomer(C.instance_id, C.name, C.address, Phase.JOINING, (), OFFERED)
    off = replace(away, decree=changed(DECREE, None, C.instance_id), cluster=cluster(A, B))
    step = next_change(replace(off, blank=(), newcomers=(again,))).step
    assert step is not None
    assert (step.verb, step.target) == (Verb.ADMIT, C.instance_id)


def test_a_member_that_starts_from_nothing_stays_listed_where_quorum_needs_it() -> None:
    away = replace(QUIET, cluster=cluster(A, offline=(B, C)), blank=(C.instance_id,))
    assert "no quorum" in next_change(away).waiting_for


def test_an_admission_that_was_cut_off_is_taken_up_again() -> None:
    """Its files are there, and this conductor's members do not have it: the verb looks and ends."""
    again = replace(NEWCOMER, facts=LAID)
    step = next_change(replace(QUIET, newcomers=(again,))).step
    assert step is not None
    assert step.verb is Verb.ADMIT


# --- leaving ----------------------------------------------------------------------------------

DEAD = replace(QUIET, gone={C.instance_id}, cluster=cluster(A, B, offline=(C,)))


def test_a_terminated_member_is_taken_out_before_anybody_is_admitted() -> None:
    step = next_change(replace(DEAD, newcomers=(NEWCOMER,))).step
    assert step is not None
    assert (step.verb, step.target) == (Verb.EXPEL, C.instance_id)


def test_a_member_that_is_only_away_stays() -> None:
    assert next_change(replace(DEAD, gone=set())) == Plan()


def test_pacemaker_must_have_noticed_first() -> None:
    assert "Pacemaker to notice" in next_change(replace(DEAD, cluster=cluster(A, B, C))).waiting_for


def test_manual_replacement_names_the_one_command() -> None:
    manual = replace(DEAD, automatic=False)
    assert next_change(manual).cure == "type `muster leave node3`"
    step = next_change(replace(manual, asked={C.instance_id})).step
    assert step is not None
    assert step.verb is Verb.EXPEL


def test_nobody_is_taken_out_below_quorum() -> None:
    now = replace(DEAD, gone={B.instance_id, C.instance_id}, cluster=cluster(A, offline=(B, C)))
    plan = next_change(now)
    assert plan.step is None
    assert "no quorum" in plan.waiting_for


def test_the_other_of_two_is_replaced_by_way_of_one() -> None:
    pair = replace(DECREE, members=(A, C))
    step = next_change(replace(DEAD, decree=pair, cluster=cluster(A, offline=(C,)))).step
    assert step is not None
    assert step.target == C.instance_id


def test_a_member_that_asked_leaves_but_never_the_last_but_one() -> None:
    step = next_change(replace(QUIET, asked={B.instance_id})).step
    assert step == Step(Verb.EXPEL, "an administrator asked node2 to leave", B.instance_id)
    pair = replace(QUIET, decree=replace(DECREE, members=(A, B)), asked={B.instance_id})
    assert "cluster of one" in next_change(pair).blocked


def test_a_departure_that_is_blocked_keeps_nobody_out() -> None:
    """Of two, one asks to leave: another node is to be admitted first, and is."""
    pair = Decree(DECREE.uuid, (A, B), DECREE.spec_digest, "")
    now = replace(QUIET, decree=pair, cluster=cluster(A, B), asked={B.instance_id})
    assert "cannot leave" in next_change(now).blocked
    step = next_change(replace(now, newcomers=(NEWCOMER,))).step
    assert step is not None
    assert (step.verb, step.target) == (Verb.ADMIT, D.instance_id)


@pytest.mark.parametrize(
    ("members", "online", "gone", "why"),
    [
        ((A, B, C), (A, B, C), (), ""),
        ((A, B, C), (A, B), (), ""),  # the one that is off leaves
        ((A, B, C), (A, C), (), "no quorum while node2 is away"),
        ((A, B, C, D), (A, C, D), (), "node2 is away, and would come back"),
        ((A, B, C, D), (A, C, D), (B,), ""),  # it never comes back
        ((A, B, C, D, E), (A, C, D), (), ""),  # E is off, as B is: no vote that counts goes
        ((A, B), (A, B), (), "cluster of one"),
        ((A, B), (A,), (), "cluster of one"),
        ((A, B), (A,), (B,), ""),  # replacement may be manual
    ],
)
def test_nobody_may_ask_for_what_would_end_the_cluster(
    members: tuple[Member, ...], online: tuple[Member, ...], gone: tuple[Member, ...], why: str
) -> None:
    """A wish that waits would be carried out hours later, when nobody thinks of it."""
    leaving = members[-1]
    refused = departure(
        replace(DECREE, members=members),
        leaving,
        [m.name for m in online],
        {m.instance_id for m in gone},
    )
    assert why in refused.blocked
    assert bool(refused.blocked) == bool(why)
    assert bool(refused.cure) == bool(why)


def test_a_departure_that_was_granted_waits_for_whoever_went_away_since() -> None:
    """Who is away keeps the older list, and by it the rest may be no majority."""
    four = replace(DECREE, members=(A, B, C, D))
    now = replace(QUIET, decree=four, asked={B.instance_id}, cluster=cluster(A, B, C, offline=(D,)))
    assert next_change(now).waiting_for == "node4 to come back before node2 leaves"
    step = next_change(replace(now, cluster=cluster(A, B, C, D))).step
    assert step is not None
    assert (step.verb, step.target) == (Verb.EXPEL, B.instance_id)


def test_the_dc_does_not_take_itself_out() -> None:
    plan = next_change(replace(QUIET, asked={A.instance_id}))
    assert plan.cure.startswith("type `pcs cluster stop node1`")


def test_who_stopped_the_whole_cluster_starts_it_again_and_nobody_else_does() -> None:
    stopped = replace(LAID, running=False)
    assert member_step(stopped, need_proof=True) == Plan()
    owing = member_step(replace(stopped, start_owed=True), need_proof=True)
    assert owing.step is not None
    assert owing.step.verb is Verb.START
    foreign = replace(stopped, start_owed=True, corosync=CorosyncConfig.ABSENT)
    assert member_step(foreign, need_proof=True) == Plan()


# --- the newcomer's own part ------------------------------------------------------------------

TOLD = changed(DECREE, D, "")


def own(told: Decree, facts: NodeFacts, unlisted_for: float = 0.0) -> Plan:
    return newcomer_step(
        D.instance_id, told, facts, unlisted_for=unlisted_for, need_proof=not facts.built
    )


def test_a_newcomer_offers_then_waits_then_starts_trusts_and_proves() -> None:
    assert own(DECREE, FACTS).step == Step(
        Verb.OFFER, "the cluster is formed; this node asks to join it"
    )
    assert own(DECREE, OFFERED) == Plan(waiting_for="the conductor to admit this node")
    steps = [
        own(TOLD, LAID).step,
        own(TOLD, replace(LAID, running=True, enabled=True)).step,
        own(TOLD, replace(LAID, running=True, enabled=True, trusted=True)).step,
    ]
    assert [step.verb for step in steps if step] == [Verb.START, Verb.TRUST, Verb.PROBE_FENCING]
    done = replace(LAID, running=True, enabled=True, trusted=True, built=True)
    assert own(TOLD, done) == Plan()


def test_a_newcomer_that_could_not_have_the_disks_offers_nothing() -> None:
    plan = newcomer_step(
        D.instance_id, DECREE, FACTS, unlisted_for=0.0, need_proof=True, barred="it is elsewhere"
    )
    assert plan == Plan(waiting_for="it is elsewhere")


def test_a_newcomer_starts_once_it_shows_its_disks() -> None:
    def with_disk(facts: NodeFacts, unattached: str) -> Plan:
        return newcomer_step(
            D.instance_id, TOLD, facts, unlisted_for=0.0, need_proof=True, unattached=unattached
        )

    assert with_disk(LAID, "disk data").waiting_for == "disk data"
    step = with_disk(LAID, "").step
    assert step is not None
    assert step.verb is Verb.START
    # One that runs already, as of an earlier musterd, is not kept from its part.
    step = with_disk(replace(LAID, running=True, enabled=True), "disk data").step
    assert step is not None
    assert step.verb is Verb.TRUST


def test_a_newcomer_starts_nothing_before_the_members_name_it() -> None:
    assert own(DECREE, LAID).waiting_for == "the conductor to finish admitting this node"


def test_an_admission_nobody_knows_of_is_withdrawn() -> None:
    step = own(DECREE, LAID, UNLISTED_PATIENCE).step
    assert step is not None
    assert step.verb is Verb.WITHDRAW
    running = replace(LAID, running=True)
    assert own(DECREE, running, UNLISTED_PATIENCE).step is None


def test_a_newcomer_sees_itself_among_the_members() -> None:
    assert joining(D, DECREE).members == (A, B, C, D)
    assert joining(D, TOLD) == TOLD


# --- the register -----------------------------------------------------------------------------


def listed(*members: Member) -> NodeFacts:
    return replace(LAID, running=True, members=members)


def test_members_follow_the_running_cluster() -> None:
    assert adopted(DECREE, A.instance_id, listed(D, C, B, A)) == replace(
        DECREE, members=(A, B, C, D)
    )
    assert adopted(DECREE, A.instance_id, listed(B, A)) == replace(DECREE, members=(A, B))
    assert adopted(DECREE, A.instance_id, listed(C, B, A)) is None


@pytest.mark.parametrize(
    "facts",
    [
        None,
        listed(),
        listed(B, C),  # not this node
        listed(A, B, C, Member("", "node9", "10.0.0.9")),  # no instance known for it
        replace(listed(A, B), corosync=CorosyncConfig.FOREIGN),
    ],
)
def test_no_list_is_followed_that_cannot_be_this_clusters(facts: NodeFacts | None) -> None:
    assert adopted(DECREE, A.instance_id, facts) is None
