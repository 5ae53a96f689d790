"""Fencing: one device for all members, no credentials, two-node rules only for two."""

from dataclasses import replace

import pytest

from muster_sim.samples import instances
from musterd import fencing
from musterd.model import InstanceState, Member, PcsCommand, Severity
from musterd.spec import Cluster, Discovery, DiscoverySource, Fencing, Resource, Scalar, Spec

# What fence_aws 4.12.1 lists, as far as we use it; later ones know skip_os_shutdown too.
PARAMETERS = frozenset({"region", "filter", "power_timeout", "plug", "access_key", "secret_key"})
MEMBERS = tuple(Member(f"i-{n:017x}", f"ip-10-0-0-{n}", f"10.0.0.{n}") for n in range(11, 15))


def spec(
    size: int = 3,
    options: dict[str, Scalar] | None = None,
    agent: str = "fence_aws",
    discovery: Discovery | None = None,
) -> Spec:
    return Spec(
        Cluster("web", size),
        discovery=discovery or Discovery(),
        fencing=Fencing(agent, options=options or {}),
    )


def commands(
    wanted: Spec, parameters: frozenset[str] = PARAMETERS
) -> tuple[PcsCommand, PcsCommand, PcsCommand]:
    members = MEMBERS[: wanted.cluster.size]
    first, second, third = fencing.plan(wanted, members, "eu-west-1", parameters)
    return first, second, third


def test_one_device_knows_which_instance_every_node_is() -> None:
    *_, device = commands(spec())
    assert device.argv[:4] == ("stonith", "create", "fence-web", "fence_aws")
    assert (
        "pcmk_host_map=ip-10-0-0-11:i-0000000000000000b;ip-10-0-0-12:i-0000000000000000c;"
        "ip-10-0-0-13:i-0000000000000000d" in device.argv
    )
    assert "region=eu-west-1" in device.argv


def test_three_nodes_need_no_delays() -> None:
    words = [word for command in commands(spec()) for word in command.argv]
    assert not [word for word in words if "delay" in word or word.startswith("priority")]


def test_two_nodes_get_delays_in_the_documented_proportion() -> None:
    properties, defaults, device = commands(spec(2))
    assert "pcmk_delay_max=5" in device.argv
    assert "priority-fencing-delay=10s" in properties.argv
    assert "priority=1" in defaults.argv  # or the priority delay would weigh nothing


@pytest.mark.parametrize(("given", "twice"), [("15s", "30s"), (4, "8s"), ("2 fortnights", "10s")])
def test_the_priority_delay_follows_a_given_delay(given: Scalar, twice: str) -> None:
    properties, _, device = commands(spec(2, {"pcmk_delay_max": given}))
    assert f"priority-fencing-delay={twice}" in properties.argv
    assert f"pcmk_delay_max={given}" in device.argv


def test_pacemaker_waits_longer_than_its_device() -> None:
    properties, _, device = commands(spec())
    timeout = next(w for w in properties.argv if w.startswith("stonith-timeout="))
    reboot = next(w for w in device.argv if w.startswith("pcmk_reboot_timeout="))
    assert int(timeout[len("stonith-timeout=") : -1]) > int(reboot.split("=")[1])


def test_the_foundings_short_wait_ends_with_the_configuration() -> None:
    assert "dc-deadtime=" in commands(spec())[0].argv


def test_gfs2_is_never_stopped_for_want_of_quorum() -> None:
    mount = Resource("srv", "ocf:heartbeat:Filesystem", options={"fstype": "gfs2"})
    properties, *_ = commands(spec())
    assert not any("no-quorum-policy" in word for word in properties.argv)
    properties, *_ = commands(replace(spec(), resource=(mount,)))
    assert "no-quorum-policy=freeze" in properties.argv


def test_options_override_add_and_take_away() -> None:
    options: dict[str, Scalar] = {
        "power_timeout": 600,
        "skip_os_shutdown": True,
        "filter": "",
        "stonith-timeout": "900s",
    }
    properties, _, device = commands(spec(options=options))
    assert "power_timeout=600" in device.argv
    assert "power_timeout=240" not in device.argv
    assert "skip_os_shutdown=true" in device.argv
    assert not [word for word in device.argv if word.startswith("filter")]
    assert "stonith-timeout=900s" in properties.argv
    assert "stonith-timeout=600s" not in properties.argv


