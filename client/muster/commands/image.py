"""`muster image`: a disk file becomes an AMI, and the AMI instances. For a workstation or CI."""

import argparse
import os
import re
from importlib import import_module
from pathlib import Path

from muster.commands.join import CLUSTER_NAME
from muster.context import Context

# what comes after `muster image` -> (module, line of help)
STEPS = {
    "blueprint": (
        "muster.image.blueprint",
        "write Image Builder's files from one set of answers",
    ),
    "prepare": ("muster.image.account", "once per account and region: the bucket and the role"),
    "import": ("muster.image.importing", "upload a disk file, import it, register the image"),
    "launch": ("muster.image.launching", "launch instances of an image as one cluster's nodes"),
    "cleanup": ("muster.image.cleanup", "remove what imports have left"),
}
IMAGE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,63}")

EXAMPLE = """example, on a workstation with AWS credentials:
  muster image prepare
  muster image import rhel9-muster.qcow2 --name rhel9-muster-1
  muster image launch --image ami-... --cluster web --count 3 --profile node

Each step may be killed and given again: it goes on where it was. --dry-run only
tells. Needs boto3 (`pipx install .` in a checkout of muster, Python 3.11), and
qemu-img for qcow2. No key is ever printed or stored."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the steps and their options."""
    parser.epilog = EXAMPLE
    steps = parser.add_subparsers(dest="step", metavar="STEP", required=True)
    declare = {
        "blueprint": _blueprint,
        "prepare": _prepare,
        "import": _import,
        "launch": _launch,
        "cleanup": _cleanup,
    }
    for name, (_, line) in STEPS.items():
        step = steps.add_parser(name, help=line, description=f"{line[0].upper()}{line[1:]}.")
        step.add_argument("--dry-run", action="store_true", help="change nothing, tell what would")
        declare[name](step)


def run(options: argparse.Namespace, context: Context) -> int:
    """Do one step."""
    return int(import_module(STEPS[options.step][0]).run(options, context))


def _account(step: argparse.ArgumentParser) -> None:
    step.add_argument("--region", metavar="REGION", help="default: boto3's own")
    step.add_argument("--bucket", metavar="NAME", help="default: muster-image-ACCOUNT-REGION")
    step.add_argument(
        "--role", default="vmimport", metavar="NAME", help="that EC2 takes on (default: vmimport)"
    )


def _blueprint(step: argparse.ArgumentParser) -> None:
    step.add_argument("--name", type=_name, required=True, help="of blueprint and image")
    step.add_argument("--distro", default="rhel-9.6", help="such as rhel-8.10 (default: rhel-9.6)")
    step.add_argument("--version", default="0.1.0", metavar="X.Y.Z", help="of the blueprint")
    step.add_argument("--region", required=True, help="where the image is to be")
    step.add_argument("--bucket", required=True, metavar="NAME", help="for the upload")
    step.add_argument("--user", default="ops", metavar="NAME", help="account in the image")
    step.add_argument("--ssh-key", type=Path, metavar="FILE", help="its public key")
    step.add_argument("--output", type=Path, default=Path(), metavar="DIR", help="default: here")


def _prepare(step: argparse.ArgumentParser) -> None:
    _account(step)


def _import(step: argparse.ArgumentParser) -> None:
    _account(step)
    step.add_argument("file", type=Path, metavar="FILE", help="qcow2, VMDK, VHD, VHDX or raw")
    step.add_argument("--name", type=_name, required=True, help="of the image")
    step.add_argument("--description", default="A node of muster", metavar="TEXT")
    step.add_argument("--architecture", choices=("x86_64", "arm64"), default="x86_64")
    step.add_argument(
        "--boot-mode",
        choices=("legacy-bios", "uefi", "uefi-preferred"),
        help="default: legacy-bios for x86_64, uefi for arm64",
    )
    step.add_argument("--volume-size", type=int, metavar="GIB", help="larger than the disk")
    step.add_argument("--keep-upload", action="store_true", help="leave the object in S3")
    step.add_argument(
        "--workdir",
        type=Path,
        default=_workdir(),
        metavar="DIR",
        help="for the converted disk (default: ~/.cache/muster)",
    )


def _launch(step: argparse.ArgumentParser) -> None:
    step.add_argument("--region", metavar="REGION", help="default: boto3's own")
    step.add_argument("--image", required=True, metavar="AMI")
    step.add_argument("--cluster", type=_cluster, required=True, metavar="NAME")
    step.add_argument(
        "--count",
        type=int,
        choices=range(1, 17),
        required=True,
        metavar="N",
        help="instances the cluster shall have",
    )
    step.add_argument(
        "--size",
        type=int,
        choices=range(2, 17),
        metavar="N",
        help="founding members, of a cluster that is given more nodes later (default: --count)",
    )
    step.add_argument("--instance-type", default="t3.small", metavar="TYPE")
    step.add_argument("--subnet", metavar="ID")
    step.add_argument(
        "--security-group", action="append", metavar="ID", help="more than one: again"
    )
    step.add_argument("--profile", metavar="NAME", help="instance profile with node-policy.json")
    step.add_argument("--key-name", metavar="NAME", help="key pair of the image's user")
    step.add_argument("--user-data", type=Path, metavar="FILE", help="cloud-config; see docs")
    step.add_argument(
        "--placement",
        choices=("spread", "cluster"),
        help="spread: hardware of its own for each; cluster: close together",
    )


def _cleanup(step: argparse.ArgumentParser) -> None:
    _account(step)
    step.add_argument("--name", type=_name, required=True, help="of the image")
    step.add_argument("--image", action="store_true", help="the image and its snapshot too")
    step.add_argument("--account", action="store_true", help="what `prepare` made too")


def _workdir() -> Path:
    """Return where converted disks go (XDG base directory specification)."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "muster"


def _name(words: str) -> str:
    """Return a name that is good for an image, a blueprint and a key in S3."""
    if not 3 <= len(words) <= 64 or not all(
        c.isascii() and (c.isalnum() or c in "-._") for c in words
    ):
        raise argparse.ArgumentTypeError("3 to 64 letters, digits, - . _ make a name")
    return words


def _cluster(words: str) -> str:
    if not CLUSTER_NAME.fullmatch(words):
        raise argparse.ArgumentTypeError("1 to 32 letters, digits, _ or - make a cluster name")
    return words
