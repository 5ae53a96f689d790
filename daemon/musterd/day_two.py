"""Readings of knowledge for the life after founding: what `membership` decides by.

`agreement` is to the election what this is to membership: it gathers, and decides nothing itself.
"""

from dataclasses import dataclass, replace

from musterd import making, membership
from musterd.errors import MusterError
from musterd.knowledge import Heard, Knowledge
from musterd.membership import Membership, Newcomer
from musterd.model import CorosyncConfig, Decree, Member, Phase, Plan
from musterd.peer_wire import Hello
from musterd.settings import differing
from musterd.spec import Proof, ReplaceMode


def told(k: Knowledge) -> Decree | None:
    """Return the formed cluster as its members tell it, the conductor before all others."""
    formed = [heard for heard in formed_peers(k) if heard.hello.uuid and heard.hello.members]
    if not formed:
        return None
    hello = max(formed, key=lambda heard: (heard.hello.conductor, heard.at)).hello
    members = tuple(Member(m.instance_id, m.name, str(m.address)) for m in hello.members)
    return Decree(hello.uuid, members, hello.spec_digest, seed="")


def formed_peers(k: Knowledge) -> tuple[Heard, ...]:
    """Return what was heard last of those that say they are formed and are not terminated."""
    return tuple(
        heard
        for peer, heard in k.heard.items()
        if peer not in k.candidates.gone and heard.hello.phase is Phase.FORMED
    )


def named(k: Knowledge) -> bool:
    """Tell whether the members of the formed cluster count this node among them."""
    cluster = told(k)
    return cluster is not None and k.own_id in cluster.roster


def asked_to_join(k: Knowledge) -> Decree | None:
    """Return the cluster this node is to ask to join, with itself in it; None when it is not to.

    A founder whose cluster was formed without it has its decree, and completes its own part.
    """
    if k.formed or k.node is None or k.election.durable.decided is not None:
        return None
    cluster = told(k)
    if cluster is None or (k.joining is not None and k.joining.uuid != cluster.uuid):
        return k.joining
    return membership.joining(Member(k.own_id, k.node.name, k.node.address), cluster)


@dataclass(frozen=True)
class Course:
    """Where this node stands to the formed cluster; what of it is new is durable before it counts.

    Attributes:
        decree: the members as the running cluster lists them, None before this node is one.
        joining: the cluster this node asks to join, None unless it does.
        left: the members took this node out.
        told: what changed, as a sentence; "" when nothing did.
    """

    decree: Decree | None
    joining: Decree | None
    left: bool
    told: str = ""


def follow(k: Knowledge) -> Course:
    """Return where this node stands by what it knows now."""
    present = Course(k.election.durable.decided, k.joining, k.left)
    if not k.formed:
        joining = asked_to_join(k)
        if joining is None or joining == k.joining:
            return present
        names = ", ".join(m.name for m in joining.members)
        return replace(present, joining=joining, told=f"asks to join the cluster of {names}")
    if present.decree is None or k.facts is None or k.facts_stale:
        return present
    if not k.left and k.facts.corosync is CorosyncConfig.ABSENT:
        return replace(present, left=True, told="the members took this node out of the cluster")
    if k.left and k.facts.corosync is CorosyncConfig.OURS:
        return replace(present, left=False, told="this node is a member of the cluster again")
    decree = membership.adopted(present.decree, k.own_id, k.facts)
    if decree is None:
        return present
    names = ", ".join(m.name for m in decree.members)
    return replace(present, decree=decree, told=f"the members are {names}")


def newcomer_plan(k: Knowledge, now: float) -> Plan:
    """Return what this node does next to join; an empty plan when its part is done."""
    cluster, facts = told(k), k.facts
    if k.joining is None or facts is None or k.settings is None:
        return Plan(waiting_for="the first look at this node")
    if cluster is None:
        return Plan(waiting_for=f"a member of cluster {k.settings.spec.cluster.name} to answer")
    if cluster.spec_digest != k.settings.digest:
        cure = "make this node's spec theirs (`muster config` on both), then type `muster join`"
        return Plan(waiting_for=_other_spec(k), cure=cure)
    step = membership.newcomer_step(
        k.own_id,
        cluster,
        facts,
        unlisted_for=now - k.laid_since if k.laid_since is not None else 0.0,
        need_proof=need_proof(k),
        barred=making.barred(k),
        unattached=making.unattached(k),
    )
    if step.waiting_for and k.disk_faults and step.waiting_for == making.barred(k):
        return replace(step, cure=k.disk_faults[0].cure)
    if step != Plan():
        return step
    name = k.node.name if k.node is not None else ""
    if k.cluster is None or name not in k.cluster.online:
        return Plan(waiting_for="this node to come online in Pacemaker")
    return Plan()


