"""The VPC's rules as nftables text.

Pure: state in, rule sets out. The text replaces whole tables, so that nft applies it atomically.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address

API_ADDRESS = IPv4Address("10.0.0.2")
IMDS_ADDRESS = IPv4Address("169.254.169.254")

# The router's port: it carries whatever the VPC routes.
ROUTER_PORT = "aws"


class Cut(StrEnum):
    """What a partition takes away from a machine."""

    PEERS = "peers"
    API = "api"
    IMDS = "imds"
    ALL = "all"


class Direction(StrEnum):
    """Which way a partition cuts, seen from the machine."""

    BOTH = "both"
    IN = "in"
    OUT = "out"


@dataclass(frozen=True)
class Partition:
    """One cut: these ports lose `cut`, in `direction`."""

    ports: frozenset[str]
    cut: Cut
    direction: Direction = Direction.BOTH


@dataclass(frozen=True)
class VpcState:
    """What the bridge must know.

    Attributes:
        addresses: of each port but the router's, what EC2 has on that interface.
        partitions: in force.
    """

    addresses: Mapping[str, frozenset[IPv4Address]] = field(default_factory=dict)
    partitions: tuple[Partition, ...] = ()


def vpc_rules(state: VpcState) -> str:
    """The bridge table: a port passes only the addresses EC2 has on it, and no multicast."""
    owned = sorted(
        f'"{port}" . {address}'
        for port, addresses in state.addresses.items()
        for address in addresses
    )
    elements = f"elements = {{ {', '.join(owned)} }}" if owned else ""
    cuts = "\n".join(f"    {rule}" for rule in _cut_rules(state))
    return f"""\
table bridge vpc
delete table bridge vpc
table bridge vpc {{
  set owned {{
    typeof meta iifname . ip saddr
    {elements}
  }}
  chain forward {{
    type filter hook forward priority 0; policy drop;
{cuts}
    ether type arp iifname "{ROUTER_PORT}" accept
    ether type arp meta iifname . arp saddr ip @owned accept
    ether daddr & 01:00:00:00:00:00 != 00:00:00:00:00:00 drop
    ether type ip iifname "{ROUTER_PORT}" jump delivery
    ether type ip meta iifname . ip saddr @owned jump delivery
  }}
  chain delivery {{
    oifname "{ROUTER_PORT}" accept
    meta oifname . ip daddr @owned accept
  }}
}}
"""


def _cut_rules(state: VpcState) -> Iterable[str]:
    for partition in state.partitions:
        ports = partition.ports & set(state.addresses)
        if not ports:
            continue
        if partition.direction is not Direction.IN:
            yield from _out_rules(partition.cut, ports, set(state.addresses) - ports)
        if partition.direction is not Direction.OUT:
            yield from _in_rules(partition.cut, ports, set(state.addresses) - ports)


def _out_rules(cut: Cut, ports: Iterable[str], others: Iterable[str]) -> Iterable[str]:
    source = f"iifname {_names(ports)}"
    match cut:
        case Cut.ALL:
            yield f"{source} drop"
        case Cut.PEERS if others:
            yield f"{source} oifname {_names(others)} drop"
        case Cut.API:
            yield f"{source} ip daddr {API_ADDRESS} tcp dport 443 drop"
        case Cut.IMDS:
            yield f"{source} ip daddr {IMDS_ADDRESS} drop"


def _in_rules(cut: Cut, ports: Iterable[str], others: Iterable[str]) -> Iterable[str]:
    target = f"oifname {_names(ports)}"
    match cut:
        case Cut.ALL:
            yield f"{target} drop"
        case Cut.PEERS if others:
            yield f"iifname {_names(others)} {target} drop"
        case Cut.API:
            yield f"{target} ip saddr {API_ADDRESS} tcp sport 443 drop"
        case Cut.IMDS:
            yield f"{target} ip saddr {IMDS_ADDRESS} drop"


def _names(ports: Iterable[str]) -> str:
    return "{ " + ", ".join(f'"{port}"' for port in sorted(ports)) + " }"


def edge_rules(associations: Mapping[IPv4Address, IPv4Address]) -> str:
    """The router's table: elastic IPs are translated both ways, nothing else leaves the VPC.

    Args:
        associations: public address to private address.
    """
    inward = ", ".join(f"{public} : {private}" for public, private in sorted(associations.items()))
    outward = ", ".join(
        f"{private} : {public}"
        for private, public in sorted((private, public) for public, private in associations.items())
    )
    inward_rule = f"dnat to ip daddr map {{ {inward} }}" if inward else ""
    outward_rule = f'oifname "internet" snat to ip saddr map {{ {outward} }}' if outward else ""
    private = ", ".join(str(each) for each in sorted(set(associations.values())))
    leave = f'iifname "vpc" oifname "internet" ip saddr {{ {private} }} accept' if private else ""
    enter = 'iifname "internet" oifname "vpc" ct status dnat accept' if private else ""
    return f"""\
table ip edge
delete table ip edge
table ip edge {{
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    {inward_rule}
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    {outward_rule}
  }}
  chain forward {{
    type filter hook forward priority filter; policy drop;
    iifname "vpc" oifname "vpc" accept
    ct state established,related accept
    {enter}
    {leave}
  }}
}}
"""
