"""Volumes as machines see them: a loop device each, shown to a guest as EC2 shows NVMe disks.

The guest gets a device node `/dev/nvmeNn1`, udev's link by serial number, and the controller in
sysfs, which is a file system nobody can add to: an overlay on /sys/class makes room for it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from muster_lab import enter
from muster_lab.commands import run, run_now
from muster_lab.layout import Layout

# stdin: one `SERIAL MAJOR MINOR` a line, all the volumes that are attached. Numbers stay with
# their serials as long as the guest runs.
_SHOW = """
set -eu
base=/run/lab-volumes
if [ ! -d $base ]; then
    mkdir -p $base/class/nvme $base/nvme
    mount -t overlay overlay -o "lowerdir=$base/class:/sys/class" /sys/class
    mount --bind $base/nvme /sys/class/nvme
fi
mkdir -p /dev/disk/by-id
cat > $base/wanted
for serial in $base/nvme/*/serial; do
    [ -e "$serial" ] || continue
    name=$(basename "$(dirname "$serial")")
    id=$(cat "$base/nvme/$name/volume")
    if ! grep -q "^$id " $base/wanted; then
        rm -rf "$base/nvme/$name" "/dev/${name}n1"
        rm -f "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_$id"
    fi
done
while read -r id major minor; do
    if ! grep -qsx "$id" $base/nvme/*/volume; then
        number=1
        while [ -d "$base/nvme/nvme$number" ]; do number=$((number + 1)); done
        name=nvme$number
        mkdir -p "$base/nvme/$name/${name}n1"
        echo "$id" > "$base/nvme/$name/volume"
        echo "$id" > "$base/nvme/$name/serial"
        mknod "/dev/${name}n1" b "$major" "$minor"
        ln -sfn "../../${name}n1" "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_$id"
    fi
done < $base/wanted
"""


@dataclass
class Volumes:
    """The loop devices of a lab.

    Attributes:
        layout: of the lab.
        devices: volume id -> its loop device on this machine.
    """

    layout: Layout
    devices: dict[str, Path] = field(default_factory=dict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def show(self, leader: int, wanted: Mapping[str, int]) -> None:
        """Have a guest show exactly these volumes (id -> GiB).

        Raises:
            MachineError: a tool failed; its words are in it.
        """
        async with self._turn:
            lines = [await self._line(each, size) for each, size in wanted.items()]
        command = enter.in_node(leader, ("sh", "-c", _SHOW))
        await run(*command, stdin="".join(lines))

    async def _line(self, volume_id: str, size: int) -> str:
        if volume_id not in self.devices:
            file = folder(self.layout) / volume_id
            file.parent.mkdir(parents=True, exist_ok=True)
            await run("truncate", "--size", f"{size}G", str(file))
            found = await run("losetup", "--find", "--show", str(file))
            self.devices[volume_id] = Path(found.strip())
        number = (Path("/sys/block") / self.devices[volume_id].name / "dev").read_text(
            encoding="ascii"
        )
        major, minor = number.strip().split(":")
        return f"{volume_id.replace('-', '')} {major} {minor}\n"


def folder(layout: Layout) -> Path:
    """Where the volumes' contents are."""
    return layout.disks / "volumes"


def detach(layout: Layout) -> None:
    """Give the loop devices of a lab back, also of one whose server was killed."""
    for device in attached(layout):
        run_now("losetup", "--detach", device, check=False)


def attached(layout: Layout) -> list[str]:
    """Return the loop devices whose content is a lab's."""
    listed = run_now("losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE")
    rows = [line.split(None, 1) for line in listed.splitlines()]
    inside = f"{folder(layout)}/"
    return [row[0] for row in rows if len(row) > 1 and row[1].startswith(inside)]
