"""By its own look at the node the root helper refuses what is unsafe, whoever asks for it.

Every changing verb is tried on every kind of node on which it must not act.
"""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from fake_node import EMPTY_CIB, IDENTITY, LAY, SPEC, FakeNode

from muster_helper.build import build
from muster_helper.configure import configure
from muster_helper.fence import fence
from muster_helper.host import Host
from muster_helper.lay import lay
from muster_helper.prepare import prepare
from muster_helper.probe import probe
from muster_helper.start import start
from muster_helper.trust import trust
from musterd.errors import HelperError, MusterError
from musterd.helper_wire import (
    FenceParams,
    Identity,
    PrepareParams,
    ProbeParams,
    StartParams,
    Tags,
    TrustParams,
)

FOREIGN = """totem {
    cluster_name: theirs
    cluster_uuid: 99999999999999999999999999999999
}
nodelist {
    node {
        name: elsewhere
        ring0_addr: 10.0.0.99
    }
}
"""
CONFIGURED = EMPTY_CIB.format(epoch=9, nodes="").replace(
    "<resources/>", '<resources><primitive id="theirs"/></resources>'
)

Verb = Callable[[Host, FakeNode, Identity], object]
VERBS: dict[str, Verb] = {
    "lay": lambda host, _, who: lay(host, replace(LAY, identity=who)),
    "start": lambda host, _, who: start(host, StartParams(who)),
    "build": lambda host, node, who: build(host, replace(node.configure_params(), identity=who)),
    "configure": lambda host, node, who: configure(
        host, replace(node.configure_params(), identity=who)
    ),
    "trust": lambda host, _, who: trust(host, TrustParams(who, "t" * 128)),
    "fence": lambda host, _, who: fence(host, FenceParams(who, IDENTITY.members[1].instance_id)),
    "probe-fencing": lambda host, _, who: probe(host, ProbeParams(who, Tags(), "eu-west-1")),
}


@pytest.fixture
def node(tmp_path: Path) -> FakeNode:
    return FakeNode(tmp_path / "node")


def foreign_file(node: FakeNode) -> None:
    node.paths.corosync_conf.write_text(FOREIGN)


def broken_file(node: FakeNode) -> None:
    node.paths.corosync_conf.write_text("totem {\n")


def same_uuid_other_members(node: FakeNode) -> None:
    node.paths.corosync_conf.write_text(FOREIGN.replace("9" * 32, IDENTITY.uuid))


def foreign_cib(node: FakeNode) -> None:
    node.paths.cib.write_text(CONFIGURED)


def runs_without_a_file(node: FakeNode) -> None:
    for name in ("corosync", "pacemaker"):
        node.units[f"{name}.service"] = ["loaded", "active", "enabled"]


UNSAFE = (foreign_file, broken_file, same_uuid_other_members, foreign_cib, runs_without_a_file)


def refused(node: FakeNode, verb: Verb, identity: Identity = IDENTITY) -> HelperError:
    """Ask, expect a refusal, and that nothing at all has changed."""
    before, units, live = node.snapshot(), {k: [*v] for k, v in node.units.items()}, node.live
    with pytest.raises(HelperError) as caught:
        verb(node.host(), node, identity)
    assert caught.value.refused
    assert caught.value.cure
    assert (node.snapshot(), node.units, node.live) == (before, units, live)
    return caught.value


@pytest.mark.parametrize("name", VERBS)
@pytest.mark.parametrize("make_unsafe", UNSAFE)
def test_no_verb_acts_on_a_node_that_is_somebody_elses(
    node: FakeNode, name: str, make_unsafe: Callable[[FakeNode], None]
) -> None:
    make_unsafe(node)
    refused(node, VERBS[name])
    assert not node.ran("pcs")


