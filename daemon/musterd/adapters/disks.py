"""NVMe disks, read off sysfs: no device is opened, and udev's links are not needed."""

from collections.abc import Iterator, Mapping
from pathlib import Path

NVME = Path("/sys/class/nvme")


class SysfsDisks:
    """Port `Disks`.

    An EBS volume's serial is its id without the dash (EC2 user guide, "Map Amazon EBS volumes to
    NVMe device names").
    """

    def __init__(self, folder: Path = NVME) -> None:
        self._folder = folder

    def serials(self) -> Mapping[str, str]:
        """Return serial number -> kernel's name of the disk, such as `nvme1n1`."""
        return dict(self._found())

    def _found(self) -> Iterator[tuple[str, str]]:
        for controller in sorted(self._folder.glob("nvme*")):
            try:
                serial = (controller / "serial").read_text(encoding="ascii").strip()
                names = sorted(each.name for each in controller.glob(f"{controller.name}*n*"))
            except (OSError, UnicodeDecodeError):
                continue  # on its way out, or none of ours
            if serial and names:
                yield serial, names[0]
