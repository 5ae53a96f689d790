"""What the .deb installs, and what it promises to dpkg."""

import hashlib
import importlib.util
import marshal
import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from types import CodeType

import pytest

from muster_packages import deb, libraries, tree
from muster_packages.checkout import Checkout
from muster_packages.unpacked import Unpacked

PLACES = (
    "usr/share/lintian/overrides/muster",
    "lib/systemd/system/",
    "usr/bin/muster",
    "usr/lib/muster/",
    "usr/lib/python3/dist-packages/muster",
    "usr/lib/sysusers.d/muster.conf",
    "usr/lib/tmpfiles.d/muster.conf",
    "usr/libexec/muster/",
    "usr/sbin/musterd",
    "usr/share/bash-completion/completions/muster",
    "usr/share/doc/muster/",
    "usr/share/man/",
    "usr/share/zsh/vendor-completions/_muster",
)
PROGRAMS = {
    "usr/bin/muster",
    "usr/libexec/muster/muster-helper",
    "usr/libexec/muster/muster-rejoin",
    "usr/libexec/muster/muster-user-data",
    "usr/sbin/musterd",
}
# Shipped, and left to the administrator to enable.
OPTIONAL = {"muster-imds-guard.service"}

UNCHECKED_HASH = 0b01  # flags of PEP 552: hash-based, and not compared with the source


def files(unpacked: Unpacked) -> list[Path]:
    return [path for path in unpacked.tree.rglob("*") if path.is_file() or path.is_symlink()]


def test_nothing_lies_outside_our_places(unpacked: Unpacked) -> None:
    names = [str(path.relative_to(unpacked.tree)) for path in files(unpacked)]
    assert [name for name in names if not name.startswith(PLACES)] == []


def test_only_our_programs_are_executable_and_nothing_is_writable_by_others(
    unpacked: Unpacked,
) -> None:
    executable = set()
    for path in [unpacked.tree, *unpacked.tree.rglob("*")]:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            continue
        name = str(path.relative_to(unpacked.tree))
        assert stat.S_IMODE(mode) in {0o644, 0o755}, name
        if stat.S_ISREG(mode) and mode & 0o111:
            executable.add(name)
    assert executable == PROGRAMS


