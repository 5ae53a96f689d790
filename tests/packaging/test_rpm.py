"""The .rpm: looked at with rpm's own tools, installed into a scratch root, run by Python 3.11."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from muster_packages import libraries, rpm, tree
from muster_packages.checkout import Checkout

pytestmark = pytest.mark.timeout(400)  # two builds, of five seconds each on a quiet machine

IMPORT_ALL = """
import importlib, pkgutil, sys
sys.path[:0] = sys.argv[1:]
for name in ("musterd", "muster_helper", "muster", "systemd"):
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        importlib.import_module(module.name)
        print(module.name)
"""


@dataclass(frozen=True)
class Unpacked:
    """The package, and the tree that rpm made of it below a scratch root."""

    package: Path
    root: Path

    def at(self, path: str) -> Path:
        return self.root / path.lstrip("/")


def told(*words: object) -> str:
    done = subprocess.run(list(map(str, words)), check=True, capture_output=True, text=True)
    return done.stdout


def asked(package: Path, *query: str) -> list[str]:
    return told("rpm", "--query", "--package", *query, package).splitlines()


def installing(root: Path, *words: object) -> None:
    """Debian's rpm, on a database of its own; what the scripts do is tested apart."""
    told("rpm", "--root", root, "--nodeps", "--noscripts", *words)


