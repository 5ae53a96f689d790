"""`trust` and `probe-fencing`: pcs from any node, and the agent's own answers."""

import json

import pytest
from fake_node import IDENTITY, LAY, FakeNode

from muster_helper.children import Ran
from muster_helper.lay import lay
from muster_helper.probe import probe
from muster_helper.survey import survey
from muster_helper.trust import trust
from musterd.errors import HelperError
from musterd.helper_wire import ProbeParams, SurveyParams, Tags, TrustParams

PARAMS = TrustParams(IDENTITY, "t" * 128)
PROBE = ProbeParams(IDENTITY, Tags(), "eu-west-1")


@pytest.fixture
def member(node: FakeNode) -> FakeNode:
    lay(node.host(), LAY)
    node.calls.clear()
    node.stdins.clear()
    return node


def test_pcs_knows_every_member_by_a_token_the_own_pcsd_accepts(member: FakeNode) -> None:
    assert not survey(member.host(), SurveyParams(IDENTITY)).trusted
    trust(member.host(), PARAMS)
    assert survey(member.host(), SurveyParams(IDENTITY)).trusted


def test_a_second_run_runs_no_pcs(member: FakeNode) -> None:
    trust(member.host(), PARAMS)
    before, calls = member.snapshot(), len(member.ran("pcs"))
    assert trust(member.host(), PARAMS).changed == ()
    assert len(member.ran("pcs")) == calls
    assert member.snapshot() == before


def test_a_cluster_has_one_token_for_good(member: FakeNode) -> None:
    """Whoever presents it to pcsd may do everything: the daemon cannot bring another."""
    trust(member.host(), PARAMS)
    before = member.snapshot()
    with pytest.raises(HelperError, match="no second token") as refused:
        trust(member.host(), TrustParams(IDENTITY, "e" * 128))
    assert refused.value.refused
    assert member.snapshot() == before


def test_what_was_left_by_an_earlier_cluster_is_no_token_of_this_one(member: FakeNode) -> None:
    note = member.root / "var/lib/muster-helper/founding-token.json"
    note.write_text(json.dumps({"uuid": "f" * 32, "token": "0" * 64}))
    trust(member.host(), PARAMS)
    assert survey(member.host(), SurveyParams(IDENTITY)).trusted
    note.write_text("{")
    assert trust(member.host(), PARAMS).changed == ()


def test_the_token_goes_by_standard_input_only(member: FakeNode) -> None:
    trust(member.host(), PARAMS)
    assert member.stdins.count(b"t" * 128) == 2
    assert not [word for call in member.calls for word in call if "tttt" in word]


@pytest.mark.parametrize("torn", ["", "{", "{}", '[{"token": 5}]', "[5]"])
def test_a_torn_list_of_tokens_accepts_none(member: FakeNode, torn: str) -> None:
    trust(member.host(), PARAMS)
    (member.root / "var/lib/pcsd/pcs_users.conf").write_text(torn)
    assert not survey(member.host(), SurveyParams(IDENTITY)).trusted


@pytest.mark.parametrize(
    "change",
    [
        {"token": "other"},
        {"dest_list": [{"addr": "10.0.0.99", "port": 2224}]},
        {"dest_list": []},
    ],
)
def test_a_member_known_otherwise_is_learned_again(
    member: FakeNode, change: dict[str, object]
) -> None:
    trust(member.host(), PARAMS)
    path = member.root / "var/lib/pcsd/known-hosts"
    content = json.loads(path.read_text())
    content["known_hosts"]["ip-10-0-0-12"].update(change)
    path.write_text(json.dumps(content))
    assert not survey(member.host(), SurveyParams(IDENTITY)).trusted
    assert trust(member.host(), PARAMS).changed == ("pcs knows ip-10-0-0-11, ip-10-0-0-12",)


def test_no_trust_without_this_clusters_files(node: FakeNode) -> None:
    with pytest.raises(HelperError):
        trust(node.host(), PARAMS)
    assert not node.ran("pcs")


@pytest.mark.parametrize(
    ("ran", "answer"),
    [
        (Ran(0, "Status: ON\n", ""), "on"),
        (Ran(2, "Status: OFF\n", ""), "off"),
        (
            Ran(1, "", "ERROR:root:Failed: Incorrect Access Key or Secret Key.\n"),
            "fence_aws failed: ERROR:root:Failed: Incorrect Access Key or Secret Key.",
        ),
    ],
)
def test_the_agents_answer_for_each_other_member(member: FakeNode, ran: Ran, answer: str) -> None:
    member.answers["fence_aws"] = ran
    assert probe(member.host(), PROBE).statuses == {"ip-10-0-0-12": answer}


def test_the_agent_is_asked_with_the_devices_own_options(member: FakeNode) -> None:
    member.answers["fence_aws"] = Ran(0, "", "")
    probe(member.host(), PROBE)
    asked = sorted(stdin.decode() for stdin in member.stdins if stdin)
    assert [line for line in asked[0].splitlines() if line.startswith("plug=")] == [
        "plug=i-00000000000000002"
    ]
    assert {"action=status", "region=eu-west-1"} <= set(asked[0].splitlines())
    assert "pcmk_" not in asked[0]
