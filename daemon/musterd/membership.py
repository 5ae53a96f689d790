"""Day two: who joins a formed cluster, who leaves it, and what a newcomer's own part is.

Nothing here is agreed on by us. The running cluster is the register: corosync.conf lists names and
addresses, the fencing device's map says which instance each name is, and both change under the eyes
of a quorum. Its DC is the one node that changes them, one node at a time; the next DC finds
whatever the last one left, since every verb looks first.
"""

from collections.abc import Collection, Set
from dataclasses import dataclass, replace

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

LARGEST = 16  # members; beyond it Corosync is not supported
OUTDATED_PATIENCE = 45.0  # seconds in which members by themselves come to list the same ones
UNLISTED_PATIENCE = 60.0  # seconds an admitted node waits for the cluster to name it


@dataclass(frozen=True)
class Newcomer:
    """A node that has said hello and is no member, as far as membership matters."""

    instance_id: str
    name: str
    address: str
    phase: Phase
    spec_differs: tuple[str, ...]  # keys
    facts: NodeFacts | None


@dataclass(frozen=True)
class Membership:
    """Everything that decides the conductor's next change."""

    decree: Decree  # its members are those of today
    own_id: str
    cluster: ClusterState
    newcomers: tuple[Newcomer, ...]  # those heard lately
    formed: Set[str]  # members that say they are formed; this node among them
    gone: Set[str]  # instances that EC2 calls terminated
    asked: Set[str]  # members whose administrator asked that they leave
    automatic: bool  # whether a terminated member is removed unasked
    lingering: tuple[str, ...] = ()  # instances that only the fencing map still knows
    outdated: tuple[str, ...] = ()  # members that have listed other members for too long
    # Members that have asked to join for too long: their disk was replaced, or they never heard of
    # the founding. pcs adds only who is not listed, so each is taken off the list first.
    blank: tuple[str, ...] = ()


def next_change(now: Membership) -> Plan:
    """Return what the conductor does to the list of members; an empty plan when it is right.

    Terminated members go first (their name and address may be the newcomer's), then those that
    asked to leave or have nothing of the cluster left; a newcomer is admitted only while everybody
    else is there and done.
    """
    members = now.decree.members
    for member in members:
        if member.instance_id in now.gone:
            return _replace(now, member)
    plans = (
        *(_leave(now, member) for member in members if member.instance_id in now.asked),
        *(_start_over(now, member) for member in members if member.instance_id in now.blank),
        _finish(now),
        _admit(now),
        _refused(now),
    )
    # What waits, or only a person can end, must keep nothing else from being done.
    waiting = next((plan for plan in plans if plan != Plan()), Plan())
    return next((plan for plan in plans if plan.step is not None), waiting)


def joining(own: Member, told: Decree) -> Decree:
    """Return the cluster as a newcomer sees it: what its members tell, with itself in it."""
    if own.instance_id in told.roster:
        return told
    return replace(told, members=(*told.members, own))


def changed(decree: Decree, newcomer: Member | None, leaving: str) -> Decree:
    """Return the members after an admission or a departure."""
    members = tuple(m for m in decree.members if m.instance_id != leaving)
    if newcomer is not None and newcomer.instance_id not in decree.roster:
        members = (*members, newcomer)
    return replace(decree, members=members)


def adopted(decree: Decree, own_id: str, facts: NodeFacts | None) -> Decree | None:
    """Return the members that this node's own files list, None while they tell nothing new.

    A file without this node in it, or with a name that no instance is known for, is no list that
    could be followed.
    """
    if facts is None or facts.corosync is not CorosyncConfig.OURS or not facts.members:
        return None
    listed = {m.instance_id: m for m in facts.members}
    if own_id not in listed or "" in listed or set(facts.members) == set(decree.members):
        return None
    kept = tuple(listed[m.instance_id] for m in decree.members if m.instance_id in listed)
    added = tuple(m for m in facts.members if m.instance_id not in decree.roster)
    return replace(decree, members=(*kept, *added))


