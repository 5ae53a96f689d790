"""Observations -> checks: everything the cluster needs of a node and what is around it.

Every failure at once, each with its cause and its cure. `examination` makes the observations;
nothing is decided there and nothing is asked here. What could not be looked at is `unproven`, with
the reason: silence never counts as well.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

from musterd.model import Contact, CorosyncConfig, GroupRule, Instance, NodeFacts
from musterd.spec import Address, AddressKind, SecretSource, Spec

TCP_PORTS = {2224: "pcsd", 7224: "musterd"}
UDP_PORT = 5405  # knet
CLOCK_WARNING = 2.0  # seconds; logs of two nodes can no longer be read side by side
CLOCK_ERROR = 240.0  # seconds; AWS refuses requests signed 300 s away from its own time
_WIDEST_HOP_LIMIT = 2  # one for the host, one more for its containers


class Outcome(StrEnum):
    """What a check came to."""

    OK = "ok"
    WARNING = "warning"
    ERROR = "error"
    UNPROVEN = "unproven"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `name` is the group it belongs to."""

    name: str
    outcome: Outcome
    what: str
    cure: str = ""


@dataclass(frozen=True)
class Answer:
    """What became of asking for something: "" for yes, else why not, and the cure."""

    why: str = ""
    cure: str = ""


@dataclass(frozen=True)
class Ways:
    """The ways between this node and one peer.

    Attributes:
        instance_id: the peer's.
        name: the peer's.
        address: the peer's.
        trouble: why the peer could not be asked to try the ways back, "" when it was.
        there: TCP port -> what became of this node's attempt.
        back: the same of the peer's; empty with `trouble`.
        udp_there: whether the peer heard this node; None when its port was taken.
        udp_back: whether this node heard the peer; None when the own port was taken.
        offset: seconds by which the peer's clock is ahead, None when unknown.
        online: whether Pacemaker counts the peer as online.
    """

    instance_id: str
    name: str
    address: str
    trouble: str = ""
    there: Mapping[int, Contact] = field(default_factory=dict)
    back: Mapping[int, Contact] = field(default_factory=dict)
    udp_there: bool | None = None
    udp_back: bool | None = None
    offset: float | None = None
    online: bool = False


@dataclass(frozen=True)
class Observations:
    """Everything that was seen; None where it could not be looked at.

    Attributes:
        own_id: this node's instance id.
        own_name: its name.
        spec: the wanted cluster, None while it cannot be read.
        troubles: what musterd itself complains of: sentence and cure.
        facts: the node's look at itself.
        peer_facts: name -> a peer's latest look at itself.
        instances: the founders, this node among them, as EC2 tells them.
        cloud: whether EC2 answered.
        rules: of the founders' security groups.
        groups: whether EC2 told them.
        secrets: whether the token's source answered.
        permissions: API action and its subject in words -> whether it is allowed.
        ways: to each other founder.
    """

    own_id: str
    own_name: str
    spec: Spec | None
    troubles: tuple[tuple[str, str], ...] = ()
    facts: NodeFacts | None = None
    peer_facts: Mapping[str, NodeFacts] = field(default_factory=dict)
    instances: tuple[Instance, ...] = ()
    cloud: Answer = Answer()
    rules: Mapping[str, tuple[GroupRule, ...]] = field(default_factory=dict)
    groups: Answer = Answer()
    secrets: Answer = Answer()
    permissions: Mapping[str, Answer] = field(default_factory=dict)
    ways: tuple[Ways, ...] = ()


def checks(seen: Observations) -> tuple[Check, ...]:
    """Return every check, the worst first; within one outcome in the order of `_CHECKS`."""
    found = [check for look in _CHECKS for check in look(seen)]
    order = list(_WORST_FIRST)
    return tuple(sorted(found, key=lambda check: order.index(check.outcome)))


_WORST_FIRST = (Outcome.ERROR, Outcome.WARNING, Outcome.UNPROVEN, Outcome.OK)


# --- the node ---------------------------------------------------------------------------------


def _daemon(seen: Observations) -> Iterator[Check]:
    for what, cure in seen.troubles:
        yield Check("musterd", Outcome.ERROR, what, cure)
    if seen.spec is not None and not seen.troubles:
        yield Check("musterd", Outcome.OK, f"the spec of {seen.spec.cluster.name} can be used")


