"""Where the node stands, in words, and when it may call the cluster formed."""

from collections.abc import Iterable

from musterd import assembly, course, day_two, proofs
from musterd.agreement import decided_elsewhere, disagreement, formed_elsewhere
from musterd.election import machine
from musterd.knowledge import HEARD_FOR, Knowledge, Outlook
from musterd.model import ClusterState, Decree, Member, Phase, Plan
from musterd.spec import Proof, ReplaceMode

_AWAKEN = "check that the instance runs and that musterd is active there"
SEEN_WITHIN = 20.0  # seconds after the daemon's start until Pacemaker must have been heard of


def outlook(k: Knowledge, now: float) -> Outlook:
    """Return phase, reason and next, from the first thing in the order that is not done."""
    if k.formed and k.node is None and "identity" not in k.troubles:
        # The memory may be another instance's, until this one is known.
        return Outlook(Phase.STARTING, "reading who this node is", "")
    if k.formed:
        return _formed(k, now)
    if k.refusal is not None and course.decree_of(k) is None:
        return Outlook(Phase.FAILED, k.refusal.sentence, k.refusal.cure)
    first = _first_trouble(k)
    if first is not None:
        return first
    if k.node is None or k.settings is None:
        return Outlook(Phase.STARTING, "reading who this node is", "")
    if not k.trusted:
        return Outlook(Phase.STARTING, "reading the cluster token", "")
    if k.joining is not None:
        return _joining_outlook(k, now, k.joining)
    if course.decree_of(k) is not None:
        return _founding_outlook(k, now)
    return _before_founding(k, now)


def _joining_outlook(k: Knowledge, now: float, cluster: Decree) -> Outlook:
    """Say how far this node has come in joining a formed cluster."""
    plan = course.plan(k, now)
    if plan.blocked:
        return Outlook(Phase.FAILED, plan.blocked, plan.cure)
    others = [member for member in cluster.members if member.instance_id != k.own_id]
    if others and all(member.instance_id in k.candidates.gone for member in others):
        return Outlook(
            Phase.JOINING,
            f"every member of cluster {cluster.uuid[:8]} is terminated: {_named(others)}; nobody"
            " is left who could let this node in",
            "terminate the instances that wait, and launch a cluster's worth of new ones",
        )
    failed = k.troubles.get("step")
    if failed is not None:
        return Outlook(Phase.JOINING, failed.sentence, failed.cure)
    step = k.step or plan.step
    if step is not None:
        doing = k.progress if k.step is not None and k.progress else step.why
        return Outlook(Phase.JOINING, f"{step.verb}: {doing}", "nothing to do")
    if not plan.waiting_for:
        doing = "verifying that this node has joined"
        if k.own_id in proofs.missing(k):
            doing = "waiting to be fenced once for real, as the spec wants it proven"
        return Outlook(Phase.JOINING, doing, "nothing to do")
    reason = f"joining cluster {cluster.uuid[:8]}, waiting for {plan.waiting_for}"
    formed = [h.hello for h in k.heard.values() if h.hello.phase is Phase.FORMED]
    said = max(formed, key=lambda hello: hello.conductor, default=None)
    if said is not None and k.own_id not in cluster.roster[: len(cluster.members) - 1]:
        reason += f" ({said.name} says: {said.reason})"
    listed = {instance.instance_id for instance in k.candidates.instances} | k.candidates.gone
    unlisted = [m for m in cluster.members if m.instance_id not in listed]
    cure = plan.cure or "nothing to do"
    # Whoever is silent may be the conductor; another newcomer may know it from before it was.
    there = [m for m in others if m not in unlisted and m.instance_id not in k.candidates.gone]
    if silent := _silent(k, now, there):
        reason, cure = f"{reason}; musterd is silent on {silent}", plan.cure or _AWAKEN
    if unlisted and k.own_id in listed:
        reason += f"; EC2 does not list {_named(unlisted)} with the tag, so it cannot be heard"
        cure = "give every member its tag again"
    return Outlook(Phase.JOINING, reason, cure)


