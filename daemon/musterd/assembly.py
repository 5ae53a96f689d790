"""Facts against the decree -> what this node does next. Called again after every change.

Every member does its own part from the decree; nobody commands anybody. The order on one node is
prepare, lay, start, (conductor: build, configure), trust, probe; each step's `done` is read off
the node itself, so a restart costs a survey and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from musterd.model import (
    ClusterState,
    CorosyncConfig,
    Decree,
    Member,
    NodeFacts,
    Plan,
    ResourceState,
    Step,
    Verb,
)

SHOWN_WITHIN = 20.0  # seconds until a pushed configuration must show in Pacemaker's state
STRAGGLER_PATIENCE = 45.0  # seconds the conductor waits for the last member before configuring


@dataclass(frozen=True)
class Founding:
    """Everything that decides this node's next step."""

    decree: Decree | None
    own_id: str
    facts: NodeFacts | None
    peers: Mapping[str, NodeFacts]  # latest facts of the other members
    cluster: ClusterState | None
    conductor: bool
    wanted: tuple[str, ...]  # resource ids the spec asks for
    quorate_for: float  # seconds this node has seen a quorate cluster with a DC
    need_proof: bool  # fencing is still to be proven from here
    pushed_for: float | None  # seconds since this node pushed the configuration, None before
    gone: frozenset[str] = frozenset()  # instance ids that EC2 calls terminated
    unmade: str = ""  # what of EC2 must be known before the configuration is built
    unseen: str = ""  # which member does not show a shared disk yet


def admission(facts: NodeFacts | None) -> Plan:
    """Tell whether this node may take part in an election at all, and what is left to do first."""
    if facts is None:
        return Plan(waiting_for="the first look at this node")
    if facts.corosync is CorosyncConfig.FOREIGN:
        return Plan(
            blocked=f"this node already has a corosync.conf that is not muster's:"
            f" {facts.corosync_detail}",
            cure="if that cluster is not wanted, type `pcs cluster destroy` on this node, then"
            " `muster join`; if it is, remove the tag: muster leaves it alone",
        )
    if facts.corosync is CorosyncConfig.BROKEN:
        return Plan(
            blocked=f"corosync.conf on this node is broken: {facts.corosync_detail}",
            cure="look at /etc/corosync/corosync.conf; if it can go, remove it and type"
            " `muster join`",
        )
    if facts.missing:
        return Plan(
            blocked="; ".join(facts.missing),
            cure="install what is missing or correct the spec, then type `muster join`",
        )
    if facts.corosync in {CorosyncConfig.STUB, CorosyncConfig.ABSENT} and facts.cib:
        return Plan(
            blocked="this node holds a Pacemaker configuration (CIB) but no corosync.conf of its"
            " own",
            cure="if it can go, type `pcs cluster destroy` on this node, then `muster join`",
        )
    if not facts.prepared:
        return Plan(Step(Verb.PREPARE, "the node is not ready for a cluster yet"))
    return Plan()


def after(verb: Verb, facts: NodeFacts) -> NodeFacts:
    """Return the facts as a verb's success leaves them, until the next look at the node.

    A look costs a third of a second of a small machine; between two steps nothing else changes.
    """
    match verb:
        case Verb.PREPARE:
            stub = facts.corosync is CorosyncConfig.STUB  # a member's own stays where it is
            left = CorosyncConfig.ABSENT if stub else facts.corosync
            return replace(facts, prepared=True, corosync=left)
        case Verb.LAY:
            return replace(facts, laid=True, corosync=CorosyncConfig.OURS)
        case Verb.START:
            return replace(facts, enabled=True, running=True, start_owed=False)
        case Verb.BUILD:
            return replace(facts, built=True)
        case Verb.TRUST:
            return replace(facts, trusted=True)
        case Verb.OFFER:
            return replace(facts, offered=True)
        case Verb.WITHDRAW:
            return replace(facts, laid=False, offered=False, corosync=CorosyncConfig.ABSENT)
        case _:
            return facts


def next_step(now: Founding) -> Plan:
    """Return what this node does next; an empty plan when its part is done and verified."""
    first = admission(now.facts)
    if first != Plan() or now.facts is None or now.decree is None:
        return first
    facts, decree = now.facts, now.decree
    if not facts.laid:
        return Plan(Step(Verb.LAY, f"cluster {decree.uuid[:8]} is decided"))
    if not (facts.running and facts.enabled):
        return _start(now, decree)
    if now.conductor:
        plan = _conduct(now, facts, decree)
        if plan != Plan():
            return plan
    if not configured(now.cluster, now.wanted):
        waiting = Plan(waiting_for=settled(now.cluster, now.wanted))
        # While Pacemaker elects its DC, processors idle; afterwards the agents need them. The
        # conductor has the configuration to build and to push at once.
        return waiting if now.conductor else _own_rest(now, facts) or waiting
    return _own_rest(now, facts) or _settled(now, decree)


