"""Removing all traces of a lab, also one whose server was killed."""

import contextlib
import os
import shutil
import signal
from pathlib import Path

from muster_lab import cgroups, volumes
from muster_lab.commands import run_now
from muster_lab.layout import NETNS, Layout


def sweep(layout: Layout) -> None:
    """Remove the lab's processes, groups, namespaces and folders; nothing happens twice.

    The caller is the lab's server on its way out, or has made sure that there is none.

    Raises:
        MachineError: something resisted.
    """
    for group in cgroups.named(layout.prefix):
        cgroups.end(group)
    for path in NETNS.glob(f"{layout.prefix}*"):
        _kill_inhabitants(path)
        run_now("ip", "netns", "delete", path.name)
    volumes.detach(layout)
    for folder in (layout.disks, layout.run):
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # another lab's folder is beside it
            folder.parent.rmdir()


def leftovers(layout: Layout) -> list[str]:
    """What of the lab still exists, as sentences' objects; empty after a good `sweep`."""
    groups = [f"cgroup {each}" for each in sorted(cgroups.named(layout.prefix))]
    spaces = [f"namespace {each.name}" for each in sorted(NETNS.glob(f"{layout.prefix}*"))]
    folders = [f"folder {each}" for each in (layout.disks, layout.run) if each.exists()]
    mounts = [
        f"mount {line.split()[1]}"
        for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
        if line.split()[1].startswith(f"{layout.disks}/")
    ]
    loops = [f"loop device {each}" for each in volumes.attached(layout)]
    return groups + spaces + folders + mounts + loops


def _kill_inhabitants(namespace: Path) -> None:
    """Kill what still runs in a network namespace of the lab (an `outside` command, say)."""
    try:
        wanted = namespace.stat()
    except FileNotFoundError:
        return
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            here = (process / "ns/net").stat()
            same = (here.st_dev, here.st_ino) == (wanted.st_dev, wanted.st_ino)
            if same and int(process.name) != os.getpid():
                os.kill(int(process.name), signal.SIGKILL)
