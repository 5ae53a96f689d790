"""Fencing: one device for all members, no credentials, two-node rules only for two."""

import pytest

from musterd import fencing
from musterd.model import Member, PcsCommand, Severity
from musterd.spec import Cluster, Discovery, DiscoverySource, Fencing, Scalar, Spec

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


def commands(wanted: Spec) -> tuple[PcsCommand, PcsCommand, PcsCommand]:
    first, second, third = fencing.plan(wanted, MEMBERS[: wanted.cluster.size], "eu-west-1")
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


def test_another_agent_gets_only_what_pacemaker_understands() -> None:
    *_, device = commands(spec(agent="fence_dummy"))
    assert not [word for word in device.argv if word.startswith(("region=", "filter="))]
    assert [word for word in device.argv if word.startswith("pcmk_host_map=")]


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
