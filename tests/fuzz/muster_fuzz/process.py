"""The target's process, from the generator's side."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from muster_fuzz.report import Report, pages_of

ALLOCATOR = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "131072"}  # as its unit says


class Target:
    """Asks `muster_fuzz.target` and keeps the report."""

    def __init__(self, process: subprocess.Popen[str], report: Report) -> None:
        self._process = process
        self.report = report

    def give(self, given: Any) -> str:
        """Give one input, note what came of it, return the outcome."""
        outcome = str(self.ask({"input": given})["outcome"])
        self.note(outcome)
        return outcome

    def note(self, outcome: str) -> None:
        """Count an input that reached the target by another way."""
        self.report.inputs += 1
        self.report.outcomes[outcome] += 1

    def measure(self) -> float:
        """Return the target's resident memory in MiB; its log is looked at too."""
        return float(self.ask({"measure": True})["resident"])

    def resident_now(self) -> float:
        """Return its resident memory in MiB as it is, garbage included."""
        return pages_of(self._process.pid)

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send one line, return the answer; complaints go to the report."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise AssertionError(f"the target died of {str(request)[:2000]}")
        answer: dict[str, Any] = json.loads(line)
        self.report.complaints += answer["complaints"]
        return answer


@contextmanager
def target(name: str, how: str) -> Iterator[Target]:
    """Run a target until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", "muster_fuzz.target", name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **ALLOCATOR},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        try:
            yield Target(process, Report(name, how))
        finally:
            process.stdin.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