def _before_founding(k: Knowledge, now: float) -> Outlook:
    """Say what keeps the founders from agreeing, or that they are at it."""
    spec = course.spec_of(k)
    founded = formed_elsewhere(k)
    if founded is not None:
        return Outlook(
            Phase.WAITING,
            f"cluster {spec.cluster.name} is already formed ({founded.name} says so)"
            " and this node is not a member",
            "nothing to do: it asks to join as soon as a member has told who belongs to it",
        )
    admission = assembly.admission(k.facts)
    if admission.blocked:
        return Outlook(Phase.FAILED, admission.blocked, admission.cure)
    if k.candidates.roster and k.own_id not in k.candidates.roster:
        return Outlook(
            Phase.WAITING,
            f"{spec.cluster.size} earlier instances are the founders"
            f" ({', '.join(k.candidates.roster)}); this node waits to join",
            "nothing to do",
        )
    decided = decided_elsewhere(k)
    if decided is not None:
        return Outlook(
            Phase.WAITING,
            f"{decided.name} knows cluster {decided.uuid} to be decided, and has not told this node"
            " (yet), or it is decided for other founders",
            f"look at `muster status` on {decided.name}",
        )
    trouble = disagreement(k, now)
    if trouble is not None:
        cloud = k.troubles.get("instances")
        if cloud is not None and not k.candidates.roster:
            trouble = cloud
        return Outlook(Phase.WAITING, trouble.sentence, trouble.cure)
    if admission != Plan():
        return Outlook(Phase.WAITING, k.progress or "preparing this node", "nothing to do")
    return _electing(k)


PAIR = 2  # members
_HEARING = "waiting to hear"


def _electing(k: Knowledge) -> Outlook:
    """Say that the founders are at it, or whom the one that leads them has to hear first."""
    missing = machine.unheard(k.election)
    if missing:
        return Outlook(
            Phase.ELECTING,
            f"{_HEARING} {', '.join(missing)}, which may know of an earlier decision",
            "start it; if it is terminated, EC2 must list it with the tag until the founding is"
            " decided; or launch all founders anew",
        )
    leader = k.heard.get(k.election.leader)
    if leader is not None and leader.hello.phase is Phase.ELECTING:
        told = leader.hello
        if told.reason.startswith(_HEARING):
            return Outlook(Phase.ELECTING, f"{told.name} leads, {told.reason}", f"see {told.name}")
    return Outlook(
        Phase.ELECTING,
        f"the {len(k.candidates.roster)} founders are agreeing on a leader and on the founding",
        "nothing to do",
    )


_FIRST = ("store", "identity", "spec", "token")


def _first_trouble(k: Knowledge) -> Outlook | None:
    for topic in _FIRST:
        trouble = k.troubles.get(topic)
        if topic == "token" and k.trusted:
            continue  # it could not be read again; the one that is known holds on
        if trouble is not None:
            phase = Phase.FAILED if trouble.fatal else Phase.WAITING
            return Outlook(phase, trouble.sentence, trouble.cure)
    return None


def _founding_outlook(k: Knowledge, now: float) -> Outlook:
    plan = course.plan(k, now)
    if plan.blocked:
        return Outlook(Phase.FAILED, plan.blocked, plan.cure)
    failed = next((k.troubles[t] for t in ("step", "fence", "fenced") if t in k.troubles), None)
    if failed is not None and not plan.waiting_for:  # else it is not what keeps the node now
        return Outlook(Phase.FOUNDING, failed.sentence, failed.cure)
    if k.step is not None:
        doing = k.progress or k.step.why
        return Outlook(Phase.FOUNDING, f"{k.step.verb}: {doing}", "nothing to do")
    if plan.step is not None:
        return Outlook(Phase.FOUNDING, f"{plan.step.verb}: {plan.step.why}", "nothing to do")
    waiting = plan.waiting_for or unverified(k, now)
    reason = f"waiting for {waiting}" if waiting else "verifying the cluster"
    decree = course.decree_of(k)
    silent = _silent(k, now, decree.members if decree is not None else ())
    if silent:
        return Outlook(Phase.FOUNDING, f"{reason}; musterd is silent on {silent}", _AWAKEN)
    return Outlook(Phase.FOUNDING, reason, "nothing to do")