def newcomer_step(
    own_id: str,
    told: Decree,
    facts: NodeFacts,
    *,
    unlisted_for: float,
    need_proof: bool,
    barred: str = "",
    unattached: str = "",
) -> Plan:
    """Return what a node that joins does next; an empty plan when its part is done.

    It is prepared already, as every node is before anything else.

    Args:
        own_id: this node.
        told: the cluster as its members tell it, without this node until it is admitted.
        facts: the last look at this node.
        unlisted_for: seconds since which its files are this cluster's and nobody names it.
        need_proof: whether it has yet to prove that it can fence the others.
        barred: why it could not have the shared disks.
        unattached: which shared disk it does not show yet.
    """
    listed = own_id in told.roster
    if not facts.laid:
        return _outside(facts, barred)
    if not listed:
        if facts.running:
            return Plan(waiting_for="the members to name this node as one of them")
        if unlisted_for >= UNLISTED_PATIENCE:
            why = "its admission was cut off: no member knows of it"
            return Plan(Step(Verb.WITHDRAW, why))
        return Plan(waiting_for="the conductor to finish admitting this node")
    if unattached and not facts.running:
        return Plan(waiting_for=unattached)
    if not (facts.running and facts.enabled):
        return Plan(Step(Verb.START, "the cluster has admitted this node"))
    if not facts.trusted:
        return Plan(Step(Verb.TRUST, "pcs does not know every member yet"))
    if need_proof:
        return Plan(Step(Verb.PROBE_FENCING, "fencing is not proven from this node yet"))
    return Plan()


def member_step(facts: NodeFacts | None, *, need_proof: bool) -> Plan:
    """Return what a member of a formed cluster owes after its members changed."""
    if facts is None or facts.corosync is not CorosyncConfig.OURS:
        return Plan()
    if facts.start_owed:
        return Plan(Step(Verb.START, "the whole cluster was stopped for a change of its spec"))
    if not facts.running:
        return Plan()
    if not facts.trusted:
        return Plan(Step(Verb.TRUST, "pcs does not know every member yet"))
    if need_proof:
        return Plan(Step(Verb.PROBE_FENCING, "fencing of a new member is not proven from here yet"))
    return Plan()


def _outside(facts: NodeFacts, barred: str) -> Plan:
    if not facts.offered:
        if barred:
            return Plan(waiting_for=barred)
        return Plan(Step(Verb.OFFER, "the cluster is formed; this node asks to join it"))
    return Plan(waiting_for="the conductor to admit this node")


def _offers(one: Newcomer) -> bool:
    facts = one.facts
    return one.phase is Phase.JOINING and facts is not None and (facts.offered or facts.laid)


def _refused(now: Membership) -> Plan:
    """Say why somebody who asks to join is not admitted; an empty plan when nobody is refused."""
    joining = (one for one in now.newcomers if one.phase is Phase.JOINING)
    refusals = (_refusal(now, one) for one in joining)
    return next((refusal for refusal in refusals if refusal.blocked), Plan())


def _refusal(now: Membership, one: Newcomer) -> Plan:
    """Return why a newcomer cannot be admitted as it is, an empty plan when it can."""
    who = f"{one.name} ({one.instance_id}) cannot join"
    if one.spec_differs:
        return Plan(
            blocked=f"{who}: its spec differs in {', '.join(one.spec_differs)}",
            cure="give it the members' spec",
        )
    namesake = [m for m in now.decree.members if m.name == one.name]
    if namesake and namesake[0].instance_id != one.instance_id:
        return Plan(
            blocked=f"{who}: a member has this name already ({namesake[0].instance_id})",
            cure="launch it again with a hostname of its own",
        )
    if len(now.decree.members) >= LARGEST and one.instance_id not in now.decree.roster:
        return Plan(
            blocked=f"{who}: a cluster has at most {LARGEST} members",
            cure="terminate it, or type `muster leave NODE` for a member that may go",
        )
    return Plan()


def _unfinished(now: Membership) -> str:
    """Return what is to be waited for before one more node is taken in."""
    absent = [m.name for m in now.decree.members if m.name not in now.cluster.online]
    if absent:
        return f"{', '.join(absent)} to come online"
    unready = [m.name for m in now.decree.members if m.instance_id not in now.formed]
    return f"{', '.join(unready)} to finish joining" if unready else ""


def _start_over(now: Membership, member: Member) -> Plan:
    why = f"{member.name} has nothing of the cluster (any more) and asks to join"
    return _expel(now, member, why)


