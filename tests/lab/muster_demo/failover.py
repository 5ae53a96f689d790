"""The second half: the node that holds the address dies; everything that follows, timed."""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Event, Thread

from muster_demo.cluster import PRIVATE, fences
from muster_demo.screen import Screen
from muster_lab.client import Lab
from muster_lab.ports import MachineError

LIMIT = 120.0
"""Seconds after the crash by which the address must answer from elsewhere."""

# Asks the address twice a second, for ever, and says who answers; an empty line is no answer.
_ASK = """
while :; do
    echo "$(curl --silent --connect-timeout 0.4 --max-time 2 "http://$0/" || :)"
    sleep 0.5
done
"""

_LOOK = 0.2  # seconds between looks at EC2: a question to the lab, not to the nodes


@dataclass(frozen=True)
class News:
    """Something that a watcher saw.

    Attributes:
        at: reading of the monotonic clock.
        where: `ec2`, `fence`, or the address that answered.
        words: the new state, the fencing history's entry, or who answered.
    """

    at: float
    where: str
    words: str


@dataclass
class Outcome:
    """Seconds from the crash to each thing that must follow it."""

    fenced: float | None = None
    answered: dict[str, float] = field(default_factory=dict)
    holder: str = ""


def watch(lab: Lab, screen: Screen, victim: str, survivor: str, elastic: str) -> Outcome:
    """Crash the node and print what follows, until the address answers from elsewhere.

    Args:
        lab: with a formed cluster.
        screen: where to print.
        victim: name of the node that holds the address.
        survivor: name of another one, which is asked for the fencing history.
        elastic: the address as the internet knows it.

    Raises:
        MachineError: the address did not answer before the crash.
    """
    news: SimpleQueue[News] = SimpleQueue()
    with ExitStack() as stack:
        for place, address in (("bastion", PRIVATE), ("internet", elastic)):
            _visit(lab, stack, news, place, address)
        _await_both(news, victim, {PRIVATE, elastic})
        over = Event()
        stack.callback(over.set)
        lab.kill(victim)
        killed = time.monotonic()
        screen.at(0.0, f"{victim} is dead: off the wire, then without power; EC2 says running")
        _start(_states(lab, victim, over), news, "ec2")
        _start(_history(lab, survivor, victim, over), news, "fence")
        return _follow(screen, news, killed, victim, {PRIVATE, elastic})


def _follow(
    screen: Screen, news: "SimpleQueue[News]", killed: float, victim: str, asked: set[str]
) -> Outcome:
    """Print news as it comes, until all of it has come or the time is over."""
    outcome = Outcome()
    while outcome.fenced is None or asked - outcome.answered.keys():
        try:
            item = news.get(timeout=max(killed + LIMIT - time.monotonic(), 0.0))
        except Empty:
            break
        after = item.at - killed
        if item.where == "ec2":
            screen.at(after, f"EC2: {victim} is {item.words}")
        elif item.where == "fence":
            outcome.fenced = after
            screen.at(after, f"fencing history: {item.words}", good=True)
        elif item.words not in ("", victim) and item.where not in outcome.answered and after > 0:
            outcome.answered[item.where] = after
            outcome.holder = item.words
            screen.at(after, f"http://{item.where}/ answers again: {item.words}", good=True)
    return outcome


def _visit(lab: Lab, stack: ExitStack, news: "SimpleQueue[News]", place: str, address: str) -> None:
    """Somebody outside the cluster keeps asking an address for its page."""
    asking = subprocess.Popen(
        lab.place_command(place, ["sh", "-c", _ASK, address]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is for the demo, which ends this itself
    )
    stack.callback(asking.wait)
    stack.callback(asking.terminate)
    assert asking.stdout is not None
    _start((line.strip() for line in asking.stdout), news, address)


def _await_both(news: "SimpleQueue[News]", victim: str, asked: set[str]) -> None:
    deadline = time.monotonic() + 30
    missing = set(asked)
    while missing:
        try:
            item = news.get(timeout=max(deadline - time.monotonic(), 0.0))
        except Empty:
            silent = ", ".join(sorted(missing))
            raise MachineError(f"{silent} does not answer from {victim}") from None
        if item.words == victim:
            missing.discard(item.where)


def _start(seen: Iterator[str], news: "SimpleQueue[News]", where: str) -> None:
    def run() -> None:
        for words in seen:
            news.put(News(time.monotonic(), where, words))

    Thread(target=run, name=where, daemon=True).start()


def _states(lab: Lab, victim: str, over: Event) -> Iterator[str]:
    """Each new state that EC2 says the victim is in."""
    return _changes(lambda: lab.node(victim).state, "running", over)


def _history(lab: Lab, survivor: str, victim: str, over: Event) -> Iterator[str]:
    """The entry of Pacemaker's history, once the fence is done."""
    while not over.wait(1.0):
        for each in fences(lab, survivor):
            if each.target == victim and each.status == "success":
                yield f"{each.how} of {each.target} by {each.by}: {each.status}"
                return


def _changes(read: Callable[[], str], last: str, over: Event) -> Iterator[str]:
    while not over.wait(_LOOK):
        now = read()
        if now != last:
            yield now
            last = now
