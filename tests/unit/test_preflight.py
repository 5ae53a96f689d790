"""Every check, once well and once not: the cause names what is wrong, the cure what to type."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from muster_sim.samples import IDS, NAMES, facts, instances, settings
from musterd.model import Contact, CorosyncConfig, GroupRule
from musterd.observations import Answer, Check, Observations, Outcome, Ways
from musterd.preflight import checks
from musterd.spec import Address, AddressKind, Fencing

GROUP = "sg-1"
OPEN = {2224: Contact.OPEN, 7224: Contact.OPEN}
RULES = {
    GROUP: (
        GroupRule(False, "tcp", (2224, 2224), groups=(GROUP,)),
        GroupRule(False, "tcp", (7224, 7224), groups=(GROUP,)),
        GroupRule(False, "udp", (5404, 5412), groups=(GROUP,)),
        GroupRule(True, "-1", (0, 65_535), ranges=("0.0.0.0/0",)),
    )
}


def well() -> Observations:
    """A node of three where nothing is wrong, with an awsvip and an overlay address."""
    spec = replace(
        settings().spec,
        address=(
            Address(IPv4Address("10.0.0.68")),
            Address(IPv4Address("192.168.1.1"), kind=AddressKind.OVERLAY, route_tables=("rtb-1",)),
        ),
    )
    founders = tuple(
        replace(one, zone="eu-west-1a", source_dest_check=False, profile="arn:x", groups=(GROUP,))
        for one in instances()[:3]
    )
    return Observations(
        own_id=IDS[0],
        own_name=NAMES[0],
        spec=spec,
        facts=replace(facts(), versions={"pcs": "0.11.5"}),
        peer_facts={NAMES[1]: replace(facts(2), versions={"pcs": "0.11.5"})},
        instances=founders,
        rules=RULES,
        permissions={"ec2:StopInstances of i-2": Answer()},
        ways=(
            Ways(IDS[1], NAMES[1], "10.0.0.12", "", OPEN, OPEN, True, True, 0.1),
            Ways(IDS[2], NAMES[2], "10.0.0.13", "", OPEN, OPEN, True, True, -0.1),
        ),
    )


def way(seen: Observations, **changes: object) -> Observations:
    """The same with another way to the first peer."""
    first, *others = seen.ways
    return replace(seen, ways=(replace(first, **changes), *others))  # type: ignore[arg-type]


def instance(seen: Observations, **changes: object) -> Observations:
    """The same with another first founder."""
    first, *others = seen.instances
    return replace(seen, instances=(replace(first, **changes), *others))  # type: ignore[arg-type]


def own(seen: Observations, **changes: object) -> Observations:
    """The same with other facts of this node."""
    assert seen.facts is not None
    return replace(seen, facts=replace(seen.facts, **changes))  # type: ignore[arg-type]


def named(found: tuple[Check, ...], name: str) -> list[Check]:
    return [check for check in found if check.name == name]


def test_where_nothing_is_wrong_every_group_of_checks_says_ok() -> None:
    found = checks(well())
    bad = [check for check in found if check.outcome is not Outcome.OK]
    assert [(check.name, check.outcome) for check in bad] == [("permissions", Outcome.UNPROVEN)]
    assert "AssignPrivateIpAddresses" in bad[0].what  # has no DryRun, and says so
    assert {check.name for check in found} == {
        *("musterd", "software", "preparation", "corosync", "versions", "endpoints", "profile"),
        *("permissions", "metadata", "ports", "security-groups", "clock", "placement"),
        "source-dest-check",
    }
    ports = [check.what for check in named(found, "ports")]
    for port in ("TCP 2224", "TCP 7224", "UDP 5405"):
        assert f"{NAMES[0]} reaches {port} of {NAMES[1]}" in ports
        assert f"{NAMES[1]} reaches {port} of {NAMES[0]}" in ports


Spoil = Callable[[Observations], Observations]

SPOILT: dict[str, tuple[Spoil, str, Outcome, str, str]] = {
    "spec": (
        lambda seen: replace(seen, spec=None, troubles=(("no cluster name", "tag it"),)),
        *("musterd", Outcome.ERROR, "no cluster name", "tag it"),
    ),
    "package": (
        lambda seen: own(seen, missing=("aws is not installed: `apt install awscli`",)),
        *("software", Outcome.ERROR, "aws is not installed", "apt install awscli"),
    ),
    "not looked at": (
        lambda seen: replace(seen, facts=None),
        *("software", Outcome.UNPROVEN, "has not looked", "muster-helper@"),
    ),
    "nm-cloud-setup": (
        lambda seen: own(seen, unprepared=("nm-cloud-setup is on",)),
        *("preparation", Outcome.WARNING, "nm-cloud-setup is on", "muster status"),
    ),
    "stub": (
        lambda seen: own(seen, corosync=CorosyncConfig.STUB),
        *("corosync", Outcome.WARNING, "one-node cluster", "clears it"),
    ),
    "foreign": (
        lambda seen: own(seen, corosync=CorosyncConfig.FOREIGN, corosync_detail="'theirs'"),
        *("corosync", Outcome.ERROR, "'theirs'", "pcs cluster destroy"),
    ),
    "versions untold": (
        lambda seen: replace(seen, peer_facts={}),
        *("versions", Outcome.UNPROVEN, "no peer has told its versions", "ask again"),
    ),
    "versions": (
        lambda seen: own(seen, versions={"pcs": "0.11.9"}),
        *("versions", Outcome.ERROR, f"{NAMES[1]} has 0.11.5", "same version of pcs"),
    ),
    "TCP out": (
        lambda seen: way(seen, there={**OPEN, 2224: Contact.SILENT}),
        *("ports", Outcome.ERROR, f"TCP 2224 from {NAMES[0]} to {NAMES[1]}", "--port 2224"),
    ),
    "TCP in": (
        lambda seen: way(seen, back={**OPEN, 7224: Contact.SILENT}),
        *("ports", Outcome.ERROR, f"TCP 7224 from {NAMES[1]} to {NAMES[0]}", "--port 7224"),
    ),
    "nobody listens": (
        lambda seen: way(seen, there={**OPEN, 2224: Contact.REFUSED}),
        *("ports", Outcome.ERROR, "pcsd does not listen", f"now pcsd` on {NAMES[1]}"),
    ),
    "UDP out": (
        lambda seen: way(seen, udp_there=False),
        *("ports", Outcome.ERROR, f"UDP 5405 from {NAMES[0]} to {NAMES[1]}", "--protocol udp"),
    ),
    "UDP in": (
        lambda seen: way(seen, udp_back=False),
        *("ports", Outcome.ERROR, f"UDP 5405 from {NAMES[1]} to {NAMES[0]}", "--protocol udp"),
    ),
    "UDP taken": (
        lambda seen: way(seen, udp_there=None),
        *("ports", Outcome.UNPROVEN, "could not be tried", "corosync-cfgtool"),
    ),
    "silent peer": (
        lambda seen: way(seen, trouble="no answer within 4 s", udp_back=False),
        *("ports", Outcome.UNPROVEN, "no answer within 4 s", f"muster status` on {NAMES[1]}"),
    ),
    "rules unread": (
        lambda seen: replace(seen, groups=Answer("may not call", "allow it")),
        *("security-groups", Outcome.UNPROVEN, "may not call", "allow it"),
    ),
    "rule in": (
        lambda seen: replace(seen, rules={GROUP: RULES[GROUP][1:]}),
        *("security-groups", Outcome.ERROR, "no security group lets in TCP 2224", "own members"),
    ),
    "rule out": (
        lambda seen: replace(seen, rules={GROUP: RULES[GROUP][:-1]}),
        *("security-groups", Outcome.ERROR, "does not let out UDP 5405", "everything out"),
    ),
    "another group": (
        lambda seen: instance(seen, groups=("sg-2",)),
        *("security-groups", Outcome.ERROR, f"{IDS[1]} to {IDS[0]}", "one security group"),
    ),
    "clock": (
        lambda seen: way(seen, offset=3.0),
        *("clock", Outcome.WARNING, "3.0 s ahead of", "chronyc"),
    ),
    "clock far off": (
        lambda seen: way(seen, offset=-400.0),
        *("clock", Outcome.ERROR, "AWS refuses", "chronyc makestep"),
    ),
    "EC2 silent": (
        lambda seen: replace(seen, cloud=Answer("no answer to ec2:X", "a NAT gateway")),
        *("endpoints", Outcome.ERROR, "no answer to ec2:X", "NAT gateway"),
    ),
    "secrets silent": (
        lambda seen: replace(seen, secrets=Answer("no answer to secretsmanager:X", "an endpoint")),
        *("endpoints", Outcome.ERROR, "secretsmanager:X", "endpoint"),
    ),
    "permission": (
        lambda seen: replace(seen, permissions={"ec2:StopInstances of i-2": Answer("no", "yes")}),
        *("permissions", Outcome.ERROR, "ec2:StopInstances of i-2: no", "yes"),
    ),
    "IMDSv1": (
        lambda seen: instance(seen, tokens_required=False),
        *("metadata", Outcome.WARNING, "answers version 1", "--http-tokens required"),
    ),
    "hop limit": (
        lambda seen: instance(seen, hop_limit=64),
        *("metadata", Outcome.WARNING, "64 hops", "--http-put-response-hop-limit 1"),
    ),
    "profile": (
        lambda seen: instance(seen, profile=""),
        *("profile", Outcome.ERROR, f"{IDS[0]} has no instance profile", "associate-iam"),
    ),
    "subnets": (
        lambda seen: instance(seen, subnet_id="s-2"),
        *("placement", Outcome.ERROR, "10.0.0.68 can only be in one", "overlay"),
    ),
    "source/destination check": (
        lambda seen: instance(seen, source_dest_check=True),
        *("source-dest-check", Outcome.ERROR, f"reaches {IDS[0]} for 192.168.1.1", "no-source"),
    ),
}


@pytest.mark.parametrize("case", SPOILT)
def test_what_is_wrong_is_told_with_its_cure(case: str) -> None:
    spoil, name, outcome, cause, cure = SPOILT[case]
    found = [c for c in named(checks(spoil(well())), name) if c.outcome is outcome]
    assert any(cause in check.what and cure in check.cure for check in found), found


@pytest.mark.parametrize("case", SPOILT)
def test_one_fault_hides_no_other(case: str) -> None:
    spoil, name, outcome, cause, _ = SPOILT[case]
    clock_too = way(well(), offset=3.0) if case != "clock far off" else well()
    found = checks(spoil(clock_too))
    assert any(cause in c.what and c.outcome is outcome for c in named(found, name))
    assert any(c.outcome is not Outcome.OK for c in named(found, "clock"))


def test_a_zone_with_most_of_the_nodes_is_a_warning_only_when_there_are_two() -> None:
    seen = replace(well(), spec=settings().spec)
    assert {c.outcome for c in named(checks(seen), "placement")} == {Outcome.OK}
    [found] = named(checks(instance(seen, zone="eu-west-1b")), "placement")
    assert found.outcome is Outcome.WARNING
    assert "eu-west-1a holds 2 of 3" in found.what


def test_the_source_destination_check_matters_to_overlay_addresses_only() -> None:
    seen = replace(instance(well(), source_dest_check=True), spec=settings().spec)
    assert named(checks(seen), "source-dest-check") == []


def test_corosyncs_own_traffic_proves_the_way_it_holds() -> None:
    taken = way(well(), udp_there=None, udp_back=None, online=True)
    ports = [check for check in named(checks(taken), "ports") if "UDP" in check.what]
    assert {check.outcome for check in ports} == {Outcome.OK}


def test_the_worst_come_first() -> None:
    seen = way(instance(well(), profile="", hop_limit=64), udp_there=None)
    order = [check.outcome for check in checks(seen)]
    ranks = [Outcome.ERROR, Outcome.WARNING, Outcome.UNPROVEN, Outcome.OK]
    assert order == sorted(order, key=ranks.index)
    assert set(order) == set(ranks)


def test_another_agent_needs_no_permission_of_ec2() -> None:
    spec = replace(settings().spec, fencing=Fencing(agent="fence_ipmilan"))
    seen = replace(well(), spec=spec, permissions={})
    assert named(checks(seen), "permissions") == []
