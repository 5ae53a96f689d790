"""`fence`: a real fence by Pacemaker, of another member of this cluster and of nobody else."""

from pathlib import Path

import pytest
from fake_member import FakeMember
from fake_node import EMPTY_CIB, IDENTITY, LAY, MEMBERS, FakeNode

from muster_helper.agents import fence_agent
from muster_helper.children import Ran
from muster_helper.fence import fence
from muster_helper.lay import lay
from muster_helper.probe import probe
from muster_helper.start import start
from muster_helper.survey import survey
from musterd.errors import HelperError
from musterd.helper_wire import FenceParams, ProbeParams, StartParams, SurveyParams, Tags

OTHER = FenceParams(IDENTITY, MEMBERS[1].instance_id)
DEVICE = (
    '<resources><primitive id="fence-web" class="stonith" type="fence_aws">'
    '<instance_attributes id="a"><nvpair id="b" name="pcmk_host_map" value="{map}"/>'
    "</instance_attributes></primitive></resources>"
)
GOOD = ";".join(f"{member.name}:{member.instance_id}" for member in MEMBERS)


@pytest.fixture
def member(tmp_path: Path) -> FakeMember:
    """A running member of the cluster."""
    node = FakeMember(tmp_path / "node", quorate=True)
    node.nodes = {each.name: {"online": "true"} for each in MEMBERS}
    lay(node.host(), LAY)
    start(node.host(), StartParams(IDENTITY))
    node.live = EMPTY_CIB.format(epoch=1, nodes="")
    return node


def configured(member: FakeMember, host_map: str) -> FakeMember:
    """The same with a stonith device in the running cluster."""
    member.live = member.live.replace("<resources/>", DEVICE.format(map=host_map))
    member.answers["fence_aws"] = Ran(0, "", "")
    return member


def test_pacemaker_is_asked_and_waited_for(member: FakeMember) -> None:
    assert fence(member.host(), OTHER).changed == ("ip-10-0-0-12 is fenced",)
    [call] = member.ran("stonith_admin")
    assert call == ("stonith_admin", "--reboot", "ip-10-0-0-12", "--timeout=540")


@pytest.mark.parametrize("why", ["ip-10-0-0-13", MEMBERS[0].name, "quorum"])
def test_two_are_never_away_at_once(member: FakeMember, why: str) -> None:
    """Two nodes may have been asked for a fence at the same time: the others could lose quorum."""
    member.nodes["ip-10-0-0-13"] = {"online": "false" if why == "ip-10-0-0-13" else "true"}
    member.fences = {MEMBERS[0].name: "pending" if why == MEMBERS[0].name else "success"}
    member.quorate = why != "quorum"
    with pytest.raises(HelperError, match="while another member is away") as told:
        fence(member.host(), OTHER)
    assert not told.value.refused
    assert why in told.value.why
    assert not member.ran("stonith_admin")


def test_what_pacemaker_says_of_a_failure_is_told(member: FakeMember) -> None:
    member.answers["stonith_admin"] = Ran(1, "", "Operation reboot of ip-10-0-0-12 failed: Timer")
    with pytest.raises(HelperError, match="failed: Timer") as failed:
        fence(member.host(), OTHER)
    assert not failed.value.refused
    assert "pcs stonith history" in failed.value.cure


@pytest.mark.parametrize(
    ("target", "why"),
    [(MEMBERS[0].instance_id, "does not fence itself"), ("i-0000000000000dead", "no member")],
)
def test_neither_oneself_nor_a_stranger(member: FakeMember, target: str, why: str) -> None:
    with pytest.raises(HelperError, match=why) as refused:
        fence(member.host(), FenceParams(IDENTITY, target))
    assert refused.value.refused
    assert not member.ran("stonith_admin")


def test_not_where_the_cluster_does_not_run(node: FakeNode) -> None:
    lay(node.host(), LAY)
    with pytest.raises(HelperError, match="does not run"):
        fence(node.host(), OTHER)
    (node.root / "etc/corosync/corosync.conf").unlink()
    with pytest.raises(HelperError, match="not that of cluster"):
        fence(node.host(), OTHER)


@pytest.mark.parametrize(
    ("host_map", "fault"),
    [
        (GOOD, ""),
        (GOOD.replace(";", "&#10;"), ""),
        (GOOD.replace("i-", "&#10;i-"), "not a list"),
        (f"ip-10-0-0-11:{MEMBERS[1].instance_id};ip-10-0-0-12:{MEMBERS[0].instance_id}", "is"),
        ("ip-10-0-0-11:i-00000000000000001", "leaves out ip-10-0-0-12"),
        # One who is being admitted or taken out is in the map, and not in corosync.conf.
        (f"{GOOD};ip-10-0-0-13:i-00000000000000003", ""),
    ],
)
def test_the_running_devices_map_is_read(member: FakeMember, host_map: str, fault: str) -> None:
    configured(member, host_map)
    probed = probe(member.host(), ProbeParams(IDENTITY, Tags(), "eu-west-1"))
    assert [fault in told for told in probed.map_faults] == [True] * len(probed.map_faults)
    assert bool(probed.map_faults) == bool(fault)
    assert survey(member.host(), SurveyParams(IDENTITY)).map_faults == probed.map_faults


def test_before_the_cluster_is_configured_there_is_no_map(member: FakeMember) -> None:
    assert survey(member.host(), SurveyParams(IDENTITY)).map_faults == ()


def test_metadata_of_a_fence_agent_is_read_once(node: FakeNode) -> None:
    first = fence_agent(node.host(), "fence_aws")
    assert {"region", "power_timeout"} <= first.parameters
    assert fence_agent(node.host(), "fence_aws") == first
    assert len(node.ran("fence_aws")) == 1
    (node.root / "usr/sbin/fence_aws").write_text("another version")
    assert fence_agent(node.host(), "fence_aws") == first
    assert len(node.ran("fence_aws")) == 2


def test_kept_metadata_that_is_broken_is_read_again(node: FakeNode) -> None:
    kept = node.root / "var/lib/muster-helper/metadata-fence_aws.json"
    for words in ("", "[]", "{}", '{"key": 1', '{"key": "x", "metadata": 3}'):
        kept.write_text(words)
        assert "region" in fence_agent(node.host(), "fence_aws").parameters
