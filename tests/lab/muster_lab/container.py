"""One boot of one machine: systemd-nspawn with systemd as PID 1, watched to its end."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from muster_lab import cgroups
from muster_lab.commands import UMASK
from muster_lab.image import Image
from muster_lab.ports import ExitKind, Machine, MachineError

START_TIMEOUT = 60.0

# systemd-nspawn(1): the guest's reboot(2) ends it with this code, a power-off with 0.
_EXIT_REBOOT = 133

# systemd(1): SIGRTMIN+4 starts poweroff.target.
POWER_OFF_SIGNAL = signal.SIGRTMIN + 4

# The mounts live in this shell's own mount namespace and vanish with the machine.
# $1: overlay options, $2: root, the rest: the nspawn command; $ENTRIES: cgroup.procs files.
_LAUNCH = """
set -eu
for entry in $ENTRIES; do echo $$ > "$entry"; done
mkdir -p /run/systemd/nspawn
mount -t tmpfs tmpfs /run/systemd/nspawn
mount -t overlay overlay -o "$1" "$2"
shift 2
unset ENTRIES
exec "$@"
"""


@dataclass(frozen=True)
class Disk:
    """Where a machine's writable layer is."""

    folder: Path

    @property
    def upper(self) -> Path:
        """What the machine has written."""
        return self.folder / "upper"

    @property
    def root(self) -> Path:
        """Where the overlay is mounted, seen only by the machine's own processes."""
        return self.folder / "root"

    @property
    def console(self) -> Path:
        """What PID 1 and nspawn print."""
        return self.folder / "console.log"

    def prepare(self, machine: Machine, search_domain: str) -> None:
        """Make a new disk, or make the old one mountable again."""
        # overlay refuses a second mount of a `volatile` upper layer while this is there
        # (kernel documentation, overlayfs, "Volatile mount").
        shutil.rmtree(self.folder / "work", ignore_errors=True)
        (self.folder / "work").mkdir(parents=True)
        self.root.mkdir(exist_ok=True)
        if self.upper.exists():
            return
        # What a DHCP client writes.
        etc = self.upper / "etc"
        etc.mkdir(parents=True)
        for each in (self.upper, etc):  # the guest sees these modes as its own
            each.chmod(0o755)
        (etc / "resolv.conf").write_text(f"nameserver 10.0.0.2\nsearch {search_domain}\n")
        # EC2 shows its guests this Xen property; it is how cloud-init knows EC2.
        (self.folder / "hypervisor-uuid").write_text(f"ec2{machine.instance_id[-5:]}-lab\n")
        if machine.stock:
            wants = etc / "systemd/system/multi-user.target.wants"
            wants.mkdir(parents=True)
            for unit in ("corosync.service", "pacemaker.service"):
                (wants / unit).symlink_to(f"/lib/systemd/system/{unit}")

    def overlay_options(self, image: Image) -> str:
        """The options of the overlay mount; `volatile` because nothing here outlives the host."""
        return (
            f"lowerdir={image.lowerdir},upperdir={self.upper},"
            f"workdir={self.folder / 'work'},volatile"
        )


class Container:
    """A running guest."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, leader: int) -> None:
        self._name = name
        self._process = process
        self.leader = leader
        self.ended: asyncio.Task[ExitKind] = asyncio.create_task(self._wait())

    @classmethod
    async def start(
        cls, name: str, machine: Machine, disk: Disk, image: Image, netns: Path
    ) -> "Container":
        """Boot the guest and return as soon as its PID 1 runs.

        Raises:
            MachineError: it ended before, or did not start in time; the console's end is quoted.
        """
        entries = await asyncio.to_thread(cgroups.make, name)
        with _ready_socket(disk.folder / "ready") as ready, disk.console.open("ab") as console:
            process = await asyncio.create_subprocess_exec(
                *("unshare", "--mount", "--propagation", "private", "sh", "-c", _LAUNCH, "launch"),
                disk.overlay_options(image),
                str(disk.root),
                *_nspawn(name, machine, disk, image, netns),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                umask=UMASK,
                env={
                    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
                    "ENTRIES": " ".join(map(str, entries)),
                    "NOTIFY_SOCKET": str(disk.folder / "ready"),
                    "SYSTEMD_NSPAWN_LOCK": "0",
                    # A /sys the bind mount above can add to, and sysctls of the guest's network.
                    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
                },
            )
            leader = await _leader(process, ready)
        if leader is None:
            cgroups.kill(name)
            await process.wait()
            said = disk.console.read_text(errors="replace").strip()[-1000:]
            raise MachineError(f"cannot boot {machine.instance_id}: {said or 'it said nothing'}")
        return cls(name, process, leader)

    def ask_to_power_off(self) -> None:
        """Have PID 1 shut down in order."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.leader, POWER_OFF_SIGNAL)

    async def kill(self) -> None:
        """End the guest at once, frozen or not, and wait until it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.leader, signal.SIGKILL)
        await asyncio.to_thread(cgroups.kill, self._name)
        await asyncio.shield(self.ended)

    async def _wait(self) -> ExitKind:
        code = await self._process.wait()
        await asyncio.to_thread(cgroups.end, self._name)
        match code:
            case 0:
                return ExitKind.POWERED_OFF
            case _ if code == _EXIT_REBOOT:
                return ExitKind.REBOOT
            case _:
                return ExitKind.DIED


def _nspawn(name: str, machine: Machine, disk: Disk, image: Image, netns: Path) -> list[str]:
    # The image's own nspawn, run by the image's own loader: the machine needs neither.
    loader = next(image.base.glob("lib64/ld-linux-*.so.*"))
    libraries = next((image.base / "usr/lib").glob("*-linux-gnu"))
    return [
        str(loader),
        "--library-path",
        f"{libraries}/systemd:{libraries}:{image.base}/lib/{libraries.name}",
        str(image.base / "usr/bin/systemd-nspawn"),
        "--boot",
        "--quiet",
        f"--directory={disk.root}",
        f"--machine={name}",
        f"--hostname={machine.hostname}",
        f"--network-namespace-path={netns}",
        "--register=no",
        "--keep-unit",
        "--settings=no",
        # IPaddr2 needs the first, corosync the second.
        "--capability=CAP_NET_ADMIN,CAP_IPC_LOCK",
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
        "--console=pipe",
        f"--bind-ro={disk.folder / 'hypervisor-uuid'}:/sys/hypervisor/uuid",
        "--",
        "systemd.show_status=no",
    ]


@contextlib.contextmanager
def _ready_socket(path: Path) -> Iterator[socket.socket]:
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.setblocking(False)
        listener.bind(str(path))
        yield listener
    path.unlink(missing_ok=True)


async def _leader(process: asyncio.subprocess.Process, ready: socket.socket) -> int | None:
    """The guest's PID 1 as the machine numbers it, or None if nspawn ended or took too long.

    nspawn tells in its readiness message (sd_notify(3)) as X_NSPAWN_LEADER_PID.
    """
    loop = asyncio.get_running_loop()
    ended = asyncio.ensure_future(process.wait())
    try:
        async with asyncio.timeout(START_TIMEOUT):
            while True:
                message = asyncio.ensure_future(loop.sock_recv(ready, 4096))
                await asyncio.wait({ended, message}, return_when=asyncio.FIRST_COMPLETED)
                if not message.done():
                    message.cancel()
                    return None
                for line in message.result().decode().splitlines():
                    key, _, value = line.partition("=")
                    if key == "X_NSPAWN_LEADER_PID":
                        return int(value)
    except TimeoutError:
        return None
    finally:
        ended.cancel()
