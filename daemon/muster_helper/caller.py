"""The other end of the socket: who it is, its one request, our answers."""

import json
import os
import pwd
import select
import socket
import stat
import struct
import time
from typing import Any

from muster_helper.refusals import malformed
from musterd.errors import HelperError
from musterd.helper_wire import LINE_LIMIT

_READ_TIMEOUT = 10.0  # seconds for the whole request line
_PEERCRED = struct.Struct("3i")  # struct ucred of unix(7): pid, uid, gid


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object whose keys are all different: what is checked is what is done."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands there twice")
    return made


class CallerGone(Exception):  # noqa: N818 - an ending, not an error
    """Nobody listens any more; raised between two steps, so that the verb ends there."""


class Caller:
    """One connection; standard input and output when started by systemd."""

    def __init__(self, given: int, taken: int) -> None:
        """Read from one descriptor, write to another (the same socket, or pipes)."""
        self._given = given
        self._taken = taken

    def must_be(self, daemon: str) -> None:
        """Let only root and the daemon's user pass.

        Raises:
            HelperError: it is somebody else.
        """
        uid = self._uid()
        try:
            allowed = {0, pwd.getpwnam(daemon).pw_uid}
        except KeyError:
            allowed = {0}
        if uid not in allowed:
            raise HelperError(
                f"user {uid} may not ask muster-helper for anything",
                refused=True,
                why=f"only {daemon} and root may",
                cure="use `muster`, which any user may run",
            )

    def request(self) -> object:
        """Return the request as JSON read it.

        Raises:
            HelperError: no whole line within the limits, or no JSON.
        """
        deadline, line = time.monotonic() + _READ_TIMEOUT, b""
        while b"\n" not in line:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._given], [], [], left)[0]:
                raise malformed(f"no whole line came within {_READ_TIMEOUT:.0f} s")
            part = os.read(self._given, LINE_LIMIT)
            line += part
            if not part:
                raise malformed("it ended before its line did")
            if len(line) > LINE_LIMIT:
                raise malformed(f"its line is longer than {LINE_LIMIT} bytes")
        try:
            return json.loads(line, object_pairs_hook=_once)
        except (ValueError, RecursionError):
            raise malformed("it is not JSON, or names a key twice") from None

    def progress(self, sentence: str) -> None:
        """Say what happens next. Raises CallerGone."""
        self.answer({"progress": sentence})

    def answer(self, values: dict[str, Any]) -> None:
        """Write one line. Raises CallerGone."""
        line = json.dumps(values, separators=(",", ":")).encode() + b"\n"
        if len(line) > LINE_LIMIT:
            raise HelperError(
                "the answer of muster-helper is too long",
                refused=False,
                why=f"it has {len(line)} bytes, {LINE_LIMIT} are allowed",
                cure="see `journalctl -u 'muster-helper@*'`",
            )
        try:
            while line:
                line = line[os.write(self._taken, line) :]
        except (BrokenPipeError, ConnectionResetError):
            raise CallerGone from None

    def _uid(self) -> int:
        """Return the peer's user id; without a socket, whoever started this process."""
        if not stat.S_ISSOCK(os.fstat(self._given).st_mode):
            return os.getuid()
        with socket.socket(fileno=os.dup(self._given)) as peer:
            raw = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEERCRED.size)
        return int(_PEERCRED.unpack(raw)[1])
