"""Run a story on whole daemons in virtual time, watch the promises, judge the end."""

import asyncio
import random
from dataclasses import dataclass

from muster_sim.cells import Recall, persisted
from muster_sim.members import all_list_all, call_back
from muster_sim.scenarios import Story, day_two, story
from muster_sim.stage import play
from muster_sim.troubles import Troubles
from muster_sim.watchers import ViolationError, Watch, stuck
from muster_sim.world import SimNode, SimRegion
from musterd import membership

PATIENCE = 240.0  # virtual seconds after the last trouble within which all must be well
LONGER = 900.0  # where day two is mixed in: members are admitted one by one
# Longer than any wait of the daemon's own: who has said the same for so long says it for good.
STILL = 60.0
LOOK_EVERY = 0.5


@dataclass(frozen=True)
class Verdict:
    """How a run ended. Times are virtual seconds."""

    seed: int
    size: int
    nodes: int  # instances at the end
    problem: str  # "" when every promise was kept
    formed_at: float | None  # when all first were where they belong; None: they rightly wait
    calm_at: float  # when the last trouble was over and the last instance had booted
    troubled: bool
    seconds: float
    hellos: int
    messages: int
    transcript: tuple[str, ...] = ()


def run(
    seed: int,
    *,
    transcript: bool = False,
    patient: bool = False,
    mixed: bool = False,
    recall: Recall = persisted,
) -> Verdict:
    """Run the seed's story.

    Args:
        seed: whose story.
        transcript: tell what happens.
        patient: watch a region that waits to the very end.
        mixed: day two does not wait until the founding and its troubles are over.
        recall: what of the durable part a daemon finds when it starts again.
    """

    async def whole() -> Verdict:
        told = _Run(story(seed), transcript=transcript, patient=patient, mixed=mixed)
        told.region.recall = recall
        return await told.whole()

    return play(whole())


class _Run:
    def __init__(self, told: Story, *, transcript: bool, patient: bool, mixed: bool) -> None:
        self._story = told
        self._patient = patient
        self._happens = told.troubles + (day_two(told) if mixed else ())
        self._mixed = mixed
        self.region = SimRegion(told.seed, told.size, told.created)
        self.region.transcript = [str(told)] if transcript else None
        self._troubles = Troubles(self.region, told.absent)
        self._watch = Watch(self.region, told.absent)
        self._tasks: list[asyncio.Task[None]] = []
        self._lasting: list[asyncio.Task[None]] = []  # what goes on to the end

    async def whole(self) -> Verdict:
        """Boot, trouble, calm, judge."""
        region, told, loop = self.region, self._story, asyncio.get_running_loop()
        for node, at in zip(tuple(region.nodes), told.boots, strict=True):
            if node.number in told.untagged:
                node.becomes(tagged=False)
            if node.number not in told.absent:
                self._tasks.append(asyncio.create_task(self._boot(node, at)))
        self._tasks += [asyncio.create_task(self._troubles.befall(one)) for one in self._happens]
        if self._mixed:
            chance = random.Random(f"called/{told.seed}")
            self._lasting.append(asyncio.create_task(call_back(region, chance)))
        problem, calm_at = "", 0.0
        try:
            while not all(task.done() for task in self._tasks):
                await self._pass()
            await asyncio.gather(*self._tasks)
            calm_at = loop.time()
            region.tell("calm")
            problem = await self._judged(calm_at + (LONGER if self._mixed else PATIENCE))
        except ViolationError as violation:
            problem = str(violation)
        ended = loop.time()
        for task in (*self._lasting, *self._tasks):
            task.cancel()
        await region.end()
        return Verdict(
            seed=told.seed,
            size=told.size,
            nodes=len(region.nodes),
            problem=problem,
            formed_at=self._watch.formed_at if self._watch.formed else None,
            calm_at=calm_at,
            troubled=bool(self._happens or told.absent),
            seconds=ended,
            hellos=sum(node.counts.hellos for node in region.nodes),
            messages=sum(node.counts.messages for node in region.nodes),
            transcript=tuple(region.transcript or ()),
        )

    async def _pass(self) -> None:
        self._watch.look()
        await asyncio.sleep(LOOK_EVERY)

    async def _judged(self, end: float) -> str:
        """Wait until all is well and return "", or what is wrong in the end.

        Nothing is asked of the end where somebody of a founding that was given up has the tag
        again: there are two clusters under one tag then.
        """
        loop = asyncio.get_running_loop()
        said, since = self._watch.said(), loop.time()
        while loop.time() < end:
            await self._pass()
            if self.region.foundings.contested():
                return ""
            if self._watch.formed and self._whole():
                return ""
            now = self._watch.said()
            if now != said:
                said, since = now, loop.time()
            still = loop.time() - since >= STILL
            if (
                still
                and not (self._patient or self._watch.formed)
                and not stuck(self.region, self._story.absent)
            ):
                return ""
        if self._watch.formed:
            return "; ".join(f"{phase}: {reason}" for phase, reason in said)
        return stuck(self.region, self._story.absent)

    def _whole(self) -> bool:
        """Tell whether nobody stays outside who could be let in; a seventeenth cannot."""
        region, absent = self.region, self._story.absent
        alive = [node for node in region.nodes if not node.terminated]
        away = any(n.number in absent or not n.tagged for n in region.nodes)
        away = away or len(alive) > membership.LARGEST
        hosts = [node.host for node in alive]
        ruled = any(h.started_at is not None and region.cluster.quorate(h) for h in hosts)
        return not self._mixed or away or not ruled or all_list_all(region)

    async def _boot(self, node: SimNode, at: float) -> None:
        await asyncio.sleep(at)
        self._troubles.boot(node)
