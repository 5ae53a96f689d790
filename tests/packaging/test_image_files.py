"""The files an image is made with: in their formats, run with stand-ins for what is not here."""

import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import hcl2
import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types

from muster import cli
from muster.context import Context

ROOT = Path(__file__).resolve().parents[2]
IMAGE = ROOT / "packaging" / "image"
SHELLCHECK = Path(sys.executable).with_name("shellcheck")


def test_shell_scripts_are_clean() -> None:
    scripts = [*IMAGE.glob("*.sh"), *(ROOT / "packaging/deb/" / n for n in ("postinst", "prerm"))]
    done = subprocess.run(
        [SHELLCHECK, *scripts, ROOT / "packaging/deb/postrm"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""


def test_the_blueprint_is_what_the_command_writes(tmp_path: Path) -> None:
    out = StringIO()
    base = ["image", "blueprint", "--name", "rhel9-muster", "--region", "eu-west-1"]
    base += ["--bucket", "muster-image-123456789012-eu-west-1", "--output", str(tmp_path)]
    assert cli.main(base, Context(out=out, err=out)) == 0
    for made in tmp_path.iterdir():
        assert made.read_bytes() == (IMAGE / made.name).read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


# --- Packer -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def template() -> Any:
    with (IMAGE / "muster.pkr.hcl").open(encoding="utf-8") as file:
        return hcl2.load(file)


def plain(value: Any) -> Any:
    """Strings as they were written, without the quotes that some versions of the parser keep."""
    if isinstance(value, dict):
        return {plain(key): plain(below) for key, below in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value.strip('"') if isinstance(value, str) else value


def test_the_image_is_sealed_and_checked_last(template: Any) -> None:
    [build] = template["build"]
    kinds = [next(iter(plain(each))) for each in build["provisioner"]]
    assert kinds == ["file", "shell", "shell"]
    last = plain(build["provisioner"][-1])["shell"]["inline"]
    assert last[-2:] == ["sudo muster seal --host-keys", "sudo muster seal --host-keys --check"]


def test_the_image_asks_for_imdsv2_and_carries_our_tag(template: Any) -> None:
    [source] = plain(template["source"])
    node = source["amazon-ebs"]["node"]
    assert node["imds_support"] == "v2.0"
    options = node["metadata_options"]
    options = options[0] if isinstance(options, list) else options
    assert options["http_tokens"] == "required"
    assert "muster:image" in node["tags"]


# --- provisioning -----------------------------------------------------------------------------


PROGRAMS = ("dnf", "apt-get", "dracut", "systemctl", "firewall-offline-cmd", "subscription-manager")


def provision(tmp_path: Path, system: str, repositories: str = "") -> tuple[int, list[str], str]:
    """Run provision.sh on a made-up system: exit code, what was run, and what was complained."""
    programs = tmp_path / "bin"
    programs.mkdir(exist_ok=True)
    asked = tmp_path / "asked"
    asked.write_text("")
    for name in PROGRAMS:
        program = programs / name
        says = f'case "$*" in *repolist*) echo "{repositories}";; esac\n'
        fails = '[ "$1" != identity ]\n' if name == "subscription-manager" else "true\n"
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {asked}\n{says}{fails}')
        program.chmod(0o755)
    (tmp_path / "os-release").write_text(system)
    text = (IMAGE / "provision.sh").read_text(encoding="utf-8")
    text = text.replace("/etc/os-release", str(tmp_path / "os-release"))
    text = text.replace("/etc/dracut.conf.d", str(tmp_path))
    done = subprocess.run(
        ["sh", "-c", text],
        env={"PATH": f"{programs}:{os.environ['PATH']}", "PACKAGE": "/tmp/muster.rpm"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, asked.read_text().splitlines(), done.stderr


RHEL9 = 'ID=rhel\nVERSION_ID="9.6"\nPRETTY_NAME="RHEL 9.6"\n'
HA = "rhel-9-for-x86_64-highavailability-rhui-rpms"


def test_rhel_with_rhui_gets_packages_drivers_and_firewall(tmp_path: Path) -> None:
    code, asked, _ = provision(tmp_path, RHEL9, HA)
    assert code == 0
    assert "dnf --assumeyes install /tmp/muster.rpm cloud-init chrony" in asked
    assert "dracut --force --regenerate-all" in asked
    drivers = (tmp_path / "muster-ec2.conf").read_text().split('"')[1]
    assert {"nvme", "xen-blkfront"} <= set(drivers.split())
    opened = "firewall-offline-cmd --add-service=high-availability --add-port=7224/tcp"
    assert opened in asked
    assert not [each for each in asked if each.startswith("subscription-manager")]


def test_a_second_run_leaves_the_initramfs_alone(tmp_path: Path) -> None:
    provision(tmp_path, RHEL9, HA)
    _, asked, _ = provision(tmp_path, RHEL9, HA)
    assert not [each for each in asked if each.startswith("dracut")]


def test_rhel_without_the_add_on_is_told_what_to_do(tmp_path: Path) -> None:
    code, asked, complaint = provision(tmp_path, RHEL9, "rhel-9-baseos")
    assert code == 1
    assert "subscription-manager register" in complaint
    assert not [each for each in asked if "install" in each]


def test_debian_needs_its_package_alone(tmp_path: Path) -> None:
    code, asked, _ = provision(tmp_path, 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME=Debian\n')
    assert code == 0
    assert asked == ["apt-get update", "apt-get install --yes /tmp/muster.rpm cloud-init chrony"]


def test_another_system_is_refused(tmp_path: Path) -> None:
    code, asked, complaint = provision(tmp_path, 'ID=sles\nVERSION_ID="15.6"\nPRETTY_NAME=SLES\n')
    assert (code, asked) == (1, [])
    assert "SLES is none of" in complaint


# --- registration -----------------------------------------------------------------------------


DBUS = """
import sys
from pathlib import Path

LOG = Path(sys.path[0]) / "log"


class _Called:
    def __init__(self, name):
        self._name = name

    def __getattr__(self, method):
        def call(*arguments):
            with LOG.open("a") as log:
                log.write(f"{self._name}.{method}{arguments}\\n")
            return "unix:abstract=private"
        return call


class _Bus:
    def get_object(self, name, path):
        return path


def SystemBus():
    return _Bus()


def Interface(path, name):
    return _Called(name.rpartition(".")[2])


def Dictionary(values, signature):
    return dict(values)


class connection:
    @staticmethod
    def Connection(address):
        return _Bus()
"""


def test_a_node_registers_with_a_key_that_is_no_argument(tmp_path: Path) -> None:
    """The embedded program, with stand-ins for D-Bus, cloud-init and the AWS command line."""
    config = yaml.safe_load((IMAGE / "subscription.yaml").read_text(encoding="utf-8"))
    [file] = config["write_files"]
    assert file["permissions"] == "0700"
    assert config["runcmd"] == [[file["path"]]]
    text = file["content"]
    assert text.startswith("#!/usr/libexec/platform-python -I\n")
    # RHEL 8's platform-python is 3.6: nothing newer than that.
    assert not re.search(r":=|\bmatch\b|capture_output|text=True", text)
    (tmp_path / "dbus.py").write_text(DBUS)
    (tmp_path / "program.py").write_text(text)
    for name, says in (
        ("cloud-init", "eu-west-1"),
        ("aws", '{"SecretString": "1234567 the-activation-key"}'),
    ):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho \"$@\" >> {tmp_path}/asked\necho '{says}'\n")
        program.chmod(0o755)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py")],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("", "")
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines == [
        "RegisterServer.Start('C',)",
        "Register.RegisterWithActivationKeys('1234567', ['the-activation-key'], {}, {}, 'C')",
        "RegisterServer.Stop('C',)",
    ]
    asked = (tmp_path / "asked").read_text()
    assert "--region eu-west-1" in asked
    assert "the-activation-key" not in asked