def _admit(now: Membership) -> Plan:
    """Take in the first of those who ask and may come, once everybody else is there and done."""
    outside = (one for one in now.newcomers if one.instance_id not in now.decree.roster)
    ready = [one for one in outside if _offers(one) and _refusal(now, one) == Plan()]
    if not ready:
        return Plan()
    newcomer = min(ready, key=lambda one: one.instance_id)
    unfinished = _unfinished(now)
    if unfinished:
        return Plan(waiting_for=f"{unfinished} before {newcomer.name} is admitted")
    return Plan(Step(Verb.ADMIT, f"{newcomer.name} asks to join", newcomer.instance_id))


def _finish(now: Membership) -> Plan:
    """Complete what was cut off: for a member that was away, for one in the fencing map alone."""
    if now.outdated:
        why = "a member that was away still lists other members"
        return Plan(Step(Verb.ADMIT, why, now.outdated[0]))
    asking = {one.instance_id for one in now.newcomers if _offers(one)}
    left = [one for one in now.lingering if one not in asking]
    if not left:
        return Plan()
    why = f"only the fencing device still knows {left[0]}"
    return Plan(Step(Verb.EXPEL, why, left[0]))


def _replace(now: Membership, member: Member) -> Plan:
    if not now.automatic and member.instance_id not in now.asked:
        return Plan(
            blocked=f"{member.name} ({member.instance_id}) is terminated and [replace] mode is"
            " manual",
            cure=f"type `muster leave {member.name}`",
        )
    if member.name in now.cluster.online:
        # EC2 is ahead: Pacemaker has not noticed yet, and will.
        return Plan(waiting_for=f"Pacemaker to notice that {member.name} is gone")
    return _expel(now, member, f"EC2 calls {member.instance_id} terminated")


def departure(decree: Decree, member: Member, online: Collection[str], gone: Set[str]) -> Plan:
    """Return why nobody should ask that a member leaves, an empty plan when it may be asked.

    Who is terminated already may be taken out of two.
    """
    if member.instance_id not in gone and len(decree.members) <= 2:
        return _lone(member)
    left = [m.name for m in decree.members if m.instance_id != member.instance_id]
    away = [name for name in left if name not in online]
    if (len(left) - len(away)) * 2 <= len(left):
        return Plan(
            blocked=f"{member.name} cannot leave now: without it the cluster would have no quorum"
            f" while {', '.join(away)} is away",
            cure=f"bring {away[0]} back first",
        )
    missed = _would_miss_it(decree, member, online, gone)
    if missed:
        return Plan(
            blocked=f"{member.name} cannot leave now: {', '.join(missed)} is away, and would come"
            " back with a list of members that is not the others'",
            cure=f"bring {missed[0]} back first, or terminate it",
        )
    return Plan()


def _would_miss_it(
    decree: Decree, leaver: Member, online: Collection[str], gone: Set[str]
) -> tuple[str, ...]:
    """Return the names of those that are away, and would not hear that a running member left.

    Corosync does not hear whom it does not list: lose the conductor then, and those that are left
    are no majority by the older list. Who is off itself may leave: no vote that counts is lost.
    """
    if leaver.name not in online:
        return ()
    staying = (m for m in decree.members if m != leaver and m.instance_id not in gone)
    return tuple(m.name for m in staying if m.name not in online)


def _lone(member: Member) -> Plan:
    return Plan(
        blocked=f"{member.name} cannot leave: a cluster of one would be left, without fencing",
        cure="admit another node first, or `pcs cluster destroy --all` to end the cluster",
    )


def _leave(now: Membership, member: Member) -> Plan:
    if len(now.decree.members) <= 2:
        return _lone(member)
    if member.instance_id == now.own_id:
        return Plan(
            blocked=f"{member.name} is Pacemaker's DC, and a DC cannot take itself out",
            cure=f"type `pcs cluster stop {member.name}`: the next DC takes it out",
        )
    missed = _would_miss_it(now.decree, member, now.cluster.online, now.gone)
    if missed:
        return Plan(waiting_for=f"{', '.join(missed)} to come back before {member.name} leaves")
    return _expel(now, member, f"an administrator asked {member.name} to leave")


def _expel(now: Membership, member: Member, why: str) -> Plan:
    left = [m for m in now.decree.members if m.instance_id != member.instance_id]
    online = [m for m in left if m.name in now.cluster.online]
    if len(online) * 2 <= len(left):
        away = ", ".join(m.name for m in left if m not in online)
        return Plan(
            waiting_for=f"{away} to come back: without {member.name} the cluster would have no"
            " quorum"
        )
    return Plan(Step(Verb.EXPEL, why, member.instance_id))