def _software(seen: Observations) -> Iterator[Check]:
    if seen.facts is None:
        yield Check(
            "software",
            Outcome.UNPROVEN,
            "muster-helper has not looked at this node",
            "type `journalctl -u 'muster-helper@*' -n 50`",
        )
        return
    for sentence in seen.facts.missing:
        what, _, cure = sentence.partition(": ")
        yield Check("software", Outcome.ERROR, what, cure or "install it")
    for sentence in seen.facts.unprepared:
        yield Check(
            "preparation",
            Outcome.WARNING,
            sentence,
            "nothing to do: musterd prepares the node by itself; `muster status` says what"
            " hinders it",
        )
    if not seen.facts.missing:
        yield Check("software", Outcome.OK, "every program and agent that the spec needs is here")
    if not seen.facts.unprepared:
        yield Check(
            "preparation",
            Outcome.OK,
            "pcsd runs, root's AWS profile names a region, nm-cloud-setup is off",
        )


def _corosync(seen: Observations) -> Iterator[Check]:
    if seen.facts is None:
        return
    kind, detail = seen.facts.corosync, seen.facts.corosync_detail
    if kind is CorosyncConfig.STUB:
        yield Check(
            "corosync",
            Outcome.WARNING,
            "the distribution's one-node cluster is on this node",
            "nothing to do: musterd clears it before founding; bake images with `muster seal`",
        )
    elif kind in {CorosyncConfig.FOREIGN, CorosyncConfig.BROKEN}:
        yield Check(
            "corosync",
            Outcome.ERROR,
            f"corosync.conf on this node is not this cluster's: {detail}",
            "if that cluster is not wanted, type `pcs cluster destroy` on this node, then"
            " `muster join`",
        )
    else:
        yield Check("corosync", Outcome.OK, "no other cluster is on this node")


def _versions(seen: Observations) -> Iterator[Check]:
    """Members must agree in what pcs compares before it sets a cluster up."""
    if seen.facts is None or not seen.peer_facts:
        return
    everybody = {seen.own_name: seen.facts, **seen.peer_facts}
    differ = False
    for program in sorted(seen.facts.versions):
        told = {name: facts.versions.get(program, "") for name, facts in everybody.items()}
        if len(set(told.values())) > 1:
            differ = True
            words = ", ".join(f"{name} has {version or 'none'}" for name, version in told.items())
            yield Check(
                "versions",
                Outcome.ERROR,
                f"{program} is not the same everywhere: {words}",
                f"install the same version of {program} on every node, best by one image",
            )
    if not differ:
        yield Check("versions", Outcome.OK, f"{len(everybody)} nodes have the same versions")


# --- the ways between nodes -------------------------------------------------------------------


def _ports(seen: Observations) -> Iterator[Check]:
    for way in seen.ways:
        for port, service in TCP_PORTS.items():
            yield from _tcp(seen.own_name, way.name, port, service, way.there.get(port))
            if not way.trouble:
                yield from _tcp(way.name, seen.own_name, port, service, way.back.get(port))
        if way.trouble:
            yield Check(
                "ports",
                Outcome.UNPROVEN,
                f"the ways from {way.name} to {seen.own_name} could not be tried: {way.trouble}",
                f"type `muster status` on {way.name}",
            )
        yield from _udp(seen.own_name, way.name, way.udp_there, way)
        yield from _udp(way.name, seen.own_name, way.udp_back, way)


def _tcp(
    source: str, target: str, port: int, service: str, contact: Contact | None
) -> Iterator[Check]:
    if contact is Contact.OPEN:
        yield Check("ports", Outcome.OK, f"{source} reaches TCP {port} of {target}")
    elif contact is Contact.REFUSED:
        yield Check(
            "ports",
            Outcome.ERROR,
            f"{service} does not listen on TCP {port} of {target}",
            f"type `systemctl enable --now {service}` on {target}",
        )
    elif contact is Contact.SILENT:
        yield Check(
            "ports",
            Outcome.ERROR,
            f"TCP {port} from {source} to {target} is not let through",
            _let_in("tcp", port, target),
        )


