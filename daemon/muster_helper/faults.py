"""Fault points: named places in every verb where a test stops or kills the helper.

The file `fault-point` in the helper's own folder names one of them and what happens there:
`lay:middle-key=kill` is SIGKILL; `lay:middle-key=stop` is SIGSTOP, so that a test can kill the
helper, the daemon or the whole node exactly there, or let it go on with SIGCONT. It strikes once:
the file is renamed first, and the verb that is asked for again goes through.

This is no new power. The folder is root's alone (StateDirectoryMode=0700), and root can send these
signals anyway; no request, argument or environment variable names a point. Without the file, which
is always but in tests, a verb pays for one open that fails.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from musterd.model import Verb

FILE = "fault-point"
REACHED = "fault-reached"  # what the file is called once it has struck
SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}

_MIDDLES: Mapping[Verb, tuple[str, ...]] = {
    Verb.SURVEY: ("middle",),  # the node is looked at, versions are not
    # The stub cluster's services have ended; its files are gone but corosync.conf; it is gone.
    Verb.PREPARE: ("middle-stopped", "middle-files", "middle-cleared"),
    # One key is written; both; the seed CIB; the hosts file, so that only corosync.conf lacks.
    Verb.LAY: ("middle-key", "middle-keys", "middle-cib", "middle-hosts"),
    Verb.START: ("middle",),  # enabled, not started
    # The CIB is made and verified, and nowhere; it is kept, and not noted.
    Verb.BUILD: ("middle-made", "middle-kept"),
    # The running CIB is compared and about to be changed; it is changed, and not verified.
    Verb.CONFIGURE: ("middle-compared", "middle-pushed"),
    Verb.TRUST: ("middle",),  # pcsd accepts the token, pcs does not know the members
    Verb.PROBE_FENCING: ("middle",),  # one member's state is known
}
POINTS: Mapping[Verb, tuple[str, ...]] = {
    verb: tuple(f"{verb}:{moment}" for moment in ("before", *middles, "after"))
    for verb, middles in _MIDDLES.items()
}
"""Every point of each verb, in the order in which it is reached."""


def armed(state: Path) -> Callable[[str], None]:
    """Return what a verb calls at each of its points.

    Args:
        state: the helper's own folder.
    """
    file = state / FILE
    try:
        point, _, what = file.read_text(errors="replace").strip().partition("=")
    except FileNotFoundError:
        return _pass_by
    sent = SIGNALS.get(what)

    def reach(name: str) -> None:
        if name == point and sent is not None:
            _strike(file, f"fault point {name}: process {os.getpid()} gets {sent.name}", sent)

    return reach


def _pass_by(_point: str) -> None:
    return


def _strike(file: Path, told: str, sent: signal.Signals) -> None:
    try:
        file.rename(file.with_name(REACHED))
    except FileNotFoundError:
        return  # it has struck already, in another thread or process
    print(told, file=sys.stderr, flush=True)
    os.kill(os.getpid(), sent)
