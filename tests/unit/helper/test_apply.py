"""`compare` and `apply`: a formed cluster against the spec on disk, and exactly the plan seen."""

from dataclasses import replace
from pathlib import Path

import pytest
from fake_member import DEVICE, FakeMember
from fake_node import IDENTITY, LAY

from muster_helper.apply import apply
from muster_helper.build import build
from muster_helper.compare import compare
from muster_helper.lay import lay
from musterd.errors import HelperError
from musterd.helper_wire import ApplyParams, CompareParams
from musterd.model import Place


@pytest.fixture
def member(tmp_path: Path) -> FakeMember:
    """A member of a running cluster that is configured as its spec says."""
    node = FakeMember(tmp_path / "node")
    run_cluster(node)
    return node


def run_cluster(node: FakeMember) -> None:
    """Have the cluster run there as its spec says."""
    lay(node.host(), LAY)
    for name in ("corosync", "pacemaker"):
        node.units[f"{name}.service"] = ["loaded", "active", "enabled"]
    build(node.host(), node.configure_params())
    [built] = (node.root / "var/lib/muster-helper").glob("cib-*.xml")
    node.live = built.read_text()


def params(node: FakeMember, *changed: str) -> CompareParams:
    return CompareParams(node.configure_params(), changed)


def change_spec(node: FakeMember, text: str) -> None:
    node.paths.spec.write_text(f"{node.paths.spec.read_text()}\n{text}\n")


def writes(node: FakeMember) -> list[tuple[str, ...]]:
    """The pcs commands that touch the cluster, not a file of ours."""
    return [
        call for call in node.ran("pcs") if call[1] != "-f" and call[1:3] != ("cluster", "setup")
    ]


def test_no_difference_right_after_founding(member: FakeMember) -> None:
    found = compare(member.host(), params(member))
    assert (found.commands, found.differences) == ((), ())


def test_a_hand_made_change_is_drift_and_is_not_undone(member: FakeMember) -> None:
    member._update_device({"power_timeout": "7"})
    found = compare(member.host(), params(member))
    assert found.commands == ()
    [difference] = found.differences
    assert difference.drift
    assert (difference.live, difference.wanted) == ("7", "240")
    apply(member.host(), ApplyParams(params(member), found.digest, restart=False))
    assert writes(member) == []


def test_looking_writes_nothing(member: FakeMember) -> None:
    change_spec(member, "[fencing.options]\npower_timeout = 99")
    assert compare(member.host(), params(member, "fencing.options.power_timeout")).commands
    assert writes(member) == []


def test_the_plan_that_was_seen_is_run_and_a_second_one_is_empty(member: FakeMember) -> None:
    change_spec(member, "[fencing.options]\npower_timeout = 99")
    asked = params(member, "fencing.options.power_timeout")
    found = compare(member.host(), asked)
    done = apply(member.host(), ApplyParams(asked, found.digest, restart=False))
    assert done.changed == (f"pcs stonith update {DEVICE} power_timeout=99",)
    assert [("pcs", *command.argv) for command in found.commands] == writes(member)
    assert member.device["power_timeout"] == "99"
    again = compare(member.host(), asked)
    assert (again.commands, again.differences) == ((), ())


def test_when_the_world_moved_on_nothing_is_run(member: FakeMember) -> None:
    change_spec(member, "[fencing.options]\npower_timeout = 99")
    asked = params(member, "fencing.options.power_timeout")
    seen = compare(member.host(), asked).digest
    change_spec(member, "pcmk_reboot_retries = 9")
    moved = params(member, "fencing.options.power_timeout", "fencing.options.pcmk_reboot_retries")
    with pytest.raises(HelperError, match="the world moved on") as refused:
        apply(member.host(), ApplyParams(moved, seen, restart=False))
    assert refused.value.refused
    assert writes(member) == []


def test_a_restart_waits_for_leave(member: FakeMember) -> None:
    change_spec(member, "[corosync]\ntoken_ms = 20000")
    asked = params(member, "corosync.token_ms")
    found = compare(member.host(), asked)
    assert {d.place for d in found.differences} == {Place("corosync", "", "totem", "token")}
    with pytest.raises(HelperError, match="restart of the whole cluster"):
        apply(member.host(), ApplyParams(asked, found.digest, restart=False))
    assert writes(member) == []


def test_a_spec_that_changed_since_the_daemon_read_it_is_refused(member: FakeMember) -> None:
    asked = params(member)
    change_spec(member, "[fencing.options]\npower_timeout = 99")
    with pytest.raises(HelperError, match="not the one musterd acts for"):
        compare(member.host(), asked)


def test_another_cluster_is_not_compared(member: FakeMember) -> None:
    other = replace(params(member).configure, identity=replace(IDENTITY, uuid="f" * 32))
    with pytest.raises(HelperError):
        compare(member.host(), CompareParams(other, ()))
