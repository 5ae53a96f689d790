"""Who a node is, from its metadata documents and its own host name."""

import pytest

from musterd.errors import MetadataError
from musterd.identity import OPTIONAL, PATHS, node_from

DOCUMENTS = {
    "instance_id": "i-00000000000000001\n",
    "launch_index": "2",
    "address": "10.0.0.11",
    "zone": "eu-west-1a",
    "region": "eu-west-1",
    "vpc_id": "vpc-1",
    "subnet_id": "subnet-1",
    "subnet_cidr": "10.0.0.0/24",
}


def test_a_node_is_what_its_documents_say_without_their_newlines() -> None:
    node = node_from(DOCUMENTS, "ip-10-0-0-11")
    assert (node.instance_id, node.name) == ("i-00000000000000001", "ip-10-0-0-11")
    assert node.launch_index == 2


@pytest.mark.parametrize("key", sorted(PATHS.keys() - OPTIONAL))
def test_a_missing_document_is_named_by_its_path(key: str) -> None:
    with pytest.raises(MetadataError, match=PATHS[key].replace("{mac}", ".mac.")):
        node_from({**DOCUMENTS, key: " "}, "ip-10-0-0-11")


@pytest.mark.parametrize("name", ["", "localhost", "localhost.localdomain"])
def test_a_host_without_a_name_of_its_own_is_no_node(name: str) -> None:
    with pytest.raises(MetadataError) as raised:
        node_from(DOCUMENTS, name)
    assert "hostnamectl set-hostname" in raised.value.cure


def test_an_odd_launch_index_reads_as_the_first() -> None:
    assert node_from({**DOCUMENTS, "launch_index": "x"}, "ip-10-0-0-11").launch_index == 0
