"""When time alone changes something: until then the engine sleeps, unless an event wakes it."""

from collections.abc import Iterator, Set

from musterd import assembly, course, day_two, drill, membership
from musterd.election import machine
from musterd.knowledge import HEARD_FOR, STRANGER_FOR, Knowledge
from musterd.outlook import SEEN_WITHIN

LONGEST = 60.0  # seconds a node sleeps when nothing is ever to happen by itself
AFTER = 0.001  # seconds by which a wait is surely over, whatever the sum was rounded to


def next_wake(k: Knowledge, agenda: course.Agenda, now: float, under_way: Set[str]) -> float:
    """Return the seconds until time alone makes something due, or makes it look otherwise.

    Whatever reads `now` has its moment here: actions that ripen, the election's deadlines, hellos
    that become too old, waits that end. Actions that are `under_way` end in an event.
    """
    moments = [now + LONGEST, course.next_due(k, agenda, under_way)]
    if k.trusted and not k.formed:
        election = machine.next_tick(k.election)
        moments += [] if election is None else [election]
    moments += [moment for moment in _lapses(k) if moment >= now]
    return max(0.0, min(moments) - now)


def _lapses(k: Knowledge) -> Iterator[float]:
    """Yield the moments after which what is known reads otherwise, past ones included."""
    if k.trusted and not k.reads:
        yield k.trusted_at + course.first_read_after(k) + AFTER
    if k.trusted:
        yield k.trusted_at + course.TOKEN_EVERY + AFTER
    for fenced in k.fenced.values():
        yield fenced.at + drill.PATIENCE + AFTER
    if k.formed:
        yield k.started + SEEN_WITHIN + AFTER
        if k.odd_since is not None:
            yield k.odd_since + membership.OUTDATED_PATIENCE + AFTER
        for newcomer in day_two.callers(k):
            yield k.heard[newcomer].at + HEARD_FOR + AFTER
        return
    if k.laid_since is not None:
        yield k.laid_since + membership.UNLISTED_PATIENCE + AFTER
    yield k.trusted_at + course.PREFLIGHT_AFTER + AFTER
    yield k.started + HEARD_FOR + AFTER
    for heard in k.heard.values():
        yield heard.at + HEARD_FOR + AFTER
    for called_at in k.strangers.values():
        yield called_at + STRANGER_FOR + AFTER
    if k.quorate_since is not None:
        yield k.quorate_since + assembly.STRAGGLER_PATIENCE + AFTER
    if k.pushed is not None:
        yield k.pushed + assembly.SHOWN_WITHIN + AFTER
