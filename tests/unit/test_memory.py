"""What a node remembers of the cluster it belongs to, and that it is durable before it counts."""

from dataclasses import replace

import pytest
from tests.unit.test_membership import DECREE, LAID, A, B, C, D, listed

from musterd.election import machine
from musterd.election.types import Durable
from musterd.errors import StoreError
from musterd.knowledge import Knowledge
from musterd.memory import Memory
from musterd.model import CorosyncConfig, Node
from musterd.ports import Record

NODE = Node(
    instance_id=A.instance_id,
    name=A.name,
    address=A.address,
    zone="z",
    region="r",
    vpc_id="v",
    subnet_id="s",
    subnet_cidr="10.0.0.0/24",
    launch_index=0,
)


class Disk:
    """A Store in memory that can be full."""

    def __init__(self, record: Record | None = None) -> None:
        self.record = record
        self.full = False

    def load(self) -> Record | None:
        return self.record

    def save(self, record: Record) -> None:
        if self.full:
            raise StoreError("cannot write", why="disk full", cure="make room")
        self.record = record


def member(disk: Disk) -> tuple[Memory, Knowledge]:
    """A member of a formed cluster, just started."""
    disk.record = disk.record or Record(Durable(decided=DECREE), formed=True)
    memory = Memory(disk)
    k = memory.recall(since=0.0, started=0.0)
    k.node, k.facts_stale = NODE, False
    k.election = machine.start(A.instance_id, k.election.durable)
    return memory, k


def test_a_member_follows_what_its_files_list_and_looks_again() -> None:
    disk = Disk()
    memory, k = member(disk)
    k.proofs = {B.instance_id: ("permissions", 1.0), C.instance_id: ("permissions", 1.0)}
    k.leaving = (C.instance_id,)
    k.facts = listed(A, B, D)
    assert memory.follow(k, 1.0) == "the members are node1, node2, node4"
    assert k.decree is not None
    assert k.decree.members == (A, B, D)
    assert set(k.proofs) == {B.instance_id}
    assert not k.leaving
    assert k.facts_stale
    assert Memory(disk).recall(since=0.0, started=0.0).decree == k.decree
    assert memory.follow(k, 2.0) == ""


def test_a_member_that_finds_its_files_gone_has_left_and_remembers_it() -> None:
    disk = Disk()
    memory, k = member(disk)
    k.facts = replace(LAID, corosync=CorosyncConfig.ABSENT, laid=False)
    assert "took this node out" in memory.follow(k, 1.0)
    again = Memory(disk).recall(since=0.0, started=0.0)
    assert (again.left, again.formed) == (True, True)
    memory.leave_behind(k)
    assert (k.left, k.formed, k.decree) == (False, False, None)


def test_a_stopped_cluster_is_not_left() -> None:
    memory, k = member(Disk())
    k.facts = replace(LAID, running=False)
    assert memory.follow(k, 1.0) == ""
    assert not k.left


def test_nothing_is_followed_that_could_not_be_written() -> None:
    disk = Disk()
    memory, k = member(disk)
    disk.full = True
    k.facts = listed(A, B, D)
    assert memory.follow(k, 1.0) == ""
    assert k.decree == DECREE
    assert memory.broken is not None


@pytest.mark.parametrize("formed", [True, False])
def test_another_instances_memory_is_forgotten(formed: bool) -> None:
    disk = Disk(Record(Durable(decided=DECREE), formed=formed, instance_id="i-0other"))
    memory, k = member(disk)
    assert memory.recognise(k)
    assert (k.formed, k.decree, k.joining) == (False, None, None)
    assert memory.broken is not None
    assert not memory.recognise(k)
