"""Real fences, one after another: whom this node fences next, and when one has come back.

Nobody commands anybody. The conductor of a founding that is to be proven so, or the node on which
`muster fence-test` was typed, fences the others; about itself it asks, in its hello, and the first
other member fences it. Who joins a cluster that is to be proven so is fenced before it is formed.
Nothing is fenced while anything else is not as it should be, so the resources are never down longer
than one fail-over takes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from musterd import assembly, course, outlook, proofs, resources
from musterd.course import Action
from musterd.errors import MusterError
from musterd.knowledge import Drill, Knowledge, Trouble
from musterd.model import Member, Phase
from musterd.spec import Spec

CONFIRMATIONS = 4  # reads of EC2 before its word is final: answers can be old
ASK_AGAIN = 5.0  # seconds between them
PATIENCE = 600.0  # seconds a fenced member may take to come back
_ON_THE_WAY = (Phase.FOUNDING, Phase.JOINING)
ASKED_WITHIN = 60.0  # seconds; a member asks again in each hello


def agenda(k: Knowledge, now: float) -> tuple[tuple[Action, float], ...]:
    """Return what there is to do, as `course.agenda` does."""
    wanted = []
    if target(k, now):
        wanted.append((Action("fence"), 0.0))
    if back := returned(k):
        wanted.append((Action("fenced"), ASK_AGAIN if k.fenced[back].denied else 0.0))
    return tuple(wanted)


def target(k: Knowledge, now: float) -> str:
    """Return the instance id of the member this node must fence now, "" for none."""
    unfenced = [member for member in _unfenced(k) if member != k.own_id] or list(_askers(k, now))
    if not unfenced or disturbance(k, now):
        return ""
    # Those without a floating address first: then it moves to a member that was seen to return.
    holders = {course.floating_node(k, address) for address in resources.address_ids(_spec(k))}
    names = {member.instance_id: member.name for member in _members(k)}
    return min(unfenced, key=lambda member: names.get(member, "") in holders)


def asks(k: Knowledge, now: float) -> bool:
    """Tell whether this node asks the others to fence it: all of them were fenced by it."""
    return _unfenced(k) == (k.own_id,) and not disturbance(k, now)


def returned(k: Knowledge) -> str:
    """Return a fenced member that has booted anew and is online again, "" for none.

    By its own word too: a node can boot before Corosync has missed it, and is still called online
    by the others then.
    """
    names = {member.instance_id: member.name for member in _members(k)}
    online = k.cluster.online if k.cluster is not None else ()
    for instance_id, fenced in k.fenced.items():
        name, heard = names.get(instance_id, ""), k.heard.get(instance_id)
        if heard is None or heard.hello.facts is None or name not in online:
            continue
        if heard.hello.facts.boot_id not in {"", fenced.boot_id} and name in heard.hello.online:
            return instance_id
    return ""


def disturbance(k: Knowledge, now: float) -> str:
    """Return what must come right before anything is fenced, "" when all is well."""
    if k.fenced:
        names = {member.instance_id: member.name for member in _members(k)}
        gone = ", ".join(names.get(instance_id, instance_id) for instance_id in k.fenced)
        return f"{gone} to come back after being fenced"
    lost = [m.name for m in _members(k) if k.cluster and m.name in k.cluster.offline]
    if lost:
        return f"{', '.join(lost)} to come online"
    if k.formed:
        waiting = assembly.settled(k.cluster, resources.wanted_ids(_spec(k)))
    else:
        waiting = outlook.unready(k, now)
    if waiting:
        return waiting
    unknown = [m.name for m in _members(k) if m.instance_id != k.own_id and not _boot_of(k, m)]
    return f"{', '.join(unknown)} to tell its boot" if unknown else ""


def begin(k: Knowledge, now: float, node: str, wall: float) -> Drill:
    """Return the drill that somebody asks for.

    Args:
        k: what the node knows.
        now: monotonic seconds.
        node: a member's name or instance id, "" for every one.
        wall: seconds since 1970; proofs later than that are its proofs.

    Raises:
        MusterError: it cannot be begun; with the reason.
    """
    members = _members(k)
    if not k.formed or not members:
        raise MusterError(
            "fencing cannot be tested before the cluster is formed",
            why=k.outlook.reason,
            cure='type `muster wait`; to prove it while founding set [fencing] prove = "real"',
        )
    chosen = [m for m in members if node in {"", m.name, m.instance_id}]
    if not chosen:
        names = ", ".join(member.name for member in members)
        raise MusterError(f"{node} is no member of the cluster", why=f"its members are {names}",
                          cure="type `muster fence-test NAME`")  # fmt: skip
    if [member.instance_id for member in chosen] == [k.own_id]:
        raise MusterError(
            "a node does not fence itself",
            why="it could not tell whether it worked",
            cure="type the command on another node, or `muster fence-test --all`",
        )
    waiting = disturbance(k, now)
    if waiting:
        raise MusterError(
            "fencing is not tested while something else is wrong",
            why=f"waiting for {waiting}",
            cure="type `muster status` and cure that first",
        )
    ordered = sorted((m.instance_id for m in chosen), key=lambda member: member == k.own_id)
    return Drill("", tuple(ordered), wall)


def start(k: Knowledge, wanted: Drill) -> None:
    """Take up a drill; what went wrong in an earlier one is past."""
    k.drill = wanted
    for topic in ("fence", "fenced"):
        k.troubles.pop(topic, None)
        k.hurry(topic)


def check(k: Knowledge, now: float) -> None:
    """End a drill of which a part has failed: nothing more is fenced then.

    Whoever is no member any more is not waited for.
    """
    members = {member.instance_id for member in _members(k)}
    for gone in k.fenced.keys() - members:
        del k.fenced[gone]  # it was terminated or taken out: it is not to come back
    for member in [m for m, fenced in k.fenced.items() if fenced.denied >= CONFIRMATIONS]:
        del k.fenced[member]  # it did not come back by a fence: it is to be fenced again
        k.troubles["fence"] = Trouble(
            f"{member} booted anew, but EC2 says that it was not stopped",
            why="something else rebooted it: that proves nothing about fencing",
            cure=f"type `pcs stonith history`, then `muster fence-test {member}`",
        )
    if k.drill is None or k.drill.failure:
        return
    trouble = k.troubles.get("fence")
    late = [member for member, fenced in k.fenced.items() if now - fenced.at > PATIENCE]
    if trouble is not None:
        k.drill = replace(k.drill, failure=trouble.sentence)
    elif late:
        names = {member.instance_id: member.name for member in _members(k)}
        told = ", ".join(names.get(member, member) for member in late)
        unseen = f": {k.troubles['fenced'].sentence}" if "fenced" in k.troubles else ""
        failure = f"{told} was fenced and did not come back within {PATIENCE:.0f} s{unseen}"
        k.drill = replace(k.drill, failure=failure)


def deny(k: Knowledge, instance_id: str) -> None:
    """Count that EC2 says a fenced member was not started anew, though it has booted."""
    fenced = k.fenced.get(instance_id)
    if fenced is not None:
        k.fenced[instance_id] = replace(fenced, denied=fenced.denied + 1)


def progress(k: Knowledge, drill: Drill, now: float) -> tuple[str, str]:
    """Return a drill's state (running, done, failed) and how far it is, in words."""
    names = {member.instance_id: member.name for member in _members(k)}
    left = _left(k, drill)
    done = [names.get(member, member) for member in drill.targets if member not in left]
    proven = f"fenced and back: {', '.join(done)}" if done else "nobody fenced yet"
    if drill.failure:
        return "failed", f"{drill.failure} ({proven})"
    if not left:
        return "done", proven
    if left == (k.own_id,):
        return "running", f"{proven}; this node is last, and the others are asked to fence it"
    waiting = disturbance(k, now)
    doing = f"waiting for {waiting}" if waiting else f"next: {names.get(left[0], left[0])}"
    return "running", f"{proven}; {doing}"


