"""From what a node sees to its next step: in order, each only once, never an unsafe one."""

from dataclasses import replace

import pytest

from muster_sim.samples import IDS, NAMES, cluster, decree, facts
from musterd.assembly import (
    SHOWN_WITHIN,
    STRAGGLER_PATIENCE,
    Founding,
    admission,
    after,
    next_step,
    settled,
)
from musterd.model import (
    ClusterResource,
    ClusterState,
    CorosyncConfig,
    NodeFacts,
    Plan,
    ResourceState,
    Verb,
)

WANTED = ("fence-web",)
RUNNING = replace(facts(laid=True, running=True), built=True, trusted=True)
LAID_PEERS = {own: facts(number, laid=True) for number, own in ((2, IDS[1]), (3, IDS[2]))}
ALL = cluster(*NAMES[:3])
EMPTY = replace(ALL, resources=())


def founding(own: NodeFacts | None, **changes: object) -> Founding:
    start = Founding(
        decree=decree(),
        own_id=IDS[0],
        facts=own,
        peers=LAID_PEERS,
        cluster=None,
        conductor=False,
        wanted=WANTED,
        quorate_for=0.0,
        need_proof=False,
        pushed_for=None,
    )
    return replace(start, **changes)  # type: ignore[arg-type]


def verb(plan: Plan) -> Verb | None:
    return plan.step.verb if plan.step is not None else None


# --- admission --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"corosync": CorosyncConfig.FOREIGN, "corosync_detail": "cluster x"}, "not muster's"),
        ({"corosync": CorosyncConfig.BROKEN, "corosync_detail": "empty"}, "is broken: empty"),
        ({"missing": ("pcs is not installed",)}, "pcs is not installed"),
        ({"corosync": CorosyncConfig.STUB, "cib": True}, "holds a Pacemaker configuration"),
        ({"corosync": CorosyncConfig.ABSENT, "cib": True}, "holds a Pacemaker configuration"),
    ],
)
def test_what_muster_must_not_touch_stops_the_node_with_a_cure(
    changes: dict[str, object], told: str
) -> None:
    plan = admission(replace(facts(), **changes))  # type: ignore[arg-type]
    assert told in plan.blocked
    assert "type `" in plan.cure
    assert plan.step is None


def test_before_the_first_look_a_node_waits() -> None:
    assert admission(None).waiting_for


def test_a_node_is_prepared_before_it_may_vote() -> None:
    assert verb(admission(replace(facts(), prepared=False))) is Verb.PREPARE
    assert admission(facts()) == Plan()


def test_a_stub_cluster_does_not_block() -> None:
    assert admission(replace(facts(), corosync=CorosyncConfig.STUB)) == Plan()


# --- steps ------------------------------------------------------------------------------------


def test_without_a_decision_nothing_is_written() -> None:
    assert next_step(founding(facts(), decree=None)) == Plan()


def test_a_decision_is_written_first() -> None:
    assert verb(next_step(founding(facts()))) is Verb.LAY


def test_a_foreign_configuration_is_never_overwritten_whatever_is_decided() -> None:
    foreign = replace(facts(), corosync=CorosyncConfig.FOREIGN)
    assert next_step(founding(foreign)).blocked


def test_corosync_waits_until_a_majority_could_follow() -> None:
    alone = next_step(founding(facts(laid=True), peers={}))
    assert alone.step is None
    assert alone.waiting_for == f"{NAMES[1]}, {NAMES[2]} to write the cluster's files"
    two = {IDS[1]: facts(2, laid=True)}
    assert verb(next_step(founding(facts(laid=True), peers=two))) is Verb.START


def test_files_on_a_node_that_is_no_founder_do_not_count() -> None:
    stranger = {IDS[3]: facts(4, laid=True)}
    assert next_step(founding(facts(laid=True), peers=stranger)).step is None


def test_running_but_not_enabled_is_started_again() -> None:
    own = replace(RUNNING, enabled=False)
    assert verb(next_step(founding(own))) is Verb.START


def test_only_the_conductor_builds_and_configures() -> None:
    own = replace(RUNNING, built=False)
    assert verb(next_step(founding(own, cluster=EMPTY, conductor=True))) is Verb.BUILD
    assert verb(next_step(founding(RUNNING, cluster=EMPTY, conductor=True))) is Verb.CONFIGURE
    assert next_step(founding(own, cluster=EMPTY)).waiting_for == "the configuration of fence-web"


def test_the_conductor_waits_for_a_straggler_but_not_for_ever() -> None:
    two = replace(EMPTY, online=NAMES[:2], offline=NAMES[2:3])
    soon = next_step(founding(RUNNING, cluster=two, conductor=True, quorate_for=1.0))
    assert soon.waiting_for == f"{NAMES[2]} to come online in Pacemaker"
    late = founding(RUNNING, cluster=two, conductor=True, quorate_for=STRAGGLER_PATIENCE)
    assert verb(next_step(late)) is Verb.CONFIGURE
    gone = founding(RUNNING, cluster=two, conductor=True, gone=frozenset(IDS[2:3]))
    assert verb(next_step(gone)) is Verb.CONFIGURE  # a terminated founder never comes