def configured(cluster: ClusterState | None, wanted: tuple[str, ...]) -> bool:
    """Tell whether the running cluster holds every resource the spec asks for."""
    if cluster is None:
        return False
    return set(wanted) <= {resource.id for resource in cluster.resources}


def terminated(
    decree: Decree, cluster: ClusterState | None, gone: frozenset[str]
) -> tuple[Member, ...]:
    """Return the members that Pacemaker counts as offline and EC2 as terminated.

    Pacemaker starts no resource before it has fenced a member it has never seen, and an agent
    cannot fence what EC2 has terminated (fence_aws knows "running" and "stopped" only).
    """
    offline = cluster.offline if cluster is not None else ()
    return tuple(m for m in decree.members if m.instance_id in gone and m.name in offline)


def settled(cluster: ClusterState | None, wanted: tuple[str, ...], *, started: bool = True) -> str:
    """Return what the cluster still has to do, "" when everything wanted is started.

    Args:
        cluster: what Pacemaker says.
        wanted: resource ids.
        started: False where it is enough that Pacemaker has them.
    """
    if cluster is None:
        return "Pacemaker to answer"
    if not cluster.quorate:
        missing = f" ({', '.join(cluster.offline)} offline)" if cluster.offline else ""
        return f"quorum{missing}"
    if not cluster.dc:
        return "Pacemaker to elect its DC"
    states: dict[str, list[ResourceState]] = {}
    for resource in cluster.resources:
        states.setdefault(resource.id, []).append(resource.state)
    absent = [name for name in wanted if name not in states]
    if absent:
        return f"the configuration of {', '.join(absent)}"
    if not started:
        return ""
    late = [name for name in wanted if not _up(states[name], len(cluster.offline))]
    return f"{', '.join(late)} to start" if late else ""


def _up(instances: list[ResourceState], offline: int) -> bool:
    """Tell whether a resource runs; a clone has an instance for each node, offline ones too."""
    down = instances.count(ResourceState.STOPPED)
    up = instances.count(ResourceState.STARTED)
    return up > 0 and up + down == len(instances) and down <= offline


def _start(now: Founding, decree: Decree) -> Plan:
    """Corosync is started once a majority of the founders could follow at once."""
    laid = {now.own_id} | {
        peer for peer, facts in now.peers.items() if facts.laid and peer in decree.roster
    }
    if len(laid) * 2 <= len(decree.roster):
        names = [m.name for m in decree.members if m.instance_id not in laid]
        return Plan(waiting_for=f"{', '.join(names)} to write the cluster's files")
    return Plan(Step(Verb.START, f"{len(laid)} of {len(decree.roster)} founders are ready"))


def _conduct(now: Founding, facts: NodeFacts, decree: Decree) -> Plan:
    """What only the conductor does: the configuration, once everybody is there."""
    if configured(now.cluster, now.wanted):
        return Plan()
    if now.pushed_for is not None and now.pushed_for < SHOWN_WITHIN:
        return Plan(waiting_for="Pacemaker to take up its resources")
    if now.unmade:
        return _own_rest(now, facts) or Plan(waiting_for=now.unmade)
    if not facts.built:
        return Plan(Step(Verb.BUILD, "the cluster has no resources yet"))
    if now.cluster is None or not now.cluster.quorate or not now.cluster.dc:
        return Plan(waiting_for=settled(now.cluster, now.wanted))
    expected = [m.name for m in decree.members if m.instance_id not in now.gone]
    absent = [name for name in expected if name not in now.cluster.online]
    if absent and now.quorate_for < STRAGGLER_PATIENCE:
        return Plan(waiting_for=f"{', '.join(absent)} to come online in Pacemaker")
    if now.unseen:  # disks are attached once fencing is proven, here as everywhere
        return _own_rest(now, facts) or Plan(waiting_for=now.unseen)
    return Plan(Step(Verb.CONFIGURE, "members are online, resources are not configured"))


def _own_rest(now: Founding, facts: NodeFacts) -> Plan | None:
    """Return what every member still owes once Corosync runs, None when nothing."""
    if not facts.trusted:
        return Plan(Step(Verb.TRUST, "pcs does not know every member yet"))
    if now.need_proof:
        return Plan(Step(Verb.PROBE_FENCING, "fencing is not proven from this node yet"))
    return None


def _settled(now: Founding, decree: Decree) -> Plan:
    name = next((m.name for m in decree.members if m.instance_id == now.own_id), "")
    if now.cluster is not None and name not in now.cluster.online:
        return Plan(waiting_for="this node to come online in Pacemaker")
    # What waits for the fence of a terminated founder is the formed cluster's to see to.
    started = not terminated(decree, now.cluster, now.gone)
    return Plan(waiting_for=settled(now.cluster, now.wanted, started=started))
