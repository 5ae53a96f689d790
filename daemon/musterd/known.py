"""What an action needs to be known already; an error in words while it is not."""

from ipaddress import IPv4Address

from musterd import course
from musterd.errors import MusterError
from musterd.helper_wire import Identity, WireMember
from musterd.knowledge import Knowledge
from musterd.model import Decree, Node


def node(k: Knowledge) -> Node:
    """Return who this node is. Raises MusterError."""
    if k.node is None:
        raise MusterError("this node does not know itself yet")
    return k.node


def decree(k: Knowledge) -> Decree:
    """Return the decided decree. Raises MusterError."""
    found = course.decree_of(k)
    if found is None:
        raise MusterError("nothing is decided yet")
    return found


def identity(k: Knowledge, members: Decree | None = None) -> Identity:
    """Return the cluster as the helper is told of it, with other members if any are given.

    Raises:
        MusterError: nothing is decided yet.
    """
    spec, decided = course.spec_of(k), members or decree(k)
    return Identity(
        name=spec.cluster.name,
        uuid=decided.uuid,
        members=tuple(
            WireMember(m.instance_id, m.name, IPv4Address(m.address)) for m in decided.members
        ),
        token_ms=spec.corosync.token_ms,
    )
