"""Plans: idempotent, without a forbidden word, and never about what somebody changed by hand."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musterd import changes
from musterd.model import Comparison, PcsCommand, Place, PlannedCommand

VIP, WEB, FENCE = "vip-10-0-0-68", "web", "fence-web"
TOKEN = Place("corosync", "", "totem", "token")
TIMEOUT = Place("property", "", "", "stonith-timeout")
MAP = Place("stonith", FENCE, "option", "pcmk_host_map")
POWER = Place("stonith", FENCE, "option", "power_timeout")
WANTED: Mapping[Place, str] = {
    TIMEOUT: "600s",
    Place("default", "", "", "resource-stickiness"): "100",
    Place("stonith", FENCE, "agent"): "stonith:fence_aws",
    MAP: "a:i-1;b:i-2",
    POWER: "240",
    Place("resource", VIP, "agent"): "ocf:heartbeat:IPaddr2",
    Place("resource", VIP, "group"): "net",
    Place("resource", VIP, "option", "ip"): "10.0.0.68",
    Place("resource", VIP, "op monitor", "interval"): "60s",
    Place("resource", VIP, "op monitor", "timeout"): "30s",
    Place("resource", WEB, "agent"): "systemd:nginx",
    Place("resource", WEB, "option", "port"): "80",
    Place("resource", WEB, "meta", "priority"): "1",
    TOKEN: "10000",
}
CREATING = tuple(
    PcsCommand(("resource", "create", name, agent), "the spec")
    for name, agent in ((VIP, "ocf:heartbeat:IPaddr2"), (WEB, "systemd:nginx"))
)
EVERYTHING = ("address", "resource", "fencing.options.power_timeout", "corosync.token_ms")
FORBIDDEN = {"--force", "destroy", "delete", "remove", "disable", "standby", "clear", "cleanup"}


def compared(live: Mapping[Place, str], *changed: str) -> Comparison:
    return changes.plan(WANTED, live, CREATING, changed, {VIP})


def without(owner: str) -> dict[Place, str]:
    return {place: value for place, value in WANTED.items() if place.owner != owner}


def after(live: Mapping[Place, str], found: Comparison) -> dict[Place, str]:
    """What the cluster holds once these commands have run: what they name becomes as wanted."""
    then = dict(live)
    for command in found.commands:
        if command.argv[1:2] == ("create",):
            owner = command.argv[2]
            then |= {place: value for place, value in WANTED.items() if place.owner == owner}
            continue
        for place in {*live, *WANTED}:
            if place.owner in {"", command.argv[2]} and _named(place, command):
                then[place] = WANTED.get(place, "")
                if not then[place]:
                    del then[place]
    return then


def _named(place: Place, command: PlannedCommand) -> bool:
    kinds = {
        "property": ("property", "set"),
        "default": ("resource", "defaults"),
        "corosync": ("cluster", "config"),
    }
    start = kinds.get(place.kind, (place.kind, "update"))
    words = {word.split("=")[0] for word in command.argv if "=" in word}
    return command.argv[:2] == start and place.name in words


def test_a_cluster_as_the_spec_says_has_no_difference() -> None:
    assert compared(WANTED, *EVERYTHING).differences == ()
    assert compared(WANTED, *EVERYTHING).commands == ()


def test_the_order_of_the_map_and_what_pacemaker_writes_are_no_difference() -> None:
    live = {**WANTED, MAP: "b:i-2;a:i-1", Place("property", "", "", "dc-version"): "2.1.5"}
    assert compared(live).differences == ()


@pytest.mark.parametrize(
    ("place", "key", "argv"),
    [
        (TIMEOUT, "fencing.options.stonith-timeout", "property set stonith-timeout=600s"),
        (POWER, "fencing.options.power_timeout", f"stonith update {FENCE} power_timeout=240"),
        (
            Place("resource", VIP, "option", "ip"),
            "address",
            f"resource update {VIP} ip=10.0.0.68",
        ),
        (
            Place("resource", VIP, "op monitor", "timeout"),
            "address",
            f"resource update {VIP} op monitor interval=60s timeout=30s",
        ),
        (
            Place("resource", WEB, "meta", "priority"),
            "resource",
            f"resource update {WEB} meta priority=1",
        ),
    ],
)
def test_only_what_the_spec_changed_becomes_a_command(place: Place, key: str, argv: str) -> None:
    live = {**WANTED, place: "9"}
    planned = compared(live, key)
    assert [" ".join(command.argv) for command in planned.commands] == [argv]
    assert [each.drift for each in planned.differences] == [False]
    drifted = compared(live, "cluster.size", "fencing.prove")
    assert drifted.commands == ()
    [difference] = drifted.differences
    assert difference.drift
    assert (difference.live, difference.wanted) == ("9", WANTED[place])
    assert "pcs" in difference.cure


def test_a_new_resource_is_created_and_a_deleted_one_is_left_alone() -> None:
    [command] = compared(without(WEB), "resource").commands
    assert command.argv == CREATING[1].argv
    told = compared(without(WEB))
    assert told.commands == ()
    assert [(d.what, d.live, d.drift) for d in told.differences] == [
        ("resource web agent", "", True)
    ]


def test_what_the_spec_does_not_know_is_told_and_never_taken_away() -> None:
    live = {
        **WANTED,
        Place("resource", "db", "agent"): "systemd:db",
        Place("resource", "db", "option", "x"): "1",
        Place("constraint", "cli-prefer-web", "agent"): "rsc_location node=a",
        Place("resource", WEB, "meta", "target-role"): "Stopped",
    }
    found = compared(live, *(key for key in EVERYTHING if key != "resource"))
    assert found.commands == ()
    assert {d.what for d in found.differences} == {
        "resource db",
        "constraint cli-prefer-web",
        "resource web meta target-role",
    }


def test_what_corosync_takes_only_when_stopped_stops_the_whole_cluster_and_says_so() -> None:
    found = compared({**WANTED, TOKEN: "3000", POWER: "9"}, *EVERYTHING)
    assert [command.restart for command in found.commands] == [False, True, True, True]
    assert [command.argv[1] for command in found.commands[1:]] == ["stop", "config", "start"]
    assert found.commands[2].argv[-1] == "token=10000"


def test_another_agent_or_group_is_for_a_person() -> None:
    live = {
        **WANTED,
        Place("resource", WEB, "agent"): "systemd:httpd",
        Place("resource", VIP, "group"): "other",
    }
    found = compared(live, *EVERYTHING)
    assert found.commands == ()
    assert all("delete" in difference.cure for difference in found.differences)


VALUES = st.sampled_from(["1", "600s", "a b", "--force", "destroy", ""])
LIVES = st.dictionaries(st.sampled_from(sorted(WANTED)), VALUES).flatmap(
    lambda odd: st.sets(st.sampled_from(sorted(WANTED))).map(
        lambda gone: {
            place: odd.get(place) or value for place, value in WANTED.items() if place not in gone
        }
    )
)


@given(live=LIVES, changed=st.sets(st.sampled_from(EVERYTHING)))
def test_a_plan_is_idempotent_and_holds_nothing_forbidden(
    live: dict[Place, str], changed: set[str]
) -> None:
    first = compared(live, *changed)
    for command in first.commands:
        assert not FORBIDDEN & set(command.argv)
        assert not [word for word in command.argv if word.startswith("-") and word != "--all"
                    and not word.startswith("--wait=")]  # fmt: skip
    assert compared(live, *changed) == first
    second = compared(after(live, first), *changed)
    assert second.commands == ()
    assert {d.what for d in second.differences} <= {d.what for d in first.differences}
    assert not compared(live).commands


def test_a_resource_that_is_to_run_everywhere_is_cloned_once_it_is_there() -> None:
    clone = PcsCommand(("resource", "clone", "web", "interleave=true"), "the spec")
    wanted = {
        **WANTED,
        Place("resource", WEB, "group"): "web-clone",
        Place("resource", "web-clone", "agent"): "clone",
        Place("resource", "web-clone", "meta", "interleave"): "true",
    }
    live = without(WEB)
    found = changes.plan(wanted, live, (*CREATING, clone), ("resource",), {VIP})
    assert [command.argv[:3] for command in found.commands] == [
        ("resource", "create", "web"),
        ("resource", "clone", "web"),
    ]


def test_a_new_group_gets_its_clone_and_its_meta_attributes_once_its_resources_are_there() -> None:
    """However they are called: what is made of others comes after all of them."""
    everywhere = PcsCommand(("resource", "clone", "all"), "the spec")
    wanted = {
        **WANTED,
        Place("resource", WEB, "group"): "all",
        Place("resource", "all", "meta", "priority"): "5",
        Place("resource", "all-clone", "agent"): "clone",
    }
    found = changes.plan(
        wanted, without(WEB), (*CREATING, everywhere), ("resource", "group"), {VIP}
    )
    assert [command.argv for command in found.commands] == [
        ("resource", "create", "web", "systemd:nginx"),
        ("resource", "clone", "all"),
        ("resource", "meta", "all", "priority=5"),
    ]


def test_a_groups_meta_attributes_follow_their_own_section_of_the_spec() -> None:
    net = Place("resource", "net", "meta", "priority")
    wanted, live = {**WANTED, net: "5"}, {**WANTED, net: "1"}
    found = changes.plan(wanted, live, CREATING, ("group",), {VIP})
    assert [command.argv for command in found.commands] == [
        ("resource", "meta", "net", "priority=5")
    ]
    assert changes.plan(wanted, live, CREATING, ("address",), {VIP}).commands == ()
    by_hand = {**wanted, Place("resource", WEB, "option", "port"): "8080"}
    assert changes.plan(wanted, by_hand, CREATING, ("group",), {VIP}).commands == ()


def test_a_changed_key_is_followed_once_no_difference_comes_from_it() -> None:
    live = {**WANTED, TOKEN: "20000"}
    assert compared(live, "corosync.token_ms", "cluster.size").unfollowed == ("corosync.token_ms",)
    assert compared(WANTED, "corosync.token_ms", "cluster.size").unfollowed == ()
    by_hand = {**WANTED, POWER: "7"}
    assert compared(by_hand, "corosync.token_ms").unfollowed == ()


def test_a_key_waits_for_what_a_person_must_delete_before_it_is_made_anew() -> None:
    """Were it followed, the plan would not make the resource once it is deleted."""
    live = {**WANTED, Place("resource", WEB, "agent"): "systemd:httpd"}
    assert compared(live, "resource").unfollowed == ("resource",)


def test_what_only_the_cluster_has_keeps_no_key_from_being_followed() -> None:
    """Somebody made it by hand, or took it out of the spec: it is theirs to delete."""
    extra = {**WANTED, Place("resource", "extra", "agent"): "systemd:extra"}
    assert compared(extra, "resource").unfollowed == ()


def test_what_was_deleted_by_hand_is_told_with_the_command_that_makes_it() -> None:
    """`muster apply` leaves drift as it is, so it would not."""
    [missing] = compared(without(WEB)).differences
    assert missing.drift
    assert missing.cure.startswith("`pcs resource create web systemd:nginx` makes it again")
    live = {**WANTED, Place("resource", WEB, "agent"): "systemd:httpd"}
    [other] = compared(live).differences
    assert "`pcs resource delete web`, then `pcs resource create web" in other.cure
    [changed] = compared(live, "resource").differences
    assert "then `muster apply` makes it anew" in changed.cure


def test_what_is_to_be_typed_is_quoted_for_a_shell() -> None:
    """A map's pairs are parted by semicolons: unquoted, only the first would reach pcs."""
    [moved] = compared({**WANTED, MAP: "a:i-1"}).differences
    assert "`pcs stonith update fence-web 'pcmk_host_map=a:i-1;b:i-2'`" in moved.cure
