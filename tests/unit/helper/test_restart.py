"""A cluster that was stopped as a whole for a change is started again, whatever happens."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from fake_member import FakeMember
from fake_node import IDENTITY, MEMBERS
from test_apply import change_spec, params, run_cluster, writes

from muster_helper.apply import apply
from muster_helper.caller import CallerGone
from muster_helper.children import Ran
from muster_helper.compare import compare
from muster_helper.start import start
from muster_helper.survey import survey
from musterd.errors import HelperError
from musterd.helper_wire import ApplyParams, CompareParams, StartParams, SurveyParams

STOP = ("pcs", "cluster", "stop", "--all")
UPDATE = ("pcs", "cluster", "config", "update", "totem", "token=20000")
START = ("pcs", "cluster", "start", "--all", "--wait=180")


@dataclass
class RestartingMember(FakeMember):
    """Plays `pcs cluster config update`, and can fail at any command."""

    failing: set[tuple[str, ...]] = field(default_factory=set)

    def __call__(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
    ) -> Ran:
        if tuple(argv) in self.failing:
            self.calls.append(tuple(argv))
            return Ran(1, "", "Error: unable to reach all nodes")
        if tuple(argv) == UPDATE:
            conf = self.paths.corosync_conf
            conf.write_text(re.sub(r"token: \d+", "token: 20000", conf.read_text()))
            self.calls.append(tuple(argv))
            return Ran(0, "", "")
        return super().__call__(argv, timeout=timeout, stdin=stdin, environment=environment)


@pytest.fixture
def member(tmp_path: Path) -> RestartingMember:
    """A member of a running cluster whose spec has a new token timeout."""
    node = RestartingMember(tmp_path / "node")
    run_cluster(node)
    node.nodes = {each.name: {"online": "true"} for each in MEMBERS}
    change_spec(node, "[corosync]\ntoken_ms = 20000")
    return node


def asked(node: FakeMember) -> tuple[CompareParams, str]:
    wanted = params(node, "corosync.token_ms")
    return wanted, compare(node.host(), wanted).digest


def owed(node: FakeMember) -> bool:
    return survey(node.host(), SurveyParams(IDENTITY)).start_owed


def test_the_cluster_is_stopped_changed_and_started(member: RestartingMember) -> None:
    wanted, digest = asked(member)
    done = apply(member.host(), ApplyParams(wanted, digest, restart=True))
    assert writes(member) == [STOP, UPDATE, START]
    assert done.changed == tuple(" ".join(command) for command in (STOP, UPDATE, START))
    assert not owed(member)


def test_nothing_is_stopped_while_a_member_is_away(member: RestartingMember) -> None:
    member.nodes[MEMBERS[1].name] = {"online": "false"}
    wanted, digest = asked(member)
    with pytest.raises(HelperError, match="while a member is away") as refused:
        apply(member.host(), ApplyParams(wanted, digest, restart=True))
    assert refused.value.refused
    assert MEMBERS[1].name in refused.value.why
    assert writes(member) == []
    assert not owed(member)


@pytest.mark.parametrize("failing", [STOP, UPDATE])
def test_what_was_stopped_is_started_when_a_command_fails(
    member: RestartingMember, failing: tuple[str, ...]
) -> None:
    member.failing = {failing}
    wanted, digest = asked(member)
    with pytest.raises(HelperError, match="failed"):
        apply(member.host(), ApplyParams(wanted, digest, restart=True))
    assert writes(member)[-1] == START
    assert not owed(member)


def test_who_asked_need_not_wait_for_the_start(member: RestartingMember) -> None:
    """A daemon that restarts in the middle listens no longer."""
    wanted, digest = asked(member)

    def say(sentence: str) -> None:
        if STOP in member.calls:
            raise CallerGone(sentence)

    apply(replace(member.host(), say=say), ApplyParams(wanted, digest, restart=True))
    assert writes(member) == [STOP, UPDATE, START]


def test_what_was_stopped_is_started_by_the_next_run(member: RestartingMember) -> None:
    wanted, digest = asked(member)
    member.failing = {STOP, START}
    with pytest.raises(HelperError, match="not every member"):
        apply(member.host(), ApplyParams(wanted, digest, restart=True))
    for unit in ("corosync.service", "pacemaker.service"):
        member.units[unit][1] = "inactive"
    assert owed(member)
    member.failing = set()
    assert "the whole cluster runs again" in start(member.host(), StartParams(IDENTITY)).changed
    assert writes(member)[-1] == START
    assert not owed(member)
    assert start(member.host(), StartParams(IDENTITY)).changed == ()


def test_a_member_that_is_gone_for_good_does_not_keep_the_start_owed(
    member: RestartingMember,
) -> None:
    """The others run, with quorum: `muster status` names the one that is away."""
    wanted, digest = asked(member)
    member.failing, member.quorate = {START}, True
    with pytest.raises(HelperError, match="not every member"):
        apply(member.host(), ApplyParams(wanted, digest, restart=True))
    assert not owed(member)