def _udp(source: str, target: str, heard: bool | None, way: Ways) -> Iterator[Check]:
    if heard or (heard is None and way.online):
        yield Check("ports", Outcome.OK, f"{source} reaches UDP {UDP_PORT} of {target}")
    elif heard is None or way.trouble:
        yield Check(
            "ports",
            Outcome.UNPROVEN,
            f"UDP {UDP_PORT} from {source} to {target} could not be tried",
            f"Corosync holds the port, and {way.name} is not online: `corosync-cfgtool -s`"
            if not way.trouble
            else f"make TCP 7224 of {way.name} answer first",
        )
    else:
        yield Check(
            "ports",
            Outcome.ERROR,
            f"UDP {UDP_PORT} from {source} to {target} is not let through: Corosync's traffic",
            _let_in("udp", UDP_PORT, target),
        )


def _let_in(protocol: str, port: int, target: str) -> str:
    return (
        f"let the cluster's security group in on {target}: `aws ec2"
        f" authorize-security-group-ingress --group-id SG --protocol {protocol} --port {port}"
        " --source-group SG`; then look at network ACLs and at the node's own firewall"
    )


def _security_groups(seen: Observations) -> Iterator[Check]:
    """Read what the rules say of each pair; the attempts above say what the network does."""
    if seen.groups.why:
        yield Check("security-groups", Outcome.UNPROVEN, seen.groups.why, seen.groups.cure)
        return
    if not seen.rules:
        return
    wanted = [("tcp", port) for port in TCP_PORTS] + [("udp", UDP_PORT)]
    closed: dict[str, list[str]] = {}
    for source in seen.instances:
        for target in seen.instances:
            if source == target:
                continue
            for protocol, port in wanted:
                for side in _shut(seen.rules, source, target, protocol, port):
                    pair = f"{source.instance_id} to {target.instance_id}"
                    closed.setdefault(f"{side} {protocol.upper()} {port}", []).append(pair)
    for what, pairs in closed.items():
        yield Check(
            "security-groups",
            Outcome.ERROR,
            f"{what} from {', '.join(pairs)}",
            "put every node into one security group that lets its own members in on TCP 2224 and"
            " 7224 and UDP 5404 to 5412, and everything out",
        )
    if not closed:
        yield Check(
            "security-groups", Outcome.OK, "the rules let the cluster's ports in and out everywhere"
        )


def _shut(
    rules: Mapping[str, tuple[GroupRule, ...]],
    source: Instance,
    target: Instance,
    protocol: str,
    port: int,
) -> Iterator[str]:
    """Yield which of the two sides' groups do not let this through, in words."""
    for egress, own, other, words in (
        (True, source, target, "a security group does not let out"),
        (False, target, source, "no security group lets in"),
    ):
        mine = [rule for group in own.groups for rule in rules.get(group, ())]
        if not any(_lets(rule, other, protocol, port) for rule in mine if rule.egress is egress):
            yield words


def _lets(rule: GroupRule, other: Instance, protocol: str, port: int) -> bool:
    if rule.protocol not in {"-1", protocol}:
        return False
    if rule.protocol != "-1" and not rule.ports[0] <= port <= rule.ports[1]:
        return False
    if set(rule.groups) & set(other.groups):
        return True
    return any(
        IPv4Address(other.address) in IPv4Network(block, strict=False)
        for block in rule.ranges
        if block and other.address
    )


def _clock(seen: Observations) -> Iterator[Check]:
    for way in seen.ways:
        if way.offset is None:
            continue
        ahead = "ahead of" if way.offset > 0 else "behind"
        off = abs(way.offset)
        what = f"the clock of {way.name} is {off:.1f} s {ahead} this node's"
        cure = "have both follow 169.254.169.123: `chronyc sources`, `chronyc makestep`"
        if off > CLOCK_ERROR:
            yield Check("clock", Outcome.ERROR, f"{what}; AWS refuses what it signs", cure)
        elif off > CLOCK_WARNING:
            yield Check("clock", Outcome.WARNING, what, cure)
        else:
            yield Check("clock", Outcome.OK, f"the clock of {way.name} agrees within {off:.1f} s")


# --- EC2 --------------------------------------------------------------------------------------


def _services(seen: Observations) -> Iterator[Check]:
    for service, answer in (("EC2", seen.cloud), ("Secrets Manager", seen.secrets)):
        manager = seen.spec is not None and seen.spec.secret.source is SecretSource.SECRETS_MANAGER
        if service != "EC2" and not manager:
            continue
        if answer.why:
            yield Check("endpoints", Outcome.ERROR, answer.why, answer.cure)
        else:
            yield Check("endpoints", Outcome.OK, f"{service} answers")


