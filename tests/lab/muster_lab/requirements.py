"""What the lab needs of the machine, and how to get it."""

import os
import shutil
from pathlib import Path

from muster_lab.commands import run_now
from muster_lab.ports import MachineError

# command -> Debian package that brings it
TOOLS = {
    "ip": "iproute2",
    "journalctl": "systemd",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}


def missing_packages() -> list[str]:
    """The Debian packages whose commands the machine lacks, sorted."""
    return sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})


def why_not() -> str | None:
    """One sentence that says why the lab cannot run here, or None when it can."""
    if os.geteuid() != 0:
        return "cannot run the lab: it makes namespaces and mounts, so run it as root"
    if not Path("/proc/sys/user/max_user_namespaces").exists() or not _overlay_available():
        return "cannot run the lab: this kernel has no namespaces or no overlay file system"
    if lacking := missing_packages():
        return f"cannot run the lab: {', '.join(lacking)} missing; run `make lab-deps`"
    try:
        run_now("unshare", "--mount", "--net", "--pid", "--fork", "true")
    except MachineError:
        return "cannot run the lab: this environment forbids new namespaces (try a real machine)"
    return None


def _overlay_available() -> bool:
    listed = Path("/proc/filesystems").read_text(encoding="ascii").split()
    if "overlay" in listed:
        return True
    return bool(shutil.which("modprobe")) and "overlay" in run_now(
        "sh", "-c", "modprobe overlay; cat /proc/filesystems", check=False
    )


def install_missing() -> None:
    """Install what the machine lacks with apt-get, by name (`make lab-deps`).

    Raises:
        MachineError: apt-get could not.
    """
    if lacking := missing_packages():
        run_now("apt-get", "install", "--yes", "--no-install-recommends", *lacking)
