"""The near side of `pcs_host`: pcs commands that do not start an interpreter each."""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from muster_helper.pcs_host import LONGEST

_PROGRAM = Path(__file__).with_name("pcs_host.py")


class Forks:
    """Runs a Python program in forks of one interpreter that has loaded it.

    Args:
        program: its name, found in `environment`'s PATH.
        environment: the whole environment of the interpreter.
        kept: descriptors that it and its forks inherit.
    """

    def __init__(
        self, program: str, environment: Mapping[str, str], kept: tuple[int, ...] = ()
    ) -> None:
        self._program = program
        self._environment = environment
        self._kept = kept
        self._making = threading.Lock()
        self._wire: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._script = ""

    def run(
        self,
        argv: Sequence[str],
        timeout: float,
        streams: tuple[int, int, int],
        environment: Mapping[str, str],
    ) -> int | None:
        """Run one command to its end.

        Args:
            argv: its first word is the program.
            timeout: seconds, after which it is killed with its children.
            streams: descriptors of its standard input, output and error.
            environment: what is added to the interpreter's.

        Returns:
            Its exit status (negative: the signal that killed it), or None when it cannot be run
            this way and nothing has been done.

        Raises:
            subprocess.TimeoutExpired: it was killed.
        """
        wire = self._ready()
        if wire is None:
            return None
        request = json.dumps({"argv": [self._script, *argv[1:]], "environment": {**environment}})
        told, tell = os.pipe2(os.O_CLOEXEC)
        with os.fdopen(told, "rb", buffering=0):
            try:
                if len(request) >= LONGEST:
                    return None
                socket.send_fds(wire, [request.encode()], [*streams, tell])
            except OSError:
                return None
            finally:
                os.close(tell)
            return _outcome(told, argv, timeout)

    def close(self) -> None:
        """End the interpreter; commands under way go on."""
        if self._wire is not None and self._process is not None:
            self._wire.close()
            self._process.wait()
            self._wire = self._process = None

    def _ready(self) -> socket.socket | None:
        """Return the wire to the interpreter, which the first call starts."""
        with self._making:
            if self._wire is None:
                found = shutil.which(self._program, path=self._environment["PATH"])
                interpreter = _interpreter(Path(found)) if found else None
                if found is None or interpreter is None:
                    return None
                self._script = found
                self._wire = self._start(interpreter)
            return self._wire

    def _start(self, interpreter: list[str]) -> socket.socket:
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with far:
            self._process = subprocess.Popen(  # noqa: S603 - the program's interpreter, our file
                [*interpreter, str(_PROGRAM)],
                stdin=far.fileno(),
                stdout=subprocess.DEVNULL,
                env={**self._environment},
                cwd="/",
                start_new_session=True,
                pass_fds=self._kept,
            )
        return near


def _interpreter(script: Path) -> list[str] | None:
    """Return the words after a script's #!, if it is a Python script."""
    with script.open("rb") as file:
        first = file.readline(256)
    words = first[2:].decode("ascii", "replace").split() if first.startswith(b"#!") else []
    return words if words and "python" in words[0] else None


def _outcome(told: int, argv: Sequence[str], timeout: float) -> int | None:
    """Read the process id, then the exit status; kill it when the time is over."""
    deadline, said, killed = time.monotonic() + timeout, b"", False
    ready = select.poll()
    ready.register(told, select.POLLIN | select.POLLHUP)
    while True:
        left = deadline - time.monotonic()
        pid, told_pid, _ = said.partition(b"\n")
        if left <= 0 and told_pid and not killed:
            os.killpg(int(pid), signal.SIGKILL)
            killed = True
        # Once the time is over, the next word is the process id or the end.
        if not ready.poll(left * 1000 if left > 0 else None):
            continue
        piece = os.read(told, 64)
        if not piece:
            break
        said += piece
    if killed:
        raise subprocess.TimeoutExpired(list(argv), timeout)
    words = said.split()
    if not words:
        return None  # the interpreter ended before it took the request
    return int(words[1]) if len(words) == 2 else -signal.SIGKILL
