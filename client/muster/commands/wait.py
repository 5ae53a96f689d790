"""`muster wait`: return when the cluster is formed, or healthy; for cloud-init and scripts."""

import argparse
import time

from muster import health
from muster.ages import span
from muster.context import Context
from muster.contract import Exit
from muster.fields import Document, text
from muster.following import Follower
from muster.progress import Progress

RECHECK = 5.0  # seconds: health may change (a resource starts) without an event of ours
LAST_LOOK = 1.0  # seconds: a status asked for near the end may overrun it by this much
TICK = 1.0  # seconds between redraws of the clock on a terminal

EXAMPLE = """example:
  muster wait --for healthy --timeout 300 && systemctl start my-deployment

exit codes:
  0 reached    3 timed out    4 this node's phase is "failed"
  5 musterd does not answer"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = EXAMPLE
    parser.add_argument(
        "--for",
        dest="goal",
        choices=sorted(health.GOALS),
        default="formed",
        help="formed (default): this node is a member; healthy: also quorate, every node online, "
        "every address where it should be, every resource started, no finding that is an error",
    )
    parser.add_argument(
        "--timeout", type=seconds, metavar="S", help="seconds to wait at most (default: for ever)"
    )
    parser.add_argument(
        "--progress", action="store_true", help="show what happens (default on a terminal)"
    )
    parser.add_argument("--quiet", action="store_true", help="show nothing until it is over")


def seconds(words: str) -> float:
    """Read a time-out; raises ValueError, which argparse reports."""
    value = float(words)
    if not 0 < value < 10 * 365 * 86_400:
        raise ValueError
    return value


def run(options: argparse.Namespace, context: Context) -> int:
    """Wait."""
    shown = options.progress or (context.terminal and not options.quiet)
    progress = Progress(context) if shown else None
    return until(context, options.goal, options.timeout, progress)


def until(
    context: Context,
    goal: str,
    timeout: float | None,
    progress: Progress | None,
    grace: float = 0.0,
) -> Exit:
    """Wait for a goal; say how it ended.

    Args:
        context: where to ask and to print.
        goal: a key of `health.GOALS`.
        timeout: seconds, None for ever.
        progress: told of everything that happens, if given.
        grace: seconds for which "failed" may be what was before; then it ends the wait.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    settled = time.monotonic() + grace
    document: Document = {}
    with Follower(context.client, polls=True) as follower:
        while True:
            latest = follower.status(None if deadline is None else max(_left(deadline), LAST_LOOK))
            if latest is not None:
                document = latest
                if progress is not None:
                    progress.status(document)
                code = _verdict(goal, document)
                early = code is Exit.FAILED and _left(settled) > 0
                if code is not None and not early:
                    return _end(context, code, goal, document)
            recheck = time.monotonic() + RECHECK if goal == "healthy" else None
            if _left(settled) > 0:
                recheck = settled
            if not _next(follower, deadline, recheck, progress):
                return _give_up(context, goal, timeout or 0.0, document, follower)


def _next(
    follower: Follower, deadline: float | None, recheck: float | None, progress: Progress | None
) -> bool:
    """Wait until the status is worth another look; False when the time is over."""
    while deadline is None or _left(deadline) > 0:
        limits = [_left(moment) for moment in (deadline, recheck) if moment is not None]
        if progress is not None:
            limits.append(TICK)
        events = follower.take(max(min(limits), 0.0) if limits else None)
        if progress is not None:
            progress.events(events)
        due = recheck is not None and _left(recheck) <= 0
        if events or follower.interrupted or due:
            return True
    return False


def _left(moment: float) -> float:
    return moment - time.monotonic()


def _verdict(goal: str, document: Document) -> Exit | None:
    """Return how the wait ends, None while it goes on."""
    if text(document, "phase") == "failed":
        return Exit.FAILED
    return None if health.missing(goal, document) else Exit.OK


def _end(context: Context, code: Exit, goal: str, document: Document) -> Exit:
    """Say that the goal is reached, or that only a person can go on."""
    reason, following = text(document, "reason"), text(document, "next")
    if code is Exit.OK:
        context.say(f"{goal}: {reason}" if reason else goal)
    else:
        context.complain(f"muster: this node failed: {reason}")
        if following:
            context.complain(f"  next: {following}")
    return code


def _give_up(
    context: Context, goal: str, timeout: float, document: Document, follower: Follower
) -> Exit:
    """Say what was still missing when the time was over."""
    context.complain(f"muster: not {goal} after {span(timeout)}")
    if follower.away or not document:
        context.complain("  why:  musterd does not answer", "  next: systemctl status musterd")
        return Exit.UNREACHABLE
    for sentence in health.missing(goal, document):
        context.complain(f"  why:  {sentence}")
    context.complain(f"  next: {text(document, 'next') or 'muster status'}")
    return Exit.TIMED_OUT