def member_plan(k: Knowledge, now: float) -> Plan:
    """Return what a formed member does next: its own part first, then as the conductor."""
    if k.left:
        return Plan()
    own = membership.member_step(k.facts, need_proof=need_proof(k))
    if own != Plan():
        return own
    situation = membership_of(k, now)
    return membership.next_change(situation) if situation is not None else Plan()


def membership_of(k: Knowledge, now: float) -> Membership | None:
    """Return what decides the next change of members, None unless this node is the conductor."""
    decree = k.election.durable.decided
    if not k.formed or decree is None or k.cluster is None or k.settings is None or k.node is None:
        return None
    if not conducts(k):
        return None
    said = {peer: heard.hello for peer, heard in k.heard.items()}
    odd = k.odd_since is not None and now - k.odd_since >= membership.OUTDATED_PATIENCE
    return Membership(
        decree=decree,
        own_id=k.own_id,
        cluster=k.cluster,
        newcomers=tuple(
            _newcomer(k, hello) for peer in callers(k) if (hello := k.recent(peer, now)) is not None
        ),
        formed={k.own_id, *(p for p, hello in said.items() if hello.phase is Phase.FORMED)},
        gone=k.candidates.gone,
        asked=asked_away(k),
        automatic=k.settings.spec.replace.mode is ReplaceMode.AUTO,
        outdated=outdated(k) if odd else (),
        blank=blank(k) if odd else (),
        lingering=k.facts.lingering if k.facts is not None and not k.facts_stale else (),
    )


def disowned(k: Knowledge) -> bool:
    """Tell whether the running cluster has gone on without this node, which has no quorum itself.

    Its files alone do not show it: nobody could change them while it was off.
    """
    decree = k.election.durable.decided
    if not k.formed or decree is None or (k.cluster is not None and k.cluster.quorate):
        return False
    if k.facts is None or k.facts_stale or k.facts.corosync is not CorosyncConfig.OURS:
        return False
    cluster = told(k)
    return (
        heard_conductor(k) is not None
        and cluster is not None
        and cluster.uuid == decree.uuid
        and k.own_id not in cluster.roster
    )


def behind(k: Knowledge) -> bool:
    """Tell whether the conductor lists other members than this node knows of."""
    said = heard_conductor(k)
    if said is None or not said.members or not k.formed or k.decree is None:
        return False
    return {member.instance_id for member in said.members} != set(k.decree.roster)


def heard_conductor(k: Knowledge) -> Hello | None:
    """Return the conductor's last words, None when none was heard of who is not terminated since.

    Of two who have said that they conduct, the one heard later does.
    """
    said = (
        heard
        for peer, heard in k.heard.items()
        if heard.hello.conductor and peer not in k.candidates.gone
    )
    latest = max(said, key=lambda heard: heard.at, default=None)
    return latest.hello if latest is not None else None


def outdated(k: Knowledge) -> tuple[str, ...]:
    """Return the formed members that list other members than this node: they missed a change.

    Not those that do not answer: what they said last is old, and nobody can tell them anything.
    """
    roster = k.decree.roster if k.formed and k.decree is not None else ()
    return tuple(
        peer
        for peer, heard in sorted(k.heard.items())
        if peer in roster and peer not in k.candidates.gone
        if heard.hello.phase is Phase.FORMED and f"greet:{peer}" not in k.troubles
        if {member.instance_id for member in heard.hello.members} != set(roster)
    )


def blank(k: Knowledge) -> tuple[str, ...]:
    """Return the members that run nothing, have no corosync.conf and ask to join."""
    roster = k.decree.roster if k.formed and k.decree is not None else ()
    online = k.cluster.online if k.cluster is not None else ()
    return tuple(
        peer
        for peer, heard in sorted(k.heard.items())
        if peer in roster and peer not in k.candidates.gone and heard.hello.name not in online
        if heard.hello.phase is Phase.JOINING and heard.hello.facts is not None
        if heard.hello.facts.offered and not heard.hello.facts.laid
    )


def callers(k: Knowledge) -> tuple[str, ...]:
    """Return the instance ids of those who have said hello and are not members, or not yet done."""
    roster = k.decree.roster if k.decree is not None else ()
    return tuple(
        peer
        for peer in sorted(k.heard)
        if peer not in k.candidates.gone
        if peer not in roster or k.heard[peer].hello.phase is Phase.JOINING
    )


