"""The .deb: the staged tree, control files from packaging/deb, dpkg-deb."""

import gzip
import hashlib
import os
import shutil
import subprocess
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from muster_packages import tree
from muster_packages.checkout import Checkout, digest
from muster_packages.errors import PackagingError

ARCHITECTURE = "amd64"
SCRIPTS = ("postinst", "prerm", "postrm")
CHANGELOG = """\
muster ({version}) unstable; urgency=medium

  * What changed is in CHANGELOG.md.

 -- muster maintainers <muster@localhost>  {date}
"""
# Packs in a second what xz needs ten for; the size differs by a tenth. Debian 12's dpkg reads it.
COMPRESSION = ("-Zzstd", "-z12")


def build(checkout: Checkout) -> Path:
    """Build dist/muster_VERSION_amd64.deb, unless its inputs are those of the one that is there.

    Raises:
        PackagingError: dpkg-deb is missing or refused.
    """
    package = checkout.dist / f"muster_{checkout.version}_{ARCHITECTURE}.deb"
    stamp = checkout.build / "deb.inputs"
    inputs = digest(inputs_of(checkout.root), checkout.version, str(checkout.epoch))
    if package.exists() and stamp.exists() and stamp.read_text(encoding="ascii") == inputs:
        return package
    stage = checkout.build / "deb"
    tree.stage(checkout, stage)
    _changelog(checkout, stage)
    _control(checkout, stage)
    tree.normalise(stage, checkout.epoch)
    for name in SCRIPTS:
        (stage / "DEBIAN" / name).chmod(0o755)
    checkout.dist.mkdir(exist_ok=True)
    # Under another name first: whoever installs meanwhile gets a whole package.
    partial = checkout.build / package.name
    _pack(stage, partial, checkout.epoch)
    partial.replace(package)
    stamp.write_text(inputs, encoding="ascii")
    return package


def inputs_of(root: Path) -> list[Path]:
    """Return every file and folder that a package is made of."""
    named = [*tree.PACKAGES, "units", "packaging", "docs", "README.md", "CHANGELOG.md", "LICENSE"]
    return [root / name for name in named if (root / name).exists()]


def _changelog(checkout: Checkout, stage: Path) -> None:
    """Write what Debian's tools read (deb-changelog(5)); people read CHANGELOG.md beside it."""
    text = CHANGELOG.format(
        version=checkout.version,
        date=format_datetime(datetime.fromtimestamp(checkout.epoch, UTC)),
    )
    target = stage / tree.DOCUMENTS.removeprefix("/") / "changelog.gz"
    target.write_bytes(gzip.compress(text.encode(), mtime=0))


def _control(checkout: Checkout, stage: Path) -> None:
    source = checkout.root / "packaging" / "deb"
    files = [path for path in tree.walk(stage) if path.is_file() and not path.is_symlink()]
    size = sum(path.stat().st_size for path in files)
    sums = "".join(f"{_md5(path)}  {path.relative_to(stage)}\n" for path in files)
    control = stage / "DEBIAN"
    control.mkdir()
    fields = (source / "control").read_text(encoding="utf-8")
    (control / "control").write_text(
        fields.format(
            version=checkout.version, architecture=ARCHITECTURE, installed_size=-(-size // 1024)
        ),
        encoding="utf-8",
    )
    (control / "md5sums").write_text(sums, encoding="utf-8")
    for name in SCRIPTS:
        shutil.copyfile(source / name, control / name)


def _md5(path: Path) -> str:
    # dpkg's format (deb-md5sums(5)): it finds damaged files, it is no protection.
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _pack(stage: Path, package: Path, epoch: int) -> None:
    command = ["dpkg-deb", "--root-owner-group", *COMPRESSION, "--build", str(stage), str(package)]
    try:
        done = subprocess.run(  # noqa: S603 (arguments from this file)
            command,
            env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)},
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise PackagingError(
            "cannot build a .deb without dpkg-deb: build on Debian 12 (package dpkg)"
        ) from None
    if done.returncode:
        raise PackagingError(f"dpkg-deb refused: {done.stderr.strip()}")
