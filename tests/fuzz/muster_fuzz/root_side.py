"""muster-helper's input: everything of a request but the verb's own work."""

import contextlib
import io
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from muster_helper import verbs
from muster_helper.__main__ import serve
from muster_helper.caller import Caller
from muster_helper.host import Host
from muster_helper.paths import Paths

_BUFFER = 4 * 1024 * 1024  # bytes; a whole request must fit, nobody reads meanwhile


def prepared(folder: Path) -> Callable[[bytes], tuple[str, list[str]]]:
    """Return a function that asks the helper and judges its answer.

    Validated requests end where the verb would begin: what verbs do, other tests say.
    """
    (folder / "var/lib").mkdir(parents=True)
    paths = Paths(folder, "root", "root")
    setattr(verbs.Request, "perform", _not_performed)  # noqa: B010 mypy forbids the assignment
    return lambda request: _ask(paths, request)


def _not_performed(_request: verbs.Request, _host: Host) -> dict[str, Any]:
    return {}


def _ask(paths: Paths, request: bytes) -> tuple[str, list[str]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        ours.sendall(request)
        ours.shutdown(socket.SHUT_WR)
        told = io.StringIO()
        try:
            with contextlib.redirect_stderr(told):
                serve(Caller(theirs.fileno(), theirs.fileno()), paths)
        except Exception as error:  # noqa: BLE001 whatever it is, it is a finding
            return "broke", [f"{type(error).__name__} for {request[:300]!r}"]
        theirs.shutdown(socket.SHUT_WR)
        with ours.makefile("rb") as lines:
            answers = [json.loads(line) for line in lines]
    wrong = []
    if len(answers) != 1 or "Traceback" in told.getvalue():
        wrong.append(f"{len(answers)} answers, log {told.getvalue()[:200]!r}, to {request[:300]!r}")
        return "broke", wrong
    [answer] = answers
    if answer["ok"]:
        return "understood", wrong
    if not answer["refused"] or not all(answer[part] for part in ("what", "why", "cure")):
        wrong.append(f"{answer} to {request[:300]!r}")
    return "refused", wrong
