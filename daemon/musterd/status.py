"""Everything known -> what others may see: the public status, and our hello."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import IPv4Address

from muster.api import (
    AddressStatus,
    CheckStatus,
    ClusterStatus,
    FencingStatus,
    FindingStatus,
    NodeStatus,
    Preflight,
    ProofStatus,
    ResourceStatus,
    RuleStatus,
    SelfStatus,
    Status,
)
from musterd import course, drill, fencing, making, proofs, resources
from musterd.helper_wire import WireMember
from musterd.knowledge import HEARD_FOR, Knowledge
from musterd.model import Decree, Member, Severity
from musterd.observations import Check, Outcome
from musterd.peer_wire import Hello
from musterd.settings import public

# Troubles of these actions are told as the phase's reason, not as findings beside it.
_TOLD_AS_REASON = frozenset({"identity", "spec", "token", "store"})


def hello_of(k: Knowledge, now: float) -> Hello | None:
    """Return what this node tells its peers, None before it knows itself and its spec."""
    if k.node is None or k.settings is None:
        return None
    latest = k.reads[-1] if k.reads else None
    decree = course.decree_of(k)
    return Hello(
        instance_id=k.node.instance_id,
        name=k.node.name,
        address=k.node.address,
        zone=k.node.zone,
        phase=k.outlook.phase,
        reason=k.outlook.reason,
        roster=latest.roster if latest is not None else (),
        roster_age=round(now - latest.at, 1) if latest is not None else 0.0,
        spec_digest=k.settings.digest,
        spec_keys=k.settings.keys,
        uuid=decree.uuid if decree is not None else "",
        facts=k.facts,
        online=k.cluster.online if k.cluster is not None else (),
        proofs=k.proofs,
        holds=k.holds,
        reaches=k.reaches,
        real=dict(proofs.valid(k)),
        real_for=k.real_for,
        disks=k.shown,
        fence_me=drill.asks(k, now),
        members=_as_told(decree) if k.formed and decree is not None else (),
        conductor=course.conductor(k),
        leaving=k.leaving,
        applied={} if k.applied == k.settings.keys else k.applied,
        applied_count=k.applied_count,
    )


@lru_cache(maxsize=4)  # told in every hello
def _as_told(decree: Decree) -> tuple[WireMember, ...]:
    return tuple(WireMember(m.instance_id, m.name, IPv4Address(m.address)) for m in decree.members)


def status_of(k: Knowledge, now: float, wall: float) -> Status:
    """Return the public status (schema 1)."""
    node = k.node
    return Status(
        phase=k.outlook.phase,
        reason=k.outlook.reason,
        since=rfc3339(k.since),
        next=k.outlook.next,
        self=SelfStatus(
            instance_id=node.instance_id if node is not None else "",
            name=node.name if node is not None else "",
            address=node.address if node is not None else "",
            zone=node.zone if node is not None else "",
            conductor=course.conductor(k),
        ),
        cluster=_cluster(k),
        nodes=_nodes(k, now, wall),
        fencing=_fencing(k),
        addresses=_addresses(k, now),
        resources=tuple(
            ResourceStatus(r.id, r.agent, r.group, r.state, r.node)
            for r in (k.cluster.resources if k.cluster is not None else ())
        ),
        findings=_findings(k, now),
        written=rfc3339(wall),
    )


def preflight_of(checks: Iterable[Check], seconds: float) -> Preflight:
    """Return the public form of an examination."""
    shown = tuple(CheckStatus(c.name, c.outcome, c.what, c.cure) for c in checks)
    return Preflight(shown, round(seconds, 1))


def rfc3339(wall: float) -> str:
    """Return a wall-clock time (seconds since 1970) as RFC 3339 in UTC, to the second."""
    return _to_the_second(int(wall))


@lru_cache(maxsize=256)
def _to_the_second(wall: int) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def config_of(k: Knowledge) -> dict[str, object]:
    """Return the effective spec, where its values came from, and its digest."""
    if k.settings is None:
        return {"spec": {}, "origins": {}, "digest": ""}
    return {
        "spec": public(k.settings.spec),
        "origins": k.settings.origins,
        "digest": k.settings.digest,
    }


def _cluster(k: Knowledge) -> ClusterStatus:
    if k.settings is None:
        return ClusterStatus()
    decree = course.decree_of(k)
    cluster = k.settings.spec.cluster
    return ClusterStatus(
        name=cluster.name,
        uuid=decree.uuid if decree is not None else "",
        size=len(decree.members) if decree is not None else cluster.size,
        quorate=k.cluster is not None and k.cluster.quorate,
        dc=k.cluster.dc if k.cluster is not None else "",
        spec_digest=k.settings.digest,
    )


def _nodes(k: Knowledge, now: float, wall: float) -> tuple[NodeStatus, ...]:
    """List the members in roster order, then every other tagged instance."""
    decree = course.decree_of(k)
    roster = decree.roster if decree is not None else k.candidates.roster
    listed = {item.instance_id: item for item in k.candidates.instances}
    names = {m.instance_id: m for m in decree.members} if decree is not None else {}
    order = [*roster, *(peer for peer in listed if peer not in roster)]
    if k.own_id and k.own_id not in order:
        order.insert(0, k.own_id)
    return tuple(_node(k, peer, names, now, wall) for peer in order)


def _node(
    k: Knowledge, peer: str, members: dict[str, Member], now: float, wall: float
) -> NodeStatus:
    online = k.cluster.online if k.cluster is not None else ()
    if k.node is not None and peer == k.own_id:
        return NodeStatus(
            instance_id=peer,
            name=k.node.name,
            address=k.node.address,
            zone=k.node.zone,
            phase=k.outlook.phase,
            online=k.node.name in online,
            last_heard=rfc3339(wall),
            reason=k.outlook.reason,
        )
    heard = k.heard.get(peer)
    member = members.get(peer)
    instance = next((i for i in k.candidates.instances if i.instance_id == peer), None)
    name = heard.hello.name if heard else (member.name if member else "")
    trouble = k.troubles.get(f"greet:{peer}")
    silent = trouble.sentence if trouble else "not heard yet"
    phase, reason = (heard.hello.phase, heard.hello.reason) if heard else ("", silent)
    if peer in k.candidates.gone:
        phase, reason = "", "terminated, by EC2's word"
    elif trouble is not None:
        reason = silent
    elif heard is not None and _lost_after(k, heard.hello):
        reason = "not heard since it was lost"
    return NodeStatus(
        instance_id=peer,
        name=name,
        address=course.peers(k).get(peer, member.address if member else ""),
        zone=instance.zone if instance else (heard.hello.zone if heard else ""),
        phase=phase,
        online=name in online,
        last_heard=rfc3339(wall - (now - heard.at)) if heard else "",
        reason=reason,
    )


def _lost_after(k: Knowledge, hello: Hello) -> bool:
    """Tell whether the cluster lost a member after its last words: they say it is online."""
    return k.cluster is not None and hello.name in k.cluster.offline and hello.name in hello.online


def _fencing(k: Knowledge) -> FencingStatus:
    decree = course.decree_of(k)
    if decree is None or k.settings is None:
        return FencingStatus()
    agent = k.settings.spec.fencing.agent
    names = {m.instance_id: m.name for m in decree.members}
    device = next(
        (r.id for r in (k.cluster.resources if k.cluster else ()) if r.agent.endswith(agent)), ""
    )
    return FencingStatus(
        device=device,
        agent=agent,
        map={m.name: m.instance_id for m in decree.members},
        rules=tuple(
            RuleStatus(rule.name, rule.value, rule.why)
            for rule in fencing.rules(k.settings.spec, len(decree.members))
        ),
        proved=tuple(
            ProofStatus(names.get(peer, peer), how, rfc3339(at))
            for peer, (how, at) in sorted(_proofs(k).items())
        ),
    )


def _proofs(k: Knowledge) -> dict[str, tuple[str, float]]:
    """Return for each member the latest proof that somebody else can fence it."""
    latest: dict[str, tuple[str, float]] = {}
    real = {peer: ("real", at) for peer, at in proofs.valid(k).items()}
    for told in (k.proofs, *(heard.hello.proofs for heard in k.heard.values())):
        for peer, (how, at) in told.items():
            if peer not in latest or latest[peer][1] < at:
                latest[peer] = (how, at)
    return latest | real


def _addresses(k: Knowledge, now: float) -> tuple[AddressStatus, ...]:
    if k.settings is None:
        return ()
    decree = course.decree_of(k)
    names = {m.instance_id: m.name for m in (decree.members if decree is not None else ())}
    found = []
    for address in k.settings.spec.address:
        text = str(address.private_ip)
        pacemaker = course.floating_node(k, text)
        views = {"pacemaker": pacemaker, "kernel": _kernel_view(k, text, now)}
        if text in k.holders:
            holder = k.holders[text]
            views["ec2"] = names.get(holder, holder)
        public = making.elastic_of(k, address)
        if public in k.elastics:
            views["elastic"] = names.get(k.elastics[public], k.elastics[public])
        found.append(
            AddressStatus(
                private_ip=text,
                node=pacemaker,
                agrees=bool(pacemaker) and len(set(views.values())) == 1,
                views=views,
                elastic_ip=public,
            )
        )
    return tuple(found)


def _kernel_view(k: Knowledge, address: str, now: float) -> str:
    """Name who has the address in its kernel, by each node's own word.

    That it was reached there once proves nothing later, so `reaches` is not asked. Nor is the last
    word of a node that is offline or no member any more, once it has missed its next one.
    """
    holders = [course.own_name(k)] if address in k.holds else []
    online = k.cluster.online if k.cluster is not None else None
    late = now - course.GREET_FORMED - HEARD_FOR
    holders += [
        heard.hello.name
        for heard in k.heard.values()
        if address in heard.hello.holds
        if heard.at >= late or online is None or heard.hello.name in online
    ]
    return ", ".join(sorted(set(holders)))


def _is_told_as_reason(k: Knowledge, topic: str) -> bool:
    """Tell whether `outlook` already speaks of this trouble."""
    known = k.formed or (topic == "token" and k.trusted)
    return topic in _TOLD_AS_REASON and not known


def _unwatched(k: Knowledge) -> Iterator[FindingStatus]:
    """Yield what Pacemaker of a formed cluster does not look after, though the spec wants it."""
    if k.settings is None or k.cluster is None or not k.cluster.quorate:
        return
    if k.cluster.unfenced:
        what = "nobody is fenced: Pacemaker's property stonith-enabled is false"
        yield FindingStatus(Severity.ERROR, what, "type `pcs property set stonith-enabled=true`")
    if k.cluster.maintained:
        what = "nothing is moved or started: Pacemaker's property maintenance-mode is true"
        yield FindingStatus(Severity.WARNING, what, "type `pcs property set maintenance-mode=`")
    device, *others = resources.wanted_ids(k.settings.spec)
    there = {resource.id for resource in k.cluster.resources}
    if device not in there:
        what = f"nobody is fenced: Pacemaker has no stonith device {device}"
        yield FindingStatus(Severity.ERROR, what, "type `muster plan`: it says what makes it again")
    for missing in (each for each in others if each not in there):
        what = f"Pacemaker has no resource {missing}, which the spec asks for"
        yield FindingStatus(Severity.WARNING, what, "type `muster plan`")


def _findings(k: Knowledge, now: float) -> tuple[FindingStatus, ...]:
    found = [
        FindingStatus(
            Severity.ERROR if trouble.fatal else Severity.WARNING, trouble.sentence, trouble.cure
        )
        for topic, trouble in sorted(k.troubles.items())
        if not topic.startswith("greet:") and not _is_told_as_reason(k, topic)
    ]
    if not k.formed:
        found += [
            FindingStatus(check.outcome, check.what, check.cure)
            for check in k.preflight
            if check.outcome in {Outcome.ERROR, Outcome.WARNING} and check.name != "musterd"
        ]
    if k.facts is not None:
        found += [
            FindingStatus(
                Severity.ERROR,
                f"fencing would go wrong: of the stonith device's map, {fault}",
                "put pcmk_host_map right with `pcs stonith update`, then type"
                " `muster fence-test --all` to prove fencing again",
            )
            for fault in k.facts.map_faults
        ]
    if k.formed:
        found += [
            FindingStatus(
                Severity.WARNING,
                f"of {address.private_ip} Pacemaker, EC2 and the kernel do not say the same: "
                + ", ".join(f"{view} {who or 'nobody'}" for view, who in address.views.items()),
                "it passes while the address moves; else type `pcs resource debug-monitor ID` on"
                f" {address.node}, or move the group: `pcs resource move GROUP`",
            )
            for address in _addresses(k, now)
            if address.node and not address.agrees and "ec2" in address.views
        ]
    if k.formed:
        found += _unwatched(k)
        found += [FindingStatus(each.severity, each.what, each.cure) for each in k.disk_faults]
    if k.cluster is not None:
        found += [
            FindingStatus(Severity.WARNING, failure, "look at it, then type `pcs resource cleanup`")
            for failure in k.cluster.failures
        ]
    return tuple(found)
