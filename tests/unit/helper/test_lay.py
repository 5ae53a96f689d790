"""`lay` writes this cluster's files, and refuses wherever another cluster is or was."""

import stat

import pytest
from fake_node import EMPTY_CIB, IDENTITY, LAY, MEMBERS, STUB, FakeNode, corosync_conf_of_pcs

from muster_helper.children import Ran
from muster_helper.lay import lay
from muster_helper.survey import survey
from musterd.errors import HelperError
from musterd.helper_wire import Identity, LayParams, SurveyParams
from musterd.model import CorosyncConfig

CONF = "etc/corosync/corosync.conf"


def mode(node: FakeNode, path: str) -> int:
    return stat.S_IMODE((node.root / path).stat().st_mode)


def test_the_files_of_a_member(node: FakeNode) -> None:
    lay(node.host(), LAY)
    facts = survey(node.host(), SurveyParams(IDENTITY))
    assert facts.corosync is CorosyncConfig.OURS
    assert facts.laid
    assert not facts.cib  # the seed is no configuration
    assert (node.root / "etc/corosync/authkey").read_bytes() == b"\x1a" * 256
    assert (node.root / "etc/pacemaker/authkey").read_bytes() == b"\x2b" * 256
    assert mode(node, "etc/corosync/authkey") == mode(node, "etc/pacemaker/authkey") == 0o400
    assert mode(node, "var/lib/pacemaker/cib/cib.xml") == 0o600
    assert mode(node, CONF) == 0o644
    assert (
        'name="dc-deadtime" value="2s"' in (node.root / "var/lib/pacemaker/cib/cib.xml").read_text()
    )
    hosts = (node.root / "etc/hosts").read_text()
    assert hosts.startswith("127.0.0.1 localhost\n# muster: members of cluster web")
    assert "10.0.0.12 ip-10-0-0-12\n" in hosts


def test_members_with_equal_packages_write_equal_bytes(node: FakeNode) -> None:
    lay(node.host(), LAY)
    words = ["web", *(word for m in MEMBERS for word in (m.name, f"addr={m.address}"))]
    own = corosync_conf_of_pcs([*words, "transport", "knet", "totem", "token=10000"])
    assert (node.root / CONF).read_text().splitlines()[4:] == own.splitlines()[3:6] + [
        line for line in own.splitlines()[6:] if "cluster_uuid" not in line
    ]


def test_members_see_each_other_soon_whatever_the_token(node: FakeNode) -> None:
    lay(node.host(), LAY)
    [setup] = node.ran("pcs", "cluster", "setup")
    link = setup[setup.index("link") + 1 : setup.index("totem")]
    assert link == ("ping_interval=500", "ping_timeout=5000")  # pcs takes neither alone


def test_a_second_run_changes_nothing_and_runs_no_pcs(node: FakeNode) -> None:
    lay(node.host(), LAY)
    before, calls = node.snapshot(), len(node.ran("pcs"))
    assert lay(node.host(), LAY).changed == ()
    assert node.snapshot() == before
    assert len(node.ran("pcs")) == calls


def test_a_torn_key_is_written_again_and_nothing_else(node: FakeNode) -> None:
    lay(node.host(), LAY)
    before = node.snapshot()
    key = node.root / "etc/corosync/authkey"
    key.unlink()
    key.write_bytes(b"short")
    assert not survey(node.host(), SurveyParams(IDENTITY)).laid
    assert lay(node.host(), LAY).changed == (f"{key} is this cluster's",)
    assert node.snapshot() == before


def test_debians_own_pacemaker_key_is_replaced(node: FakeNode) -> None:
    (node.root / "etc/pacemaker/authkey").write_bytes(b"d" * 4096)
    lay(node.host(), LAY)
    assert len((node.root / "etc/pacemaker/authkey").read_bytes()) == 256


@pytest.mark.parametrize("text", [STUB.replace("debian", "shop"), STUB, "torn {", ""])
def test_any_other_corosync_conf_is_refused(node: FakeNode, text: str) -> None:
    (node.root / CONF).write_text(text)
    before = node.snapshot()
    with pytest.raises(HelperError) as refused:
        lay(node.host(), LAY)
    assert refused.value.refused
    assert refused.value.cure
    assert node.snapshot() == before


def test_another_clusters_cib_is_refused(node: FakeNode) -> None:
    (node.root / "var/lib/pacemaker/cib/cib-3.raw").write_text(EMPTY_CIB.format(epoch=1, nodes=""))
    with pytest.raises(HelperError, match="configuration of another cluster"):
        lay(node.host(), LAY)
    assert survey(node.host(), SurveyParams(IDENTITY)).cib


@pytest.mark.parametrize("state", ["active", "activating", "deactivating"])
def test_a_running_cluster_without_a_file_is_refused(node: FakeNode, state: str) -> None:
    node.units["pacemaker.service"][1] = state
    with pytest.raises(HelperError, match="runs on this node"):
        lay(node.host(), LAY)


@pytest.mark.parametrize("index", [0, 1])
def test_a_node_that_is_no_member_is_refused(node: FakeNode, index: int) -> None:
    """Its name is listed at another address, or not at all."""
    swapped = [
        MEMBERS[1 - index].__class__(MEMBERS[0].instance_id, MEMBERS[index].name, m.address)
        for m in MEMBERS[1:]
    ]
    identity = Identity("web", IDENTITY.uuid, (*swapped, *swapped), 10_000)
    with pytest.raises(HelperError) as refused:
        lay(node.host(), LayParams(identity, LAY.corosync_key, LAY.pacemaker_key))
    assert refused.value.refused
    assert not (node.root / CONF).exists()


def test_a_corosync_conf_other_than_asked_is_not_installed(node: FakeNode) -> None:
    node.answers["pcs"] = Ran(1, "", "Error: totem token is not a number")
    with pytest.raises(HelperError, match="token is not a number"):
        lay(node.host(), LAY)
    assert not (node.root / CONF).exists()
    assert not list((node.root / "var/lib/muster-helper").iterdir())


def test_secrets_are_on_no_command_line(node: FakeNode) -> None:
    lay(node.host(), LAY)
    words = [word for call in node.calls for word in call]
    assert not [word for word in words if "1a1a" in word or "2b2b" in word]
    assert "1a1a" not in " ".join(node.said) + repr(LAY)


def test_a_torn_last_line_of_the_hosts_file_is_ended_first(node: FakeNode) -> None:
    (node.root / "etc/hosts").write_text("127.0.0.1 localhost\n10.0.0.11 ip-10-0-")
    lay(node.host(), LAY)
    lines = (node.root / "etc/hosts").read_text().splitlines()
    assert lines[1] == "10.0.0.11 ip-10-0-"
    assert "10.0.0.11 ip-10-0-0-11" in lines


def test_hosts_that_are_named_already_are_not_named_again(node: FakeNode) -> None:
    (node.root / "etc/hosts").write_text("10.0.0.11\tip-10-0-0-11.internal ip-10-0-0-11 # me\n")
    lay(node.host(), LAY)
    assert (node.root / "etc/hosts").read_text().count("10.0.0.11") == 1
