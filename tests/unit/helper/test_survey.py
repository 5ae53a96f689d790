"""`survey` says what the node is and lacks, without pcs and without a change."""

from pathlib import Path

import pytest
from fake_node import IDENTITY, SPEC, FakeNode

from muster_helper import systemd
from muster_helper.children import Ran
from muster_helper.survey import survey
from musterd.helper_wire import SurveyParams
from musterd.model import CorosyncConfig


def test_a_fresh_node(node: FakeNode) -> None:
    facts = survey(node.host(), SurveyParams())
    assert facts.corosync is CorosyncConfig.ABSENT
    assert facts.missing == ()
    told = (facts.cib, facts.laid, facts.running, facts.enabled, facts.built)
    assert not any(told)
    assert facts.keys_digest == facts.corosync_digest == ""


def test_a_stock_debian_node(stock: FakeNode) -> None:
    facts = survey(stock.host(), SurveyParams(IDENTITY))
    assert facts.corosync is CorosyncConfig.STUB
    assert not facts.cib
    assert not facts.prepared
    assert not facts.laid
    assert facts.running


def test_nothing_changes_and_pcs_does_not_run(stock: FakeNode) -> None:
    before = stock.snapshot()
    survey(stock.host(), SurveyParams(IDENTITY))
    assert stock.snapshot() == before
    assert {call[0] for call in stock.calls} == {"systemctl", "corosync", "pacemakerd"}
    assert len(stock.ran("systemctl")) == 2  # its units, and when it began


def test_versions(node: FakeNode) -> None:
    (node.root / "usr/lib/python3/dist-packages/pcs-0.11.5.egg-info").mkdir(parents=True)
    assert survey(node.host(), SurveyParams()).versions == {
        "corosync": "3.1.7",
        "pacemaker": "2.1.5",
        "pcs": "0.11.5",
    }


def test_red_hats_metadata_of_pcs(node: FakeNode) -> None:
    folder = node.root / "usr/lib/python3.9/site-packages/pcs-0.11.9-py3.9.egg-info"
    folder.mkdir(parents=True)
    assert survey(node.host(), SurveyParams()).versions["pcs"] == "0.11.9"


@pytest.mark.parametrize(
    ("gone", "package"),
    [
        ("usr/sbin/pcs", "apt install pcs"),
        ("usr/sbin/cibadmin", "dnf install pacemaker-cli"),
        ("usr/sbin/fence_aws", "dnf install fence-agents-aws"),
        ("usr/lib/ocf/resource.d/heartbeat/awsvip", "dnf install resource-agents-cloud"),
        ("usr/sbin/aws", "apt install awscli"),
    ],
)
def test_each_missing_thing_names_its_package(node: FakeNode, gone: str, package: str) -> None:
    (node.root / gone).unlink()
    [sentence] = survey(node.host(), SurveyParams()).missing
    assert package in sentence


def test_a_node_without_addresses_needs_no_aws_agents(node: FakeNode) -> None:
    (node.root / "etc/muster/muster.toml").write_text('[cluster]\nname = "web"\n')
    for gone in ("usr/sbin/aws", "usr/lib/ocf/resource.d/heartbeat/awsvip"):
        (node.root / gone).unlink()
    assert survey(node.host(), SurveyParams()).missing == ()


@pytest.mark.parametrize(
    ("agent", "file"),
    [
        ("systemd:nginx", "usr/lib/systemd/system/nginx.service"),
        ("systemd:app@one", "etc/systemd/system/app@.service"),
        ("ocf:heartbeat:pgsql", "usr/lib/ocf/resource.d/heartbeat/pgsql"),
    ],
)
def test_the_agents_of_resources_are_looked_for(node: FakeNode, agent: str, file: str) -> None:
    (node.root / "etc/muster/muster.toml").write_text(
        SPEC + f'[[resource]]\nid = "web"\nagent = "{agent}"\n'
    )
    [sentence] = survey(node.host(), SurveyParams()).missing
    assert agent in sentence
    (node.root / file).parent.mkdir(parents=True, exist_ok=True)
    (node.root / file).touch()
    assert survey(node.host(), SurveyParams()).missing == ()


GFS2 = """[[shared_disk]]
volume = "vol-042a5652867304f09"
name = "data"
[[resource]]
id = "locks"
agent = "ocf:pacemaker:controld"
group = "shared"
[[resource]]
id = "srv"
agent = "ocf:heartbeat:Filesystem"
group = "shared"
options = { device = "{disk:data}", directory = "/srv", fstype = "gfs2" }
[[group]]
id = "shared"
clone = true
"""


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        ("usr/sbin/dlm_controld", "apt install dlm-controld"),
        ("usr/sbin/mkfs.gfs2", "dnf install gfs2-utils"),
        ("sys/module/dlm", "module dlm of [[resource]] locks is not in this kernel"),
        ("lib/modules/6.1.0/modules.dep", "module gfs2 of [[resource]] srv is not in this kernel"),
    ],
)
def test_gfs2_needs_its_parts_of_the_kernel_and_its_programs(
    node: FakeNode, gone: str, words: str
) -> None:
    """One module is loaded already, the other one can be."""
    (node.root / "etc/muster/muster.toml").write_text(f"{SPEC}{GFS2}")
    there = {
        "usr/sbin/dlm_controld": "",
        "usr/sbin/mkfs.gfs2": "",
        "sys/module/dlm": "",
        "proc/sys/kernel/osrelease": "6.1.0\n",
        "lib/modules/6.1.0/modules.dep": "kernel/fs/gfs2/gfs2.ko.xz:\n",
        "usr/lib/ocf/resource.d/pacemaker/controld": "",
        "usr/lib/ocf/resource.d/heartbeat/Filesystem": "",
    }
    for agent, options in (("controld", ()), ("Filesystem", ("device", "directory", "fstype"))):
        named = "".join(f'<parameter name="{option}"/>' for option in options)
        told = f"<resource-agent><parameters>{named}</parameters></resource-agent>"
        node.answers[agent] = Ran(0, told, "")
    for path, text in there.items():
        (node.root / path).parent.mkdir(parents=True, exist_ok=True)
        (node.root / path).write_text(text)
    assert not any("locks" in each or "srv" in each for each in _missing(node))
    (node.root / gone).unlink()
    assert [words in each for each in _missing(node) if "locks" in each or "srv" in each] == [True]


