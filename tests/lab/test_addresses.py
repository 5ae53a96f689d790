"""Addresses that tell the truth: overlay addresses across zones, refusals, and falsified views.

One lab, two clusters: two nodes in two zones with an overlay address, and two in one subnet with a
secondary and an elastic one.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from muster_lab.client import Lab
from muster_lab.views import Node
from observe import Document, own_lab, spec_as_user_data, status, until, wait_for
from outages import watched

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(900)]

OVERLAY, SECONDARY = "192.168.10.10", "10.0.0.100"
SPEC = "/etc/muster/muster.toml"
SOON = 120.0


@dataclass
class Addresses:
    """The lab, the nodes of the two clusters, and what EC2 calls the parts of the network."""

    lab: Lab
    zones: tuple[Node, ...]
    pair: tuple[Node, ...]
    table: str
    elastic_ip: str
    views: dict[str, str] = field(default_factory=dict)


@pytest.fixture(scope="module")
def world() -> Iterator[Addresses]:
    """Four nodes without a spec that says more than a name and a size."""
    with own_lab("addresses") as lab:
        subnets = json.loads(lab.aws("ec2", "describe-subnets").stdout)["Subnets"]
        [table] = json.loads(lab.aws("ec2", "describe-route-tables").stdout)["RouteTables"]
        elastic = json.loads(lab.aws("ec2", "allocate-address", "--domain", "vpc").stdout)
        zones, pair = [], []
        for subnet in subnets:
            zones += lab.launch(1, tags={"muster:cluster": "zones"}, subnet_id=subnet["SubnetId"])
        for _ in range(2):
            pair += lab.launch(1, tags={"muster:cluster": "pair"})
        lab.wait_boot()
        yield Addresses(lab, tuple(zones), tuple(pair), table["RouteTableId"], elastic["PublicIp"])


def give(world: Addresses, nodes: tuple[Node, ...], name: str, rest: str) -> None:
    """Put a spec on the nodes as an administrator would, and have it read."""
    install = ["install", "-D", "-o", "root", "-g", "musterd", "-m", "0640", "/dev/stdin", SPEC]
    for node in nodes:
        spec = f'[cluster]\nname = "{name}"\nsize = 2\n{rest}'
        world.lab.run(node.instance_id, *install, stdin=spec)
        world.lab.run(node.instance_id, "muster", "join")


def overlay(world: Addresses, ip: str = OVERLAY) -> str:
    return f'[[address]]\nprivate_ip = "{ip}"\nkind = "overlay"\nroute_tables = ["{world.table}"]\n'


def complains(world: Addresses, node: Node, *words: str) -> Document:
    """Wait until reason and cure together hold all the words."""

    def wanted(now: Document) -> bool:
        told = f"{now['reason']} {now['next']}"
        return all(word in told for word in words)

    return until(world.lab, node.instance_id, wanted, SOON)


# --- refusals, before anything is founded -----------------------------------------------------


def test_a_secondary_address_across_subnets_is_refused(world: Addresses) -> None:
    give(world, world.zones, "zones", f'[[address]]\nprivate_ip = "{SECONDARY}"\n')
    complains(world, world.zones[0], "can only be in one subnet", 'kind = "overlay"')
    done = world.lab.run(world.zones[0].instance_id, "muster", "doctor", "--json", check=False)
    placed = [c for c in json.loads(done.stdout)["checks"] if c["check"] == "placement"]
    assert [check["outcome"] for check in placed] == ["error"]


def test_an_overlay_address_inside_the_vpc_is_refused(world: Addresses) -> None:
    give(world, world.zones, "zones", overlay(world, "10.0.7.7"))
    complains(world, world.zones[0], "inside the VPC's 10.0.0.0/16", "outside every block")


def test_the_source_destination_check_and_then_the_missing_route_are_named(
    world: Addresses,
) -> None:
    lab, ids = world.lab, [node.instance_id for node in world.zones]
    give(world, world.zones, "zones", overlay(world))
    complains(world, world.zones[0], "source/destination check is on", "--no-source-dest-check")
    for node in ids:
        lab.aws("ec2", "modify-instance-attribute", "--instance-id", node,
                "--no-source-dest-check")  # fmt: skip
    complains(world, world.zones[0], "has no route of its own everywhere", "create-route")
    lab.aws("ec2", "create-route", "--route-table-id", world.table,
            "--destination-cidr-block", f"{OVERLAY}/32", "--instance-id", ids[0])  # fmt: skip


def test_an_elastic_address_that_is_not_ours_is_refused(world: Addresses) -> None:
    rest = f'[[address]]\nprivate_ip = "{SECONDARY}"\nelastic_ip = "203.0.113.200"\n'
    give(world, world.pair, "pair", rest)
    complains(world, world.pair[0], "no elastic address 203.0.113.200", "allocate")


def test_an_address_that_somebody_uses_is_refused(world: Addresses) -> None:
    own = world.zones[0].address
    give(world, world.pair, "pair", f'[[address]]\nprivate_ip = "{own}"\n')
    complains(
        world, world.pair[0], f"{own} is already in use by {world.zones[0].instance_id}", "free"
    )


# --- an overlay address across zones ----------------------------------------------------------


def test_cured_the_overlay_address_works_across_zones(world: Addresses) -> None:
    lab = world.lab
    wait_for(lab, "healthy", [node.instance_id for node in world.zones])
    assert len({node.zone for node in world.zones}) == 2
    now = until(lab, world.zones[0].instance_id, lambda now: now["addresses"][0]["agrees"], SOON)
    assert set(now["addresses"][0]["views"]) == {"pacemaker", "kernel", "ec2"}
    lab.outside("ping", "-c", "1", "-W", "2", OVERLAY)


def test_it_follows_its_group_to_the_other_zone(world: Addresses) -> None:
    lab, ids = world.lab, [node.instance_id for node in world.zones]
    [address] = status(lab, ids[0])["addresses"]
    [away] = [node for node in world.zones if node.hostname != address["node"]]

    def there(now: Document) -> bool:
        [found] = now["addresses"]
        return bool(found["node"] == away.hostname and found["agrees"])

    with watched(lab, OVERLAY) as outages:
        lab.run(ids[0], "pcs", "resource", "move", "networking-group", away.hostname)
        until(lab, ids[0], there, SOON)
        lab.outside("ping", "-c", "1", "-W", "2", OVERLAY)
    print(f"{OVERLAY} moved to the other zone: {outages.told()}")
    assert len(outages.seconds) <= 1


def test_it_comes_back_in_the_other_zone_when_its_node_dies(world: Addresses) -> None:
    lab = world.lab
    [address] = status(lab, world.zones[0].instance_id)["addresses"]
    [holder] = [node for node in world.zones if node.hostname == address["node"]]
    [other] = [node for node in world.zones if node is not holder]

    def there(now: Document) -> bool:
        [found] = now["addresses"]
        return bool(found["node"] == other.hostname and found["agrees"])

    lab.run(other.instance_id, "pcs", "resource", "clear", "networking-group")
    with watched(lab, OVERLAY) as outages:
        lab.kill(holder.instance_id)
        until(lab, other.instance_id, there, 180.0)
        lab.outside("ping", "-c", "1", "-W", "20", OVERLAY)
    print(f"{OVERLAY} of a node that died: {outages.told()}")
    wait_for(lab, "healthy", [node.instance_id for node in world.zones])


# --- every view, falsified once ---------------------------------------------------------------


@pytest.fixture(scope="module")
def still(world: Addresses) -> Addresses:
    """The pair, formed and in maintenance: Pacemaker repairs nothing that is falsified."""
    lab = world.lab
    rest = f'[[address]]\nprivate_ip = "{SECONDARY}"\nelastic_ip = "{world.elastic_ip}"\n'
    give(world, world.pair, "pair", rest)
    wait_for(lab, "healthy", [node.instance_id for node in world.pair])
    asker = world.pair[0].instance_id
    now = until(lab, asker, lambda now: now["addresses"][0]["agrees"], SOON)
    world.views = now["addresses"][0]["views"]
    lab.run(asker, "pcs", "property", "set", "maintenance-mode=true")
    return world


def holder_and_other(world: Addresses) -> tuple[Node, Node]:
    first, second = world.pair
    held = first.hostname == world.views["pacemaker"]
    return (first, second) if held else (second, first)


def flagged(world: Addresses, view: str, who: str) -> None:
    """Wait until status shows that this view alone says something else, and flags it."""
    asker = world.pair[0].instance_id

    def wanted(now: Document) -> bool:
        [address] = now["addresses"]
        told = any("do not say the same" in finding["what"] for finding in now["findings"])
        return bool(address["views"].get(view) == who and not address["agrees"] and told)

    for node in world.pair:
        world.lab.run(node.instance_id, "muster", "join")  # it looks by itself every minute
    until(world.lab, asker, wanted, SOON)


def in_order(world: Addresses) -> None:
    for node in world.pair:
        world.lab.run(node.instance_id, "muster", "join")
    now = until(
        world.lab, world.pair[0].instance_id, lambda now: now["addresses"][0]["agrees"], SOON
    )
    assert now["addresses"][0]["views"] == world.views


def interface_of(world: Addresses, node: Node) -> str:
    answer = world.lab.aws("ec2", "describe-instances", "--instance-ids", node.instance_id)
    [reservation] = json.loads(answer.stdout)["Reservations"]
    found: str = reservation["Instances"][0]["NetworkInterfaces"][0]["NetworkInterfaceId"]
    return found


def assign(world: Addresses, node: Node) -> None:
    """Give the address to a node's interface, as awsvip does; the elastic one follows."""
    world.lab.aws("ec2", "assign-private-ip-addresses", "--allow-reassignment",
                  "--network-interface-id", interface_of(world, node),
                  "--private-ip-addresses", SECONDARY)  # fmt: skip


