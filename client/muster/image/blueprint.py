"""`muster image blueprint`: Image Builder's two files from one set of answers.

Keys of both as in osbuild's blueprint reference and composer's upload documentation. The upload
file carries no keys of an account: composer's worker has its own, or the file is completed by hand.
"""

import argparse
import json
import re
from pathlib import Path

from muster.context import Context
from muster.contract import Exit
from muster.errors import ClientError

# What a node needs of Red Hat's High Availability add-on and of the base system.
PACKAGES = (
    "awscli2",
    "chrony",
    "cloud-init",
    "fence-agents-aws",
    "muster",
    "pacemaker",
    "pcs",
    "python3.11",
    "python3.11-pyyaml",
    "resource-agents-cloud",
)
# RHEL 8 has version 1 of the command line, and the cloud agents in one package with the others.
RHEL8 = {"awscli2": "awscli", "resource-agents-cloud": "resource-agents"}
ENABLED = ("chronyd", "cloud-init", "muster-user-data", "musterd", "sshd")
# Not nm-cloud-setup, which removes floating addresses: not every image has it, composer fails for a
# unit that is not there, and muster's helper disables it anyway.
DISABLED = ("corosync", "pacemaker")
DISTRIBUTION = re.compile(r"rhel-(8|9)\.\d{1,2}|centos-9")
SEMVER = re.compile(r"\d+\.\d+\.\d+")  # composer refuses any other version
USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")


def run(options: argparse.Namespace, context: Context) -> int:
    """Write both files; one that is there and says otherwise is left alone."""
    _check(options)
    files = {
        options.output / f"{options.name}.toml": blueprint(options),
        options.output / f"{options.name}-upload.toml": uploading(options),
    }
    for path, text in files.items():
        if options.dry_run:
            context.say(f"would write {path}:", text)
        else:
            context.say(f"{'wrote' if _write(path, text) else 'kept'} {path}")
    if lacks_awscli(options.distro):
        context.say(
            f"  remark: {options.distro} has no package of the AWS command line (9.5 is the first);"
            " floating addresses need it from elsewhere"
        )
    context.say(
        f"  next: composer-cli blueprints push {options.name}.toml",
        f"        composer-cli compose start {options.name} ami {options.name}"
        f" {options.name}-upload.toml",
    )
    return Exit.OK


def blueprint(options: argparse.Namespace) -> str:
    """Return the blueprint."""
    renamed = RHEL8 if options.distro.startswith("rhel-8") else {}
    packages = sorted(renamed.get(each, each) for each in PACKAGES)
    if lacks_awscli(options.distro):
        packages.remove("awscli2")
    lines = [
        "# Made by `muster image blueprint`; the sources of composer must have the High",
        "# Availability add-on and a repository with muster.rpm (docs/image.md).",
        f"name = {_text(options.name)}",
        'description = "A node of a fenced Pacemaker cluster, founded by muster"',
        f"version = {_text(options.version)}",
        f"distro = {_text(options.distro)}",
    ]
    for package in packages:
        lines += ["", "[[packages]]", f"name = {_text(package)}", 'version = "*"']
    lines += [
        "",
        "[customizations.services]",
        f"enabled = {_list(ENABLED)}",
        f"disabled = {_list(DISABLED)}",
        "",
        "[customizations.firewall]",
        'ports = ["7224:tcp"]',
        "",
        "[customizations.firewall.services]",
        'enabled = ["high-availability"]',
    ]
    if options.ssh_key is not None:
        lines += [
            "",
            "[[customizations.user]]",
            f"name = {_text(options.user)}",
            f"key = {_text(_key(options.ssh_key))}",
            'groups = ["wheel"]',
        ]
    # The drivers of Nitro and Xen instances, whatever machine the image is built on.
    lines += [
        "",
        "[[customizations.files]]",
        'path = "/etc/dracut.conf.d/muster-ec2.conf"',
        'mode = "0644"',
        'data = "add_drivers+=\\" nvme xen-netfront xen-blkfront ena \\"\\n"',
    ]
    return "\n".join(lines) + "\n"


def lacks_awscli(distro: str) -> bool:
    """Tell whether the distribution has no AWS command line, which awsvip and awseip need."""
    release = re.fullmatch(r"rhel-9\.(\d+)", distro)
    return release is not None and int(release[1]) < 5


def uploading(options: argparse.Namespace) -> str:
    """Return the upload's settings, without anybody's keys."""
    return "\n".join(
        [
            "# By `muster image blueprint`. No keys, on purpose: give composer's worker its own",
            "# (its configuration, section aws), or add accessKeyID and secretAccessKey below,",
            "# keep the file at mode 0600, and delete it after the upload.",
            'provider = "aws"',
            "",
            "[settings]",
            f"bucket = {_text(options.bucket)}",
            f"region = {_text(options.region)}",
            f"key = {_text(f'muster-image/{options.name}/{options.version}.raw')}",
            "",
        ]
    )


def _check(options: argparse.Namespace) -> None:
    for value, form, what, cure in (
        (options.distro, DISTRIBUTION, "distribution", "--distro rhel-9.4"),
        (options.version, SEMVER, "version", "--version 0.1.0"),
        (options.user, USER, "user name", "--user ops"),
    ):
        if not form.fullmatch(value):
            raise ClientError(
                f"{value!r} is no {what} that composer takes",
                why=f"it must look like {cure.split()[-1]}",
                cure=f"muster image blueprint ... {cure}",
            )


def _key(path: Path) -> str:
    """Return a public key; a private one never gets into an image."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ClientError(f"cannot read {path}", why=str(error), cure=f"ls -l {path}") from None
    if "\n" in text or not re.match(r"(ssh-|ecdsa-|sk-)\S+ \S+", text):
        raise ClientError(
            f"{path} is no public key of one line",
            why="its content is not shown, for it may be a private key",
            cure=f"--ssh-key {path}.pub",
        )
    return text


def _write(path: Path, text: str) -> bool:
    """Write a file unless it says the same; raises ClientError when it says otherwise."""
    try:
        if path.exists():
            if path.read_text(encoding="utf-8") == text:
                return False
            raise ClientError(
                f"{path} exists and says otherwise; it is not overwritten",
                why="somebody changed it, or the answers were others",
                cure=f"mv {path} {path}.old, then the same command",
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ClientError(f"cannot write {path}", why=str(error), cure="--output DIR") from None
    return True


def _text(value: str) -> str:
    return json.dumps(value)  # JSON's strings are TOML's too


def _list(values: tuple[str, ...]) -> str:
    return "[" + ", ".join(map(_text, values)) + "]"
