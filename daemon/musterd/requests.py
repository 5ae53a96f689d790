"""The changes that administrators ask for: each is an operation, which the loop carries on.

A part of the engine: a request only notes what is wanted, and the loop does it in its turn.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from muster.api import Operation
from musterd import course, day_two, drill
from musterd.errors import MusterError
from musterd.knowledge import Applying, Knowledge
from musterd.operations import Operations
from musterd.ports import Clock, Random

Put = Callable[[Callable[[], bool | None]], Awaitable[None]]


class Requests:
    """Takes requests, and says of each how far it is.

    Args:
        k: what the node knows.
        clock: dates what is asked.
        random: names operations.
        stamp: the present, as events have it.
        put: hands something to the loop.
    """

    def __init__(
        self, k: Knowledge, clock: Clock, random: Random, stamp: Callable[[], str], put: Put
    ) -> None:
        self._k = k
        self._clock = clock
        self._random = random
        self._stamp = stamp
        self._put = put
        self.operations = Operations()

    async def join(self, asked_by: str, begin: Callable[[], None]) -> Operation:
        """Begin to join, or find that begun."""
        state = "done" if self._k.formed and not self._k.left else "running"
        operation = self.operations.running("join") or self._new("join", asked_by, state)
        await self._put(begin)
        return operation

    async def leave(self, asked_by: str, name: str) -> Operation:
        """Ask the conductor, by our hellos, to take a member out."""
        member = day_two.leaver(self._k, name)
        running = self.operations.running("leave", member.name)
        operation = running or self._new("leave", asked_by, "running", member.name)
        await self._put(partial(day_two.ask_to_leave, self._k, member.instance_id))
        return operation

    async def fence_test(self, asked_by: str, node: str) -> Operation:
        """Begin real fences, or find them begun."""
        running = self.operations.running("fence-test")
        if running is not None:
            return running
        wanted = drill.begin(self._k, self._clock.monotonic(), node, self._clock.wall())
        operation = self._new("fence-test", asked_by, "running")
        await self._put(lambda: drill.start(self._k, replace(wanted, operation=operation.id)))
        return operation

    async def apply(self, asked_by: str, plan: str, restart: bool) -> Operation:
        """Have exactly this plan carried out.

        Raises:
            MusterError: another one is under way, or another node acts for the cluster.
        """
        if self.operations.running("apply") is not None:
            raise MusterError(
                "a plan is being applied already",
                cure="type `muster plan` when it is done: `muster status` shows it",
            )
        if not course.conductor(self._k):
            dc = self._k.cluster.dc if self._k.cluster is not None else ""
            raise MusterError(
                "another node acts for the cluster",
                why=f"Pacemaker's DC is {dc or 'not known here'}",
                cure=f"type `muster apply` on {dc}" if dc else "type `muster status`",
            )
        operation = self._new("apply", asked_by, "running", f"plan {plan[:12]}")
        asked = Applying(operation.id, plan, restart)
        await self._put(lambda: setattr(self._k, "applying", asked))
        return operation

    def settle(self) -> None:
        """Say of each operation how far it is by now."""
        k, now = self._k, self._clock.monotonic()
        self.operations.reached(k.outlook.phase, k.outlook.reason)
        if k.drill is not None:
            self.operations.advance(k.drill.operation, *drill.progress(k, k.drill, now))
        if k.applying is not None and k.applying.state != "running":
            self.operations.advance(k.applying.operation, k.applying.state, k.applying.detail)
            k.applying = None

    def _new(self, verb: str, asked_by: str, state: str, detail: str = "") -> Operation:
        named, at = self._random.hexadecimal(16), self._stamp()
        return self.operations.add(Operation(named, verb, state, asked_by, at, detail))
