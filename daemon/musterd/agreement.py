"""Whether the founders agree: the view this node votes for, or what keeps it from having one."""

from collections.abc import Iterable
from dataclasses import replace
from ipaddress import IPv4Network

from musterd import assembly, discovery, floating, resources, storage
from musterd.course import peers
from musterd.election.types import View
from musterd.knowledge import STRANGER_FOR, Knowledge, Trouble
from musterd.model import Member, Node, Phase, Plan, Read
from musterd.peer_wire import Hello
from musterd.settings import differing
from musterd.spec import ALLOCATE, DiscoverySource, Spec


def view(k: Knowledge, now: float) -> View | None:
    """Return the roster this node would vote for, None while it cannot be sure of it.

    Sure means: this node itself may take part, EC2 was read twice alike, and every founder lately
    said hello with the same roster and the same spec.
    """
    if k.settings is None or not k.trusted or assembly.admission(k.facts) != Plan():
        return None
    if k.joining is not None or formed_elsewhere(k) is not None or k.refusal is not None:
        return None
    if disagreement(k, now) is not None:
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


def formed_elsewhere(k: Knowledge) -> Hello | None:
    """Return the hello of a node that once said a cluster of this name is formed."""
    said = (k.heard[peer].hello for peer in sorted(k.heard))
    return next((hello for hello in said if hello.phase is Phase.FORMED and hello.uuid), None)


def confirm(k: Knowledge, now: float) -> None:
    """Remember the roster once two reads agree on it; a read of another roster starts anew."""
    roster = k.candidates.roster
    if k.confirmed != roster:
        sure = discovery.confirmed(k.reads, peer_reads(k), roster, now)
        k.confirmed = roster if sure else ()


def decided_elsewhere(k: Knowledge) -> Hello | None:
    """Return the hello of a founder that knows a decision this node has not been told of.

    For a moment that is how news travels; for good when the decision is for founders of whom one
    was terminated, and this node has taken its place too late.
    """
    said = (k.heard[peer].hello for peer in k.candidates.roster if peer in k.heard)
    return next((hello for hello in said if hello.uuid), None)


def peer_reads(k: Knowledge) -> dict[str, Read]:
    """Return the founders' own reads of EC2, on this node's clock."""
    return {peer: Read(heard.hello.roster, heard.read_at) for peer, heard in k.heard.items()}


def refusal(spec: Spec, node: Node) -> Trouble | None:
    """Return why the spec cannot be carried out on the node's network, None when it can."""
    blocks = tuple(IPv4Network(block) for block in node.vpc_cidrs.split())
    found = resources.refusals(spec, IPv4Network(node.subnet_cidr), blocks) + storage.refusals(spec)
    if not found:
        return None
    cure = f"{found[0].cure}; correct /etc/muster/muster.toml, then type `muster join`"
    return Trouble("; ".join(finding.what for finding in found), cure=cure, fatal=True)


def disagreement(k: Knowledge, now: float) -> Trouble | None:
    """Return the first thing that keeps the founders from an election, in words."""
    found = k.candidates
    if not found.roster:
        too_few = _unlisted(k, now) or Trouble(
            found.trouble or "EC2 has not answered yet", cure=found.cure
        )
        return _and_silent(k, now, too_few)
    hindered = obstacle(k)
    if hindered is not None:
        return hindered
    others = [peer for peer in found.roster if peer != k.own_id]
    # Who is silent is so for every founder: named first, all name the same one.
    if (silent := _silence(k, others, now)) is not None:
        return silent
    for peer in others:
        if (at_odds := _odds(k, k.heard[peer].hello)) is not None:
            return at_odds
    if k.confirmed != found.roster:
        return Trouble(
            "waiting for a second read of EC2 that agrees with the first",
            cure="nothing to do; it follows within seconds",
        )
    return None


def obstacle(k: Knowledge) -> Trouble | None:
    """Return why the wanted addresses and disks cannot be as EC2 stands now, None when they can.

    Another read of EC2 may show it cured.
    """
    if k.settings is None or k.settings.spec.discovery.source is not DiscoverySource.EC2_TAGS:
        return None
    spec, roster = k.settings.spec, k.candidates.roster
    founders = [one for one in k.candidates.instances if one.instance_id in roster]
    found = floating.hindrances(spec, founders, k.holders, k.elastics)
    if found:
        what = "; ".join(finding.what for finding in found)
        return Trouble(what, cure=found[0].cure)
    for address in spec.address:
        trouble = k.troubles.get(f"allocation:{address.elastic_ip}") or k.troubles.get("holders")
        if trouble is not None:
            return trouble
        given = str(address.elastic_ip or ALLOCATE)  # what is to be allocated comes later
        unknown = given not in {ALLOCATE, *k.allocations}
        if str(address.private_ip) not in k.holders or unknown:
            return Trouble(f"waiting for EC2 to tell who has {address.private_ip}")
    return _disks_hinder(k)


