"""The engine sleeps until something is due; it must never sleep over anything."""

from collections.abc import Set

import pytest

from muster_sim.run import run
from muster_sim.samples import IDS, NOW, founder
from musterd import agreement, course, deadlines
from musterd.election import machine
from musterd.election.types import Durable, PeersSeen, Tick
from musterd.knowledge import HEARD_FOR, Knowledge
from musterd.outlook import may_say_formed, outlook

pytestmark = pytest.mark.usefixtures("quiet_daemons")

CORRECT = deadlines.next_wake
PARTS = 7  # moments of a sleep that are looked at


def overslept(k: Knowledge, wake: float, now: float, busy: Set[str]) -> str:
    """Return what the engine would have done had it woken earlier, "" when nothing."""
    for part in range(1, PARTS):
        then = now + wake * part / PARTS
        agenda = course.agenda(k, then)
        due = [action.key for action in course.due(k, agenda, then) if action.key not in busy]
        if due:
            return f"{', '.join(due)} would be due"
        if outlook(k, then) != k.outlook:
            return f"it would say {outlook(k, then)}"
        if not k.trusted or k.formed:
            continue
        if may_say_formed(k, then):
            return "it would say formed"
        if agreement.view(k, then) != k.election.view:
            return f"it would see {agreement.view(k, then)}"
        after, effects = machine.step(k.election, Tick(then, 0.5))
        if effects or after != k.election:
            return f"the election would do {effects}"
    return ""


@pytest.mark.parametrize("seed", range(24))
def test_nothing_happens_by_itself_while_the_engine_sleeps(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    missed: list[str] = []
    sleeps = 0

    def checked(k: Knowledge, agenda: course.Agenda, now: float, busy: Set[str]) -> float:
        nonlocal sleeps
        wake = CORRECT(k, agenda, now, busy)
        if wake > 0.05:
            sleeps += 1
            found = overslept(k, wake, now, busy)
            missed.extend([f"{k.own_id} at {now:.3f} for {wake:.3f} s: {found}"] if found else [])
        return wake

    monkeypatch.setattr(deadlines, "next_wake", checked)
    assert not run(seed).problem
    assert sleeps > 20
    assert not missed, "\n".join(missed[:10])


def test_a_silent_founder_wakes_the_engine_when_its_hello_is_too_old() -> None:
    k = founder()
    wanted = course.agenda(k, NOW)
    everything = {action.key for action in course.due(k, wanted, NOW)}
    seen = PeersSeen(agreement.view(k, NOW), NOW)
    k.election, _ = machine.step(k.election, seen)
    k.election, _ = machine.step(k.election, Tick(NOW, 0.0))
    first = CORRECT(k, wanted, NOW, everything)
    assert NOW + first == machine.next_tick(k.election)
    k.election = machine.start(IDS[3], Durable())
    assert CORRECT(k, wanted, NOW, everything) == pytest.approx(HEARD_FOR, abs=0.01)
