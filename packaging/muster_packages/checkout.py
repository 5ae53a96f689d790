"""The checkout that is packed, and what it says of itself."""

import hashlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import MAGIC_NUMBER
from pathlib import Path

from muster_packages.errors import PackagingError

# Byte code of CPython 3.11 (Lib/importlib/_bootstrap_external.py); 3.11.0 to 3.11.x share it.
PYTHON_3_11_MAGIC = (3495).to_bytes(2, "little") + b"\r\n"


@dataclass(frozen=True)
class Checkout:
    """Where the sources are, where builds go, and the version."""

    root: Path
    version: str
    epoch: int  # seconds since 1970 that every packed file carries

    @property
    def build(self) -> Path:
        """Intermediate files, safe to delete."""
        return self.root / "build"

    @property
    def dist(self) -> Path:
        """Finished packages."""
        return self.root / "dist"

    @property
    def lock(self) -> Path:
        """The exact bundled libraries, with hashes."""
        return self.root / "packaging" / "requirements.lock"


def load(root: Path) -> Checkout:
    """Read the version and the date of the sources.

    The date is SOURCE_DATE_EPOCH, or that of the last commit, or (outside git) of pyproject.toml.

    Raises:
        PackagingError: the running Python is not 3.11, whose byte code the package carries.
    """
    if MAGIC_NUMBER != PYTHON_3_11_MAGIC:
        raise PackagingError(
            f"cannot compile for a node with Python {sys.version_info.major}."
            f"{sys.version_info.minor}: nodes have 3.11; make the venv with it"
            " (`make clean deb PYTHON=python3.11`)"
        )
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return Checkout(root, project["version"], _epoch(root))


def _epoch(root: Path) -> int:
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    try:
        asked = subprocess.run(  # noqa: S603 (fixed arguments)
            ["git", "-C", str(root), "log", "-1", "--format=%ct"],  # noqa: S607 (from PATH)
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        asked = None
    if asked is not None and asked.returncode == 0 and asked.stdout.strip():
        return int(asked.stdout)
    return int((root / "pyproject.toml").stat().st_mtime)


def digest(paths: Iterable[Path], *words: str) -> str:
    """Return a digest of files (folders: all below) and words, to tell whether inputs changed."""
    whole = hashlib.sha256()
    for word in words:
        whole.update(word.encode() + b"\0")
    for path in paths:
        below = sorted(path.rglob("*")) if path.is_dir() else [path]
        for each in below:
            if each.is_file() and "__pycache__" not in each.parts:
                whole.update(str(each.relative_to(path.parent)).encode() + b"\0")
                whole.update(hashlib.sha256(each.read_bytes()).digest())
    return whole.hexdigest()[:20]
