"""The tree that a package installs, staged under one folder."""

import gzip
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from muster_packages import libraries, notices
from muster_packages.checkout import Checkout
from muster_packages.distribution import DEBIAN, Distribution

APPLICATION = "/usr/lib/muster/app"
LIBRARIES = "/usr/lib/muster/lib"
# What systemd starts. Not in /usr/lib: SELinux lets systemd execute nothing there.
STARTED = "/usr/libexec/muster"
DOCUMENTS = "/usr/share/doc/muster"
MANUAL = "/usr/share/man"
# Below packaging.
EXAMPLES = (
    "aws/*.json",
    "aws/cluster.yaml",
    "cloud-init/*.txt",
    "cloud-init/*.yaml",
    "image/subscription.yaml",
    "monitoring/[agm]*",
)
BASH_COMPLETION = "/usr/share/bash-completion/completions/muster"

PACKAGES = ("daemon/musterd", "daemon/muster_helper", "client/muster")

# Isolated (-I): neither PYTHON* variables nor the caller's folder or user site reach a program
# that root runs. Our code comes first on the path, so nothing can stand in for it.
LAUNCHER = """\
#!{python} -I
# Starts {module} from muster's private folders.
import sys

sys.path[:0] = {path}
from {module} import main

sys.exit(main())
"""

# The client's folder holds no libraries: it needs the standard library alone.
LAUNCHERS = {
    "/usr/bin/muster": ("muster.__main__", [APPLICATION]),
    "/usr/sbin/musterd": ("musterd.__main__", [APPLICATION, LIBRARIES]),
    f"{STARTED}/muster-helper": ("muster_helper.__main__", [APPLICATION, LIBRARIES]),
    f"{STARTED}/muster-rejoin": ("muster_helper.rejoin", [APPLICATION, LIBRARIES]),
}

METADATA = """\
Metadata-Version: 2.1
Name: muster
Version: {version}
"""


def stage(checkout: Checkout, target: Path, distribution: Distribution = DEBIAN) -> None:
    """Make the whole tree under `target`, which is replaced."""
    shutil.rmtree(target, ignore_errors=True)
    bundled = libraries.build(checkout, LIBRARIES)
    # Hard links: the cached files are never changed in place.
    shutil.copytree(
        bundled, _at(target, LIBRARIES), symlinks=True, copy_function=_link, dirs_exist_ok=True
    )
    _libraries_of(distribution, checkout.root, _at(target, LIBRARIES))
    _application(checkout, _at(target, APPLICATION))
    for path, (module, folders) in LAUNCHERS.items():
        _program(
            _at(target, path),
            LAUNCHER.format(python=distribution.python, module=module, path=folders),
        )
    source = checkout.root / "packaging" / "cloud-init" / "muster_user_data.py"
    user_data = source.read_text(encoding="utf-8").replace(DEBIAN.python, distribution.python, 1)
    _program(_at(target, f"{STARTED}/muster-user-data"), user_data)
    _units(checkout.root / "units", _at(target, distribution.units), target)
    _documents(checkout.root, _at(target, DOCUMENTS))
    _for_shells(checkout.root / "packaging", target, distribution)
    scripts = _at(target, distribution.scripts)
    scripts.parent.mkdir(parents=True)
    scripts.symlink_to(f"{APPLICATION}/muster")
    (_at(target, DOCUMENTS) / "copyright").write_text(
        notices.text(_at(target, LIBRARIES)), encoding="utf-8"
    )
    for name, path in distribution.files:
        _at(target, path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(checkout.root / "packaging" / name, _at(target, path))


def normalise(target: Path, epoch: int) -> None:
    """Give every folder, file and link its mode and date: the same sources, the same package."""
    for path in walk(target):
        if not path.is_symlink():
            program = path.is_dir() or _is_program(path)
            path.chmod(0o755 if program else 0o644)
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def walk(target: Path) -> Iterator[Path]:
    """Yield the tree's paths, the root first, sorted."""
    yield target
    yield from sorted(target.rglob("*"))


def _is_program(path: Path) -> bool:
    # pip marks extension modules executable; nothing executes them.
    return path.suffix != ".so" and bool(path.stat().st_mode & stat.S_IXUSR)


def _at(target: Path, path: str) -> Path:
    return target / path.removeprefix("/")


def _link(source: str, destination: str) -> None:
    Path(destination).hardlink_to(source)


def _application(checkout: Checkout, target: Path) -> None:
    for package in PACKAGES:
        source = checkout.root / package
        shutil.copytree(
            source, target / source.name, ignore=shutil.ignore_patterns("__pycache__", ".*")
        )
    libraries.compile_tree(target, APPLICATION)
    metadata = target / f"muster-{checkout.version}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(METADATA.format(version=checkout.version), encoding="utf-8")


def _program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def _libraries_of(distribution: Distribution, root: Path, target: Path) -> None:
    """Make of the libraries those of one distribution."""
    certificates = target / "botocore" / "cacert.pem"
    certificates.unlink()
    certificates.symlink_to(distribution.certificates)
    for source in distribution.stand_ins:
        module = root / "packaging" / source
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(module, target / module.name, ignore=ignored)
        libraries.compile_tree(target / module.name, f"{LIBRARIES}/{module.name}")


def _units(source: Path, units: Path, target: Path) -> None:
    units.mkdir(parents=True)
    for unit in source.iterdir():
        if unit.is_file():
            shutil.copyfile(unit, units / unit.name)
    shutil.copytree(source / "corosync.service.d", units / "corosync.service.d")
    for name in ("sysusers.d/muster.conf", "tmpfiles.d/muster.conf"):
        (target / "usr/lib" / name).parent.mkdir(parents=True)
        shutil.copyfile(source / name, target / "usr/lib" / name)


def _for_shells(packaging: Path, target: Path, distribution: Distribution) -> None:
    """Install manual pages, compressed as distributions want them, and completions."""
    for page in sorted((packaging / "man").iterdir()):
        place = _at(target, f"{MANUAL}/man{page.suffix[1:]}/{page.name}.gz")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(gzip.compress(page.read_bytes(), mtime=0))
    for name, path in (("muster.bash", BASH_COMPLETION), ("_muster", distribution.zsh)):
        place = _at(target, path)
        place.parent.mkdir(parents=True)
        shutil.copyfile(packaging / "completions" / name, place)


def _documents(root: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for name in ("README.md", "CHANGELOG.md", "LICENSE"):
        if (root / name).exists():
            shutil.copyfile(root / name, target / name)
    if (root / "docs").is_dir():
        shutil.copytree(root / "docs", target / "docs")
    examples = target / "examples"
    examples.mkdir()
    for pattern in EXAMPLES:
        for path in sorted((root / "packaging").glob(pattern)):
            shutil.copyfile(path, examples / path.name)
