"""Where a lab keeps its things, and what they are called."""

import re
from dataclasses import dataclass
from pathlib import Path

CACHE = Path("/var/cache/muster-lab")
CA_CERTIFICATE = CACHE / "ca" / "ca.pem"

RUN = Path("/run/muster-lab")
DISKS = Path("/var/lib/muster-lab")
NETNS = Path("/run/netns")
CGROUPS = Path("/sys/fs/cgroup")

DEFAULT_NAME = "muster"

# No hyphen: it ends the name in `NAME-aws`, so no lab's prefix can be part of another's.
_NAME = re.compile(r"[a-z][a-z0-9]{0,15}")


@dataclass(frozen=True)
class Layout:
    """The paths and names of one lab.

    Everything outside the image cache begins with the lab's name, so that `down` finds all of it
    even when the server that made it is gone.
    """

    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            msg = (
                f"cannot call a lab {self.name!r}: use a letter and then at most 15 letters and "
                "digits, all lower case (--name or MUSTER_LAB)"
            )
            raise ValueError(msg)

    @property
    def prefix(self) -> str:
        """What the lab's namespaces, cgroups and machines begin with."""
        return f"{self.name}-"

    @property
    def run(self) -> Path:
        """Small state on tmpfs: socket, process id, log."""
        return RUN / self.name

    @property
    def control_socket(self) -> Path:
        """The lab server's control socket."""
        return self.run / "control.sock"

    @property
    def pid_file(self) -> Path:
        """The lab server's process id."""
        return self.run / "server.pid"

    @property
    def server_log(self) -> Path:
        """What the lab server prints."""
        return self.run / "server.log"

    @property
    def disks(self) -> Path:
        """One folder a machine: the writable layer of its disk, its console."""
        return DISKS / self.name

    def namespace(self, what: str) -> str:
        """The network namespace of `what`: `aws`, `vpc`, `bastion`, `internet` or an instance."""
        return f"{self.prefix}{what}"

    def namespace_path(self, what: str) -> Path:
        """Where iproute2 keeps the namespace of `what`."""
        return NETNS / self.namespace(what)


def cgroup_hierarchies() -> list[Path]:
    """The hierarchies a machine's processes get a group of their own in.

    A hybrid layout has `systemd`, `unified` and `freezer` side by side (cgroups(7)); a machine
    that mounts version 2 alone has it at the top.
    """
    hybrid = [CGROUPS / each for each in ("systemd", "unified", "freezer")]
    found = [each for each in hybrid if (each / "cgroup.procs").exists()]
    return found or [CGROUPS]
