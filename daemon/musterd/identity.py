"""The metadata documents -> this node.

Values come from IMDSv2 (AWS documentation, "Instance metadata categories"); the name is the
host's own, because Pacemaker knows a node by `uname -n`.
"""

from collections.abc import Mapping

from musterd.errors import MetadataError, StoreError
from musterd.model import Node

# What must be read below /latest/meta-data/; {mac} is the primary interface's.
PATHS = {
    "instance_id": "instance-id",
    "launch_index": "ami-launch-index",
    "address": "local-ipv4",
    "zone": "placement/availability-zone",
    "region": "placement/region",
    "vpc_id": "network/interfaces/macs/{mac}/vpc-id",
    "subnet_id": "network/interfaces/macs/{mac}/subnet-id",
    "vpc_cidrs": "network/interfaces/macs/{mac}/vpc-ipv4-cidr-blocks",
    "subnet_cidr": "network/interfaces/macs/{mac}/subnet-ipv4-cidr-block",
}


OPTIONAL = frozenset({"vpc_cidrs"})  # without it fewer mistakes of a spec are told beforehand


def node_from(documents: Mapping[str, str], host_name: str) -> Node:
    """Return the node that the documents (keys of `PATHS`) describe.

    Raises:
        MetadataError: a document is missing or empty, or the host has no name of its own.
    """
    values = {key: documents.get(key, "").strip() for key in PATHS}
    absent = [PATHS[key] for key in values if not values[key] and key not in OPTIONAL]
    if absent:
        raise MetadataError(
            f"IMDS did not tell {', '.join(absent)}",
            why="the instance's metadata is incomplete",
            cure="type `journalctl -u musterd` for the answers; the node asks again by itself",
        )
    if host_name in {"", "localhost", "localhost.localdomain"}:
        raise MetadataError(
            f"this host's name is {host_name!r}",
            why="every node needs a name of its own in the cluster",
            cure="type `hostnamectl set-hostname NAME`, or let cloud-init set it, then"
            " `muster join`",
        )
    index = values.pop("launch_index")
    return Node(name=host_name, launch_index=int(index) if index.isdecimal() else 0, **values)


def captured(written_by: str, own_id: str) -> StoreError | None:
    """Return why a memory that this instance did not write must not be used, None when it may be.

    Args:
        written_by: the instance that wrote it, "" when the memory does not tell.
        own_id: this instance.
    """
    if written_by in {"", own_id}:
        return None
    return StoreError(
        f"this image was captured from {written_by}; its memory is not that of {own_id}",
        why="the image was not sealed, so this node carries the votes and the cluster files of"
        " another one",
        cure="type `muster seal` before an image is captured, and launch from the sealed image;"
        " or type `muster seal` here, then reboot",
    )
