"""Fault points: named places in every verb where a test stops or kills the helper.

A file in `fault-points`, in the helper's own folder, is called after one of them and says what
happens there: `kill` is SIGKILL; `stop` is SIGSTOP, so that a test can kill the helper, the daemon
or the whole node exactly there, or let it go on with SIGCONT. It strikes once: the file is removed
first, and the verb that is asked for again goes through.

This is no new power. The folder is root's alone (StateDirectoryMode=0700), and root can send these
signals anyway; no request, argument or environment variable names a point. Without the files, which
is always but in tests, a verb pays for one folder that is not there.
"""

import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from musterd.model import Verb

FOLDER = "fault-points"
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
    Verb.FENCE: ("middle",),  # the member is about to be fenced
    Verb.OFFER: ("middle",),  # the offer is noted, pcsd does not accept it yet
    # The newcomer can be fenced and is no node; it is a node, and size's rules are the old ones.
    Verb.ADMIT: ("middle-mapped", "middle-added"),
    # Resources have left, or the fence is confirmed; it is no node any more.
    Verb.EXPEL: ("middle-confirmed", "middle-removed"),
    Verb.COMPARE: ("middle",),  # what the spec wants is built, the cluster is not read
    Verb.APPLY: ("middle",),  # one command of several has run
    Verb.WITHDRAW: ("middle",),  # corosync.conf is gone, keys are there
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
    try:
        orders = {file.name: file for file in (state / FOLDER).iterdir()}
    except FileNotFoundError:
        return _pass_by

    def reach(name: str) -> None:
        if name in orders:
            _strike(orders[name])

    return reach


def _pass_by(_point: str) -> None:
    return


def _strike(order: Path) -> None:
    try:
        sent = SIGNALS.get(order.read_text(errors="replace").strip())
        if sent is None:
            return
        order.unlink()
    except FileNotFoundError:
        return  # it has struck already, in another thread or process
    told = f"fault point {order.name}: process {os.getpid()} gets {sent.name}"
    print(told, file=sys.stderr, flush=True)
    os.kill(os.getpid(), sent)
