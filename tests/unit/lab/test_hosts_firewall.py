"""The VPC's rules as text: what a port may send, what a partition takes away."""

from ipaddress import IPv4Address

import pytest

from muster_lab.firewall import Cut, Direction, Partition, VpcState, edge_rules, vpc_rules

ONE, TWO = "i-1", "i-2"
ADDRESSES = {
    ONE: frozenset({IPv4Address("10.0.0.11"), IPv4Address("10.0.0.100")}),
    TWO: frozenset({IPv4Address("10.0.0.12")}),
}


def _dropped(*partitions: Partition) -> list[str]:
    """The rules that drop, but for multicast, which EC2 never carries."""
    lines = vpc_rules(VpcState(ADDRESSES, partitions)).splitlines()
    return [line.strip() for line in lines if line.endswith(" drop") and "01:00:00" not in line]


def test_a_port_passes_the_addresses_that_ec2_has_on_it() -> None:
    rules = vpc_rules(VpcState(ADDRESSES))
    owned = 'elements = { "i-1" . 10.0.0.100, "i-1" . 10.0.0.11, "i-2" . 10.0.0.12 }'
    assert owned in rules
    assert "policy drop" in rules


def test_a_vpc_without_instances_has_an_empty_set() -> None:
    assert "elements" not in vpc_rules(VpcState())


def test_without_partitions_nothing_more_is_dropped() -> None:
    assert _dropped() == []


def test_cut_from_its_peers_a_node_still_reaches_the_router() -> None:
    assert _dropped(Partition(frozenset({ONE}), Cut.PEERS)) == [
        'iifname { "i-1" } oifname { "i-2" } drop',
        'iifname { "i-2" } oifname { "i-1" } drop',
    ]


@pytest.mark.parametrize(
    ("direction", "rule"),
    [(Direction.OUT, 'iifname { "i-1" } drop'), (Direction.IN, 'oifname { "i-1" } drop')],
)
def test_a_one_way_cut_drops_one_way(direction: Direction, rule: str) -> None:
    assert _dropped(Partition(frozenset({ONE}), Cut.ALL, direction)) == [rule]


def test_a_cut_of_the_api_is_about_its_port_alone() -> None:
    assert _dropped(Partition(frozenset({ONE}), Cut.API)) == [
        'iifname { "i-1" } ip daddr 10.0.0.2 tcp dport 443 drop',
        'oifname { "i-1" } ip saddr 10.0.0.2 tcp sport 443 drop',
    ]


def test_a_cut_of_all_nodes_from_their_peers_has_nobody_to_cut_from() -> None:
    assert _dropped(Partition(frozenset({ONE, TWO}), Cut.PEERS)) == []


def test_a_partition_of_a_terminated_node_is_over() -> None:
    assert _dropped(Partition(frozenset({"i-gone"}), Cut.ALL)) == []


def test_cuts_come_before_whatever_accepts() -> None:
    lines = vpc_rules(VpcState(ADDRESSES, (Partition(frozenset({ONE}), Cut.ALL),))).splitlines()
    cut = next(n for n, line in enumerate(lines) if line.endswith('iifname { "i-1" } drop'))
    assert cut < next(n for n, line in enumerate(lines) if line.endswith("accept"))


def test_an_elastic_address_is_translated_both_ways_and_nothing_else_leaves() -> None:
    rules = edge_rules({IPv4Address("203.0.113.10"): IPv4Address("10.0.0.100")})
    assert "dnat to ip daddr map { 203.0.113.10 : 10.0.0.100 }" in rules
    assert "snat to ip saddr map { 10.0.0.100 : 203.0.113.10 }" in rules
    assert 'oifname "internet" ip saddr { 10.0.0.100 } accept' in rules


def test_without_elastic_addresses_the_vpc_is_closed() -> None:
    rules = edge_rules({})
    assert "dnat to" not in rules
    assert '"internet"' not in rules