def _missing(node: FakeNode) -> tuple[str, ...]:
    return survey(node.host(), SurveyParams()).missing


FILESYSTEM = """<resource-agent name="Filesystem"><parameters>
<parameter name="device" required="1"/><parameter name="fstype" required="1"/>
<parameter name="old" required="1"><deprecated/></parameter>
</parameters><actions><action name="start"/></actions></resource-agent>"""


def wants(node: FakeNode, resource: str) -> None:
    """Have the node want one resource, and an agent Filesystem that is there."""
    agent = node.root / "usr/lib/ocf/resource.d/heartbeat/Filesystem"
    agent.touch()
    node.answers["Filesystem"] = Ran(0, FILESYSTEM, "")
    (node.root / "etc/muster/muster.toml").write_text(f"{SPEC}[[resource]]\n{resource}")


def test_what_an_agent_does_not_take_is_told_before_anything_is_founded(node: FakeNode) -> None:
    wants(node, 'id = "d"\nagent = "ocf:heartbeat:Filesystem"\noptions = {fstype = "x", b = 1}\n')
    unknown, lacking = survey(node.host(), SurveyParams()).missing
    assert "d has b, which ocf:heartbeat:Filesystem on this node does not take" in unknown
    assert "d lacks device, which" in lacking


def test_an_agent_is_asked_again_only_when_its_file_changes(node: FakeNode) -> None:
    wants(node, 'id = "d"\nagent = "Filesystem"\noptions = {fstype = "x", device = "y"}\n')
    for _ in range(2):
        assert survey(node.host(), SurveyParams()).missing == ()
    asked = [call for call in node.calls if call[-1] == "meta-data"]
    assert len(asked) == 1
    (node.root / "usr/lib/ocf/resource.d/heartbeat/Filesystem").write_text("another")
    survey(node.host(), SurveyParams())
    assert len([call for call in node.calls if call[-1] == "meta-data"]) == 2


def test_a_name_that_means_two_agents_is_refused(node: FakeNode) -> None:
    for provider in ("heartbeat", "pacemaker"):
        folder = node.root / "usr/lib/ocf/resource.d" / provider
        folder.mkdir(exist_ok=True)
        (folder / "Dummy").touch()
    wants(node, 'id = "d"\nagent = "Dummy"\n')
    [sentence] = survey(node.host(), SurveyParams()).missing
    assert "write ocf:heartbeat:Dummy or ocf:pacemaker:Dummy" in sentence


def test_an_agent_without_metadata_is_told(node: FakeNode) -> None:
    wants(node, 'id = "d"\nagent = "ocf:heartbeat:Filesystem"\n')
    node.answers["Filesystem"] = Ran(1, "", "no such interpreter")
    [sentence] = survey(node.host(), SurveyParams()).missing
    assert "ocf:heartbeat:Filesystem did not print its metadata" in sentence
    assert "no such interpreter" in sentence


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("pwer_timeout = 9", "pwer_timeout, which fence_aws on this node does not take"),
        ('pcmk_host_map = "a:1\\nb:2"', "line break"),
    ],
)
def test_what_the_fence_agent_does_not_take_is_told(
    node: FakeNode, options: str, told: str
) -> None:
    (node.root / "etc/muster/muster.toml").write_text(f"{SPEC}[fencing.options]\n{options}\n")
    [sentence] = survey(node.host(), SurveyParams()).missing
    assert told in sentence


def test_a_spec_root_cannot_use_is_told(node: FakeNode) -> None:
    (node.root / "etc/muster/muster.toml").write_text("[cluster]\nnmae = 1\nname = 'web'\n")
    [sentence] = survey(node.host(), SurveyParams()).missing
    assert "nmae" in sentence


def test_a_node_without_a_wish_lacks_nothing(node: FakeNode) -> None:
    (node.root / "etc/muster/muster.toml").unlink()
    assert survey(node.host(), SurveyParams()).missing == ()


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("sys/devices/virtual/dmi/id/board_asset_tag", "i-0abc0abc0abc0abc0\n", "asset"),
        ("var/lib/cloud/data/instance-id", "i-0abc0abc0abc0abc0\n", "asset"),
        ("sys/devices/virtual/dmi/id/board_asset_tag", "Not Specified\n", "member"),
    ],
)
def test_the_instance_id_without_imds(
    node: FakeNode, path: str, content: str, expected: str
) -> None:
    file: Path = node.root / path
    file.parent.mkdir(parents=True)
    file.write_text(content)
    wanted = {"asset": "i-0abc0abc0abc0abc0", "member": "i-00000000000000001"}[expected]
    assert survey(node.host(), SurveyParams(IDENTITY)).instance_id == wanted


def test_each_boot_has_a_name_of_its_own(node: FakeNode) -> None:
    folder = node.root / "proc/sys/kernel/random"
    folder.mkdir(parents=True)
    (folder / "boot_id").write_text("2d5a3f2e-0000\n")
    node.answers["systemctl"] = Ran(0, "123456\n", "")
    assert systemd.started(node) == "123456"
    del node.answers["systemctl"]
    assert survey(node.host(), SurveyParams()).boot_id == "2d5a3f2e-0000/"
