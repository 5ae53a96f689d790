"""Which spec the cluster follows: told by whoever saw it last, and it outlives every conductor."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.test_membership import DECREE, A, B, C, D
from tests.unit.test_memory import Disk, member
from tests.unit.test_planner import formed, written

from muster_fuzz.daemon import hello_of
from musterd import applied
from musterd.knowledge import HEARD_FOR, Heard, Knowledge
from musterd.model import Member, Phase
from musterd.settings import Settings

SLOWER = "[corosync]\ntoken_ms = 20000"


@pytest.fixture
def before(tmp_path: Path) -> Settings:
    return written(tmp_path)


@pytest.fixture
def after(tmp_path: Path, before: Settings) -> Settings:
    del before  # it is read first: both stand in one file
    return written(tmp_path, SLOWER)


def hears(k: Knowledge, who: Member, spec: Settings, *, at: float = 0.0, **said: object) -> None:
    """A member of the cluster says which spec it has read, and whatever else is given."""
    known: dict[str, Any] = {
        "instance_id": who.instance_id,
        "phase": Phase.FORMED,
        "uuid": DECREE.uuid,
        "spec_digest": spec.digest,
        "spec_keys": dict(spec.keys),
        **said,
    }
    k.heard[who.instance_id] = Heard(replace(hello_of("i-00000000000000001"), **known), at)


def follower(settings: Settings) -> Knowledge:
    """A member that is not Pacemaker's DC and has read its spec."""
    k = formed(settings)
    assert k.cluster is not None
    k.cluster, k.spec_stale = replace(k.cluster, dc=B.name), False
    return k


def test_a_member_learns_from_the_conductor_what_is_applied_and_reads_its_own_spec_anew(
    before: Settings, after: Settings
) -> None:
    k = follower(before)
    hears(k, B, after, conductor=True)
    applied.follow(k)
    assert k.applied == after.keys
    assert k.spec_stale
    # The conductor was started anew and has read what is not applied yet.
    hears(k, B, after, applied=dict(before.keys), conductor=True)
    applied.follow(k)
    assert k.applied == before.keys


def test_the_conductor_believes_nobody_who_has_not_seen_more(
    before: Settings, after: Settings
) -> None:
    k = formed(before)
    hears(k, B, after)
    applied.follow(k)
    assert k.applied == before.keys


def test_what_was_applied_is_believed_when_another_member_conducts_since(
    before: Settings, after: Settings
) -> None:
    """A restart of the whole cluster is part of the plan, and makes another member the DC."""
    old = formed(before)
    old.conducted = True
    applied.saw(old, after, ())
    old.settings = after
    assert old.cluster is not None
    old.cluster = replace(old.cluster, dc=B.name)
    hears(old, B, before, conductor=True)
    applied.follow(old)
    assert (old.applied, old.applied_count) == (dict(after.keys), 1)

    new = formed(before)  # it plays the other one: what it hears is what `old` says
    new.spec_stale = False
    hears(new, C, after, applied_count=old.applied_count)
    applied.follow(new)
    assert new.applied == after.keys
    assert new.spec_stale


def test_the_last_words_of_a_terminated_conductor_are_not_believed(
    before: Settings, after: Settings
) -> None:
    k = follower(before)
    hears(k, C, before, conductor=True)
    hears(k, B, after, conductor=True, at=1.0)
    applied.follow(k)
    assert k.applied == after.keys, "of two, the one heard later conducts"
    hears(k, C, before, conductor=True, at=2.0)
    k.candidates = replace(k.candidates, gone=frozenset({C.instance_id}))
    applied.follow(k)
    assert k.applied == after.keys


def test_another_cluster_tells_nothing(before: Settings, after: Settings) -> None:
    k = follower(before)
    hears(k, D, after, conductor=True, applied_count=7, uuid="cd" * 16)
    applied.follow(k)
    assert k.applied == before.keys


def test_who_becomes_the_conductor_reads_its_spec(before: Settings) -> None:
    k = follower(before)
    applied.follow(k)
    assert not k.spec_stale
    assert k.cluster is not None
    k.cluster = replace(k.cluster, dc=A.name)
    applied.follow(k)
    assert k.spec_stale
    k.spec_stale = False
    applied.follow(k)
    assert not k.spec_stale


def test_the_conductor_sees_that_the_cluster_follows_a_spec_that_needs_no_command(
    tmp_path: Path, before: Settings
) -> None:
    k = formed(before)
    manual = written(tmp_path, '[replace]\nmode = "manual"')
    applied.saw(k, manual, ())
    assert (k.applied, k.applied_count) == (dict(manual.keys), 1)
    applied.saw(k, manual, ())
    assert k.applied_count == 1


def test_a_key_that_a_difference_comes_from_is_not_followed_yet(
    tmp_path: Path, before: Settings
) -> None:
    k = formed(before)
    both = written(tmp_path, f'[replace]\nmode = "manual"\n{SLOWER}')
    applied.saw(k, both, ("corosync.token_ms",))
    assert k.applied.get("replace.mode") == both.keys["replace.mode"]
    assert k.applied.get("corosync.token_ms") == before.keys.get("corosync.token_ms")


def test_who_does_not_conduct_says_nothing_of_what_it_sees(
    before: Settings, after: Settings
) -> None:
    k = follower(before)
    applied.saw(k, after, ())
    assert k.applied == before.keys


def test_the_conductor_doubts_its_spec_while_who_asks_to_join_has_another(
    before: Settings, after: Settings
) -> None:
    k = formed(before)
    hears(k, D, after)
    assert not applied.outdated(k, 1.0)
    hears(k, D, after, phase=Phase.JOINING)
    assert applied.outdated(k, 1.0)
    assert not applied.outdated(k, HEARD_FOR + 2.0)
    k.settings = after
    assert not applied.outdated(k, 1.0)


def test_of_another_fencing_device_nothing_is_proven(tmp_path: Path, before: Settings) -> None:
    """Who was asked by the old one must be asked again, from every member."""
    k = follower(before)
    k.proofs = {B.instance_id: ("permissions", 1.0)}
    other = written(tmp_path, "[fencing.options]\npower_timeout = 99")
    hears(k, C, other, applied_count=1)
    applied.follow(k)
    assert k.proofs == {}


def test_other_changes_leave_the_proofs(before: Settings, after: Settings) -> None:
    k = follower(before)
    k.proofs = {B.instance_id: ("permissions", 1.0)}
    hears(k, C, after, applied_count=1)
    applied.follow(k)
    assert k.applied == after.keys
    assert k.proofs


def test_what_is_applied_outlives_the_daemon(before: Settings) -> None:
    disk = Disk()
    memory, k = member(disk)
    k.applied, k.applied_count = dict(before.keys), 3
    memory.note(k)
    _, again = member(disk)
    assert (again.applied, again.applied_count) == (k.applied, 3)
