"""The examples of user data, each on a node of its own: four ways to say it, one cluster."""

from collections.abc import Iterator
from email import message_from_string

import pytest

from muster_lab.client import CHECKOUT, Lab
from muster_lab.views import Node
from observe import ids, own_lab, said, status, tags, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(600)]

EXAMPLES = CHECKOUT / "packaging" / "cloud-init"
WAYS = ("join.yaml", "mapping.yaml", "multipart.txt", "write-file.yaml")
ADDRESS = "10.0.0.68"

Told = dict[str, tuple[str, str]]  # instance id -> the example, and the text it was given


def adapted(name: str) -> str:
    """An example for as many founders as there are ways, without its Elastic IP."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    lines = [line for line in text.splitlines(keepends=True) if "elastic_ip" not in line]
    return (
        "".join(lines)
        .replace("size: 3", f"size: {len(WAYS)}")
        .replace("size = 3", f"size = {len(WAYS)}")
        .replace('--size, "3"', f'--size, "{len(WAYS)}"')
    )


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[Lab, Told]]:
    with own_lab("ways") as lab:
        told: Told = {}
        for name in WAYS:
            text = adapted(name)
            [node] = lab.launch(1, tags=tags("web", len(WAYS)), user_data=text.encode())
            told[node.instance_id] = (name, text)
        wait_for(lab, "formed", list(told))
        lab.wait_boot()
        yield lab, told


def test_every_way_gives_the_same_spec_and_one_cluster(cluster: tuple[Lab, Told]) -> None:
    lab, told = cluster
    nodes: list[Node] = lab.nodes()
    found = [status(lab, each)["cluster"] for each in ids(nodes)]
    assert len({each["uuid"] for each in found}) == 1
    assert len({each["spec_digest"] for each in found}) == 1
    assert {each["size"] for each in found} == {len(told)}
    assert [each["private_ip"] for each in status(lab, ids(nodes)[0])["addresses"]] == [ADDRESS]


def test_cloud_init_is_content_with_each(cluster: tuple[Lab, Told]) -> None:
    lab, told = cluster
    for node, (name, text) in told.items():
        parts = [text]
        if name.endswith(".txt"):
            leaves = [p for p in message_from_string(text).walk() if not p.is_multipart()]
            parts = [
                str(p.get_payload()) for p in leaves if p.get_content_type() != "text/x-shellscript"
            ]
        for part in parts:
            lab.run(node, "sh", "-c", "cat > /run/part.yaml", stdin=part)
            checked = lab.run(node, "cloud-init", "schema", "--config-file", "/run/part.yaml")
            assert "Valid" in checked.stdout, (name, checked.stdout)
        assert "done" in said(lab, node, "cloud-init", "status"), name


def test_the_other_parts_of_a_multi_part_are_done_too(cluster: tuple[Lab, Told]) -> None:
    lab, told = cluster
    [node] = [each for each, (name, _) in told.items() if name == "multipart.txt"]
    assert "This host is managed" in said(lab, node, "cat", "/etc/motd")
    assert "formed" in said(lab, node, "cat", "/var/log/cloud-init-output.log")
