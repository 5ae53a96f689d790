"""The control groups of a machine: its processes, all of them, and the freezer."""

import contextlib
import os
import signal
import time
from pathlib import Path

from muster_lab.layout import cgroup_hierarchies

PATIENCE = 10.0
"""Seconds killed processes get to disappear."""


def make(name: str) -> list[Path]:
    """Make the group in every hierarchy and return the `cgroup.procs` files to enter it by."""
    entries = []
    for hierarchy in cgroup_hierarchies():
        (hierarchy / name).mkdir(exist_ok=True)
        entries.append(hierarchy / name / "cgroup.procs")
    return entries


def processes(name: str) -> set[int]:
    """Every process in the group or below it."""
    found: set[int] = set()
    for hierarchy in cgroup_hierarchies():
        for each in (hierarchy / name).rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                found |= {int(word) for word in each.read_text(encoding="ascii").split()}
    return found - {0}


def kill(name: str) -> None:
    """SIGKILL every process in the group, frozen ones too."""
    for pid in processes(name):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    thaw(name)


def end(name: str) -> None:
    """Kill the group's processes and remove it as soon as they are reaped.

    The kernel tells nobody when a version 1 group empties, so this looks, for a bounded time.
    """
    deadline = time.monotonic() + PATIENCE
    kill(name)
    while not remove(name) and time.monotonic() < deadline:
        time.sleep(0.01)
        kill(name)


def remove(name: str) -> bool:
    """Remove the emptied group everywhere; False while a process or a child is still in it."""
    gone = True
    for hierarchy in cgroup_hierarchies():
        for folder, _, _ in os.walk(hierarchy / name, topdown=False):
            try:
                Path(folder).rmdir()
            except FileNotFoundError:
                continue
            except OSError:
                gone = False
    return gone


def named(prefix: str) -> set[str]:
    """The groups at the top of any hierarchy that begin with `prefix`."""
    return {
        each.name
        for hierarchy in cgroup_hierarchies()
        for each in hierarchy.glob(f"{prefix}*")
        if each.is_dir()
    }


def freeze(name: str) -> None:
    """Stop every process in the group where it is: a hung kernel, seen from outside."""
    _write_freezer(name, "FROZEN", "1")


def thaw(name: str) -> None:
    """Let the group run on."""
    _write_freezer(name, "THAWED", "0")


def _write_freezer(name: str, version_1: str, version_2: str) -> None:
    for hierarchy in cgroup_hierarchies():
        for file, value in (("freezer.state", version_1), ("cgroup.freeze", version_2)):
            path = hierarchy / name / file
            # Version 1 where there is one: a group may be frozen in one hierarchy only.
            if path.exists() and (file == "freezer.state" or len(cgroup_hierarchies()) == 1):
                path.write_text(value, encoding="ascii")
