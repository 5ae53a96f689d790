"""`prepare` clears the distribution's own cluster, and never anybody else's."""

import pytest
from fake_node import EMPTY_CIB, STUB, FakeNode

from muster_helper.children import Ran
from muster_helper.prepare import prepare
from muster_helper.survey import survey
from musterd.errors import HelperError
from musterd.helper_wire import PrepareParams, SurveyParams
from musterd.model import CorosyncConfig

PARAMS = PrepareParams("eu-west-1")


def test_the_stub_is_stopped_disabled_and_removed(stock: FakeNode) -> None:
    changed = prepare(stock.host(), PARAMS).changed
    assert "the distribution's one-node cluster is cleared" in changed
    assert not (stock.root / "etc/corosync/corosync.conf").exists()
    assert not list((stock.root / "var/lib/pacemaker/cib").iterdir())
    assert stock.units["corosync.service"][1:] == ["inactive", "disabled"]
    assert stock.units["pacemaker.service"][1:] == ["inactive", "disabled"]


def test_only_the_stubs_pacemaker_is_killed_and_only_if_it_runs(stock: FakeNode) -> None:
    """It would not stop before it has a DC; killed while it stops, it is not started again."""
    prepare(stock.host(), PARAMS)
    [kill] = stock.ran("systemctl", "kill")
    assert kill[-1] == "pacemaker.service"
    assert stock.calls[stock.calls.index(kill) - 1] == (
        *("systemctl", "stop", "--no-block", "pacemaker.service"),
    )


def test_a_stub_that_never_ran_is_only_removed(stock: FakeNode) -> None:
    for name in ("corosync", "pacemaker"):
        stock.units[f"{name}.service"] = ["loaded", "inactive", "disabled"]
    prepare(stock.host(), PARAMS)
    assert not (stock.root / "etc/corosync/corosync.conf").exists()
    assert {call[:2] for call in stock.calls} == {("systemctl", "show")}


def test_a_second_run_changes_nothing(stock: FakeNode) -> None:
    prepare(stock.host(), PARAMS)
    before = stock.snapshot()
    assert prepare(stock.host(), PARAMS).changed == ()
    assert stock.snapshot() == before
    facts = survey(stock.host(), SurveyParams())
    assert facts.prepared
    assert facts.corosync is CorosyncConfig.ABSENT


@pytest.mark.parametrize(
    "configured",
    [
        EMPTY_CIB.format(epoch=9, nodes="").replace(
            "<resources/>", '<resources><primitive id="x"/></resources>'
        ),
        EMPTY_CIB.format(epoch=9, nodes='<node id="1"/><node id="2"/>'),
        "torn",
    ],
)
@pytest.mark.parametrize("file", ["cib.xml", "cib-7.raw"])
def test_a_stub_that_somebody_configured_is_refused(
    stock: FakeNode, configured: str, file: str
) -> None:
    (stock.root / "var/lib/pacemaker/cib" / file).write_text(configured)
    before = stock.snapshot()
    with pytest.raises(HelperError) as refused:
        prepare(stock.host(), PARAMS)
    assert refused.value.refused
    assert stock.snapshot() == before
    assert stock.units["corosync.service"][1] == "active"


def test_a_foreign_cluster_is_left_alone(stock: FakeNode) -> None:
    (stock.root / "etc/corosync/corosync.conf").write_text(STUB.replace("debian", "shop"))
    prepare(stock.host(), PARAMS)
    assert (stock.root / "etc/corosync/corosync.conf").exists()
    assert stock.units["pacemaker.service"][1:] == ["active", "enabled"]
    assert {call[:2] for call in stock.calls} == {("systemctl", "show")}


def test_pcsd_is_enabled_and_started_but_never_stopped(node: FakeNode) -> None:
    node.units["pcsd.service"] = ["loaded", "inactive", "disabled"]
    node.units["pcsd-ruby.service"] = ["loaded", "inactive", "disabled"]
    prepare(node.host(), PARAMS)
    assert node.units["pcsd.service"][1:] == ["active", "enabled"]
    assert node.units["pcsd-ruby.service"][1] == "active"
    assert not [call for call in node.ran("systemctl") if call[1] in {"stop", "restart"}]


def test_a_masked_pcsd_is_refused_with_the_cure(node: FakeNode) -> None:
    node.units["pcsd.service"] = ["masked", "inactive", "masked"]
    with pytest.raises(HelperError) as refused:
        prepare(node.host(), PARAMS)
    assert "systemctl unmask pcsd.service" in refused.value.cure


def test_the_aws_profile_gets_a_region(node: FakeNode) -> None:
    prepare(node.host(), PARAMS)
    config = node.root / "root/.aws/config"
    assert config.read_text() == "[default]\nregion = eu-west-1\n"
    assert config.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[default]\nregion = us-east-2\n", "[default]\nregion = us-east-2\n"),
        (
            "# mine\n[default]\noutput = text\n",
            "# mine\n[default]\nregion = eu-west-1\noutput = text\n",
        ),
        (
            "[profile other]\nregion = us-east-2",
            "[profile other]\nregion = us-east-2\n\n[default]\nregion = eu-west-1\n",
        ),
    ],
)
def test_a_users_aws_profile_is_kept(node: FakeNode, before: str, after: str) -> None:
    config = node.root / "root/.aws/config"
    config.parent.mkdir()
    config.write_text(before)
    prepare(node.host(), PARAMS)
    assert config.read_text() == after


@pytest.mark.parametrize("text", ["region = x\n", "[default]\nregion =\n"])
def test_an_unusable_aws_profile_is_refused_by_name(node: FakeNode, text: str) -> None:
    config = node.root / "root/.aws/config"
    config.parent.mkdir()
    config.write_text(text)
    with pytest.raises(HelperError) as refused:
        prepare(node.host(), PARAMS)
    assert str(config) in refused.value.what
    assert config.read_text() == text
    assert not survey(node.host(), SurveyParams()).prepared


def test_cloud_setup_that_removes_addresses_is_switched_off(node: FakeNode) -> None:
    node.units["nm-cloud-setup.timer"] = ["loaded", "active", "enabled"]
    assert not survey(node.host(), SurveyParams()).prepared
    prepare(node.host(), PARAMS)
    assert node.units["nm-cloud-setup.timer"][1:] == ["inactive", "disabled"]


def test_firewalld_admits_the_cluster_where_it_runs(node: FakeNode) -> None:
    node.units["firewalld.service"] = ["loaded", "active", "enabled"]
    zone = node.root / "etc/firewalld/zones/public.xml"
    zone.parent.mkdir(parents=True)
    zone.write_text('<zone><service name="ssh"/></zone>')
    assert not survey(node.host(), SurveyParams()).prepared
    node.answers["firewall-cmd"] = Ran(0, "", "")
    prepare(node.host(), PARAMS)
    rules = ("--add-service=high-availability", "--add-port=7224/tcp")
    assert [call[-2:] for call in node.ran("firewall-cmd")] == [rules, rules]
    zone.write_text(
        '<zone><service name="high-availability"/><port port="7224" protocol="tcp"/></zone>'
    )
    assert survey(node.host(), SurveyParams()).prepared
