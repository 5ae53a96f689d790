"""A built .deb, taken apart again: what the tests look at."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Unpacked:
    """A package file, the tree it installs, its control files."""

    package: Path
    tree: Path
    control: Path

    def at(self, path: str) -> Path:
        """Return where an installed path lies below the unpacked tree."""
        return self.tree / path.removeprefix("/")

    @property
    def libraries(self) -> Path:
        """The bundled libraries."""
        return self.at("/usr/lib/muster/lib")

    @property
    def application(self) -> Path:
        """Our three packages."""
        return self.at("/usr/lib/muster/app")


def unpack(package: Path, folder: Path) -> Unpacked:
    """Unpack into `folder`, which exists and is empty."""
    found = Unpacked(package, folder / "tree", folder / "control")
    for option, target in (("--extract", found.tree), ("--control", found.control)):
        subprocess.run(  # noqa: S603 (our own package)
            ["dpkg-deb", option, str(package), str(target)],  # noqa: S607 (from PATH)
            check=True,
        )
    return found