def _disks_hinder(k: Knowledge) -> Trouble | None:
    if k.settings is None or not k.settings.spec.shared_disk:
        return None
    if k.disk_faults:
        what = "; ".join(finding.what for finding in k.disk_faults)
        return Trouble(what, cure=k.disk_faults[0].cure)
    if not k.volumes_read:
        return k.troubles.get("disks") or Trouble("waiting for EC2 to tell of the shared disks")
    return None


def _unlisted(k: Knowledge, now: float) -> Trouble | None:
    """Name who calls with the token while EC2's answers leave it out: this node is not alone."""
    listed = {item.instance_id for item in k.candidates.instances} | k.candidates.gone
    found = sorted(
        stranger
        for stranger, at in k.strangers.items()
        if stranger not in listed and now - at <= STRANGER_FOR
    )
    names, it = ", ".join(found), "it" if len(found) == 1 else "them"
    if not names or not k.candidates.trouble or k.settings is None:
        return None
    spec = k.settings.spec
    return Trouble(
        k.candidates.trouble,
        why=f"{names} called with this cluster's token, but EC2 does not list {it} for this node"
        " (yet)",
        cure=f"EC2 is read again every {discovery.READ_EVERY:.0f} s; if this lasts, check there the"
        f" tag {spec.discovery.tag}={spec.cluster.name}, and that the VPC is the same",
    )


def _and_silent(k: Knowledge, now: float, trouble: Trouble) -> Trouble:
    """Name the listed instances that are silent as well: other founders may wait for them alone.

    They have seen the whole roster before somebody lost its tag; this node never has.
    """
    listed = [item.instance_id for item in k.candidates.instances]
    silent = _silence(k, [peer for peer in listed if peer != k.own_id], now)
    if silent is None:
        return trouble
    return replace(trouble, why=f"{trouble.why}; {silent.what}" if trouble.why else silent.what)


def _silence(k: Knowledge, others: Iterable[str], now: float) -> Trouble | None:
    """Name everybody who is silent: another founder may know, and wait for, one of them alone."""
    silent = [peer for peer in others if k.recent(peer, now) is None]
    if not silent:
        return None
    names = ", ".join(_named(k, peer) for peer in silent)
    told = (k.troubles.get(f"greet:{peer}") for peer in silent)
    why = next((trouble for trouble in told if trouble is not None), None)
    return Trouble(
        f"waiting for {names} to answer on TCP 7224",
        why=why.sentence if why else "",
        cure=(why.cure if why else "")
        or "check that it runs and that its security group lets TCP 7224 in from its peers",
    )


def _named(k: Knowledge, peer: str) -> str:
    heard, address = k.heard.get(peer), peers(k).get(peer, "no address yet")
    return f"{heard.hello.name} ({peer}, {address})" if heard else f"{peer} ({address})"


def _odds(k: Knowledge, hello: Hello) -> Trouble | None:
    """Return what a founder that answers is at odds with this node about."""
    if k.settings is not None and hello.spec_digest and hello.spec_digest != k.settings.digest:
        keys = ", ".join(differing(k.settings.keys, hello.spec_keys))
        return Trouble(
            f"the spec of {hello.name} differs from this node's in {keys}",
            cure="make /etc/muster/muster.toml (and the tags) the same on every node, then type"
            " `muster join` where it changed",
        )
    if hello.phase is Phase.FAILED:
        return Trouble(f"{hello.name} cannot take part: {hello.reason}", cure="cure it there")
    if not hello.roster:
        return Trouble(f"waiting for {hello.name} to read EC2", why=hello.reason)
    if hello.facts is None or not hello.facts.prepared:
        return Trouble(f"waiting for {hello.name} to be prepared")
    if hello.roster != k.candidates.roster:
        return Trouble(
            f"{hello.name} sees another roster in EC2",
            why=_difference(hello.roster, k.candidates.roster),
            cure="nothing to do; both read EC2 again within seconds",
        )
    return None


def _difference(theirs: tuple[str, ...], ours: tuple[str, ...]) -> str:
    """Name the instances that only one of two nodes counts among the founders."""
    more = ", ".join(peer for peer in theirs if peer not in ours)
    less = ", ".join(peer for peer in ours if peer not in theirs)
    told = (f"with {more}" if more else "", f"without {less}" if less else "")
    return " and ".join(part for part in told if part)
