"""Where events come from: musterd itself, the journal when it was restarted, or files."""

import json
import os
import subprocess
from collections.abc import Iterable

from muster.errors import ClientError, NotAllowedError, UnreachableError
from muster.fields import Document
from muster.following import decode
from muster.history import History
from muster.timeline.lanes import tells_founding
from muster.transport import Transport

FIRST = 5.0  # seconds that musterd may take to begin to answer
PREFIX = "MUSTER_"
BUILT_IN = {"kind", "phase", "logger"}  # fields of an entry that are no fields of the event
JOURNAL = ("journalctl", "--output=json", "--boot", "--quiet", "--unit=musterd.service")


def of_musterd(client: Transport) -> History:
    """Return what musterd tells of itself and the others since it started."""
    with client.events(follow=False) as stream:
        lines: list[str] = []
        while not stream.ended:
            taken = stream.take(FIRST)
            if not taken and not stream.ended:
                raise UnreachableError(
                    "cannot read the events",
                    why=f"musterd said nothing for {FIRST:.0f} seconds",
                    cure="sudo journalctl -u musterd -n 50",
                )
            lines += taken
    return _history(decode(line) for line in lines)


def of_file(path: str) -> History:
    """Return what the lines of a file tell (`muster events --json`). Raises ClientError."""
    try:
        with open(path, encoding="utf-8") as file:
            return _history(decode(line) for line in file)
    except (OSError, UnicodeDecodeError) as error:
        raise ClientError(
            f"cannot read {path}",
            why=str(error),
            cure="on the other node: muster events --json > events.json",
        ) from error


def of_journal() -> History:
    """Return what the journal of this boot tells of the founding.

    Raises:
        NotAllowedError: there is none that this user may read, or none that tells of it.
    """
    done = subprocess.run(  # noqa: S603 (constant words, no shell)
        JOURNAL, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"}
    )
    for events in reversed(_runs(done.stdout.splitlines())):
        history = _history(events)
        if tells_founding(history):
            return history
    raise NotAllowedError(
        "cannot tell how this cluster was founded",
        why="musterd was restarted since, and the journal of this boot does not tell this user",
        cure="sudo muster timeline; or give the files of `muster events --json` of that time",
    )


def _runs(lines: Iterable[str]) -> list[list[Document]]:
    """Return the events of each run of musterd, in order."""
    runs: dict[str, list[Document]] = {}
    starts: dict[str, float] = {}
    for line in lines:
        entry = json.loads(line)
        run = str(entry.get("_SYSTEMD_INVOCATION_ID", ""))
        if f"{PREFIX}KIND" not in entry:
            continue
        moment = int(entry.get("_SOURCE_REALTIME_TIMESTAMP", entry["__REALTIME_TIMESTAMP"])) / 1e6
        start = starts.setdefault(run, moment)
        runs.setdefault(run, []).append(_event(entry, moment, moment - start))
    return list(runs.values())


def _event(entry: dict[str, object], moment: float, seconds: float) -> Document:
    """Return the event that a journal entry tells of."""
    from datetime import UTC, datetime

    fields = {
        key.removeprefix(PREFIX).lower(): str(value)
        for key, value in entry.items()
        if key.startswith(PREFIX)
    }
    return {
        "at": datetime.fromtimestamp(moment, UTC).isoformat(),
        "seconds": round(seconds, 3),
        "kind": fields["kind"],
        "phase": fields.get("phase", ""),
        # The line goes on with the fields; the first of them is the kind.
        "message": str(entry.get("MESSAGE", "")).partition(f" kind={fields['kind']}")[0],
        "fields": {key: value for key, value in fields.items() if key not in BUILT_IN},
    }


def _history(events: Iterable[Document | None]) -> History:
    history = History()
    for event in events:
        if event is not None:
            history.add(event)
    return history


def uptime_at(moment: float, wall: float) -> float | None:
    """Return how long this node had been up at a moment; None where the kernel does not say.

    Counted from the start of process 1, which is right in containers too (proc(5)).

    Args:
        moment: seconds since 1970.
        wall: the present, as seconds since 1970.
    """
    try:
        with open("/proc/uptime", encoding="ascii") as file:
            up = float(file.read().split()[0])
        with open("/proc/1/stat", encoding="ascii") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
    return moment - (wall - up + ticks / os.sysconf("SC_CLK_TCK"))
