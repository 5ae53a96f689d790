"""muster-helper: one request on standard input, its answer on standard output, then the end.

systemd starts one for each connection to its socket (Accept=yes). It believes nobody: the peer
must be musterd or root, the request is validated again here, and each verb looks at the node
itself before it changes anything.
"""

import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from muster_helper.caller import Caller, CallerGone
from muster_helper.children import Children
from muster_helper.faults import armed
from muster_helper.host import Host
from muster_helper.paths import Paths
from muster_helper.verbs import validate
from musterd.errors import HelperError, MusterError
from musterd.model import Verb

_LOCK_PATIENCE = 300  # seconds; longer than the slowest verb
_DAEMON = "musterd"
_LONGEST = 4_000  # characters of each part of an error; a spec may have made one long


def main() -> None:
    """Serve the one request."""
    os.umask(0o077)
    sys.exit(serve(Caller(0, 1), Paths()))


def serve(caller: Caller, paths: Paths) -> int:
    """Read, validate, perform, answer; return the exit status.

    Args:
        caller: whoever is at the other end.
        paths: of the node.
    """
    began, told = time.monotonic(), "a request"
    try:
        caller.must_be(_DAEMON)
        request = validate(caller.request())
        told = request.verb.value
        reach = armed(paths.state)
        if request.verb is Verb.SURVEY:  # only looks, and must answer while another verb runs
            result = request.perform(Host(paths, Children(), caller.progress, reach=reach))
        else:
            with _only_one(paths.state) as lock:
                host = Host(paths, Children((lock,)), caller.progress, reach=reach)
                result = request.perform(host)
        caller.answer({"ok": True, "result": result})
    except CallerGone:
        print(f"{told}: the caller left; stopped between two steps", file=sys.stderr)
        return 1
    except MusterError as failed:
        _tell(caller, failed)
        print(f"{told}: {failed}", file=sys.stderr)
        return 1
    except OSError as failed:
        error = HelperError(
            f"{told} could not be completed on this node",
            refused=False,
            why=f"{failed.strerror or failed}: {failed.filename or 'no file'}",
            cure="see `journalctl -u 'muster-helper@*'`; the step is tried again",
        )
        _tell(caller, error)
        print(f"{told}: {error}", file=sys.stderr)
        return 1
    print(f"{told}: done in {(time.monotonic() - began) * 1000:.0f} ms", file=sys.stderr)
    return 0


def _tell(caller: Caller, failed: MusterError) -> None:
    """Answer with what went wrong, if anybody is still listening."""
    refused = isinstance(failed, HelperError) and failed.refused
    said = {"what": failed.what, "why": failed.why, "cure": failed.cure}
    parts = {name: sentence[:_LONGEST] for name, sentence in said.items()}
    try:
        caller.answer({"ok": False, "refused": refused, **parts})
    except CallerGone:
        print("the caller left before the answer", file=sys.stderr)


@contextmanager
def _only_one(state: Path) -> Iterator[int]:
    """Hold the lock under which one changing verb runs at a time; yield its descriptor.

    Raises:
        HelperError: another verb, or a child it left, held it all the time.
    """

    def give_up(_signal: int, _frame: FrameType | None) -> None:
        raise HelperError(
            f"another verb of muster-helper has been running for {_LOCK_PATIENCE} s",
            refused=False,
            cure="see `systemctl list-units 'muster-helper@*'` and its journal",
        )

    state.mkdir(mode=0o700, exist_ok=True)
    lock = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        before = signal.signal(signal.SIGALRM, give_up)
        signal.alarm(_LOCK_PATIENCE)
        fcntl.flock(lock, fcntl.LOCK_EX)
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        yield lock
    finally:
        os.close(lock)


if __name__ == "__main__":
    main()