def test_everything_belongs_to_root(unpacked: Unpacked) -> None:
    listing = subprocess.run(
        ["dpkg-deb", "--contents", str(unpacked.package)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert {line.split()[1] for line in listing.splitlines()} == {"root/root"}


def test_the_only_links_lead_to_the_certificates_and_to_the_client(unpacked: Unpacked) -> None:
    links = {path.name: os.readlink(path) for path in files(unpacked) if path.is_symlink()}
    assert links == {
        "cacert.pem": "/etc/ssl/certs/ca-certificates.crt",
        "muster": "/usr/lib/muster/app/muster",  # what scripts import
    }


def test_dpkg_can_verify_every_file(unpacked: Unpacked) -> None:
    lines = (unpacked.control / "md5sums").read_text(encoding="utf-8").splitlines()
    promised = {name: digest for digest, name in (line.split("  ") for line in lines)}
    regular = [path for path in files(unpacked) if not path.is_symlink()]
    assert promised == {
        str(path.relative_to(unpacked.tree)): hashlib.md5(path.read_bytes()).hexdigest()
        for path in regular
    }


def test_every_module_is_compiled_and_never_rewritten(unpacked: Unpacked) -> None:
    for source in unpacked.tree.rglob("*.py"):
        compiled = Path(importlib.util.cache_from_source(str(source)))
        content = compiled.read_bytes()
        assert content[:4] == importlib.util.MAGIC_NUMBER
        assert int.from_bytes(content[4:8], "little") == UNCHECKED_HASH, source
        code = marshal.loads(content[16:])
        assert isinstance(code, CodeType)
        assert code.co_filename == f"/{source.relative_to(unpacked.tree)}"


def test_the_python_that_the_extension_modules_need_is_demanded(unpacked: Unpacked) -> None:
    control = (unpacked.control / "control").read_text(encoding="utf-8")
    depends = re.search(r"^Depends: ((?:.|\n )*)", control, re.MULTILINE)
    assert depends is not None
    names = [entry.strip() for entry in depends[1].replace("\n", "").split(",")]
    assert names[:2] == ["python3 (>= 3.11)", "python3 (<< 3.12)"]
    modules = [path.name for path in unpacked.libraries.rglob("*.so")]
    assert modules
    assert [name for name in modules if not re.search(r"\.(cpython-311-x86_64|abi3)", name)] in (
        [],
        ["_cffi_backend.so"],
    )


def test_maintainer_scripts_are_shell(unpacked: Unpacked) -> None:
    for name in deb.SCRIPTS:
        script = unpacked.control / name
        assert script.stat().st_mode & 0o111
        assert script.read_text(encoding="utf-8").startswith("#!/bin/sh\n")
        subprocess.run(["sh", "-n", str(script)], check=True)


def test_every_unit_that_can_be_enabled_is_enabled_and_purged(unpacked: Unpacked) -> None:
    units = unpacked.at("/lib/systemd/system")
    files = [unit for unit in units.iterdir() if unit.is_file()]
    wanted = {unit.name for unit in files if "[Install]" in unit.read_text("utf-8")}
    for name, listed in (("postinst", wanted - OPTIONAL), ("postrm", wanted)):
        script = (unpacked.control / name).read_text(encoding="utf-8")
        lists = re.findall(r'^(?:units|sockets)="([^"]*)"', script, re.MULTILINE)
        assert {unit for words in lists for unit in words.split()} == listed, name


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_programs_are_isolated(unpacked: Unpacked, name: str) -> None:
    first = unpacked.at(name).read_text(encoding="utf-8").partition("\n")[0]
    assert first == "#!/usr/bin/python3 -I"


def test_nothing_of_the_caller_reaches_a_program(unpacked: Unpacked, tmp_path: Path) -> None:
    """A planted `muster` in the folder, on PYTHONPATH and in the user's site is not imported."""
    planted = "import sys; sys.exit('planted')"
    site = tmp_path / f".local/lib/python3.{sys.version_info.minor}/site-packages"
    for folder in (tmp_path, tmp_path / "path", site):
        folder.mkdir(parents=True, exist_ok=True)
        for module in ("muster", "json", "sitecustomize"):
            (folder / f"{module}.py").write_text(planted, encoding="utf-8")
    launcher = unpacked.at("/usr/bin/muster").read_text(encoding="utf-8")
    moved = tmp_path / "launcher"
    moved.write_text(
        launcher.replace("/usr/lib/muster", str(unpacked.at("/usr/lib/muster"))), encoding="utf-8"
    )
    told = subprocess.run(
        [sys.executable, "-I", str(moved), "--version"],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PYTHONPATH": str(tmp_path / "path"), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.stdout, told.stderr, told.returncode) == ("muster 0.1.0\n", "", 0)


IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path[:0] = sys.argv[1:]
for name in ("musterd", "muster_helper", "muster"):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        importlib.import_module(module.name)
        print(module.name)
"""


def test_every_module_imports_with_what_the_package_brings(unpacked: Unpacked) -> None:
    """-S: without the site-packages of the Python that runs the tests."""
    told = subprocess.run(
        [
            *(sys.executable, "-I", "-S", "-c", IMPORT_ALL),
            *(str(unpacked.application), str(unpacked.libraries)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stderr == ""
    assert {"musterd.settings", "muster_helper.verbs", "muster.cli"} <= set(told.stdout.split())


def test_the_same_sources_give_the_same_package(sources: Checkout, tmp_path: Path) -> None:
    """Whatever the folder they lie in, whenever it is built."""
    snapshot = tmp_path  # nobody edits it while the test runs
    for entry in (*tree.PACKAGES, "units", "packaging"):
        shutil.copytree(sources.root / entry, snapshot / entry)
    library = libraries.build(sources, tree.LIBRARIES)
    built = []
    for name in ("one", "another"):
        root = sources.build / f"reproduced-{name}"
        shutil.rmtree(root, ignore_errors=True)
        for entry in (*tree.PACKAGES, "units", "packaging"):
            shutil.copytree(snapshot / entry, root / entry)
        (root / "build").mkdir()
        (root / "build" / library.name).symlink_to(library)
        copy = replace(sources, root=root)
        built.append(deb.build(copy).read_bytes())
        shutil.rmtree(root)
    assert built[0] == built[1]


def test_the_lock_holds_what_the_project_asks_for(sources: Checkout) -> None:
    project = tomllib.loads((sources.root / "pyproject.toml").read_text(encoding="utf-8"))
    locked = dict(
        line.split(" ")[0].split("==")
        for line in sources.lock.read_text(encoding="utf-8").splitlines()
        if not line.startswith("#")
    )
    for wanted in project["project"]["dependencies"]:
        name, bounds = re.fullmatch(r"([a-z0-9-]+)(.*)", wanted).groups()  # type: ignore[union-attr]
        for operator, version in re.findall(r"(>=|<|==)([0-9.]+)", bounds):
            have, want = _numbers(locked[name]), _numbers(version)
            assert {">=": have >= want, "<": have < want, "==": have == want}[operator], wanted


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
