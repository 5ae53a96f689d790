"""Resources: an address is a group in the documented order; what cannot work is refused."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from muster_sim.samples import instances
from musterd import floating, resources
from musterd.errors import MusterError
from musterd.model import Instance, PcsCommand
from musterd.spec import Address, AddressKind, Cluster, Group, Resource, Spec

SUBNET = IPv4Network("10.0.0.0/20")
VPC = (IPv4Network("10.0.0.0/16"), IPv4Network("172.31.0.0/24"))
PRIVATE = IPv4Address("10.0.0.68")
ELASTIC = IPv4Address("35.169.153.122")
OLD: dict[str, frozenset[str]] = {
    "awsvip": frozenset({"secondary_private_ip", "profile"}),
    "awseip": frozenset({"elastic_ip", "profile"}),
}
NEW = {agent: names | {"auth_type", "region"} for agent, names in OLD.items()}


def spec(*address: Address, resource: tuple[Resource, ...] = ()) -> Spec:
    return Spec(Cluster("web", 3), address=address, resource=resource)


def overlay(
    ip: str = "192.168.10.10",
    *,
    tables: tuple[str, ...] = ("rtb-1", "rtb-2"),
    elastic_ip: IPv4Address | None = None,
) -> Address:
    return Address(
        IPv4Address(ip), kind=AddressKind.OVERLAY, route_tables=tables, elastic_ip=elastic_ip
    )


def plan(wanted: Spec, parameters: dict[str, frozenset[str]] = OLD) -> tuple[PcsCommand, ...]:
    return resources.plan(wanted, "eu-west-1", SUBNET, {ELASTIC: "eipalloc-1"}, parameters)


def test_the_interface_first_then_the_kernel_then_the_elastic_address() -> None:
    commands = plan(spec(Address(PRIVATE, elastic_ip=ELASTIC)))
    assert [command.argv[3] for command in commands] == [
        "ocf:heartbeat:awsvip",
        "ocf:heartbeat:IPaddr2",
        "ocf:heartbeat:awseip",
    ]
    assert {command.argv[-2:] for command in commands} == {("--group", "networking-group")}


def test_the_addresses_and_ids_go_where_the_agents_want_them() -> None:
    vip, kernel, elastic = plan(spec(Address(PRIVATE, elastic_ip=ELASTIC)))
    assert "secondary_private_ip=10.0.0.68" in vip.argv
    assert {"ip=10.0.0.68", "cidr_netmask=20"} <= set(kernel.argv)
    assert {
        "elastic_ip=35.169.153.122",
        "allocation_id=eipalloc-1",
        "private_ip_address=10.0.0.68",
    } <= set(elastic.argv)


def test_the_aws_agents_get_time_and_are_asked_seldom() -> None:
    vip, *_ = plan(spec(Address(PRIVATE)))
    operations = vip.argv[vip.argv.index("op") :]
    assert operations[:6] == (
        *("op", "start", "timeout=180s", "stop", "timeout=180s"),
        "monitor",
    )
    assert operations[6] == "interval=60s"


def test_pauses_are_short_but_imds_gets_its_time() -> None:
    [vip, _] = plan(spec(Address(PRIVATE)))
    assert "api_delay=1" in vip.argv
    vip, _, elastic = plan(spec(Address(PRIVATE, elastic_ip=ELASTIC)))
    assert not [word for word in vip.argv if word.startswith("api_delay")]
    assert "api_delay=1" in elastic.argv


def test_parameters_follow_the_metadata_not_a_version() -> None:
    wanted = spec(Address(PRIVATE, elastic_ip=ELASTIC))
    assert not [w for command in plan(wanted) for w in command.argv if w.startswith("auth_type")]
    vip, kernel, elastic = plan(wanted, NEW)
    assert {"auth_type=role", "region=eu-west-1"} <= set(vip.argv) & set(elastic.argv)
    assert "auth_type=role" not in kernel.argv


def test_an_elastic_address_that_ec2_does_not_know_is_told() -> None:
    unknown = IPv4Address("35.169.153.123")
    with pytest.raises(MusterError, match=str(unknown)):
        plan(spec(Address(PRIVATE, elastic_ip=unknown)))


def test_a_resource_with_everything() -> None:
    web = Resource(
        "web",
        "systemd:nginx",
        group="networking-group",
        options={"flag": True},
        operations={"monitor": {"interval": "10s", "timeout": "20s"}, "stop": {"timeout": "9s"}},
        meta={"priority": 5},
    )
    [command] = plan(spec(resource=(web,)))
    assert command.argv == (
        *("resource", "create", "web", "systemd:nginx", "flag=true"),
        *("op", "monitor", "interval=10s", "timeout=20s", "stop", "timeout=9s"),
        *("meta", "priority=5", "--group", "networking-group"),
    )


def test_clones_and_groups_come_after_what_they_hold() -> None:
    wanted = Spec(
        Cluster("web", 3),
        resource=(
            Resource("one", "systemd:one", clone={"interleave": True}),
            Resource("two", "systemd:two", group="both"),
        ),
        group=(Group("both", meta={"priority": 5}, clone=True),),
    )
    created, *rest = [command.argv for command in plan(wanted)][1:]
    assert created[:3] == ("resource", "create", "two")
    assert rest == [
        ("resource", "meta", "both", "priority=5"),
        ("resource", "clone", "one", "interleave=true"),
        ("resource", "clone", "both"),
    ]


CLONED = Resource("one", "systemd:one", clone=True)


@pytest.mark.parametrize(
    ("resource", "group", "told"),
    [
        (replace(CLONED, group="networking-group"), (), "one is to be cloned inside group"),
        (replace(CLONED, clone={"--x": 1}), (), "'--x'"),
        (CLONED, (Group("nobody"),), "nobody is named twice, or by no"),
        (CLONED, (Group("networking-group", clone=True),), "10.0.0.68 is in it"),
        (CLONED, (Group("networking-group", meta={"a b": 1}),), "'a b'"),
        (replace(CLONED, id="one-clone", clone=False), (), ""),
    ],
)
def test_what_cannot_be_cloned_is_refused(
    resource: Resource, group: tuple[Group, ...], told: str
) -> None:
    wanted = replace(spec(Address(PRIVATE), resource=(resource,)), group=group)
    findings = resources.refusals(wanted, SUBNET)
    assert [told in finding.what for finding in findings] == ([True] if told else [])


def test_a_clones_own_name_is_taken() -> None:
    other = Resource("one-clone", "systemd:two")
    [finding] = resources.refusals(spec(resource=(CLONED, other)), SUBNET)
    assert "one-clone is wanted 2 times" in finding.what


def test_addresses_lead_their_group() -> None:
    commands = plan(spec(Address(PRIVATE), resource=(Resource("web", "systemd:nginx"),)))
    assert [command.argv[2] for command in commands] == ["privip-10-0-0-68", "vip-10-0-0-68", "web"]


def test_the_wanted_ids_are_those_the_plan_creates() -> None:
    wanted = spec(
        Address(PRIVATE, elastic_ip=ELASTIC),
        Address(IPv4Address("10.0.0.69"), group="other"),
        resource=(Resource("web", "systemd:nginx"),),
    )
    created = tuple(command.argv[2] for command in plan(wanted))
    assert resources.wanted_ids(wanted) == ("fence-web", *created)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        (Address(IPv4Address("10.0.16.1")), "outside the nodes' subnet 10.0.0.0/20"),
        (Address(IPv4Address("10.0.0.3")), "one of the five"),
        (Address(IPv4Address("10.0.15.255")), "one of the five"),
        (Address(PRIVATE, route_tables=("rtb-1",)), "has route_tables"),
        (overlay("192.168.0.1", tables=()), "without route_tables"),
        (overlay("10.0.0.77"), "inside the VPC's 10.0.0.0/20"),
        (overlay("10.0.99.1"), "inside the VPC's 10.0.0.0/16"),
        (overlay("172.31.0.1"), "inside the VPC's 172.31.0.0/24"),
        (overlay("192.168.0.1", elastic_ip=ELASTIC), "no elastic address"),
    ],
)
def test_addresses_that_cannot_float_are_refused(address: Address, told: str) -> None:
    [finding] = resources.refusals(spec(address), SUBNET, VPC)
    assert told in finding.what
    assert finding.cure


@pytest.mark.parametrize("last", ["10.0.0.4", "10.0.15.254"])
def test_the_first_and_last_free_address_can_float(last: str) -> None:
    assert resources.refusals(spec(Address(IPv4Address(last))), SUBNET) == ()


@pytest.mark.parametrize(
    "resource",
    [
        Resource("vip-10-0-0-68", "systemd:nginx"),
        Resource("networking-group", "systemd:nginx"),
        Resource("fence-web", "systemd:nginx"),
    ],
)
def test_a_name_is_wanted_once_in_the_cib(resource: Resource) -> None:
    [finding] = resources.refusals(spec(Address(PRIVATE), resource=(resource,)), SUBNET)
    assert resource.id in finding.what


@pytest.mark.parametrize(
    ("resource", "told"),
    [
        (Resource("a", "systemd:a", options={"--force": "x"}), "'--force'"),
        (Resource("a", "systemd:a", meta={"-f": "x"}), "'-f'"),
        (Resource("a", "systemd:a", operations={"--wait": {"interval": "1s"}}), "'--wait'"),
        (Resource("a", "systemd:a", operations={"monitor": {"a b": 1}}), "'a b'"),
        (Resource("a", "ocf:heartbeat:pgsql", options={"rep_password": "x"}), "rep_password"),
        (Resource("a", "systemd:a", options={"text": "one\ntwo"}), "text"),
    ],
)
def test_what_pcs_must_not_be_given_is_refused(resource: Resource, told: str) -> None:
    [finding] = resources.refusals(spec(resource=(resource,)), SUBNET)
    assert told in finding.what


def test_an_overlay_address_is_one_resource_that_leads_every_route_table() -> None:
    wanted = spec(overlay())
    [command] = resources.plan(wanted, "eu-west-1", SUBNET, {}, OLD, "ens5")
    assert command.argv[:4] == (
        *("resource", "create", "overlay-192-168-10-10"),
        "ocf:heartbeat:aws-vpc-move-ip",
    )
    assert {"ip=192.168.10.10", "routing_table=rtb-1,rtb-2", "interface=ens5"} <= set(command.argv)
    assert resources.address_ids(wanted) == {"192.168.10.10": "overlay-192-168-10-10"}
    assert resources.refusals(wanted, SUBNET, VPC) == ()


def test_agents_are_those_that_the_addresses_need() -> None:
    assert resources.agents(spec()) == frozenset()
    assert resources.agents(spec(Address(PRIVATE))) == {"awsvip"}
    assert resources.agents(spec(overlay(), Address(PRIVATE, elastic_ip=ELASTIC))) == {
        *("awsvip", "awseip", "aws-vpc-move-ip"),
    }


def test_route_tables_that_agree_are_told_in_one_word() -> None:
    assert floating.routed_to({"rtb-1": "i-1", "rtb-2": "i-1"}) == "i-1"
    assert floating.routed_to({"rtb-1": "i-1", "rtb-2": "i-2"}) == "rtb-1: i-1, rtb-2: i-2"
    assert floating.routed_to({"rtb-1": "i-1", "rtb-2": ""}) == "rtb-1: i-1, rtb-2: no route"
    assert "no route" in floating.routed_to({"rtb-1": ""})


FOUNDERS = tuple(replace(one, source_dest_check=False) for one in instances()[:3])

HINDERED: dict[
    str, tuple[Address, tuple[Instance, ...], dict[str, str], dict[str, str], str, str]
] = {
    "several subnets": (
        *(Address(PRIVATE), (replace(FOUNDERS[0], subnet_id="s-2"), *FOUNDERS[1:]), {}, {}),
        *("can only be in one subnet", "overlay"),
    ),
    "used by a stranger": (
        *(Address(PRIVATE), FOUNDERS, {"10.0.0.68": "i-stranger"}, {}),
        *("already in use by i-stranger", "describe-network-interfaces"),
    ),
    "a founder's own": (
        *(Address(IPv4Address("10.0.0.11")), FOUNDERS, {}, {}),
        *(f"already in use by {FOUNDERS[0].instance_id}", "free address"),
    ),
    "elastic elsewhere": (
        *(Address(PRIVATE, elastic_ip=ELASTIC), FOUNDERS, {}, {str(ELASTIC): "i-stranger"}),
        *("already leads to i-stranger", "disassociate-address"),
    ),
    "check is on": (
        *(overlay(), (replace(FOUNDERS[0], source_dest_check=True), *FOUNDERS[1:]), {}, {}),
        *(f"cannot reach {FOUNDERS[0].instance_id}", "--no-source-dest-check"),
    ),
    "no route": (
        *(overlay(), FOUNDERS, {"192.168.10.10": "rtb-1: i-1, rtb-2: no route"}, {}),
        *("rtb-2: no route", "create-route"),
    ),
}


@pytest.mark.parametrize("case", HINDERED)
def test_what_ec2_makes_impossible_is_said_with_the_command_that_cures_it(case: str) -> None:
    address, founders, holders, elastics, what, cure = HINDERED[case]
    [finding] = floating.hindrances(spec(address), founders, holders, elastics)
    assert what in finding.what
    assert cure in finding.cure


def test_addresses_that_founders_hold_already_are_no_hindrance() -> None:
    own = FOUNDERS[1].instance_id
    wanted = spec(overlay(), Address(PRIVATE, elastic_ip=ELASTIC))
    holders = {"10.0.0.68": own, "192.168.10.10": own}
    assert floating.hindrances(wanted, FOUNDERS, holders, {str(ELASTIC): own}) == ()
    assert floating.hindrances(wanted, FOUNDERS, {}, {}) == ()