def _unfenced(k: Knowledge) -> tuple[str, ...]:
    """Return the members whose real fence is this node's to see to, itself last."""
    if k.drill is not None and not k.drill.failure:
        left: Sequence[str] = _left(k, k.drill)
    elif course.decree_of(k) is not None and course.conductor(k):
        left = _newcomers(k) if k.formed else proofs.missing(k)
    else:
        return ()
    return tuple(sorted(left, key=lambda member: member == k.own_id))


def _newcomers(k: Knowledge) -> tuple[str, ...]:
    """Return the members that are online, never were formed here, and are to be fenced for that.

    Whoever was formed once says who its members are, from its daemon's first word on; and it is
    on its way to nothing.
    """
    online = k.cluster.online if k.cluster is not None else ()
    told = {member: k.heard[member].hello for member in proofs.missing(k) if member in k.heard}
    return tuple(
        member
        for member, hello in told.items()
        if hello.phase in _ON_THE_WAY and not hello.members and hello.name in online
    )


def _left(k: Knowledge, drill: Drill) -> tuple[str, ...]:
    known = proofs.valid(k)
    return tuple(member for member in drill.targets if known.get(member, 0.0) < drill.since)


def _askers(k: Knowledge, now: float) -> Iterator[str]:
    """Yield who asks to be fenced, if this node is the first of the others that are online.

    Whoever has been fenced and has not heard so still asks; it is told, not fenced again.
    """
    online = k.cluster.online if k.cluster is not None else ()
    proven = proofs.valid(k)
    for member in _members(k):
        heard = k.heard.get(member.instance_id)
        if heard is None or not heard.hello.fence_me or now - heard.at > ASKED_WITHIN:
            continue
        if proven.get(member.instance_id, 0.0) > heard.hello.real.get(member.instance_id, 0.0):
            continue
        others = [m for m in _members(k) if m != member and m.name in online]
        if others and others[0].instance_id == k.own_id:
            yield member.instance_id


def _boot_of(k: Knowledge, member: Member) -> str:
    heard = k.heard.get(member.instance_id)
    facts = heard.hello.facts if heard is not None else None
    return facts.boot_id if facts is not None else ""


def _members(k: Knowledge) -> tuple[Member, ...]:
    """Return the members that still exist."""
    decree = course.decree_of(k)
    members = decree.members if decree is not None else ()
    return tuple(member for member in members if member.instance_id not in k.candidates.gone)


def _spec(k: Knowledge) -> Spec:
    return course.spec_of(k)