def test_all_four_views_agree_at_first(still: Addresses) -> None:
    assert set(still.views) == {"pacemaker", "kernel", "ec2", "elastic"}
    assert len(set(still.views.values())) == 1


def test_a_kernel_that_lost_the_address_is_flagged(still: Addresses) -> None:
    holder, _ = holder_and_other(still)
    still.lab.run(holder.instance_id, "ip", "address", "del", f"{SECONDARY}/24", "dev", "eth0")
    flagged(still, "kernel", "")
    still.lab.run(holder.instance_id, "ip", "address", "add", f"{SECONDARY}/24", "dev", "eth0")
    in_order(still)


def test_an_elastic_address_that_leads_nowhere_is_flagged(still: Addresses) -> None:
    holder, _ = holder_and_other(still)
    [address] = json.loads(still.lab.aws("ec2", "describe-addresses").stdout)["Addresses"]
    still.lab.aws("ec2", "disassociate-address", "--association-id", address["AssociationId"])
    flagged(still, "elastic", "")
    still.lab.aws("ec2", "associate-address", "--allocation-id", address["AllocationId"],
                  "--network-interface-id", interface_of(still, holder),
                  "--private-ip-address", SECONDARY)  # fmt: skip
    in_order(still)


def test_an_interface_that_took_the_address_is_flagged(still: Addresses) -> None:
    holder, other = holder_and_other(still)
    assign(still, other)
    flagged(still, "ec2", other.hostname)
    assign(still, holder)
    in_order(still)