def test_the_monitor_lists_this_cluster_only() -> None:
    assert "filter=tag:muster:cluster=web" in commands(spec())[2].argv


@pytest.mark.parametrize(
    "discovery", [Discovery(tag="team=cluster"), Discovery(source=DiscoverySource.STATIC)]
)
def test_no_filter_that_the_agent_would_cut_in_two(discovery: Discovery) -> None:
    words = commands(spec(discovery=discovery))[2].argv
    assert not [word for word in words if word.startswith("filter")]


def test_an_agent_gets_what_its_metadata_lists_and_nothing_else() -> None:
    newer = commands(spec(), PARAMETERS | {"skip_os_shutdown"})[2].argv
    assert "skip_os_shutdown=true" in newer
    assert not [word for word in commands(spec())[2].argv if word.startswith("skip_")]
    older = commands(spec(), PARAMETERS - {"filter"})[2].argv
    assert not [word for word in older if word.startswith("filter")]


def test_another_agent_gets_only_what_pacemaker_understands() -> None:
    *_, device = commands(spec(agent="fence_dummy"))
    assert not [word for word in device.argv if word.startswith(("region=", "filter="))]
    assert "pcmk_host_list=ip-10-0-0-11 ip-10-0-0-12 ip-10-0-0-13" in device.argv
    assert not [word for word in device.argv if word.startswith("pcmk_host_map=")]


def test_another_agents_own_map_is_kept() -> None:
    given: dict[str, Scalar] = {"pcmk_host_map": "ip-10-0-0-11:7"}
    wanted = spec(agent="fence_apc", options=given)
    assert "pcmk_host_map=ip-10-0-0-11:7" in commands(wanted)[2].argv
    assert not [word for word in commands(wanted)[2].argv if word.startswith("pcmk_host_list")]
    assert [fencing.plug(wanted, member) for member in MEMBERS[:2]] == ["7", "ip-10-0-0-12"]
    assert fencing.refusals(wanted, MEMBERS[:3], {"plug"}) == ()


def test_the_agent_alone_is_asked_as_pacemaker_asks_it() -> None:
    wanted = spec(options={"pcmk_delay_max": 5, "stonith-timeout": "9s", "boto3_debug": True})
    assert fencing.agent_input(wanted, "eu-west-1") == {
        "region": "eu-west-1",
        "boto3_debug": "true",
    }
    assert fencing.plug(wanted, MEMBERS[0]) == MEMBERS[0].instance_id
    assert fencing.agent_input(spec(agent="fence_dummy"), "eu-west-1") == {}


def test_two_nodes_rules_are_told_with_reasons_and_three_have_none() -> None:
    told = {rule.name: rule.value for rule in fencing.rules(spec(2), 2)}
    assert told == {
        "priority-fencing-delay": "10s",
        "priority": "1",
        "pcmk_delay_max": "5",
        "wait_for_all": "1",
    }
    assert all(rule.why.startswith("two nodes: ") for rule in fencing.rules(spec(2), 2))
    assert fencing.rules(spec(3), 3) == ()


def test_a_proof_is_for_one_agent_its_options_and_one_map() -> None:
    first = fencing.fingerprint(spec(), MEMBERS[:3])
    assert fencing.fingerprint(spec(), MEMBERS[:3]) == first
    assert fencing.fingerprint(spec(), reversed(MEMBERS[:3])) == first
    others = {
        fencing.fingerprint(spec(), MEMBERS[:2]),
        fencing.fingerprint(spec(), (replace(MEMBERS[0], instance_id="i-1"), *MEMBERS[1:3])),
        fencing.fingerprint(spec(options={"power_timeout": 9}), MEMBERS[:3]),
        fencing.fingerprint(spec(agent="fence_dummy"), MEMBERS[:3]),
    }
    assert first not in others
    assert len(others) == 4