def _permissions(seen: Observations) -> Iterator[Check]:
    for action, answer in seen.permissions.items():
        if answer.why:
            yield Check("permissions", Outcome.ERROR, f"{action}: {answer.why}", answer.cure)
        else:
            yield Check("permissions", Outcome.OK, f"{action} is allowed")
    moves = seen.spec is not None and any(
        address.kind is AddressKind.SECONDARY_IP for address in seen.spec.address
    )
    if moves:
        yield Check(
            "permissions",
            Outcome.UNPROVEN,
            "ec2:AssignPrivateIpAddresses and ec2:UnassignPrivateIpAddresses have no DryRun",
            "nothing to do if the role has muster's policy; the address group shows it",
        )


def _metadata(seen: Observations) -> Iterator[Check]:
    for one in seen.instances:
        option = f"aws ec2 modify-instance-metadata-options --instance-id {one.instance_id}"
        well = True
        if not one.tokens_required:
            well = False
            yield Check(
                "metadata",
                Outcome.WARNING,
                f"the metadata service of {one.instance_id} answers version 1 too: whoever can"
                " make a process there fetch an address gets the role's keys",
                f"`{option} --http-tokens required`",
            )
        if one.hop_limit > _WIDEST_HOP_LIMIT:
            well = False
            yield Check(
                "metadata",
                Outcome.WARNING,
                f"metadata answers of {one.instance_id} travel {one.hop_limit} hops, beyond the"
                " instance",
                f"`{option} --http-put-response-hop-limit 1` (2 with containers)",
            )
        if well:
            yield Check("metadata", Outcome.OK, f"{one.instance_id} demands IMDSv2")


def _profile(seen: Observations) -> Iterator[Check]:
    for one in seen.instances:
        if one.profile:
            yield Check("profile", Outcome.OK, f"{one.instance_id} has an instance profile")
        else:
            yield Check(
                "profile",
                Outcome.ERROR,
                f"{one.instance_id} has no instance profile: its agents cannot fence or move"
                " addresses",
                f"`aws ec2 associate-iam-instance-profile --instance-id {one.instance_id}"
                " --iam-instance-profile Name=NAME`",
            )


def _placement(seen: Observations) -> Iterator[Check]:
    if not seen.instances or seen.spec is None:
        return
    subnets = {one.subnet_id for one in seen.instances}
    zones = Counter(one.zone for one in seen.instances)
    awsvip = [a for a in seen.spec.address if a.kind is AddressKind.SECONDARY_IP]
    if len(subnets) > 1 and awsvip:
        yield Check(
            "placement",
            Outcome.ERROR,
            f"the nodes are in {len(subnets)} subnets, and {_listed(awsvip)} can only be in one",
            'use kind = "overlay" with route_tables, or launch all nodes in one subnet',
        )
        return
    zone, most = zones.most_common(1)[0]
    if len(zones) > 1 and most * 2 > len(seen.instances):
        yield Check(
            "placement",
            Outcome.WARNING,
            f"zone {zone} holds {most} of {len(seen.instances)} nodes: with it quorum goes",
            "spread the nodes so that no zone has more than half of them",
        )
        return
    where = ", ".join(f"{count} in {zone or 'an unknown zone'}" for zone, count in zones.items())
    yield Check("placement", Outcome.OK, f"{len(subnets)} subnets; nodes: {where}")


def _source_dest(seen: Observations) -> Iterator[Check]:
    overlay = [
        address
        for address in (seen.spec.address if seen.spec is not None else ())
        if address.kind is AddressKind.OVERLAY
    ]
    if not overlay:
        return
    for one in seen.instances:
        if one.source_dest_check:
            yield Check(
                "source-dest-check",
                Outcome.ERROR,
                f"EC2 drops what reaches {one.instance_id} for {_listed(overlay)}: its"
                " source/destination check is on",
                f"`aws ec2 modify-instance-attribute --instance-id {one.instance_id}"
                " --no-source-dest-check`",
            )
        else:
            yield Check(
                "source-dest-check", Outcome.OK, f"{one.instance_id} takes overlay addresses"
            )


def _listed(addresses: list[Address]) -> str:
    return ", ".join(str(address.private_ip) for address in addresses)


_CHECKS: tuple[Callable[[Observations], Iterator[Check]], ...] = (
    _daemon,
    _software,
    _corosync,
    _versions,
    _services,
    _profile,
    _permissions,
    _metadata,
    _ports,
    _security_groups,
    _clock,
    _placement,
    _source_dest,
)
