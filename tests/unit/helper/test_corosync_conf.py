"""corosync.conf is recognised exactly, or not at all."""

import pytest
from fake_node import IDENTITY, STUB, corosync_conf_of_pcs

from muster_helper.corosync_conf import BrokenConfigError, differences, judge, parse, with_uuid
from musterd.helper_wire import Identity
from musterd.model import CorosyncConfig

WORDS = (
    *("web", "ip-10-0-0-11", "addr=10.0.0.11", "ip-10-0-0-12", "addr=10.0.0.12"),
    *("transport", "knet", "totem", "token=10000"),
)
OURS = with_uuid(corosync_conf_of_pcs(WORDS), IDENTITY.uuid)


def test_no_file_is_absent() -> None:
    assert judge(None, IDENTITY).kind is CorosyncConfig.ABSENT


def test_the_decided_uuid_and_members_are_ours() -> None:
    assert judge(OURS, IDENTITY).kind is CorosyncConfig.OURS


def test_before_a_decision_even_that_file_is_foreign() -> None:
    verdict = judge(OURS, None)
    assert verdict.kind is CorosyncConfig.FOREIGN
    assert "'web' with 2 nodes" in verdict.detail
    assert IDENTITY.uuid in verdict.detail


def test_another_uuid_is_foreign() -> None:
    other = Identity(IDENTITY.name, "cd" * 16, IDENTITY.members, IDENTITY.token_ms)
    assert judge(OURS, other).kind is CorosyncConfig.FOREIGN


def test_members_may_change_under_our_uuid_and_are_told_apart() -> None:
    text = OURS.replace("10.0.0.12", "10.0.0.13").replace("ip-10-0-0-12", "stranger")
    assert judge(text, IDENTITY).kind is CorosyncConfig.OURS
    assert differences(text, IDENTITY) == "besides the members: stranger; lacking: ip-10-0-0-12"
    assert differences(OURS, IDENTITY) == ""


def test_debians_example_is_the_stub() -> None:
    assert judge(STUB, IDENTITY).kind is CorosyncConfig.STUB


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cluster_name: debian", "cluster_name: web"),
        ("ring0_addr: 127.0.0.1", "ring0_addr: 10.0.0.11"),
        ("cluster_name: debian", "cluster_name: debian\n\tcluster_uuid: 00"),
        ("nodelist {", "nodelist {\n\tnode {\n\t\tring0_addr: 10.0.0.12\n\t}"),
    ],
)
def test_anything_near_the_stub_is_foreign(old: str, new: str) -> None:
    assert judge(STUB.replace(old, new), None).kind is CorosyncConfig.FOREIGN


@pytest.mark.parametrize(
    "text", ["", "\n# only a comment\n", "totem {", "}\n", "totem {\nrubbish\n}\n", "quorum {\n}\n"]
)
def test_a_torn_file_is_broken(text: str) -> None:
    verdict = judge(text, IDENTITY)
    assert verdict.kind is CorosyncConfig.BROKEN
    assert verdict.detail


def test_the_decided_uuid_takes_the_place_of_pcs_own() -> None:
    assert parse(OURS).get("totem", "cluster_uuid") == IDENTITY.uuid
    assert OURS.count("cluster_uuid") == 1


def test_an_older_pcs_that_writes_no_uuid_gets_one() -> None:
    old = "totem {\n    cluster_name: web\n}\n"
    assert parse(with_uuid(old, IDENTITY.uuid)).get("totem", "cluster_uuid") == IDENTITY.uuid


def test_without_a_cluster_name_there_is_no_place_for_a_uuid() -> None:
    with pytest.raises(BrokenConfigError):
        with_uuid("totem {\n}\n", IDENTITY.uuid)
