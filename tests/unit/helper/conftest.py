"""A fresh node for each test."""

from pathlib import Path

import pytest
from fake_member import FakeMember
from fake_node import EMPTY_CIB, STUB, FakeNode


@pytest.fixture
def node(tmp_path: Path) -> FakeNode:
    """A node with the packages and without a cluster, as Red Hat's are after installation."""
    return FakeNode(tmp_path / "node")


@pytest.fixture
def newcomer(tmp_path: Path) -> FakeMember:
    """A prepared node outside; it is the first of the members to be."""
    return FakeMember(tmp_path / "newcomer")


@pytest.fixture
def stock(node: FakeNode) -> FakeNode:
    """A node as Debian's packages leave it: their one-node cluster runs and has a CIB."""
    (node.root / "etc/corosync/corosync.conf").write_text(STUB)
    bare = EMPTY_CIB.format(epoch=4, nodes='<node id="1" uname="node1"/>')
    for name in ("cib.xml", "cib-1.raw"):
        (node.root / "var/lib/pacemaker/cib" / name).write_text(bare)
    for name in ("corosync", "pacemaker"):
        node.units[f"{name}.service"] = ["loaded", "active", "enabled"]
    return node
