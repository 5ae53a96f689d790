"""The pure half of the engine: from what the node knows to where it stands and what is due.

The one place that knows the order identity, spec, token, discovery, election, assembly, fencing,
resources. It decides; `engine` performs.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from math import inf

from musterd import applied, assembly, day_two, discovery, making, resources
from musterd.election.machine import leads
from musterd.knowledge import Knowledge
from musterd.model import Decree, InstanceState, NodeFacts, Plan
from musterd.spec import ALLOCATE, Address, Spec

# Seconds between hellos to a peer; whoever has news says so at once.
GREET_FORMING = 5.0
GREET_FAILED = 2.0  # at least, while forming and not answered
GREET_FORMED = 30.0
READ_FORMED = 300.0  # seconds between reads of EC2 while nobody is missing and nobody new
SURVEY_EVERY = 30.0  # seconds between looks at the own node while forming
SURVEY_FORMED = 300.0  # and once formed: somebody may have changed the stonith device
HOLDERS_BEFORE = 15.0  # seconds between reads of who holds them, before founding
HOLDERS_EVERY = 60.0  # seconds between reads of who holds the floating addresses, once formed
HOLDERS_DOUBTED = 10.0  # while EC2 said last that somebody else has one than Pacemaker says
TOKEN_EVERY = 3600.0  # seconds between reads of the token's source
TOKEN_DOUBTED = 60.0  # between two of them when there is a reason
PREFLIGHT_AFTER = 20.0  # seconds with the token; where nothing stands in the way, it is over then
PREFLIGHT_EVERY = 60.0
FIRST_RETRY = 1.0  # seconds; doubles with each failure in a row
LAST_RETRY = 15.0

# States in which an instance gives its addresses up. A stopped one keeps them (EC2's user guide),
# so whoever calls from there has been started since, and EC2's answers lag or leave it out.
_LEAVING = {InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED}


@dataclass(frozen=True)
class Action:
    """Something to do now: its kind, and its peer or address where it has one."""

    kind: str
    target: str = ""

    @property
    def key(self) -> str:
        """Return the name under which attempts and troubles of this action are kept."""
        return f"{self.kind}:{self.target}" if self.target else self.kind


Agenda = tuple[tuple[Action, float], ...]  # what there is to do, and how often (seconds)


# --- what is due ------------------------------------------------------------------------------


def agenda(k: Knowledge, now: float) -> Agenda:
    """Return what there is to do at all, with the seconds between two attempts.

    It stays true until knowledge changes or one of the `deadlines` passes.
    """
    return tuple(_wanted(k, now))


def due(k: Knowledge, wanted: Agenda, now: float) -> tuple[Action, ...]:
    """Return every action whose time has come, whether or not it is already under way."""
    return tuple(action for action, every in wanted if now >= _ripens(k, action, every))


def next_due(k: Knowledge, wanted: Agenda, under_way: Set[str]) -> float:
    """Return when (monotonic seconds) an action ripens that is not under way; never: infinite."""
    return min(
        (_ripens(k, action, every) for action, every in wanted if action.key not in under_way),
        default=inf,
    )


def _wanted(k: Knowledge, now: float) -> Iterator[tuple[Action, float]]:
    """Yield what there is to do, with the seconds between two attempts (0: as soon as possible)."""
    if k.node is None:
        yield Action("identity"), 0.0
        return
    if k.settings is None or k.spec_stale:
        yield Action("spec"), LAST_RETRY if "spec" in k.troubles else 0.0
    elif applied.outdated(k, now):
        yield Action("spec"), SURVEY_EVERY
    if k.settings is None:
        return
    forming = not k.formed
    # Without Pacemaker's word only the files tell whether this node still is a member.
    doubtful = forming or k.cluster is None or day_two.behind(k)
    every = SURVEY_EVERY if doubtful else SURVEY_FORMED
    yield Action("survey"), 0.0 if _must_look(k, now) else every
    if not k.trusted:
        yield Action("token"), 0.0
        return
    if _token_may_be_old(k, now):
        yield Action("token"), TOKEN_DOUBTED
    if k.reads or now - k.trusted_at >= first_read_after(k):
        yield Action("instances"), discovery.READ_EVERY if day_two.troubled(k) else READ_FORMED
    for peer in peers(k):
        silent = f"greet:{peer}" in k.troubles
        every = GREET_FAILED if silent else GREET_FORMING
        yield Action("greet", peer), every if forming else GREET_FORMED
    if forming and now - k.trusted_at >= PREFLIGHT_AFTER:
        yield Action("preflight"), PREFLIGHT_EVERY
    for kind, seconds in making.agenda(k, decree_of(k)):
        yield Action(kind), seconds
    yield from _founding(k, now)


def _must_look(k: Knowledge, now: float) -> bool:
    """Tell whether the node is to be looked at now: at once, or because nothing else is to do."""
    if k.facts is None or k.facts_stale:
        return True
    return k.facts_assumed and k.step is None and plan(k, now).step is None


def _token_may_be_old(k: Knowledge, now: float) -> bool:
    """Tell whether to look for another token: now and then, and when peers do not know each other.

    Not while keys are laid: they are derived from one token.
    """
    return not laying(k) and (k.doubted or now - k.trusted_at >= TOKEN_EVERY)


def first_read_after(k: Knowledge) -> float:
    """Return the seconds from having the token to the first read of EC2.

    Instances of one launch boot together; reading together would make each wait `READ_EVERY` for
    the second read. The later ones wait a little instead, while they are being prepared.
    """
    return discovery.STAGGER if k.node is not None and k.node.launch_index > 0 else 0.0


def _founding(k: Knowledge, now: float) -> Iterator[tuple[Action, float]]:
    spec = spec_of(k)
    for address in spec.address:
        text = str(address.private_ip)
        elastic = str(address.elastic_ip or ALLOCATE)
        if elastic not in {ALLOCATE, *k.allocations}:
            yield Action("allocation", elastic), 0.0
        holder = floating_node(k, text)
        if holder and holder != own_name(k) and text not in k.reaches:
            yield Action("reach", text), 0.0
    if decree_of(k) is None:
        if spec.address and k.candidates.roster:
            yield Action("holders"), HOLDERS_BEFORE
        if assembly.admission(k.facts).step is not None:
            yield Action("step"), 0.0
        return
    if spec.address and k.cluster is not None and (k.formed or configured(k)):
        doubted = any(_doubted(k, address) for address in spec.address)
        yield Action("holders"), HOLDERS_DOUBTED if doubted else HOLDERS_EVERY
    if k.applying is not None and k.applying.state == "running":
        yield Action("apply"), 0.0
    elif plan(k, now).step is not None:
        yield Action("step"), 0.0


def _ripens(k: Knowledge, action: Action, every: float) -> float:
    attempt = k.attempts.get(action.key)
    if attempt is None:
        return 0.0
    back_off = min(LAST_RETRY, FIRST_RETRY * 2.0 ** (attempt.failures - 1))
    return attempt.began + max(every, back_off if attempt.failures else 0.0)


def start_over(k: Knowledge, may_read: bool) -> None:
    """Have everything tried again at once: somebody may just have cured something.

    Args:
        k: what the node knows.
        may_read: whether EC2's list was not read just now.
    """
    for topic in k.attempts:
        if topic != "instances" or may_read:
            k.hurry(topic)
    for topic in ("spec", "token", "step"):
        k.troubles.pop(topic, None)
    k.doubted = k.spec_stale = True
    if not k.formed:
        k.facts_stale = True
    if decree_of(k) is None:
        k.facts = None  # what was seen before must not found a cluster now


# --- what follows from what is known ----------------------------------------------------------


def spec_of(k: Knowledge) -> Spec:
    """Return the spec; only called once there is one."""
    if k.settings is None:
        raise ValueError("the spec is asked for before it was read")
    return k.settings.spec


def digest_of(k: Knowledge) -> str:
    """Return the digest of the spec, "" before it was read."""
    return k.settings.digest if k.settings is not None else ""


def decree_of(k: Knowledge) -> Decree | None:
    """Return the cluster this node belongs to or asks to join, None before either."""
    return k.decree


def laying(k: Knowledge) -> bool:
    """Tell whether the cluster is decided and not formed yet: its files are being written."""
    return k.election.durable.decided is not None and not k.formed


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
        return day_two.conducts(k)
    return k.joining is None and decree_of(k) is not None and leads(k.election)


def configured(k: Knowledge) -> bool:
    """Tell whether the running cluster holds what the spec asks for."""
    return assembly.configured(k.cluster, resources.wanted_ids(spec_of(k)))


def floating_node(k: Knowledge, address: str) -> str:
    """Return the node on which Pacemaker says the address is started, "" for none."""
    wanted = resources.address_ids(spec_of(k)).get(address, "")
    found = [r.node for r in (k.cluster.resources if k.cluster else ()) if r.id == wanted]
    return found[0] if found else ""


def _doubted(k: Knowledge, address: Address) -> bool:
    """Tell whether EC2's last word on an address is another than Pacemaker's: it moved since."""
    decree, text = decree_of(k), str(address.private_ip)
    ids = {m.name: m.instance_id for m in (decree.members if decree is not None else ())}
    holder = ids.get(floating_node(k, text), "")
    if not holder:
        return text not in k.holders
    led = k.elastics.get(making.elastic_of(k, address), holder)
    return k.holders.get(text) != holder or led != holder


def member_facts(k: Knowledge, now: float) -> Mapping[str, NodeFacts]:
    """Return what the other members lately said of themselves."""
    said = {peer: k.recent(peer, now) for peer in k.heard}
    return {peer: hello.facts for peer, hello in said.items() if hello and hello.facts}


def plan(k: Knowledge, now: float) -> Plan:
    """Return what this node's helper does next."""
    if k.formed:
        return day_two.member_plan(k, now)
    if k.joining is not None:
        first = assembly.admission(k.facts)
        return first if first != Plan() else day_two.newcomer_plan(k, now)
    decree = decree_of(k)
    if decree is not None and decree.spec_digest != digest_of(k):
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
            need_proof=day_two.need_proof(k),
            pushed_for=now - k.pushed if k.pushed is not None else None,
            gone=k.candidates.gone,
            unmade=making.unmade(k),
            unseen=making.unseen(k, decree) if decree is not None else "",
        )
    )


def member_addresses(k: Knowledge, instance_id: str) -> frozenset[str] | None:
    """Return the private addresses of another member of the set, None for anybody else."""
    if instance_id == k.own_id:
        return None
    for item in k.candidates.instances:
        if item.instance_id == instance_id and item.state not in _LEAVING:
            return frozenset({*item.addresses, item.address} - {""})
    decree = decree_of(k)
    for member in decree.members if decree is not None else ():
        if member.instance_id == instance_id and instance_id not in k.candidates.gone:
            return frozenset({member.address})
    return None