@pytest.fixture(scope="module")
def unpacked(sources: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Unpacked:
    root = tmp_path_factory.mktemp("root")
    package = rpm.build(sources)
    installing(root, "--ignoreos", "--install", package)
    return Unpacked(package, root)


def test_digests_hold(unpacked: Unpacked) -> None:
    assert "digests OK" in told("rpm", "--checksig", "--nosignature", unpacked.package)
    told("rpm", "--root", unpacked.root, "--verify", "--nodeps", "--noscripts", "muster")


def test_it_asks_for_appstreams_python_and_the_cluster(unpacked: Unpacked) -> None:
    requires = asked(unpacked.package, "--requires")
    libraries_too = ("python3.11", "python3.11-pyyaml")
    for wanted in (*libraries_too, "pcs >= 0.10.16", "corosync >= 3.1", "fence-agents-aws"):
        assert wanted in requires
    assert "(resource-agents-cloud if resource-agents >= 4.10)" in requires
    # Nothing was guessed from the bundled libraries, and RHEL 8's rpm can read the payload.
    assert not [each for each in requires if "libc" in each or each.startswith("python(abi)")]
    assert not [each for each in requires if "Zstd" in each]


def test_what_is_bundled_is_declared_with_its_version(unpacked: Unpacked) -> None:
    provides = asked(unpacked.package, "--provides")
    declared = set(re.findall(r"bundled\(python3dist\((\S+)\)\) = (\S+)", "\n".join(provides)))
    installed = {
        (path.name.removesuffix(".dist-info").rpartition("-")[0].replace("_", "-").lower(), version)
        for path in unpacked.at(tree.LIBRARIES).glob("*.dist-info")
        for version in [path.name.removesuffix(".dist-info").rpartition("-")[2]]
    }
    assert declared == installed
    assert "muster = 0.1.0-1" in provides


def test_the_changelog_and_the_terms_are_told(unpacked: Unpacked, sources: Checkout) -> None:
    assert f"{sources.version}-1" in asked(unpacked.package, "--changelog")[0]
    notice = unpacked.at("/usr/share/doc/muster/copyright").read_text(encoding="utf-8")
    for name in unpacked.at(tree.LIBRARIES).glob("*.dist-info"):
        assert name.name.partition("-")[0].lower().replace("_", "-") in notice.lower().replace(
            "_", "-"
        )
    assert "see its dist-info" not in notice
    licences = list(unpacked.at(tree.LIBRARIES).glob("*.dist-info/licenses/*"))
    assert len(licences) > 15


def test_programs_run_by_python_3_11_isolated(unpacked: Unpacked) -> None:
    started = [f"/usr/libexec/muster/muster-{name}" for name in ("helper", "rejoin", "user-data")]
    for name in ["/usr/bin/muster", "/usr/sbin/musterd", *started]:
        path = unpacked.at(name)
        assert path.read_text("utf-8").startswith("#!/usr/bin/python3.11 -I\n"), name
        assert path.stat().st_mode & 0o777 == 0o755


def test_every_module_imports_with_what_the_package_brings(unpacked: Unpacked) -> None:
    """-S: without the site-packages of the Python that runs the tests, python3-systemd as well."""
    assert sys.version_info[:2] == (3, 11)
    folders = [unpacked.at(tree.APPLICATION), unpacked.at(tree.LIBRARIES)]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", IMPORT_ALL, *map(str, folders)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    modules = set(done.stdout.split())
    assert {"musterd.engine", "muster_helper.verbs", "muster.cli", "systemd.daemon"} <= modules


def test_what_is_compiled_runs_on_rhel_8(unpacked: Unpacked) -> None:
    """Glibc 2.28 is RHEL 8's; each symbol names the version that it needs."""
    newest = (0, 0)
    for module in unpacked.at(tree.LIBRARIES).rglob("*.so"):
        for found in re.findall(r"GLIBC_(\d+)\.(\d+)", told("objdump", "-T", module)):
            newest = max(newest, (int(found[0]), int(found[1])))
    assert (2, 0) < newest <= (2, 28)


def test_files_are_where_red_hat_has_them(unpacked: Unpacked) -> None:
    units = unpacked.at("/usr/lib/systemd/system")
    assert (units / "musterd.service").exists()
    assert (units / "corosync.service.d/muster.conf").exists()
    assert not unpacked.at("/lib").exists()
    certificates = unpacked.at(f"{tree.LIBRARIES}/botocore/cacert.pem").readlink()
    assert str(certificates) == "/etc/pki/tls/certs/ca-bundle.crt"
    listed = asked(unpacked.package, "--list")
    assert "/usr/share/man/man1/muster.1.gz" in listed
    for shared in ("/usr/bin", "/usr/lib/systemd/system", "/usr/lib", "/usr/share/man"):
        assert shared not in listed, "another package owns it"
    assert {"root"} == set(
        told("rpm", "-qp", "--qf", "[%{FILEUSERNAME}\n]", unpacked.package).split()
    )


def test_the_preset_enables_what_can_be_enabled(unpacked: Unpacked) -> None:
    preset = unpacked.at("/usr/lib/systemd/system-preset/80-muster.preset").read_text("utf-8")
    units = unpacked.at("/usr/lib/systemd/system")
    wanted = {
        unit.name
        for unit in units.iterdir()
        if unit.is_file() and "[Install]" in unit.read_text("utf-8")
    }
    optional = {"muster-imds-guard.service"}  # an administrator's choice, as on Debian
    assert set(re.findall(r"^enable (\S+)$", preset, re.MULTILINE)) == wanted - optional
    assert set(re.findall(r"^disable (\S+)$", preset, re.MULTILINE)) == optional


def test_the_same_sources_give_the_same_package(unpacked: Unpacked, sources: Checkout) -> None:
    """In whatever folder they lie, whenever it is built."""
    root = sources.build / "rpm-reproduced"
    shutil.rmtree(root, ignore_errors=True)
    for entry in (*tree.PACKAGES, "units", "packaging", "docs"):
        shutil.copytree(sources.root / entry, root / entry)
    for entry in ("README.md", "CHANGELOG.md"):
        shutil.copyfile(sources.root / entry, root / entry)
    library = libraries.build(sources, tree.LIBRARIES)
    (root / "build").mkdir()
    (root / "build" / library.name).symlink_to(library)
    again = rpm.build(replace(sources, root=root)).read_bytes()
    shutil.rmtree(root)
    assert again == unpacked.package.read_bytes()


# --- life -------------------------------------------------------------------------------------


def test_state_survives_an_upgrade_and_a_removal(unpacked: Unpacked, tmp_path: Path) -> None:
    """The package owns no file of the node's memory, so rpm has none to remove."""
    state = {"var/lib/musterd/record.json", "etc/muster/muster.toml", "etc/corosync/corosync.conf"}
    installing(tmp_path, "--ignoreos", "--install", unpacked.package)
    for name in state:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("kept")
    installing(tmp_path, "--ignoreos", "--upgrade", "--force", unpacked.package)
    installing(tmp_path, "--erase", "muster")
    assert not (tmp_path / "usr/bin/muster").exists()
    assert not (tmp_path / "usr/lib/muster").exists()
    assert not (tmp_path / "usr/libexec/muster").exists()
    assert {name for name in state if (tmp_path / name).read_text() == "kept"} == state


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A PATH whose systemctl and friends write down what they are asked."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("systemctl", "systemd-sysusers", "systemd-tmpfiles"):
        script = folder / name
        script.write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/asked\n')
        script.chmod(0o755)
    return folder


def script(package: Path, name: str) -> str:
    return told("rpm", "-qp", "--qf", f"%{{{name}}}", package)


@pytest.mark.parametrize(
    ("name", "left", "wanted"),
    [
        ("POSTIN", "1", "systemctl --no-reload preset"),
        ("POSTIN", "2", "systemctl try-restart musterd.service"),
        ("PREUN", "0", "systemctl stop"),
        ("PREUN", "1", ""),
        ("POSTUN", "0", "systemctl daemon-reload"),
        ("POSTUN", "1", "systemctl daemon-reload"),
    ],
)
@pytest.mark.parametrize("live", [True, False])
def test_scripts_never_touch_the_cluster(
    name: str, left: str, wanted: str, live: bool, unpacked: Unpacked, commands: Path
) -> None:
    text = script(unpacked.package, name)
    running = "/" if live else "/nonexistent"
    text = text.replace("/run/systemd/system", running)
    subprocess.run(
        ["/bin/sh", "-eu", "-c", text, "sh", left], check=True, env={"PATH": str(commands)}
    )
    log = commands.parent / "asked"
    asked = log.read_text() if log.exists() else ""
    assert not re.search(r"corosync|pacemaker(?!-)|pcsd", asked)
    if live:
        assert wanted in asked
        assert (asked == "") is (wanted == "")
    else:
        assert not re.search(r"systemctl (start|stop|try-restart|daemon-reload)", asked)
    if (name, left) == ("POSTIN", "2"):
        assert "muster-helper" not in asked, "a verb under way is not interrupted"


def test_scripts_are_plain_shell(unpacked: Unpacked, tmp_path: Path) -> None:
    for name in ("POSTIN", "PREUN", "POSTUN"):
        file = tmp_path / f"{name.lower()}.sh"
        file.write_text(script(unpacked.package, name), encoding="utf-8")
        told(Path(sys.executable).with_name("shellcheck"), "--shell=sh", file)
