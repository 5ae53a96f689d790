"""The pure half of the engine: from what the node knows to where it stands and what is due.

The one place that knows the order identity, spec, token, discovery, election, assembly, fencing,
resources. It decides; `engine` performs.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from ipaddress import IPv4Network

from musterd import assembly, discovery, resources
from musterd.election.machine import leads
from musterd.election.types import View
from musterd.knowledge import HEARD_FOR, Heard, Knowledge, Outlook, Trouble
from musterd.model import Decree, Member, NodeFacts, Phase, Plan, Read
from musterd.peer_wire import Hello
from musterd.settings import differing
from musterd.spec import Proof, Spec

GREET_FORMING = 2.0  # seconds between hellos to a peer while forming
GREET_FORMED = 30.0
SURVEY_EVERY = 30.0  # seconds between looks at the own node while forming
HOLDERS_EVERY = 60.0  # seconds between reads of who holds the floating addresses, once formed
FIRST_RETRY = 1.0  # seconds; doubles with each failure in a row
LAST_RETRY = 15.0


@dataclass(frozen=True)
class Action:
    """Something to do now: its kind, and its peer or address where it has one."""

    kind: str
    target: str = ""

    @property
    def key(self) -> str:
        """Return the name under which attempts and troubles of this action are kept."""
        return f"{self.kind}:{self.target}" if self.target else self.kind


# --- what is due ------------------------------------------------------------------------------


def due(k: Knowledge, now: float) -> tuple[Action, ...]:
    """Return every action whose time has come, whether or not it is already under way."""
    return tuple(action for action, every in _wanted(k, now) if _ripe(k, action, every, now))


def next_due(k: Knowledge, now: float, under_way: Set[str]) -> float:
    """Return the seconds until an action ripens that is not under way (the engine's timer)."""
    waits = [
        _ripens(k, action, every) - now
        for action, every in _wanted(k, now)
        if action.key not in under_way
    ]
    return max(0.0, min(waits, default=60.0))


def _wanted(k: Knowledge, now: float) -> Iterator[tuple[Action, float]]:
    """Yield what there is to do, with the seconds between two attempts (0: as soon as possible)."""
    if k.node is None:
        yield Action("identity"), 0.0
        return
    if k.settings is None:
        yield Action("spec"), LAST_RETRY if "spec" in k.troubles else 0.0
        return
    forming = not k.formed
    if k.facts is None or k.facts_stale or forming:
        yield Action("survey"), 0.0 if k.facts is None or k.facts_stale else SURVEY_EVERY
    if not k.trusted:
        yield Action("token"), 0.0
        return
    yield Action("instances"), discovery.READ_EVERY if forming else 300.0
    for peer in peers(k):
        yield Action("greet", peer), GREET_FORMING if forming else GREET_FORMED
    yield from _founding(k, now)


def _founding(k: Knowledge, now: float) -> Iterator[tuple[Action, float]]:
    spec = spec_of(k)
    for address in spec.address:
        text = str(address.private_ip)
        if address.elastic_ip is not None and str(address.elastic_ip) not in k.allocations:
            yield Action("allocation", str(address.elastic_ip)), 0.0
        holder = floating_node(k, text)
        if holder and holder != own_name(k) and text not in k.reaches:
            yield Action("reach", text), 0.0
    if decree_of(k) is None:
        if assembly.admission(k.facts).step is not None:
            yield Action("step"), 0.0
        return
    if spec.address and k.cluster is not None and (k.formed or configured(k)):
        unknown = any(str(address.private_ip) not in k.holders for address in spec.address)
        yield Action("holders"), 5.0 if unknown else HOLDERS_EVERY
    if not k.formed and plan(k, now).step is not None:
        yield Action("step"), 0.0


def _ripe(k: Knowledge, action: Action, every: float, now: float) -> bool:
    return now >= _ripens(k, action, every)


def _ripens(k: Knowledge, action: Action, every: float) -> float:
    attempt = k.attempts.get(action.key)
    if attempt is None:
        return 0.0
    back_off = min(LAST_RETRY, FIRST_RETRY * 2.0 ** (attempt.failures - 1))
    return attempt.began + max(every, back_off if attempt.failures else 0.0)


# --- what follows from what is known ----------------------------------------------------------


def spec_of(k: Knowledge) -> Spec:
    """Return the spec; only called once there is one."""
    if k.settings is None:
        raise ValueError("the spec is asked for before it was read")
    return k.settings.spec


def decree_of(k: Knowledge) -> Decree | None:
    """Return the decided decree."""
    return k.election.durable.decided


def own_name(k: Knowledge) -> str:
    """Return this node's name in the cluster."""
    return k.node.name if k.node is not None else ""


def peers(k: Knowledge) -> dict[str, str]:
    """Return every other instance to talk to, with its address: listed ones and members."""
    known = {item.instance_id: item.address for item in k.candidates.instances if item.address}
    decree = decree_of(k)
    if decree is not None:
        known |= {
            m.instance_id: m.address
            for m in decree.members
            if m.instance_id not in known and m.instance_id not in k.candidates.gone
        }
    known.pop(k.own_id, None)
    return known


def conductor(k: Knowledge) -> bool:
    """Tell whether this node acts: the leader of the founding, afterwards Pacemaker's DC."""
    if k.formed:
        return k.cluster is not None and k.cluster.quorate and k.cluster.dc == own_name(k)
    return decree_of(k) is not None and leads(k.election)


def configured(k: Knowledge) -> bool:
    """Tell whether the running cluster holds what the spec asks for."""
    return assembly.configured(k.cluster, resources.wanted_ids(spec_of(k)))


def floating_node(k: Knowledge, address: str) -> str:
    """Return the node on which Pacemaker says the address is started, "" for none."""
    wanted = resources.address_ids(spec_of(k)).get(address, "")
    found = [r.node for r in (k.cluster.resources if k.cluster else ()) if r.id == wanted]
    return found[0] if found else ""


def member_facts(k: Knowledge, now: float) -> Mapping[str, NodeFacts]:
    """Return what the other members lately said of themselves."""
    said = {peer: k.recent(peer, now) for peer in k.heard}
    return {peer: hello.facts for peer, hello in said.items() if hello and hello.facts}


def need_proof(k: Knowledge) -> bool:
    """Tell whether this node has yet to prove that it can fence each other member."""
    decree = decree_of(k)
    if decree is None or spec_of(k).fencing.prove is Proof.NONE:
        return False
    return any(m not in k.proofs for m in decree.roster if m != k.own_id)


def plan(k: Knowledge, now: float) -> Plan:
    """Return what this node's helper does next."""
    decree = decree_of(k)
    digest = k.settings.digest if k.settings is not None else ""
    if decree is not None and decree.spec_digest != digest:
        return Plan(
            blocked="the spec on this node is not the one the founding was decided for",
            cure="put the same muster.toml back on every node, then type `muster join`",
        )
    return assembly.next_step(
        assembly.Founding(
            decree=decree,
            own_id=k.own_id,
            facts=k.facts,
            peers=member_facts(k, now),
            cluster=k.cluster,
            conductor=conductor(k),
            wanted=resources.wanted_ids(spec_of(k)),
            quorate_for=now - k.quorate_since if k.quorate_since is not None else 0.0,
            need_proof=need_proof(k),
        )
    )


def view(k: Knowledge, now: float) -> View | None:
    """Return the roster this node would vote for, None while it cannot be sure of it.

    Sure means: this node itself may take part, EC2 was read twice alike, and every founder lately
    said hello with the same roster and the same spec.
    """
    if k.settings is None or not k.trusted or assembly.admission(k.facts) != Plan():
        return None
    if formed_elsewhere(k) is not None or refusal(k) is not None:
        return None
    if _not_agreed(k, now) is not None:
        return None
    roster = k.candidates.roster
    members = tuple(_member(k, peer, now) for peer in roster)
    known = tuple(member for member in members if member is not None)
    return View(roster, k.settings.digest, known, k.candidates.gone)


def _member(k: Knowledge, peer: str, now: float) -> Member | None:
    if k.node is not None and peer == k.own_id:
        return Member(peer, k.node.name, k.node.address)
    hello = k.recent(peer, now)
    return Member(peer, hello.name, hello.address) if hello is not None else None


def member_addresses(k: Knowledge, instance_id: str) -> frozenset[str] | None:
    """Return the private addresses of another member of the set, None for anybody else."""
    if instance_id == k.own_id:
        return None
    for item in k.candidates.instances:
        if item.instance_id == instance_id:
            return frozenset({*item.addresses, item.address} - {""})
    decree = decree_of(k)
    for member in decree.members if decree is not None else ():
        if member.instance_id == instance_id and instance_id not in k.candidates.gone:
            return frozenset({member.address})
    return None


def peer_reads(k: Knowledge) -> dict[str, Read]:
    """Return the founders' own reads of EC2, on this node's clock."""
    return {
        peer: Read(heard.hello.roster, heard.at - heard.hello.roster_age)
        for peer, heard in k.heard.items()
    }


def refusal(k: Knowledge) -> Trouble | None:
    """Return why the spec cannot be carried out on this network, None when it can."""
    if k.node is None or k.settings is None:
        return None
    found = resources.refusals(k.settings.spec, IPv4Network(k.node.subnet_cidr))
    if not found:
        return None
    cure = f"{found[0].cure}; correct /etc/muster/muster.toml, then type `muster join`"
    return Trouble("; ".join(finding.what for finding in found), cure=cure, fatal=True)


def _not_agreed(k: Knowledge, now: float) -> Trouble | None:
    """Return the first thing that keeps the founders from an election, in words."""
    found = k.candidates
    if not found.roster:
        return Trouble(found.trouble or "EC2 has not answered yet", cure=found.cure)
    for peer in found.roster:
        if peer == k.own_id:
            continue
        heard = k.heard.get(peer)
        trouble = _peer_trouble(k, peer, heard, now)
        if trouble is not None:
            return trouble
    if not discovery.confirmed(k.reads, peer_reads(k), found.roster, now):
        return Trouble(
            "waiting for a second read of EC2 that agrees with the first",
            cure="nothing to do; it follows within seconds",
        )
    return None


def _peer_trouble(k: Knowledge, peer: str, heard: Heard | None, now: float) -> Trouble | None:
    address = peers(k).get(peer, "no address yet")
    if heard is None or now - heard.at > HEARD_FOR:
        known = f"{heard.hello.name} ({peer}, {address})" if heard else f"{peer} ({address})"
        why = k.troubles.get(f"greet:{peer}")
        return Trouble(
            f"waiting for {known} to answer on TCP 7224",
            why=why.sentence if why else "",
            cure="check that it runs and that its security group lets TCP 7224 in from its peers",
        )
    hello = heard.hello
    if k.settings is not None and hello.spec_digest and hello.spec_digest != k.settings.digest:
        keys = ", ".join(differing(k.settings.keys, hello.spec_keys))
        return Trouble(
            f"the spec of {hello.name} differs from this node's in {keys}",
            cure="make /etc/muster/muster.toml (and the tags) the same on every node, then type"
            " `muster join` where it changed",
        )
    if hello.phase is Phase.FAILED:
        return Trouble(f"{hello.name} cannot take part: {hello.reason}", cure="cure it there")
    if not hello.roster or hello.facts is None or not hello.facts.prepared:
        return Trouble(f"waiting for {hello.name} to be ready: {hello.reason}")
    if hello.roster != k.candidates.roster:
        return Trouble(
            f"{hello.name} sees another roster in EC2",
            cure="nothing to do; both read EC2 again within seconds",
        )
    return None


# --- where the node stands --------------------------------------------------------------------


def outlook(k: Knowledge, now: float) -> Outlook:
    """Return phase, reason and next, from the first thing in the order that is not done."""
    if k.formed:
        return _formed(k)
    refused = refusal(k)
    if refused is not None and decree_of(k) is None:
        return Outlook(Phase.FAILED, refused.sentence, refused.cure)
    first = _first_trouble(k)
    if first is not None:
        return first
    if k.node is None or k.settings is None:
        return Outlook(Phase.STARTING, "reading who this node is", "")
    if not k.trusted:
        return Outlook(Phase.STARTING, "reading the cluster token", "")
    if decree_of(k) is not None:
        return _founding_outlook(k, now)
    founded = formed_elsewhere(k)
    if founded is not None:
        return Outlook(
            Phase.WAITING,
            f"cluster {k.settings.spec.cluster.name} is already formed ({founded.name} says so)"
            " and this node is not a member",
            "joining a formed cluster is not built yet; relaunch under another name or use"
            " `pcs cluster node add` on a member",
        )
    admission = assembly.admission(k.facts)
    if admission.blocked:
        return Outlook(Phase.FAILED, admission.blocked, admission.cure)
    trouble = _not_agreed(k, now)
    if trouble is not None:
        cloud = k.troubles.get("instances")
        if cloud is not None and not k.candidates.roster:
            trouble = cloud
        return Outlook(Phase.WAITING, trouble.sentence, trouble.cure)
    if k.own_id not in k.candidates.roster:
        return Outlook(
            Phase.WAITING,
            f"{k.settings.spec.cluster.size} earlier instances are the founders;"
            " this node waits to join",
            "nothing to do",
        )
    if admission != Plan():
        return Outlook(Phase.WAITING, k.progress or "preparing this node", "nothing to do")
    return Outlook(
        Phase.ELECTING,
        f"the {len(k.candidates.roster)} founders are agreeing on a leader and on the founding",
        "nothing to do",
    )


_FIRST = ("store", "identity", "spec", "token")


def _first_trouble(k: Knowledge) -> Outlook | None:
    for topic in _FIRST:
        trouble = k.troubles.get(topic)
        if trouble is not None:
            phase = Phase.FAILED if trouble.fatal else Phase.WAITING
            return Outlook(phase, trouble.sentence, trouble.cure)
    return None


def formed_elsewhere(k: Knowledge) -> Hello | None:
    """Return the hello of a node that once said a cluster of this name is formed."""
    said = (k.heard[peer].hello for peer in sorted(k.heard))
    return next((hello for hello in said if hello.phase is Phase.FORMED and hello.uuid), None)


def _founding_outlook(k: Knowledge, now: float) -> Outlook:
    todo = plan(k, now)
    if todo.blocked:
        return Outlook(Phase.FAILED, todo.blocked, todo.cure)
    failed = k.troubles.get("step") or k.troubles.get("proof")
    if failed is not None:
        return Outlook(Phase.FOUNDING, failed.sentence, failed.cure)
    if k.step is not None:
        doing = f"{k.step.verb}: {k.progress or k.step.why}"
        return Outlook(Phase.FOUNDING, doing, "nothing to do")
    waiting = todo.waiting_for or unverified(k, now)
    reason = f"waiting for {waiting}" if waiting else "verifying the cluster"
    return Outlook(Phase.FOUNDING, reason, "nothing to do")


def _formed(k: Knowledge) -> Outlook:
    name = k.settings.spec.cluster.name if k.settings is not None else "the cluster"
    if k.cluster is None:
        return Outlook(
            Phase.FORMED,
            f"{name} is formed, but Pacemaker does not answer on this node",
            "type `systemctl status corosync pacemaker`",
        )
    if not k.cluster.quorate:
        return Outlook(
            Phase.FORMED,
            f"{name} is formed, but this node has no quorum",
            "type `corosync-quorumtool -s`, and look at the nodes that are offline",
        )
    down = ", ".join(k.cluster.offline)
    if down:
        return Outlook(Phase.FORMED, f"{name} is formed; offline: {down}", "look at them")
    return Outlook(Phase.FORMED, f"{name} is formed and quorate, every member is online", "")


def unverified(k: Knowledge, now: float) -> str:
    """Return what is still to be seen before the conductor may say `formed`, "" when nothing."""
    waiting = plan(k, now).waiting_for
    if waiting or k.cluster is None:
        return waiting or "Pacemaker to answer"
    decree = decree_of(k)
    if decree is None:
        return "the founding to be decided"
    online = [m for m in decree.members if m.name in k.cluster.online]
    for member in online:
        if member.instance_id == k.own_id:
            continue
        hello = k.recent(member.instance_id, now)
        if hello is None or hello.facts is None:
            return f"{member.name} to say how far it is"
        others = {m for m in decree.roster if m != member.instance_id}
        if spec_of(k).fencing.prove is not Proof.NONE and not others <= set(hello.proofs):
            return f"{member.name} to prove that it can fence the others"
        if not (hello.facts.trusted and hello.facts.enabled):
            return f"{member.name} to finish its part ({hello.reason})"
    return _unreached(k, now)


def _unreached(k: Knowledge, now: float) -> str:
    for address in spec_of(k).address:
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
    decree = decree_of(k)
    if decree is None or k.formed or k.settings is None or k.facts is None:
        return False
    if plan(k, now) != Plan():
        return False
    if conductor(k):
        return not unverified(k, now)
    told = formed_elsewhere(k)
    return told is not None and told.uuid == decree.uuid
