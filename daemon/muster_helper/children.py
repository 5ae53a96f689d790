"""Child processes: argument lists, a bare environment, bounded time and output."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from muster_helper.forks import Forks
from musterd.errors import HelperError

# The whole environment of a child. No proxy variable: pcs would send tokens through it.
ENVIRONMENT = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    "LC_ALL": "C.UTF-8",
    "HOME": "/root",
}
OUTPUT_LIMIT = 8 * 1024 * 1024  # bytes read of each stream; a CIB may be large
_SHOWN = 600  # characters of a child's words that go into an error


@dataclass(frozen=True)
class Ran:
    """A child that ended by itself."""

    code: int
    out: str
    err: str

    def words(self) -> str:
        """Return what it said last, on one line, for an error's why."""
        said = " ".join((self.err.strip() or self.out.strip()).split())
        return said[-_SHOWN:] or f"exit status {self.code}, without a word"


class Runner(Protocol):
    """Runs one child; tests put a recorder here."""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
    ) -> Ran:
        """Run `argv` to its end.

        Args:
            argv: program and arguments; secrets never among them.
            timeout: seconds, after which its whole process group is killed.
            stdin: what it reads, also by the name /dev/stdin.
            environment: added to `ENVIRONMENT`.

        Raises:
            HelperError: it is not installed, or took longer than `timeout`.
        """


class Children:
    """The real Runner."""

    def __init__(self, kept: tuple[int, ...] = ()) -> None:
        """Let children inherit the descriptors `kept`.

        The lock is one of them: a pcs that outlives a killed helper still holds it, and the next
        helper waits until it has ended.
        """
        self._kept = kept
        self._pcs = Forks("pcs", ENVIRONMENT, kept)

    def __call__(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
    ) -> Ran:
        """Run `argv`; see Runner."""
        # Memory files, not pipes: a service started by a child may keep a pipe open for ever, and
        # a secret on standard input never touches a disk.
        given, out, err = (os.memfd_create(name) for name in ("stdin", "stdout", "stderr"))
        try:
            _write_all(given, stdin)
            os.lseek(given, 0, os.SEEK_SET)
            code = self._wait(argv, timeout, (given, out, err), environment or {})
            return Ran(code, _text(out), _text(err))
        finally:
            for descriptor in (given, out, err):
                os.close(descriptor)

    def _wait(
        self,
        argv: Sequence[str],
        timeout: float,
        streams: tuple[int, int, int],
        environment: Mapping[str, str],
    ) -> int:
        given, out, err = streams
        if argv[0] == "pcs":
            try:
                code = self._pcs.run(argv, timeout, streams, environment)
            except subprocess.TimeoutExpired:
                raise _too_slow(argv, timeout, out, err) from None
            if code is not None:
                return code
        try:
            child = subprocess.Popen(  # noqa: S603 - a list, built by our own code only
                list(argv),
                stdin=given,
                stdout=out,
                stderr=err,
                env={**ENVIRONMENT, **environment},
                cwd="/",
                start_new_session=True,
                pass_fds=self._kept,
            )
        except FileNotFoundError:
            raise HelperError(
                f"{argv[0]} cannot be run: it is not installed",
                refused=False,
                cure="type `muster doctor`, which names the package",
            ) from None
        try:
            return child.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise _too_slow(argv, timeout, out, err) from None


def _too_slow(argv: Sequence[str], timeout: float, out: int, err: int) -> HelperError:
    return HelperError(
        f"`{' '.join(argv[:3])}` did not end within {timeout:.0f} s and was killed",
        refused=False,
        why=Ran(-1, _text(out), _text(err)).words(),
        cure="see `journalctl -u 'muster-helper@*'`; the step is tried again",
    )


def must(ran: Ran, what: str, cure: str) -> Ran:
    """Return a child's result when it succeeded.

    Raises:
        HelperError: with `what`, the child's words as the reason, and `cure`.
    """
    if ran.code != 0:
        raise HelperError(what, refused=False, why=ran.words(), cure=cure)
    return ran


def _write_all(descriptor: int, content: bytes) -> None:
    written = 0
    while written < len(content):
        written += os.write(descriptor, content[written:])


def _text(descriptor: int) -> str:
    return os.pread(descriptor, OUTPUT_LIMIT, 0).decode(errors="replace")
