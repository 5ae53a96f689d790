"""What the daemons of a node use: memory by the kernel's books, processor time by their cgroup."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from muster_lab.layout import CGROUPS, Layout

SERVICES = ("musterd.service", "muster-watch.service")


@dataclass(frozen=True)
class Usage:
    """A service at one moment.

    Attributes:
        rss: resident memory, MiB (proc(5), VmRSS).
        pss: the same with shared pages counted in parts, MiB.
        private: what would be free without it, MiB.
        cpu: processor seconds since the service started.
    """

    rss: float
    pss: float
    private: float
    cpu: float

    @classmethod
    def of(cls, layout: Layout, instance_id: str, service: str) -> Self:
        """Read the service's cgroup and processes, from outside the node."""
        group = _group(layout, instance_id, service)
        stat = dict(line.split() for line in _lines(group / "cpu.stat"))
        pages = [_rollup(pid) for pid in _lines(group / "cgroup.procs")]
        return cls(
            rss=sum(each["Rss"] for each in pages) / 1024,
            pss=sum(each["Pss"] for each in pages) / 1024,
            private=sum(each["Private_Clean"] + each["Private_Dirty"] for each in pages) / 1024,
            cpu=int(stat["usage_usec"]) / 1e6,
        )


def most_resident(layout: Layout, instance_id: str, service: str) -> float:
    """The most resident memory that a process of a service ever had, MiB (proc(5), VmHWM)."""
    pids = _lines(_group(layout, instance_id, service) / "cgroup.procs")
    told = [line for pid in pids for line in _lines(Path("/proc", pid, "status"))]
    return max(int(line.split()[1]) for line in told if line.startswith("VmHWM:")) / 1024


def _group(layout: Layout, instance_id: str, service: str) -> Path:
    root = CGROUPS / "unified" if (CGROUPS / "unified").exists() else CGROUPS
    return root / f"{layout.prefix}{instance_id}" / "payload/system.slice" / service


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="ascii").splitlines()


def _rollup(pid: str) -> dict[str, int]:
    """The sums of a process's mappings in KiB (proc(5), smaps_rollup)."""
    lines = _lines(Path("/proc", pid, "smaps_rollup"))[1:]
    return {line.partition(":")[0]: int(line.split()[1]) for line in lines}