@pytest.mark.parametrize("missing", [{"quorate": False}, {"dc": ""}])
def test_nothing_is_configured_without_quorum_and_a_dc(missing: dict[str, object]) -> None:
    state = replace(EMPTY, **missing)  # type: ignore[arg-type]
    assert next_step(founding(RUNNING, cluster=state, conductor=True)).step is None


def test_what_was_pushed_is_given_time_to_show_and_pushed_again_after_it() -> None:
    soon = founding(RUNNING, cluster=EMPTY, conductor=True, pushed_for=1.0)
    assert next_step(soon).step is None
    late = replace(soon, pushed_for=SHOWN_WITHIN)
    assert verb(next_step(late)) is Verb.CONFIGURE


def test_trust_and_proof_follow_the_start() -> None:
    own = replace(RUNNING, trusted=False)
    for state in (EMPTY, ALL):
        assert verb(next_step(founding(own, cluster=state))) is Verb.TRUST
        proof = founding(RUNNING, cluster=state, need_proof=True)
        assert verb(next_step(proof)) is Verb.PROBE_FENCING


def test_the_conductor_configures_before_anything_of_its_own() -> None:
    own = replace(RUNNING, trusted=False)
    pushed = founding(own, cluster=EMPTY, conductor=True, pushed_for=1.0)
    assert next_step(pushed).step is None
    assert verb(next_step(founding(own, cluster=ALL, conductor=True))) is Verb.TRUST


def test_all_done_leaves_nothing_to_do() -> None:
    assert next_step(founding(RUNNING, cluster=ALL)) == Plan()
    assert next_step(founding(RUNNING, cluster=ALL, conductor=True)) == Plan()


def test_a_node_that_pacemaker_does_not_see_says_so() -> None:
    others = cluster(*NAMES[1:3])
    told = next_step(founding(RUNNING, cluster=others)).waiting_for
    assert told == "this node to come online in Pacemaker"


def test_each_verbs_success_leads_to_the_next_step() -> None:
    own, verbs = replace(facts(), prepared=False), []
    for _ in range(8):
        step = next_step(founding(own, cluster=ALL if own.built else EMPTY, conductor=True)).step
        if step is None:
            break
        verbs.append(step.verb)
        own = after(step.verb, own)
    assert verbs == [Verb.PREPARE, Verb.LAY, Verb.START, Verb.BUILD, Verb.TRUST]


# --- words ------------------------------------------------------------------------------------


def test_a_member_that_is_prepared_again_keeps_its_cluster() -> None:
    """A crashed member boots: pcsd does not run yet, its files and its CIB are the cluster's."""
    own = replace(facts(laid=True), prepared=False, enabled=True, cib=True)
    now = founding(own, decree=decree())
    assert verb(next_step(now)) is Verb.PREPARE
    again = replace(now, facts=after(Verb.PREPARE, own))
    assert verb(next_step(again)) is Verb.START


def test_lost_quorum_names_who_is_offline() -> None:
    assert settled(replace(ALL, quorate=False), WANTED) == "quorum"
    lonely = replace(cluster(NAMES[0]), quorate=False)
    assert settled(lonely, WANTED) == f"quorum ({NAMES[1]}, {NAMES[2]} offline)"


def test_resources_that_wait_for_the_fence_of_a_terminated_founder_are_not_waited_for() -> None:
    two = replace(cluster(*NAMES[:2], started=False), offline=NAMES[2:3])
    waiting = founding(RUNNING, cluster=two, conductor=True)
    assert next_step(waiting).waiting_for == "fence-web to start"
    assert next_step(replace(waiting, gone=frozenset(IDS[2:3]))) == Plan()
    unpushed = replace(waiting, cluster=replace(two, resources=()), gone=frozenset(IDS[2:3]))
    assert next_step(unpushed) != Plan()


def test_what_is_not_started_is_named() -> None:
    assert settled(cluster(*NAMES[:3], started=False), WANTED) == "fence-web to start"
    assert settled(None, WANTED) == "Pacemaker to answer"
    assert settled(ALL, WANTED) == ""


def test_a_clone_is_up_when_only_offline_members_lack_it() -> None:
    def with_clone(*states: ResourceState, offline: tuple[str, ...] = ()) -> ClusterState:
        cloned = tuple(ClusterResource("web", "systemd:web", "", state, "") for state in states)
        return replace(ALL, offline=offline, resources=(*ALL.resources, *cloned))

    up, down = ResourceState.STARTED, ResourceState.STOPPED
    wanted = (*WANTED, "web")
    assert settled(with_clone(up, up, up), wanted) == ""
    assert settled(with_clone(up, up, down), wanted) == "web to start"
    assert settled(with_clone(up, up, down, offline=("three",)), wanted) == ""
    assert settled(with_clone(down, offline=("three",)), wanted) == "web to start"
    assert settled(with_clone(up, up, ResourceState.PENDING), wanted) == "web to start"
