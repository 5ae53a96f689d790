"""`build` and `configure`: the spec's CIB, once, into a cluster nobody has configured."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from fake_node import EMPTY_CIB, IDENTITY, LAY, SPEC, FakeNode

from muster_helper.build import build
from muster_helper.children import Ran
from muster_helper.configure import configure
from muster_helper.lay import lay
from muster_helper.start import start
from muster_helper.survey import survey
from musterd.errors import HelperError
from musterd.helper_wire import StartParams, SurveyParams

LIVE = EMPTY_CIB.format(epoch=6, nodes='<node id="1"/><node id="2"/>')


@pytest.fixture
def running(node: FakeNode) -> FakeNode:
    """A node whose cluster runs with the seed."""
    lay(node.host(), LAY)
    start(node.host(), StartParams(IDENTITY))
    node.live = LIVE
    return node


def is_built(node: FakeNode) -> bool:
    return survey(node.host(), SurveyParams(IDENTITY)).built


def test_built_once_for_the_same_inputs(running: FakeNode) -> None:
    assert not is_built(running)
    assert build(running.host(), running.configure_params()).changed
    assert is_built(running)
    calls = len(running.ran("pcs"))
    assert build(running.host(), running.configure_params()).changed == ()
    assert len(running.ran("pcs")) == calls


def test_one_pcs_command_for_each_element(running: FakeNode) -> None:
    build(running.host(), running.configure_params())
    edits = [call[3:6] for call in running.ran("pcs", "-f")]
    assert sorted(edits) == sorted(
        [
            ("stonith", "create", "fence-web"),
            ("resource", "create", "privip-10-0-0-68"),
            ("resource", "create", "vip-10-0-0-68"),
        ]
    )


def test_clones_hold_what_pcs_made_and_say_what_the_spec_says(running: FakeNode) -> None:
    (running.root / "etc/systemd/system").mkdir(parents=True)
    (running.root / "etc/systemd/system/one.service").touch()
    with (running.root / "etc/muster/muster.toml").open("a") as spec:
        spec.write('[[resource]]\nid = "one"\nagent = "systemd:one"\nclone = {interleave = true}\n')
    build(running.host(), running.configure_params())
    [built] = (running.root / "var/lib/muster-helper").glob("cib-*.xml")
    clone = ElementTree.parse(built).getroot().find("configuration/resources/clone")
    assert clone is not None
    assert [each.get("id") for each in clone] == ["one", "one-clone-meta_attributes"]
    [pair] = clone.iterfind("meta_attributes/nvpair")
    assert (pair.get("name"), pair.get("value")) == ("interleave", "true")


def test_options_and_defaults_are_set_as_pcs_would(running: FakeNode) -> None:
    build(running.host(), running.configure_params())
    [built] = (running.root / "var/lib/muster-helper").glob("cib-*.xml")
    root = ElementTree.parse(built).getroot()
    options = root.find("configuration/crm_config/cluster_property_set")
    assert options is not None
    assert {pair.get("name"): pair.get("value") for pair in options} == {
        "stonith-enabled": "true",
        "stonith-timeout": "600s",
        "priority-fencing-delay": "10s",
    }
    defaults = root.find("configuration/rsc_defaults/meta_attributes")
    assert defaults is not None
    assert defaults[0].get("id") == "rsc_defaults-meta_attributes-resource-stickiness"
    assert len(root.findall("configuration/resources/primitive")) == 3


def test_a_changed_spec_is_built_anew_and_the_old_one_dropped(running: FakeNode) -> None:
    build(running.host(), running.configure_params())
    (running.root / "etc/muster/muster.toml").write_text(SPEC.replace(".68", ".69"))
    assert not is_built(running)
    build(running.host(), running.configure_params())
    assert is_built(running)
    built = list((running.root / "var/lib/muster-helper").glob("cib-*.xml"))
    assert len(built) == 1
    assert "vip-10-0-0-69" in built[0].read_text()


def test_a_spec_other_than_the_daemons_is_refused(running: FakeNode) -> None:
    params = replace(running.configure_params(), spec_digest="0" * 64)
    with pytest.raises(HelperError, match="not the one musterd acts for") as refused:
        build(running.host(), params)
    assert refused.value.refused


def test_an_address_of_a_member_is_refused(running: FakeNode) -> None:
    (running.root / "etc/muster/muster.toml").write_text(SPEC.replace(".68", ".12"))
    with pytest.raises(HelperError, match="own address of ip-10-0-0-12"):
        build(running.host(), running.configure_params())


def test_every_refusal_of_the_spec_is_told_at_once(running: FakeNode) -> None:
    (running.root / "etc/muster/muster.toml").write_text(
        SPEC.replace("10.0.0.68", "10.0.1.68") + '[fencing.options]\nsecret_key = "s3cr3t"\n'
    )
    with pytest.raises(HelperError) as refused:
        build(running.host(), running.configure_params())
    assert "outside the nodes' subnet" in refused.value.what
    assert "secret_key" in refused.value.what
    assert "s3cr3t" not in str(refused.value)


def test_what_pcs_refuses_is_told_in_its_words(running: FakeNode) -> None:
    running.answers["pcs"] = Ran(1, "", "Error: Agent 'ocf:heartbeat:awsvip' is not installed")
    with pytest.raises(HelperError, match="is not installed"):
        build(running.host(), running.configure_params())
    assert not is_built(running)


def test_what_crm_verify_refuses_is_not_kept(running: FakeNode) -> None:
    running.answers["crm_verify"] = Ran(78, "", "Errors found during check: config not valid")
    with pytest.raises(HelperError, match="config not valid"):
        build(running.host(), running.configure_params())
    assert not is_built(running)


def test_the_whole_configuration_is_pushed_once(running: FakeNode) -> None:
    changed = configure(running.host(), running.configure_params()).changed
    assert changed[-1] == "the cluster is configured as the spec says"
    assert "vip-10-0-0-68" in running.live
    assert len(running.ran("cibadmin", "--patch")) == 1
    assert configure(running.host(), running.configure_params()).changed == ()
    assert len(running.ran("cibadmin", "--patch")) == 1


def test_what_pacemaker_and_people_add_is_no_difference(running: FakeNode) -> None:
    configure(running.host(), running.configure_params())
    running.live = running.live.replace(
        "</resources>", '<primitive id="more" type="Dummy"/></resources>'
    ).replace("<crm_config>", '<crm_config><cluster_property_set id="x"/>')
    assert configure(running.host(), running.configure_params()).changed == ()


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('type="ocf:heartbeat:IPaddr2"', 'type="other"', "vip-10-0-0-68 is configured otherwise"),
        ('value="600s"', 'value="60s"', "stonith-timeout is '60s' instead of '600s'"),
    ],
)
def test_drift_is_refused_and_named_never_undone(
    running: FakeNode, old: str, new: str, named: str
) -> None:
    configure(running.host(), running.configure_params())
    assert old in running.live
    running.live = drifted = running.live.replace(old, new)
    with pytest.raises(HelperError, match=named) as refused:
        configure(running.host(), running.configure_params())
    assert refused.value.refused
    assert running.live == drifted


def test_somebody_elses_configuration_is_refused(running: FakeNode) -> None:
    running.live = LIVE.replace(
        "<resources/>", '<resources><primitive id="db" type="pgsql"/></resources>'
    )
    with pytest.raises(HelperError) as refused:
        configure(running.host(), running.configure_params())
    assert refused.value.refused
    assert not running.ran("cibadmin", "--patch")


def test_a_stopped_cluster_is_not_configured(running: FakeNode) -> None:
    running.units["pacemaker.service"][1] = "inactive"
    with pytest.raises(HelperError, match="does not run"):
        configure(running.host(), running.configure_params())


def test_a_push_that_did_not_take_is_an_error(running: FakeNode) -> None:
    running.answers["cibadmin"] = Ran(0, LIVE, "")
    with pytest.raises(HelperError, match="did not take the whole") as failed:
        configure(running.host(), running.configure_params())
    assert not failed.value.refused
