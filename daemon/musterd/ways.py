"""Observations of the ways between nodes -> checks: ports, security groups, clocks."""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network

from musterd.model import Contact, GroupRule, Instance
from musterd.observations import TCP_PORTS, UDP_PORT, Check, Observations, Outcome, Ways

CLOCK_WARNING = 2.0  # seconds; logs of two nodes can no longer be read side by side
CLOCK_ERROR = 240.0  # seconds; AWS refuses requests signed 300 s away from its own time


def ports(seen: Observations) -> Iterator[Check]:
    """Tell of each port in both directions, as whoever could try it saw it."""
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


def security_groups(seen: Observations) -> Iterator[Check]:
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


def clock(seen: Observations) -> Iterator[Check]:
    """Tell how far each peer's clock is from this node's."""
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
