"""Takes traces away: files here, units and accounts by the system's own commands."""

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from muster.errors import ClientError
from muster.sealing.look import below, ours
from muster.sealing.traces import CLUSTER_ACCOUNT, CLUSTER_UNITS, Find, Removal

Run = Callable[[Sequence[str], float], "subprocess.CompletedProcess[str]"]

QUICK = 60.0  # seconds for a command that only writes links or a file
# Pacemaker stops its resources first, each within its own time-out.
CLUSTER_STOPS = 900.0
# What would write a trace again. pcsd is not stopped: it can take 90 s to heed that, and it writes
# its key and tokens only when it starts or is spoken to.
OUR_UNITS = (
    "musterd-status.socket",
    "musterd-admin.socket",
    "muster-helper.socket",
    "musterd.service",
    "muster-watch.service",
)


def run(command: Sequence[str], timeout: float) -> "subprocess.CompletedProcess[str]":
    """Run a command without a shell; its output is kept.

    Raises:
        ClientError: it is missing, or took too long.
    """
    try:
        return subprocess.run(  # noqa: S603 (words of this module's own)
            command,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClientError(
            f"cannot seal: `{' '.join(command)}` did not work",
            why=str(error),
            cure="nothing is lost by trying again: muster seal",
        ) from None


class Eraser:
    """Takes traces below one root away.

    Args:
        root: of the image.
        run: how commands are run.
    """

    def __init__(self, root: Path, run: Run = run) -> None:
        self._root = root
        self._run = run

    @property
    def live(self) -> bool:
        """Whether the image is the system that runs."""
        return self._root == Path("/")

    def cluster_runs(self) -> bool:
        """Tell whether Corosync or Pacemaker runs, starts or stops here."""
        if not self.live:
            return False
        asked = self._run(["systemctl", "is-active", *CLUSTER_UNITS], QUICK)
        return any(word not in {"inactive", "failed", "unknown"} for word in asked.stdout.split())

    def stop(self) -> None:
        """Stop what would write traces again: musterd, then Pacemaker and Corosync in order."""
        if not self.live:
            return
        self._must(["systemctl", "stop", *self._present(OUR_UNITS)], QUICK)
        for unit in self._present(CLUSTER_UNITS):
            self._must(["systemctl", "stop", unit], CLUSTER_STOPS)

    def erase(self, found: Find) -> None:
        """Take one trace away. Raises ClientError."""
        path = below(self._root, found.path)
        try:
            match found.removal:
                case Removal.DELETE if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                case Removal.DELETE:
                    path.unlink(missing_ok=True)
                case Removal.EMPTY:
                    os.truncate(path, 0)
                case Removal.DISABLE:
                    self._must([*self._systemctl(), "disable", path.name], QUICK)
                case Removal.LOCK:
                    where = [] if self.live else ["--root", str(self._root)]
                    # No password at all, not a locked one: the hash would stay in the image.
                    self._must(["usermod", *where, "--password", "!", CLUSTER_ACCOUNT], QUICK)
                case Removal.UNLIST:
                    self._unlist(path)
                case Removal.BY_HAND:
                    raise ValueError(f"{found.path} is not ours to remove")
        except OSError as error:
            raise ClientError(
                f"cannot remove {found.path}",
                why=error.strerror or str(error),
                cure="muster seal, once the file system can be written",
            ) from error

    def finish(self) -> None:
        """Have everything reach the disk: a snapshot of a running instance sees only that."""
        os.sync()

    def _systemctl(self) -> list[str]:
        return ["systemctl", "--quiet", *([] if self.live else ["--root", str(self._root)])]

    def _present(self, units: Sequence[str]) -> list[str]:
        """Return the units that are installed: systemctl fails for one that is not."""
        asked = self._run(
            ["systemctl", "list-unit-files", "--plain", "--no-legend", "--no-pager", *units], QUICK
        )
        known = {line.split()[0] for line in asked.stdout.splitlines() if line.strip()}
        return [unit for unit in units if unit in known]

    def _unlist(self, hosts: Path) -> None:
        """Drop our lines; the file is rewritten in place, for it may be a mount of its own."""
        lines = hosts.read_text(encoding="utf-8", errors="surrogateescape").splitlines(True)
        gone = set(ours(self._root))
        kept = [line for number, line in enumerate(lines) if number not in gone]
        hosts.write_text("".join(kept), encoding="utf-8", errors="surrogateescape")

    def _must(self, command: list[str], timeout: float) -> None:
        if command[-1] == "stop":  # of nothing
            return
        done = self._run(command, timeout)
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise ClientError(
                f"cannot seal: `{' '.join(command)}` failed",
                why=" ".join(last) or f"exit code {done.returncode}",
                cure="see `systemctl status` of the unit it names, then: muster seal",
            )