def _silent(k: Knowledge, now: float, members: Iterable[Member]) -> str:
    """Name the members whose daemon has not been heard lately, once all could have been."""
    if now - k.started <= HEARD_FOR:
        return ""
    others = (member for member in members if member.instance_id != k.own_id)
    return ", ".join(m.name for m in others if k.recent(m.instance_id, now) is None)


def _formed(k: Knowledge, now: float) -> Outlook:
    name = k.settings.spec.cluster.name if k.settings is not None else "the cluster"
    if k.left:
        return Outlook(
            Phase.LEAVING,
            f"this node was taken out of {name}",
            "terminate the instance or remove its tag; to join again, type `muster join`",
        )
    if k.cluster is None and now - k.started < SEEN_WITHIN:
        return Outlook(Phase.FORMED, f"{name} is formed; its state is being read", "")
    if day_two.disowned(k):
        return Outlook(
            Phase.LEAVING,
            f"{name} took this node out while it was away; its files are those of before",
            "type `pcs cluster destroy` here, and to join again `muster join`",
        )
    if k.cluster is None and k.facts is not None and k.facts.start_owed:
        return Outlook(
            Phase.FORMED,
            f"{name} is formed, and stopped as a whole for a change of its spec",
            "nothing to do: this node starts every member again",
        )
    if k.cluster is None:
        return Outlook(
            Phase.FORMED,
            f"{name} is formed, but Pacemaker does not answer on this node",
            "type `systemctl status corosync pacemaker`",
        )
    if not k.cluster.quorate:
        return _without_quorum(k, k.cluster, name)
    change = _change(k, now)
    if change is not None:
        return Outlook(Phase.FORMED, f"{name} is formed; {change.reason}", change.next)
    down = ", ".join(k.cluster.offline)
    lost = _terminated(k)
    if lost:
        return Outlook(
            Phase.FORMED,
            f"{name} is formed; offline: {down}; terminated: {_named(lost)}",
            "nothing to do: the conductor takes it out"
            if course.spec_of(k).replace.mode is ReplaceMode.AUTO
            else f"type `muster leave {lost[0].name}`",
        )
    if down:
        return Outlook(
            Phase.FORMED,
            f"{name} is formed; offline: {down}",
            f"look there; `muster leave {k.cluster.offline[0]}` takes out what is gone for good",
        )
    idle = _idle_conductor(k, k.cluster.dc)
    if idle is not None:
        return Outlook(
            Phase.FORMED,
            f"{name} is formed and quorate, but nobody conducts: musterd does not answer on"
            f" {_named((idle,))}, which is Pacemaker's DC",
            "type `muster status` there; nobody is admitted or taken out meanwhile",
        )
    return Outlook(Phase.FORMED, f"{name} is formed and quorate, every member is online", "")


def _without_quorum(k: Knowledge, cluster: ClusterState, name: str) -> Outlook:
    """Say who is missing. Of two, the one that restarts waits for the other, dead or not.

    Source: votequorum(5), two_node sets wait_for_all; pcs(8), quorum unblock.
    """
    reason = f"{name} is formed, but this node has no quorum"
    if cluster.offline:
        reason += f"; offline: {', '.join(cluster.offline)}"
    lost = _terminated(k)
    if lost:
        reason += f"; terminated: {_named(lost)}"
    if lost and len(day_two.names(k)) == PAIR:
        cure = "type `pcs quorum unblock`: Corosync waits for one that cannot come back"
    else:
        cure = "type `corosync-quorumtool -s`, and look at the nodes that are offline"
    return Outlook(Phase.FORMED, reason, cure)


