"""What the control sockets and the peer port may ask of the engine, and nothing more."""

from collections.abc import AsyncIterator
from typing import Protocol

from muster.api import Event, Operation, Plan, Preflight, Status
from musterd.election.types import Message
from musterd.peer_wire import Hello, Probe, Probed


class ControlDoor(Protocol):
    """The engine, as people see it. Reads answer at once from memory and never raise."""

    def status(self) -> Status:
        """Return what is known now."""

    def config(self) -> dict[str, object]:
        """Return the effective spec: "spec" (nested), "origins" (dotted key -> source), "digest".

        Without secrets; all three empty before the spec is known.
        """

    def events(self, since: float) -> tuple[Event, ...]:
        """Return the kept events with `seconds` greater than `since`, oldest first (-1: all)."""

    def follow(self, since: float) -> AsyncIterator[Event]:
        """Yield the same events and then each new one; ends when the engine stops."""

    async def join(self, asked_by: str) -> Operation:
        """Begin (or find already begun) joining the cluster the spec names.

        Args:
            asked_by: who asked, for the record: "uid 0".

        Raises:
            MusterError: the node cannot join; the error says why and what to do.
        """

    async def leave(self, name: str, asked_by: str) -> Operation:
        """Ask the conductor to take a member out of the formed cluster.

        Args:
            name: of the member, "" for this node.
            asked_by: who asked, for the record: "uid 0".

        Raises:
            MusterError: this node is in no formed cluster, or it has no such member.
        """

    async def preflight(self) -> Preflight:
        """Look at everything the cluster needs of this node and its surroundings, now.

        Takes some seconds, never more than `muster.contract.PREFLIGHT_SECONDS`; never raises.
        """

    async def fence_test(self, asked_by: str, node: str) -> Operation:
        """Begin to fence a member for real, or all of them one after another.

        Args:
            asked_by: who asked, for the record: "uid 0".
            node: a member's name or instance id, "" for every one.

        Raises:
            MusterError: it cannot be begun; the error says why and what to do.
        """

    async def plan(self) -> Plan:
        """Compare the running cluster with the spec on disk, now; touches nothing.

        Raises:
            MusterError: there is no running cluster, or the spec cannot be used.
        """

    async def apply(self, asked_by: str, plan: str, *, restart: bool) -> Operation:
        """Begin to carry out exactly this plan.

        Args:
            asked_by: who asked, for the record: "uid 0".
            plan: the plan's name, as `plan()` gave it.
            restart: whether the whole cluster may be stopped for it.

        Raises:
            MusterError: it cannot be begun; the error says why and what to do.
        """

    def operation(self, operation_id: str) -> Operation | None:
        """Return how far an operation is; None when there never was one of that id."""

    def metrics(self) -> str:
        """Return Prometheus text (exposition format 0.0.4)."""


class PeerDoor(Protocol):
    """The engine, as other nodes see it."""

    def cluster_name(self) -> str:
        """Return the name of the cluster in the spec; "" before the spec is known."""

    def own_id(self) -> str:
        """Return this node's instance id; "" before metadata has answered."""

    def member_addresses(self, instance_id: str) -> frozenset[str] | None:
        """Return the private addresses of a member.

        A member is an instance of the latest member set (tag, same VPC, not terminated, or
        named by the decided decree) other than this node; None for anybody else.
        """

    async def refresh_members(self, stranger: str) -> None:
        """Read the member set anew for an instance that is not in it; never raises.

        However often it is asked, EC2 is not read more often than it otherwise may be.

        Args:
            stranger: the instance id that a certificate of this cluster names.
        """

    async def hello(self, peer: Hello) -> Hello:
        """Take in a member's hello and return our own."""

    async def probe(self, sender: str, probe: Probe) -> Probed:
        """Try the ways to a member that asks for it."""

    async def receive(self, sender: str, message: Message) -> None:
        """Take in an election message of an authenticated member."""

    def formed(self) -> bool:
        """Tell whether founding is over: election messages are then answered with 409."""


class EngineDoor(ControlDoor, PeerDoor, Protocol):
    """The engine, as requests see it."""
