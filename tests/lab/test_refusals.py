"""Bad input: a sentence that names file or tag, key and cure; nothing is touched meanwhile.

Three nodes serve most cases, the spec rewritten between them. At the end two of them, cured, found
their cluster: no refusal left anything behind.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from muster_lab.client import Lab
from observe import Document, own_lab, said, status, until, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

SPEC = "/etc/muster/muster.toml"
CONF = "/etc/corosync/corosync.conf"
GOOD = '[cluster]\nname = "web"\nsize = 2\n'
SOON = 90.0
"""Seconds until a node must have said what is wrong; it retries every 15."""


@dataclass(frozen=True)
class Nodes:
    """The lab and its nodes, by what ails them first.

    Attributes:
        bare: has no tag of ours.
        tagged: has the tag, but its metadata shows no tags.
        blind: has no metadata service.
        garbled: has the tag, and user data that is no YAML.
    """

    lab: Lab
    bare: str
    tagged: str
    blind: str
    garbled: str


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """Launched together, so that they boot while others are looked at."""
    with own_lab("refusals") as lab:
        [bare] = lab.launch(1, tags={"Name": "bare"})
        [tagged] = lab.launch(1, tags={"muster:cluster": "web"}, metadata_tags=False)
        [blind] = lab.launch(1, tags={"muster:cluster": "other"}, imds=False)
        text = b"#cloud-config\nmuster:\n  cluster: {name: third, size: ["
        [garbled] = lab.launch(1, tags={"muster:cluster": "third"}, user_data=text)
        yield Nodes(
            lab, bare.instance_id, tagged.instance_id, blind.instance_id, garbled.instance_id
        )


def _give(lab: Lab, node: str, spec: str) -> None:
    """Put the spec there as an administrator would, and have it read."""
    install = ["install", "-o", "root", "-g", "musterd", "-m", "0640", "/dev/stdin", SPEC]
    lab.run(node, *install, stdin=spec)
    lab.run(node, "muster", "join")


def _complains(lab: Lab, node: str, phase: str, *words: str) -> Document:
    """Wait until reason and cure together hold all the words."""

    def wanted(now: Document) -> bool:
        told = f"{now['reason']} {now['next']}"
        return now["phase"] == phase and all(word in told for word in words)

    return until(lab, node, wanted, SOON)


def test_user_data_that_cannot_be_read_is_not_taken_for_none(nodes: Nodes) -> None:
    lab, node = nodes.lab, nodes.garbled
    _complains(lab, node, "failed", "user data cannot be used: ", "YAML at line", "correct its")
    assert said(lab, node, "systemctl", "is-failed", "muster-user-data").strip() == "failed"


def test_a_silent_metadata_service_does_not_keep_the_boot(nodes: Nodes) -> None:
    """The reader of user data goes on by itself."""
    lab, node = nodes.lab, nodes.blind
    _complains(lab, node, "waiting", "metadata")
    assert said(lab, node, "systemctl", "is-active", "muster-user-data").strip() == "active"
    shown = said(lab, node, "systemctl", "show", "--property=SubState", "muster-user-data")
    assert shown.strip() == "SubState=running"


def test_no_tag_names_the_tag_and_the_command(nodes: Nodes) -> None:
    _complains(
        nodes.lab, nodes.bare, "waiting", "no cluster name", "muster:cluster=NAME", "muster join"
    )


def test_tags_that_metadata_hides_name_the_setting(nodes: Nodes) -> None:
    _complains(
        nodes.lab, nodes.tagged, "waiting", "not in its metadata", "instance-metadata-tags enabled"
    )


def test_no_metadata_service_names_the_setting(nodes: Nodes) -> None:
    _complains(nodes.lab, nodes.blind, "waiting", "metadata", "modify-instance-metadata-options")


BAD = {
    "too small": ('[cluster]\nname = "web"\nsize = 1\n', ("key cluster.size", "'1'", SPEC)),
    "too large": ('[cluster]\nname = "web"\nsize = 99\n', ("key cluster.size", "'99'", SPEC)),
    "no TOML": ('[cluster\nname = "web"\n', (f"{SPEC} is not TOML", "line 1")),
    "unknown key": (f"{GOOD}color = 3\n", ("key cluster.color is not known", SPEC)),
    "outside the subnet": (
        f'{GOOD}[[address]]\nprivate_ip = "10.9.9.9"\n',
        ("[[address]] 10.9.9.9 lies outside", "10.0.0.0/24", SPEC),
    ),
    "kept by AWS": (
        f'{GOOD}[[address]]\nprivate_ip = "10.0.0.2"\n',
        ("[[address]] 10.0.0.2 is one of the five", SPEC),
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_spec_names_file_key_and_cure(nodes: Nodes, case: str) -> None:
    spec, words = BAD[case]
    _give(nodes.lab, nodes.bare, spec)
    _complains(nodes.lab, nodes.bare, "failed", "type `muster join`", *words)


def test_a_bad_tag_is_named_and_read_again_without_a_hand(nodes: Nodes) -> None:
    lab, node = nodes.lab, nodes.bare
    _tag(lab, node, "muster:cluster=web", "muster:size=99")
    lab.run(node, "rm", SPEC)
    lab.run(node, "muster", "join")
    _complains(lab, node, "failed", "instance tag muster:size", "'99'", "change the tag")
    _tag(lab, node, "muster:size=2")
    until(lab, node, lambda now: now["phase"] == "waiting", SOON)


def _tag(lab: Lab, node: str, *tags: str) -> None:
    pairs = (tag.partition("=") for tag in tags)
    words = [f"Key={key},Value={value}" for key, _, value in pairs]
    lab.aws("ec2", "create-tags", "--resources", node, "--tags", *words)


def test_a_secret_that_may_not_be_read_names_the_action(nodes: Nodes) -> None:
    """On the node that has read no secret yet."""
    lab, node = nodes.lab, nodes.tagged
    lab.fault("GetSecretValue", service="secretsmanager", code="AccessDeniedException", status=400)
    _give(lab, node, GOOD + "[corosync]\ntoken_ms = 12000\n")
    _complains(lab, node, "waiting", "may not call secretsmanager:GetSecretValue", "policy")
    lab.clear_faults()
    lab.run(node, "muster", "join")
    until(lab, node, lambda now: "GetSecretValue" not in now["reason"], SOON)


TROUBLE: dict[str, tuple[dict[str, object], str]] = {
    "refuses": ({"code": "UnauthorizedOperation", "status": 403}, "may not call"),
    "throttles": ({"code": "RequestLimitExceeded", "status": 503}, "throttles"),
    "hangs": ({"hang": True}, "no answer to"),
}


@pytest.mark.parametrize("trouble", TROUBLE)
def test_when_ec2_does_not_answer_the_node_waits_and_says_so(nodes: Nodes, trouble: str) -> None:
    """On a node that has not seen the other one yet: it does not take itself for alone."""
    lab, node = nodes.lab, nodes.blind
    lab.aws("ec2", "modify-instance-metadata-options", "--instance-id", node,
            "--http-endpoint", "enabled")  # fmt: skip
    options, words = TROUBLE[trouble]
    lab.clear_faults()
    lab.fault("DescribeInstances", caller=node, **options)
    _give(lab, node, '[cluster]\nname = "other"\nsize = 2\n')
    _complains(lab, node, "waiting", words, "ec2:DescribeInstances")
    lab.clear_faults()
    lab.run(node, "muster", "join")
    until(lab, node, lambda now: "DescribeInstances" not in now["reason"], SOON)


def test_two_specs_that_differ_name_the_keys(nodes: Nodes) -> None:
    """The tagged node got another token time above; each side names it."""
    lab = nodes.lab
    _complains(lab, nodes.bare, "waiting", "differs from this node's in corosync.token_ms", SPEC)
    _complains(lab, nodes.tagged, "waiting", "differs from this node's in corosync.token_ms", SPEC)


FOREIGN = """totem {
    version: 2
    cluster_name: theirs
}
nodelist {
    node {
        name: elsewhere
        nodeid: 1
        ring0_addr: 10.0.0.99
    }
}
"""


def test_a_foreign_cluster_is_left_alone_and_named(nodes: Nodes) -> None:
    lab, node = nodes.lab, nodes.tagged
    lab.run(node, "sh", "-c", f"cat > {CONF}", stdin=FOREIGN)
    _give(lab, node, GOOD)
    _complains(lab, node, "failed", "not muster's", "'theirs'", "pcs cluster destroy")
    _complains(lab, nodes.bare, "waiting", "cannot take part", "'theirs'")
    assert said(lab, node, "cat", CONF) == FOREIGN.strip()
    lab.run(node, "rm", CONF)


def test_meanwhile_nothing_was_touched(nodes: Nodes) -> None:
    """But for the distribution's stub, which preparing a node clears away."""
    for node in (nodes.bare, nodes.tagged, nodes.blind):
        nodes.lab.run(node, "test", "!", "-e", CONF)
        active = nodes.lab.run(node, "systemctl", "is-active", "corosync", "pacemaker", check=False)
        assert active.stdout.split() == ["inactive", "inactive"]
        assert status(nodes.lab, node)["cluster"]["uuid"] == ""


def test_cured_the_two_found_their_cluster(nodes: Nodes) -> None:
    lab, both = nodes.lab, [nodes.bare, nodes.tagged]
    for node in both:
        _give(lab, node, GOOD)
    wait_for(lab, "healthy", both)
    assert len({status(lab, node)["cluster"]["uuid"] for node in both}) == 1