def test_a_pacemaker_that_believes_the_old_place_is_flagged(still: Addresses) -> None:
    holder, other = holder_and_other(still)
    assign(still, other)
    still.lab.run(holder.instance_id, "ip", "address", "del", f"{SECONDARY}/24", "dev", "eth0")
    still.lab.run(other.instance_id, "ip", "address", "add", f"{SECONDARY}/24", "dev", "eth0")
    flagged(still, "kernel", other.hostname)
    now = status(still.lab, still.pair[0].instance_id)["addresses"][0]
    assert now["views"]["ec2"] == now["views"]["elastic"] == other.hostname
    assert now["views"]["pacemaker"] == holder.hostname


# --- and with the truth restored, a failover --------------------------------------------------


def test_secondary_and_elastic_address_follow_when_their_node_dies(still: Addresses) -> None:
    lab = still.lab
    holder, other = holder_and_other(still)
    lab.run(other.instance_id, "ip", "address", "del", f"{SECONDARY}/24", "dev", "eth0")
    assign(still, holder)
    lab.run(holder.instance_id, "ip", "address", "add", f"{SECONDARY}/24", "dev", "eth0")
    in_order(still)
    lab.run(other.instance_id, "pcs", "property", "set", "maintenance-mode=false")
    wait_for(lab, "healthy", [node.instance_id for node in still.pair])

    def there(now: Document) -> bool:
        [found] = now["addresses"]
        return bool(found["node"] == other.hostname and found["agrees"])

    with watched(lab, SECONDARY) as outages:
        lab.kill(holder.instance_id)
        until(lab, other.instance_id, there, 180.0)
        lab.outside("ping", "-c", "1", "-W", "20", SECONDARY)
    print(f"{SECONDARY} of a node that died: {outages.told()}")
    lab.outside("ping", "-c", "1", "-W", "5", still.elastic_ip, place="internet")


# --- where the nodes are ----------------------------------------------------------------------


def test_a_zone_that_holds_most_of_the_nodes_is_a_warning() -> None:
    """Three founders that do not agree, so that all is as before a founding."""
    with own_lab("spread") as lab:
        subnets = json.loads(lab.aws("ec2", "describe-subnets").stdout)["Subnets"]
        nodes = []
        for token, subnet in ((10_000, 0), (11_000, 0), (10_000, 1)):
            spec = f'[cluster]\nname = "web"\nsize = 3\n[corosync]\ntoken_ms = {token}\n'
            nodes += lab.launch(
                1,
                tags={"muster:cluster": "web"},
                user_data=spec_as_user_data(spec),
                subnet_id=subnets[subnet]["SubnetId"],
            )
        here = nodes[0].instance_id
        until(lab, here, lambda now: "differs" in now["reason"], SOON)
        told = json.loads(lab.run(here, "muster", "doctor", "--json", check=False).stdout)
        placed = [c for c in told["checks"] if c["check"] == "placement"]
        assert [(c["outcome"], "holds 2 of 3 nodes" in c["what"]) for c in placed] == [
            ("warning", True)
        ]
