"""The whole cluster stopped for what Corosync takes only then, and started again in any case.

Between the two every member is down, and nobody is the conductor. So the start is owed: a note on
disk says so until it was made, whatever ends this program or its caller in between. The verb
`start`, which musterd asks for while there is a note, makes it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from muster_helper import change, files
from muster_helper.caller import CallerGone
from muster_helper.children import must
from muster_helper.host import Host
from muster_helper.refusals import refuse
from musterd.changes import START_ALL
from musterd.errors import HelperError

_NOTE = "start-owed"
_TIMEOUT = 300.0  # seconds; pcs waits for every member for 180


def owed(host: Host) -> bool:
    """Tell whether the cluster was stopped as a whole from here, and not started since."""
    return (host.paths.state / _NOTE).exists()


@contextmanager
def around(host: Host) -> Iterator[Host]:
    """Give the node to run commands with that stop the cluster; it is started at the end.

    Nobody needs to listen any more for that.

    Raises:
        HelperError: a member is not online, so nothing may be stopped; or the start failed.
    """
    states = change.states(change.shown(host))
    away = sorted(name for name, state in states.items() if state != "online")
    if away:
        refuse(
            "the whole cluster cannot be restarted while a member is away",
            f"Pacemaker does not call {', '.join(away)} online: pcs would stop the others, and"
            " could not change that one's files",
            "bring it back, or take it out with `muster leave NODE`; then type `muster plan`",
        )
    files.replace(host.paths.state / _NOTE, b"", 0o600)
    deaf = replace(host, say=_to_whoever_listens(host))
    try:
        yield deaf
    finally:
        pay(deaf)


def pay(host: Host) -> None:
    """Start every member that can be reached.

    Raises:
        HelperError: some could not be started.
    """
    host.say("every member is started")
    started = host.run(["pcs", *START_ALL], timeout=_TIMEOUT)
    if started.code == 0 or _quorate(host):  # who is missing may be gone for good
        files.remove(host.paths.state / _NOTE)
    must(
        started,
        "not every member of the cluster could be started",
        "type `pcs cluster start --all`, and look at the nodes that it names",
    )


def _quorate(host: Host) -> bool:
    """Tell whether Pacemaker runs here with quorum."""
    try:
        return change.quorate(change.shown(host))
    except HelperError:
        return False


def _to_whoever_listens(host: Host) -> Callable[[str], None]:
    def say(sentence: str) -> None:
        with suppress(CallerGone):
            host.say(sentence)

    return say
