"""What a run found: how often which outcome, what must not have been, what memory it took."""

import ctypes
import gc
import io
import logging
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from musterd import log
from musterd.api.serve import calm_aiohttp

MIB = 1024 * 1024
GROWTH = 8.0  # MiB a target may grow by after its first inputs


@dataclass
class Report:
    """One target's run.

    Attributes:
        target: its name.
        how: in which way the inputs reached it.
        inputs: how many there were.
        outcomes: such as HTTP statuses -> how often.
        complaints: server errors, tracebacks, answers of a wrong shape; must be empty.
        before: MiB resident after the first tenth of the inputs.
        after: at the end.
        seconds: wall time.
    """

    target: str
    how: str
    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)
    before: float = 0.0
    after: float = 0.0
    seconds: float = 0.0

    @property
    def growth(self) -> float:
        """MiB by which it grew."""
        return self.after - self.before

    def problems(self) -> list[str]:
        """Return why this run is a failure; empty when it is none."""
        found = self.complaints[:10]
        if self.growth > GROWTH:
            found.append(f"{self.target} grew by {self.growth:.1f} MiB")
        return found


class Tracebacks(logging.Handler):
    """Keeps what a log must not say: errors, and anything with a traceback."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.ERROR or record.exc_info:
            self.found.append(f"log: {record.getMessage()[:300]} {record.exc_info}")


def listen_to_log() -> Tracebacks:
    """Log as the daemon does, to nowhere; return what watches it."""
    log.configure(debug=True, environment={}, stream=io.StringIO())
    for handler in logging.getLogger().handlers:
        handler.setLevel(logging.CRITICAL + 1)  # rendered text would look like growth
    calm_aiohttp()
    watching = Tracebacks()
    logging.getLogger().addHandler(watching)
    return watching


def resident() -> float:
    """Return this process's resident memory in MiB, garbage given back first."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    return pages_of("self")


def pages_of(process: int | str) -> float:
    """Return a process's resident memory in MiB."""
    pages = int(Path(f"/proc/{process}/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / MIB
