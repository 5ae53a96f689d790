"""The only loop: an event comes in, knowledge changes, the election steps, what is due is begun.

Everything that changes knowledge runs here, one event after another; everything slow (IMDS, EC2,
peers, the helper) runs beside it as an action and comes back as an event. A vote or a decree is
made durable before anything that follows from it is sent.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import partial

import structlog

from muster.api import Event, Operation, Plan, Preflight, Status
from musterd import agreement, applied, course, day_two, deadlines, drill, outlook, proofs
from musterd.actions import Actions, Outcome
from musterd.course import Action
from musterd.discovery import READ_EVERY
from musterd.election import machine
from musterd.election.types import (
    Deposed,
    Effect,
    Elected,
    Founded,
    Message,
    PeerSaid,
    PeersSeen,
    Persist,
    Send,
    State,
    Tick,
)
from musterd.errors import MusterError
from musterd.journal import Journal
from musterd.knowledge import Attempt, Trouble
from musterd.memory import Memory
from musterd.metrics import metrics_of
from musterd.model import CorosyncConfig
from musterd.peer_wire import Hello, Probe, Probed, differ
from musterd.ports import Clock, Cluster, Peers, Random, Store
from musterd.requests import Requests
from musterd.since import Since
from musterd.status import config_of, hello_of, preflight_of, status_of

HELPER = frozenset({"survey", "step", "fence", "apply"})  # actions that muster-helper performs
PUBLISH_EVERY = 1.0  # seconds between writes of the status, unless the phase changes
LOOK = 5.0  # seconds that whoever examines the node waits for a look at it; it takes half a second
SHORTEST = 0.02  # seconds the engine sleeps at least, unless something happens

log = structlog.get_logger("musterd")

Happening = Callable[[], bool | None]  # changes knowledge; False: nothing can follow from it


@dataclass(frozen=True)
class World:
    """The ports the engine itself uses; the rest belongs to its actions."""

    clock: Clock
    random: Random
    store: Store
    peers: Peers
    cluster: Cluster
    publish: Callable[[Status], None]
    before: Status | None = None  # what this boot's daemon before this one published last


class Engine:
    """One node's daemon. `run` ends only when cancelled; the other methods never block."""

    def __init__(self, world: World, actions: Actions) -> None:
        self._world = world
        self._actions = actions
        self._inbox: asyncio.Queue[Happening] = asyncio.Queue(maxsize=1024)
        self._agenda: course.Agenda = ()  # as of the last `_settle`, after all that changes it
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._last_hello: Hello | None = None
        self._published = float("-inf")
        self._unpublished = False
        self.journal = Journal(world.clock)
        self._memory = Memory(world.store)
        self._since = Since(world.before)
        self._k = self._memory.recall(since=self._wall(), started=self._now())
        self._requests = Requests(
            self._k, world.clock, world.random, self.journal.stamp, self._inbox.put
        )
        self._tell_broken()

    # --- the loop ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Take events until cancelled."""
        watch = asyncio.create_task(self._watch())
        try:
            self._settle()
            while True:
                self._write_when_due()
                if await self._one_event():
                    self._settle()
        finally:
            for task in (watch, *self._under_way.values(), *self._sending):
                task.cancel()
            self._actions.examiner.close()
            self.journal.close()

    async def _one_event(self) -> bool:
        """Wait for an event or a deadline; apply what came; tell whether anything can follow."""
        now = self._now()
        due = deadlines.LONGEST
        if self._memory.broken is None:
            due = deadlines.next_wake(self._k, self._agenda, now, self._busy())
        write = self._published + PUBLISH_EVERY - now if self._unpublished else due
        try:
            # Not wait_for: before Python 3.12 that can swallow the cancellation that ends us.
            async with asyncio.timeout(max(SHORTEST, min(due, write))):
                event = await self._inbox.get()
        except TimeoutError:
            return self._now() - now >= due
        self._unpublished = True
        follows = event() is not False
        while not self._inbox.empty():
            follows |= self._inbox.get_nowait()() is not False
        return follows or self._now() - now >= due

    def _busy(self) -> set[str]:
        """Return the keys that cannot begin now; the helper does one thing at a time."""
        busy = set(self._under_way)
        return busy | HELPER if busy & HELPER else busy

    def _settle(self) -> None:
        """Let the election see the present, begin what is due, publish what changed."""
        if self._memory.recognise(self._k):
            self._tell_broken()
        if self._memory.broken is None:
            self._follow()
            self._elect()
            self._drill()
            if outlook.may_say_formed(self._k, self._now()):
                self._form()
        now = self._now()
        self._agenda = ()
        if self._memory.broken is None:
            self._agenda = course.agenda(self._k, now) + drill.agenda(self._k, now)
        for action in course.due(self._k, self._agenda, now):
            if action.key not in self._busy():
                self._begin(action)
        self._publish()

    def _begin(self, action: Action) -> None:
        failures = attempt.failures if (attempt := self._k.attempts.get(action.key)) else 0
        self._k.attempts[action.key] = Attempt(self._now(), failures)
        if action.kind == "step":
            self._k.step = course.plan(self._k, self._now()).step
        self._under_way[action.key] = asyncio.create_task(self._perform(action))

    async def _perform(self, action: Action) -> None:
        """Run one action and hand its outcome to the loop; an unknown error is told, not hidden."""
        began = self._now()
        outcome: Outcome | MusterError
        try:
            outcome = await self._actions.perform(action, self._k, self._progress)
        except MusterError as error:
            outcome = error
        except Exception as error:
            log.exception("action failed unexpectedly", action=action.key)
            outcome = MusterError(
                f"{action.key} failed unexpectedly",
                why=repr(error),
                cure="type `journalctl -u musterd`; musterd tries again by itself",
            )
        await self._inbox.put(lambda: self._performed(action, outcome, began))

    def _performed(
        self, action: Action, outcome: Outcome | MusterError, began: float
    ) -> bool | None:
        self._under_way.pop(action.key, None)
        doing = self._k.step.verb if action.kind == "step" and self._k.step else action.kind
        failed = isinstance(outcome, MusterError)
        self.journal.action(doing, self._now() - began, self._k.outlook.phase, failed=failed)
        if action.kind == "step":
            self._k.step = None
        if action.kind == "instances":  # a slow read must not be followed by the next at once
            self._k.attempts[action.key].began = self._now()
        if isinstance(outcome, MusterError):
            if action.kind == "spec" and not self._k.formed:
                # What stands there now is not what was read before.
                self._k.settings = self._k.refusal = None
            if action.key in HELPER:
                self._k.facts_stale = True  # nobody knows how far it came
                self._k.spec_stale |= self._k.formed  # the helper goes by the one on disk
            self._k.attempts[action.key].failures += 1
            self._trouble(action.key, outcome, fatal=self._actions.is_fatal(outcome))
            return True
        self._k.attempts[action.key].failures = 0
        recovered = self._k.troubles.pop(action.key, None) is not None
        if recovered:
            greeted = action.kind == "greet"
            news = f"{action.target} answers" if greeted else f"{action.key} works again"
            self._say("peer" if greeted else "finding", news)
        follows = outcome(self._k)
        failed = action.kind == "survey" and "step" in self._k.troubles
        if failed and self._k.settings and course.plan(self._k, self._now()).step is None:
            del self._k.troubles["step"]  # it was cut off at its very end: the node shows it done
        if action.kind == "greet":
            self._tell_of(action.target)
        return recovered or follows

    # --- the election -----------------------------------------------------------------------

    def _elect(self) -> None:
        """Show the machine the view of this moment, and that time has passed."""
        if not self._k.trusted or self._k.formed:
            return  # whoever cannot be heard yet must not stand
        if not self._k.election.own_id:
            self._k.election = replace(self._k.election, own_id=self._k.own_id)
        now = self._now()
        agreement.confirm(self._k, now)
        view = agreement.view(self._k, now)
        if view != self._k.election.view:
            chance = self._world.random
            seen = PeersSeen(view, now, chance.hexadecimal(32), chance.hexadecimal(64))
            self._step(seen)
        self._step(Tick(now, self._world.random.fraction()))

    def _step(self, event: PeersSeen | PeerSaid | Tick) -> None:
        self._k.election, effects = machine.step(self._k.election, event)
        for effect in effects:
            if isinstance(effect, Persist) and not self._memory.vote(self._k, effect.durable):
                self._tell_broken()
                return  # what is not durable must not be said
            self._effect(effect)

    def _effect(self, effect: Effect) -> None:
        match effect:
            case Send(to=to, message=message):
                self._send(to, message)
            case Elected(term=term):
                self._say("election", f"this node leads term {term}")
            case Deposed(term=term):
                self._say("election", f"this node leads term {term} no longer")
            case Founded(decree=decree):
                names = ", ".join(member.name for member in decree.members)
                facts = self._k.facts
                # Nothing on the node can be this cluster's yet, unless there is something.
                self._k.facts_stale = facts is None or facts.corosync is not CorosyncConfig.ABSENT
                self._say("election", f"decided: cluster {decree.uuid} of {names}")

    def _send(self, to: str, message: Message) -> None:
        address = course.peers(self._k).get(to)
        if address is not None:
            task = asyncio.create_task(self._deliver(to, address, message))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _deliver(self, to: str, address: str, message: Message) -> None:
        """Send one message; a lost one is repeated by the machine, so only the journal cares."""
        try:
            await self._world.peers.send(to, address, message, message.term)
        except MusterError as error:
            log.debug("message not delivered", to=to, error=str(error))

    # --- changes ----------------------------------------------------------------------------

    def _form(self) -> None:
        """Remember for good that the cluster is formed; what only founding needed is erased."""
        if self._memory.form(self._k) and self._k.decree is not None:
            self._say("election", f"cluster {self._k.decree.uuid} is formed")
        self._tell_broken()

    def _follow(self) -> None:
        """Go by what the running cluster says of its members, and of this node."""
        told = self._memory.follow(self._k, self._now())
        if told:
            self._say("members", told)
            self._requests.operations.left(() if self._k.left else day_two.names(self._k))
        self._tell_broken()

    def _drill(self) -> None:
        """Take over what others have proven by real fences, and remember what is proven."""
        proofs.adopt(self._k)
        applied.follow(self._k)
        drill.check(self._k, self._now())
        self._memory.note(self._k)
        self._tell_broken()

    def _progress(self, sentence: str) -> None:
        self._k.progress = sentence
        step = self._k.step.verb if self._k.step is not None else ""
        self.journal.add("step", sentence, self._k.outlook.phase, step=step)
        self._publish()

    async def _watch(self) -> None:
        """Turn every change of the running cluster into an event."""
        while True:
            state = self._world.cluster.state()
            await self._inbox.put(partial(self._actions.saw_cluster, self._k, state))
            await self._world.cluster.changed()

    def _tell_broken(self) -> None:
        if self._memory.broken is not None:
            self._trouble("store", self._memory.broken, fatal=True)

    def _trouble(self, topic: str, error: MusterError, *, fatal: bool) -> None:
        trouble = Trouble(error.what, error.why, error.cure, fatal)
        if self._k.troubles.get(topic) != trouble:
            self._k.troubles[topic] = trouble
            kind = "peer" if topic.startswith("greet:") else "finding"
            self.journal.add(kind, trouble.sentence, self._k.outlook.phase, topic=topic)

    def _say(self, kind: str, sentence: str) -> None:
        self.journal.add(kind, sentence, self._k.outlook.phase)

    def _publish(self) -> None:
        """Tell the outside what changed: the phase, the status, and the peers by a new hello."""
        now = self._now()
        stands = outlook.outlook(self._k, now)
        entered = stands.phase is not self._k.outlook.phase
        if stands != self._k.outlook:
            if entered:
                self._k.since = self._since.entered(stands.phase, self._wall())
            self._k.outlook = stands
            if entered or self._k.step is None:  # a step's progress is an event of its own
                self.journal.add("phase", stands.reason, stands.phase)
        last, self._last_hello = self._last_hello, hello_of(self._k, now)
        if last and self._last_hello and differ(last, self._last_hello, ("roster_age", "reason")):
            for peer in course.peers(self._k):
                self._k.hurry(f"greet:{peer}")
        self._unpublished = True
        if entered:
            self._published = float("-inf")
        self._write_when_due()
        self._requests.settle()

    def _write_when_due(self) -> None:
        """Write the status if something happened, at once on a new phase and else not too often."""
        now = self._now()
        if self._unpublished and now - self._published >= PUBLISH_EVERY:
            self._unpublished, self._published = False, now
            self._world.publish(self.status())

    def _now(self) -> float:
        return self._world.clock.monotonic()

    def _wall(self) -> float:
        return self._world.clock.wall()

    # --- the door (api.door.EngineDoor) -----------------------------------------------------

    def status(self) -> Status:
        """Return what is known now."""
        return status_of(self._k, self._now(), self._wall())

    def events(self, since: float) -> tuple[Event, ...]:
        """Return the kept events later than `since` (seconds from the daemon's start)."""
        return self.journal.events(since)

    def follow(self, since: float) -> AsyncIterator[Event]:
        """Yield the kept events and then each new one."""
        return self.journal.follow(since)

    def config(self) -> dict[str, object]:
        """Return the effective spec, where its values came from, and its digest."""
        return config_of(self._k)

    async def join(self, asked_by: str) -> Operation:
        """Read the spec anew and (re)join; asks again cost nothing."""
        return await self._requests.join(asked_by, self._rejoin)

    def _rejoin(self) -> None:
        if self._k.left:
            self._memory.leave_behind(self._k)
            self._tell_broken()
        course.start_over(self._k, self._may_read_instances())

    async def leave(self, name: str, asked_by: str) -> Operation:
        """Ask the conductor, by our hellos, to take a member out."""
        return await self._requests.leave(asked_by, name)

    async def fence_test(self, asked_by: str, node: str) -> Operation:
        """Begin real fences, or find them begun."""
        return await self._requests.fence_test(asked_by, node)

    async def plan(self) -> Plan:
        """Compare the running cluster with the spec on disk, now."""
        plan, outcome = await self._actions.plan(self._k)
        await self._inbox.put(partial(outcome, self._k))
        return plan

    async def apply(self, asked_by: str, plan: str, *, restart: bool) -> Operation:
        """Have exactly this plan carried out."""
        return await self._requests.apply(asked_by, plan, restart)

    async def preflight(self) -> Preflight:
        """Look at everything the cluster needs, now."""
        began = self._now()
        await self._look_anew()
        checks = await self._actions.examiner.checks(self._k)
        return preflight_of(checks, self._now() - began)

    async def _look_anew(self) -> None:
        """Have the node in mind as it is now; while it is being changed, as it was."""
        if HELPER & self._under_way.keys():
            return
        await self._inbox.put(lambda: setattr(self._k, "facts_stale", True))
        await self.ping()
        looking = self._under_way.get("survey")
        if looking is not None:
            await asyncio.wait({looking}, timeout=LOOK)
            await self.ping()

    def operation(self, operation_id: str) -> Operation | None:
        """Return how far an operation is."""
        return self._requests.operations.get(operation_id)

    def metrics(self) -> str:
        """Return Prometheus text."""
        term = self._k.election.durable.term
        return metrics_of(self.status(), term, self.journal.counts())

    def cluster_name(self) -> str:
        """Return the name of the cluster in the spec, "" before it is known."""
        return self._k.settings.spec.cluster.name if self._k.settings is not None else ""

    def own_id(self) -> str:
        """Return this node's instance id."""
        return self._k.own_id

    def member_addresses(self, instance_id: str) -> frozenset[str] | None:
        """Return the private addresses of a member other than this node, None for anybody else."""
        return course.member_addresses(self._k, instance_id)

    async def refresh_members(self, stranger: str) -> None:
        """Have EC2 read again, unless it was read within the last `READ_EVERY` seconds."""
        await self._inbox.put(lambda: self._k.turned_away(stranger, self._now()))
        if self._may_read_instances():
            await self._inbox.put(lambda: self._k.hurry("instances"))

    def _may_read_instances(self) -> bool:
        """Tell whether the last read of EC2 is old enough for another one, whoever asks."""
        attempt = self._k.attempts.get("instances")
        return attempt is not None and self._now() - attempt.began >= READ_EVERY

    def doubt_token(self) -> None:
        """Have the token read again: a peer's authority is unknown here, or ours there."""
        if not (self._k.doubted or self._inbox.full()):
            self._inbox.put_nowait(lambda: setattr(self._k, "doubted", True))

    async def hello(self, peer: Hello) -> Hello:
        """Take in a member's hello and return our own."""
        await self._inbox.put(lambda: self._heard(peer))
        own = hello_of(self._k, self._now())
        if own is None:
            raise MusterError("this node does not know itself yet", cure="ask again in a second")
        return own

    def _heard(self, hello: Hello) -> bool:
        follows = self._k.hear(hello.instance_id, hello, self._now())
        self._tell_of(hello.instance_id)
        return follows

    def _tell_of(self, peer: str) -> None:
        """Record how far a peer is, as its latest hello says."""
        hello = self._k.heard[peer].hello
        said = (peer, hello.name, hello.phase, hello.reason)
        self.journal.node(*said, self._k.outlook.phase)

    async def probe(self, sender: str, probe: Probe) -> Probed:
        """Try the ways to a member that asks for it."""
        return await self._actions.examiner.answer(self._k, sender, probe)

    async def receive(self, sender: str, message: Message) -> None:
        """Take in an election message of an authenticated member."""
        await self._inbox.put(lambda: self._received(sender, message))

    def _received(self, sender: str, message: Message) -> bool:
        if self._k.formed or self._memory.broken is not None:
            return False
        if machine.usurps(self._k.election, sender, message):
            leader = self._k.election.leader
            self._say("peer", f"ignored: {sender} claims term {message.term}, which {leader} leads")
            return False
        before = self._k.election
        self._step(PeerSaid(sender, message, self._now()))
        return machine.matters(before, self._k.election)

    async def ping(self) -> None:
        """Return once the loop has taken an event: it is alive."""
        taken = asyncio.Event()
        await self._inbox.put(taken.set)
        await taken.wait()

    def election(self) -> State:
        """Return what this node knows of the election."""
        return self._k.election

    def formed(self) -> bool:
        """Tell whether founding is over."""
        return self._k.formed