def target(k: Knowledge, instance_id: str) -> Member | None:
    """Return the node that a change is about: a member, or one that has said hello."""
    decree = k.election.durable.decided
    for member in decree.members if decree is not None else ():
        if member.instance_id == instance_id:
            return member
    heard = k.heard.get(instance_id)
    return Member(instance_id, heard.hello.name, heard.hello.address) if heard else None


def leaver(k: Knowledge, name: str) -> Member:
    """Return the member that is to leave.

    Args:
        k: what this node knows.
        name: the member's name or instance id, "" for this node.

    Raises:
        MusterError: there is no formed cluster here, no such member in it, or it cannot do without.
    """
    decree = k.election.durable.decided
    if not k.formed or k.left or decree is None:
        raise MusterError(
            "nobody can leave from here",
            why="this node is in no formed cluster",
            cure="type `muster status`; a node that waits is taken away by terminating it",
        )
    for member in decree.members:
        if (name or k.own_id) in {member.name, member.instance_id}:
            if k.cluster is not None:
                online = k.cluster.online
                refused = membership.departure(decree, member, online, k.candidates.gone)
                if refused.blocked:
                    raise MusterError(refused.blocked, cure=refused.cure)
            return member
    raise MusterError(
        f"the cluster has no member {name}",
        why=f"its members are {', '.join(member.name for member in decree.members)}",
        cure="type `muster leave NODE` with one of these",
    )


def conducts(k: Knowledge) -> bool:
    """Tell whether this node acts for the formed cluster: it is Pacemaker's DC, with quorum."""
    return (
        k.node is not None
        and k.cluster is not None
        and k.cluster.quorate
        and k.cluster.dc == k.node.name
    )


def names(k: Knowledge) -> tuple[str, ...]:
    """Return the names of the members of the cluster this node belongs to."""
    decree = k.election.durable.decided
    return tuple(member.name for member in decree.members) if decree is not None else ()


def ask_to_leave(k: Knowledge, instance_id: str) -> None:
    """Have the conductor know, by this node's hellos, that a member is to leave."""
    k.leaving = tuple(dict.fromkeys((*k.leaving, instance_id)))


def asked_away(k: Knowledge) -> frozenset[str]:
    """Return the members that are to leave, by the word of an administrator on any member."""
    roster = k.decree.roster if k.decree is not None else ()
    said = (heard.hello.leaving for peer, heard in k.heard.items() if peer in roster)
    return frozenset({*k.leaving, *(leaver for told in said for leaver in told)})


def need_proof(k: Knowledge) -> bool:
    """Tell whether this node has yet to prove that it can fence each other member that stays."""
    decree = k.decree
    if decree is None or k.settings is None or k.settings.spec.fencing.prove is Proof.NONE:
        return False
    leaving = {k.own_id, *k.candidates.gone, *asked_away(k)}
    return any(m not in k.proofs for m in decree.roster if m not in leaving)


def may_attach(k: Knowledge, now: float) -> bool:
    """Tell whether shared disks may be attached to this node: fencing is proven.

    For who joins, every member heard lately has proven that it can fence it. One that is silent may
    be down, and the cluster short of the vote that this node brings once it has its disks.
    """
    if k.joining is None:
        return not need_proof(k)
    cluster = told(k)
    if cluster is None or k.own_id not in cluster.roster or k.facts is None or not k.facts.laid:
        return False
    heard = [hello for peer in cluster.roster if (hello := k.recent(peer, now)) is not None]
    proven = [k.own_id in hello.proofs for hello in heard if hello.phase is Phase.FORMED]
    return bool(proven) and all(proven)


def troubled(k: Knowledge) -> bool:
    """Tell whether EC2 is worth reading often: somebody is missing, or asks to come in."""
    if not k.formed or k.cluster is None:
        return not k.formed
    return bool(k.cluster.offline) or any(
        heard.hello.phase is Phase.JOINING for heard in k.heard.values()
    )


def _newcomer(k: Knowledge, hello: Hello) -> Newcomer:
    differs: tuple[str, ...] = ()
    if k.settings is not None and hello.spec_digest != k.settings.digest:
        differs = differing(k.settings.keys, hello.spec_keys)
    return Newcomer(hello.instance_id, hello.name, hello.address, hello.phase, differs, hello.facts)


def _other_spec(k: Knowledge) -> str:
    keys = {
        key
        for heard in k.heard.values()
        if heard.hello.phase is Phase.FORMED and k.settings is not None
        for key in differing(k.settings.keys, heard.hello.spec_keys)
    }
    return f"the members' spec, which differs from this node's in {', '.join(sorted(keys))}"
