"""The .rpm for RHEL 8 and 9: the staged tree, packaging/rpm/muster.spec, Debian's rpmbuild."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from muster_packages import tree
from muster_packages.checkout import Checkout, digest
from muster_packages.deb import inputs_of
from muster_packages.distribution import RED_HAT
from muster_packages.errors import PackagingError

ARCHITECTURE = "x86_64"
# Folders that are ours alone; all others belong to packages that everybody has.
OWNED = (
    "/usr/lib/muster",
    "/usr/lib/systemd/system/corosync.service.d",
    "/usr/libexec/muster",
    "/usr/share/doc/muster",
)


def build(checkout: Checkout) -> Path:
    """Build dist/muster-VERSION-1.x86_64.rpm, unless its inputs are those of the one there.

    Raises:
        PackagingError: rpmbuild is missing or refused.
    """
    package = checkout.dist / f"muster-{checkout.version}-1.{ARCHITECTURE}.rpm"
    stamp = checkout.build / "rpm.inputs"
    inputs = digest(inputs_of(checkout.root), checkout.version, str(checkout.epoch))
    if package.exists() and stamp.exists() and stamp.read_text(encoding="ascii") == inputs:
        return package
    stage = checkout.build / "rpm"
    tree.stage(checkout, stage, RED_HAT)
    tree.normalise(stage, checkout.epoch)
    files = checkout.build / "rpm.files"
    files.write_text("".join(f"{line}\n" for line in _listed(stage)), encoding="utf-8")
    checkout.dist.mkdir(exist_ok=True)
    made = _pack(checkout, stage, files)
    made.replace(package)
    stamp.write_text(inputs, encoding="ascii")
    return package


def bundled(lock: Path) -> str:
    """Return the line that declares what is bundled, so that a flaw in a library finds it."""
    names = [line.split(" ")[0].partition("==") for line in lock.read_text("utf-8").splitlines()]
    kept = [
        (name, version)
        for name, equals, version in names
        if equals and name not in {"boto3", "s3transfer"}  # trimmed away (libraries.py)
    ]
    return "Provides: " + " ".join(f"bundled(python3dist({n})) = {v}" for n, v in kept)


def _listed(stage: Path) -> Iterator[str]:
    """Yield each path as a line of %files, with its mode."""
    for path in tree.walk(stage):
        installed = f"/{path.relative_to(stage)}"
        quoted = f'"{installed}"'
        if path.is_symlink():
            yield quoted
        elif path.is_dir():
            if installed.startswith(OWNED):
                yield f"%dir %attr(0755,root,root) {quoted}"
        else:
            kind = "%doc " if installed.startswith(tree.DOCUMENTS) else ""
            yield f"{kind}%attr({path.stat().st_mode & 0o777:04o},root,root) {quoted}"


def _pack(checkout: Checkout, stage: Path, files: Path) -> Path:
    top = checkout.build / "rpmbuild"
    shutil.rmtree(top, ignore_errors=True)
    definitions = {
        "_topdir": top,
        "_rpmdir": top,
        "_buildhost": "reproducible",
        "source_date_epoch_from_changelog": 0,
        "use_source_date_epoch_as_buildtime": 1,
        "clamp_mtime_to_source_date_epoch": 1,
        "muster_version": checkout.version,
        "muster_stage": stage,
        "muster_files": files,
        "muster_bundled": bundled(checkout.lock),
    }
    defined = [word for key, value in definitions.items() for word in ("-D", f"{key} {value}")]
    spec = checkout.root / "packaging" / "rpm" / "muster.spec"
    target = ["--target", f"{ARCHITECTURE}-redhat-linux", "--nodeps"]
    try:
        done = subprocess.run(  # noqa: S603 (arguments from this file)
            ["rpmbuild", "-bb", "--quiet", *target, *defined, str(spec)],  # noqa: S607 (from PATH)
            env={**os.environ, "SOURCE_DATE_EPOCH": str(checkout.epoch), "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise PackagingError("cannot build an .rpm without rpmbuild: `apt install rpm`") from None
    if done.returncode:
        raise PackagingError(f"rpmbuild refused: {done.stderr.strip()}")
    [made] = top.glob(f"{ARCHITECTURE}/*.rpm")
    return made