def _idle_conductor(k: Knowledge, dc: str) -> Member | None:
    """Return Pacemaker's DC when its daemon could not be reached at the last attempt."""
    decree = course.decree_of(k)
    members = decree.members if decree is not None else ()
    silent = (m for m in members if m.name == dc and f"greet:{m.instance_id}" in k.troubles)
    return next(silent, None)


def _named(members: Iterable[Member]) -> str:
    return ", ".join(f"{member.name} ({member.instance_id})" for member in members)


def _terminated(k: Knowledge) -> tuple[Member, ...]:
    decree = course.decree_of(k)
    return assembly.terminated(decree, k.cluster, k.candidates.gone) if decree else ()


def _change(k: Knowledge, now: float) -> Outlook | None:
    """Return what changes in the cluster's members, or keeps them from it, None when nothing."""
    failed = k.troubles.get("step")
    if failed is not None:
        return Outlook(Phase.FORMED, failed.sentence, failed.cure)
    plan = course.plan(k, now)
    if plan.blocked or plan.waiting_for:
        return Outlook(Phase.FORMED, plan.blocked or f"waiting for {plan.waiting_for}", plan.cure)
    step = k.step or plan.step
    if step is None:
        return None
    doing = k.progress if k.step is not None and k.progress else step.why
    return Outlook(Phase.FORMED, f"{step.verb}: {doing}", "nothing to do")


def unverified(k: Knowledge, now: float) -> str:
    """Return what is still to be seen before the conductor may say `formed`, "" when nothing."""
    waiting = unready(k, now)
    decree = course.decree_of(k)
    if waiting or decree is None:
        return waiting
    names = [m.name for m in decree.members if m.instance_id in proofs.missing(k)]
    return f"{', '.join(names)} to be fenced once for real" if names else ""


def unready(k: Knowledge, now: float) -> str:
    """Return what is still to be seen before a real fence proves anything, "" when nothing."""
    waiting = course.plan(k, now).waiting_for
    if waiting or k.cluster is None:
        return waiting or "Pacemaker to answer"
    decree = course.decree_of(k)
    if decree is None:
        return "the founding to be decided"
    online = [m for m in decree.members if m.name in k.cluster.online]
    for member in online:
        if member.instance_id == k.own_id:
            continue
        hello = k.recent(member.instance_id, now)
        if hello is None or hello.facts is None:
            return f"{member.name} to say how far it is"
        others = {m for m in decree.roster if m != member.instance_id} - k.candidates.gone
        if course.spec_of(k).fencing.prove is not Proof.NONE and not others <= set(hello.proofs):
            return f"{member.name} to prove that it can fence the others"
        if not (hello.facts.trusted and hello.facts.enabled):
            return f"{member.name} to finish its part ({hello.reason})"
    lost = assembly.terminated(decree, k.cluster, k.candidates.gone)
    return "" if lost else _unreached(k, now)


def _unreached(k: Knowledge, now: float) -> str:
    for address in course.spec_of(k).address:
        text = str(address.private_ip)
        reached = text in k.reaches or any(
            text in hello.reaches
            for hello in (k.recent(peer, now) for peer in k.heard)
            if hello is not None
        )
        if not reached:
            return f"another node to reach {text}"
    return ""


def may_say_formed(k: Knowledge, now: float) -> bool:
    """Tell whether the founding is complete as far as this node can know.

    The conductor must have verified everything; others follow a member that says so, once their
    own part is done.
    """
    decree = course.decree_of(k)
    if decree is None or k.formed or k.settings is None or k.facts is None:
        return False
    if k.facts_stale or k.facts_assumed or course.plan(k, now) != Plan():
        return False
    if course.conductor(k):
        return not unverified(k, now)
    told = formed_elsewhere(k)
    return told is not None and told.uuid == decree.uuid and k.own_id not in proofs.missing(k)
