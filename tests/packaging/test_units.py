"""The units: systemd accepts them, and they stay closed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from muster_packages.unpacked import Unpacked

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "units"

# systemd-analyze's exposure, times ten: 96 is an unsandboxed root service.
THRESHOLDS = {
    "musterd.service": 16,
    "muster-helper@.service": 28,
    "muster-rejoin.service": 16,
    "muster-watch.service": 16,
    "muster-user-data.service": 16,
    "muster-imds-guard.service": 16,
}
STARTS = re.compile(r"^Exec(?:Start|Stop)\w*=[-+!@]*(/\S+)", re.MULTILINE)


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False
    )


def test_each_service_has_a_threshold() -> None:
    assert {path.name for path in UNITS.glob("*.service")} == set(THRESHOLDS)


@pytest.mark.parametrize(("name", "threshold"), THRESHOLDS.items())
def test_a_service_is_no_more_exposed_than_that(name: str, threshold: int) -> None:
    told = analyze("security", "--offline=yes", f"--threshold={threshold}", str(UNITS / name))
    assert told.returncode == 0, told.stdout[-200:] + told.stderr


def test_a_service_without_its_sandbox_is_over_the_threshold(tmp_path: Path) -> None:
    bare = tmp_path / "musterd.service"
    bare.write_text("[Service]\nExecStart=/usr/sbin/musterd\nUser=musterd\n", encoding="utf-8")
    told = analyze("security", "--offline=yes", "--threshold=16", str(bare))
    assert told.returncode != 0


def test_systemd_accepts_every_unit(unpacked: Unpacked, tmp_path: Path) -> None:
    """Verified in a root of its own, where the programs they start exist."""
    root = tmp_path / "root"
    shutil.copytree(unpacked.tree / "lib", root / "lib")
    (root / "usr/lib").mkdir(parents=True)
    (root / "usr/lib/systemd").symlink_to("../../lib/systemd")
    units = root / "lib/systemd/system"
    for unit in units.glob("*.service"):
        for program in STARTS.findall(unit.read_text(encoding="utf-8")):
            at = root / program.removeprefix("/")
            at.parent.mkdir(parents=True, exist_ok=True)
            at.write_text("#!/bin/sh\n", encoding="utf-8")
            at.chmod(0o755)
    for name in ("pacemaker.service", "sysinit.target", "basic.target", "network-online.target"):
        (units / name).write_text(
            "[Unit]\nDefaultDependencies=no\n"
            + ("[Service]\nExecStart=/usr/sbin/crm_mon\n" if name.endswith("service") else ""),
            encoding="utf-8",
        )
    names = sorted(path.name for path in UNITS.iterdir() if path.is_file())
    plain = [name.replace("@.", "@1.") for name in names]
    told = analyze("verify", f"--root={root}", "--man=no", "--recursive-errors=no", *plain)
    assert (told.returncode, told.stderr) == (0, "")


@pytest.mark.parametrize("name", THRESHOLDS)
def test_a_service_starts_programs_where_selinux_lets_systemd(name: str) -> None:
    """Red Hat's policy labels these folders bin_t, from which systemd may start a service.

    All else in /usr/lib is lib_t, which init_t may not execute: the service would end with
    "Permission denied" on a node that enforces the policy (files/file_contexts of selinux-policy).
    """
    programs = STARTS.findall((UNITS / name).read_text(encoding="utf-8"))
    assert programs
    executable = ("/usr/bin/", "/usr/sbin/", "/usr/libexec/")
    assert [program for program in programs if not program.startswith(executable)] == []


def test_systemd_refuses_a_misspelt_directive(tmp_path: Path) -> None:
    """So that the test above can fail: `verify` only warns, on standard error."""
    (tmp_path / "x.service").write_text(
        "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=/bin/true\nProtectHom=yes\n",
        encoding="utf-8",
    )
    assert "ProtectHom" in analyze("verify", "--man=no", str(tmp_path / "x.service")).stderr


def value(unit: str, key: str) -> list[str]:
    text = (UNITS / unit).read_text(encoding="utf-8")
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("socket", "path", "owner", "mode"),
    [
        ("musterd-status.socket", "/run/muster/status.sock", ("root", "muster"), "0660"),
        ("musterd-admin.socket", "/run/muster/admin.sock", ("root", "root"), "0600"),
        ("muster-helper.socket", "/run/muster/helper.sock", ("musterd", "musterd"), "0600"),
    ],
)
def test_who_may_connect(socket: str, path: str, owner: tuple[str, str], mode: str) -> None:
    assert value(socket, "ListenStream") == [path]
    assert (*value(socket, "SocketUser"), *value(socket, "SocketGroup")) == owner
    assert value(socket, "SocketMode") == [mode]


def test_the_client_knows_where_the_sockets_are() -> None:
    """The units, the client and the daemon name the same paths."""
    code = "".join(
        path.read_text(encoding="utf-8")
        for top in ("client", "daemon")
        for path in (ROOT / top).rglob("*.py")
    )
    for socket in UNITS.glob("*.socket"):
        (path,) = value(socket.name, "ListenStream")
        assert f'"{path}"' in code, path
    (written,) = re.findall(r"--output-to=(\S+)", (UNITS / "muster-watch.service").read_text())
    assert f'"{written}"' in code
    (output,) = re.findall(r"--output (\S+)", (UNITS / "muster-user-data.service").read_text())
    assert f'"{output}"' in code