@pytest.mark.parametrize("name", VERBS)
def test_no_verb_acts_for_a_cluster_without_this_node(node: FakeNode, name: str) -> None:
    """Nor for one that has the name at another address: two instances with one host name."""
    lay(node.host(), LAY)
    own, other = IDENTITY.members
    renamed = replace(own, name="ip-10-0-0-99")
    moved = replace(own, address=IPv4Address("10.0.0.99"))
    for members in ((renamed, other), (moved, other)):
        refused(node, VERBS[name], replace(IDENTITY, members=members))


@pytest.mark.parametrize("name", VERBS)
def test_a_formed_node_follows_no_other_identity(node: FakeNode, name: str) -> None:
    """What a captured daemon would ask for: another cluster on a node that has one."""
    lay(node.host(), LAY)
    start(node.host(), StartParams(IDENTITY))
    for captured in (
        replace(IDENTITY, uuid="cd" * 16),
        replace(IDENTITY, members=(IDENTITY.members[0], replace(IDENTITY.members[1], name="evil"))),
    ):
        refused(node, VERBS[name], captured)


def test_prepare_clears_nothing_but_the_exact_stub(node: FakeNode) -> None:
    for text in (FOREIGN, FOREIGN.replace("theirs", "debian"), "totem {\n"):
        node.paths.corosync_conf.write_text(text)
        prepare(node.host(), PrepareParams("eu-west-1"))
        assert node.paths.corosync_conf.read_text() == text
    assert not node.ran("systemctl", "stop")
    assert not node.ran("systemctl", "kill")


# --- what has power comes from root's own files --------------------------------------------------


@pytest.mark.parametrize(
    "identity",
    [replace(IDENTITY, name="theirs"), replace(IDENTITY, token_ms=300_000)],
    ids=["name", "token"],
)
def test_a_cluster_that_the_roots_spec_does_not_ask_for_is_not_laid(
    node: FakeNode, identity: Identity
) -> None:
    told = refused(node, VERBS["lay"], identity)
    assert "does not ask for cluster" in told.what


def test_with_tags_alone_the_name_is_believed(node: FakeNode) -> None:
    node.paths.spec.unlink()
    lay(node.host(), replace(LAY, identity=replace(IDENTITY, name="tagged")))
    assert "cluster_name: tagged" in node.paths.corosync_conf.read_text()


def test_a_spec_nobody_can_read_lays_nothing(node: FakeNode) -> None:
    node.paths.spec.write_text("[cluster\n")
    before = node.snapshot()
    with pytest.raises(MusterError, match="not TOML"):
        lay(node.host(), LAY)
    assert node.snapshot() == before


@pytest.mark.parametrize("name", ["build", "configure"])
def test_the_wire_cannot_bring_a_configuration(node: FakeNode, name: str) -> None:
    """The digest names the spec; what is built of it is read from root's file alone."""
    lay(node.host(), LAY)
    start(node.host(), StartParams(IDENTITY))
    node.live = EMPTY_CIB.format(epoch=3, nodes="")
    asked = node.configure_params()
    node.paths.spec.write_text(SPEC + '[[resource]]\nid = "web"\nagent = "systemd:nginx"\n')
    perform = {"build": build, "configure": configure}[name]
    before = node.snapshot()
    with pytest.raises(HelperError, match="not the one musterd acts for"):
        perform(node.host(), asked)
    assert node.snapshot() == before
    perform(node.host(), node.configure_params())
    assert node.ran("pcs")


@pytest.mark.parametrize("name", ["build", "configure"])
def test_a_subnet_from_the_wire_only_narrows(node: FakeNode, name: str) -> None:
    lay(node.host(), LAY)
    start(node.host(), StartParams(IDENTITY))
    asked = replace(node.configure_params(), subnet=IPv4Network("192.168.0.0/24"))
    with pytest.raises(HelperError, match="lies outside"):
        {"build": build, "configure": configure}[name](node.host(), asked)
    assert not [call for call in node.ran("pcs") if call[:2] == ("pcs", "-f")]