MAPS = {
    "in order": ("a:i-1;b:i-2", []),
    "by white space": ("b:i-2 a:i-1", []),
    "across a line break": ("a:i-1\nb:i-2", []),
    "swapped": ("a:i-2;b:i-1", ["a is i-2, which is i-1", "b is i-1, which is i-2"]),
    "short": ("a:i-1", ["leaves out b"]),
    "long": ("a:i-1;b:i-2;c:i-3", ["names c"]),
    "broken by a line break": ("a:i-1;b:\ni-2", ["not a list"]),
    "twice": ("a:i-1;a:i-2", ["not a list"]),
    "empty": ("", ["not a list"]),
}


@pytest.mark.parametrize("case", MAPS)
def test_what_is_wrong_with_a_map_is_said(case: str) -> None:
    text, wanted = MAPS[case]
    members = (Member("i-1", "a", "10.0.0.11"), Member("i-2", "b", "10.0.0.12"))
    found = list(fencing.wrong_map(fencing.host_map(text), members))
    assert len(found) == len(wanted)
    assert all(words in said for words, said in zip(wanted, found, strict=True))


def test_members_must_be_the_instances_that_ec2_tells_of() -> None:
    listed = instances()[:3]
    members = tuple(Member(one.instance_id, f"n{one.address}", one.address) for one in listed)
    assert list(fencing.mistaken(members, listed)) == []
    swapped = (
        replace(members[0], instance_id=members[1].instance_id),
        replace(members[1], instance_id=members[0].instance_id),
        members[2],
    )
    found = list(fencing.mistaken(swapped, listed))
    assert len(found) == 2
    assert f"EC2 has that instance at {listed[1].address}" in found[0]
    gone = (replace(listed[0], state=InstanceState.TERMINATED), *listed[1:])
    [dead] = fencing.mistaken(members, gone)
    assert "is terminated" in dead
    [unknown] = fencing.mistaken(members, listed[1:])
    assert "EC2 knows no instance" in unknown


def test_every_value_has_its_reason() -> None:
    for command in commands(spec(2)):
        for word in command.argv:
            name, separator, _ = word.partition("=")
            if separator and name not in {"timeout", "interval"}:
                assert f"{name}: " in command.why


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"access_key": "AKIA"}, "access_key"),
        ({"secret_key": "xyzzy"}, "secret_key"),
        ({"--force": True}, "'--force'"),
        ({"pcmk_host_map": "a:i-1\nb:i-2"}, "pcmk_host_map"),
    ],
)
def test_what_must_not_reach_the_cib(options: dict[str, Scalar], told: str) -> None:
    [finding] = fencing.refusals(spec(options=options))
    assert finding.severity is Severity.ERROR
    assert told in finding.what
    assert finding.cure
    assert "AKIA" not in finding.what
    assert "xyzzy" not in finding.what


def test_sane_options_are_not_refused() -> None:
    assert fencing.refusals(spec(options={"pcmk_host_map": "a:i-1;b:i-2"})) == ()
    given: dict[str, Scalar] = {"power_timeout": 9, "pcmk_delay_max": 9, "stonith-timeout": "9s"}
    assert fencing.refusals(spec(options=given), MEMBERS[:3], PARAMETERS) == ()


def test_what_the_agent_does_not_take_is_refused_by_name() -> None:
    [finding] = fencing.refusals(spec(options={"pwer_timeout": 9}), MEMBERS[:3], PARAMETERS)
    assert "pwer_timeout, which fence_aws on this node does not take" in finding.what
    assert "pcs stonith describe fence_aws" in finding.cure


def test_a_given_map_that_would_fence_wrongly_is_refused() -> None:
    one, other, third = MEMBERS[:3]
    swapped = f"{one.name}:{other.instance_id};{other.name}:{one.instance_id}"
    options: dict[str, Scalar] = {"pcmk_host_map": f"{swapped};{third.name}:{third.instance_id}"}
    found = fencing.refusals(spec(options=options), MEMBERS[:3], PARAMETERS)
    assert [one.name in found[0].what, other.name in found[1].what] == [True, True]
    assert all("would fence wrongly" in finding.what for finding in found)
