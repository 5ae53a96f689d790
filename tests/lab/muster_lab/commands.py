"""Running the machine's own tools, with the tool's last words in the error."""

import asyncio
import subprocess
from collections.abc import Sequence

from muster_lab.ports import MachineError

UMASK = 0o022
"""What is made for a node has a system's modes, whatever the caller's mask is."""


def _failure(command: Sequence[str], code: int | None, output: bytes) -> MachineError:
    said = output.decode(errors="replace").strip() or "it said nothing"
    return MachineError(f"cannot run `{' '.join(command)}` (exit {code}): {said[-2000:]}")


async def run(*command: str, stdin: str = "", check: bool = True) -> str:
    """Run a command to its end and return its standard output.

    Raises:
        MachineError: it exited non-zero (unless `check` is false).
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        umask=UMASK,
    )
    out, err = await process.communicate(stdin.encode())
    if check and process.returncode != 0:
        raise _failure(command, process.returncode, err or out)
    return out.decode(errors="replace")


def run_now(*command: str, stdin: str = "", check: bool = True) -> str:
    """The same, for code that has no event loop."""
    done = subprocess.run(
        command, input=stdin.encode(), capture_output=True, check=False, umask=UMASK
    )
    if check and done.returncode != 0:
        raise _failure(command, done.returncode, done.stderr or done.stdout)
    return done.stdout.decode(errors="replace")
