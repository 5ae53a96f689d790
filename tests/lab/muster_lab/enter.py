"""Command lines that run something inside the lab: in a node, in the bastion, on the internet."""

from collections.abc import Sequence
from pathlib import Path

from muster_lab.layout import Layout

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT = (f"PATH={PATH}", "HOME=/root", "LANG=C.UTF-8", "TERM=linux")

# $1: scratch folder, $2: lowerdir, $3: credentials, $4: region, the rest: the command.
# The mounts vanish with the command; the current folder is at /mnt.
_IN_IMAGE = """
set -eu
mount -t tmpfs -o mode=755 tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" "$1/root"
root="$1/root"
printf 'nameserver 10.0.0.2\\nsearch %s.compute.internal\\n' "$4" > "$root/etc/resolv.conf"
mkdir -p "$root/root/.aws"
printf '[default]\\nregion = %s\\n' "$4" > "$root/root/.aws/config"
(umask 077; cat "$3" > "$root/root/.aws/credentials")
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mount --bind "$PWD" "$root/mnt"
shift 4
exec chroot "$root" env --chdir=/mnt -i "$@"
"""


def in_node(leader: int, command: Sequence[str]) -> list[str]:
    """Run `command` in all namespaces of the guest whose PID 1 is `leader`."""
    namespaces = ["-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w"]
    return [
        "nsenter",
        "-t",
        str(leader),
        *namespaces,
        "--",
        "env",
        "-i",
        *_ENVIRONMENT,
        *command,
    ]


def in_namespace(
    layout: Layout, what: str, layers: Sequence[str], region: str, command: Sequence[str]
) -> list[str]:
    """Run `command` from the node image, without a node, in the bastion's or internet's network."""
    return [
        "nsenter",
        f"--net={layout.namespace_path(what)}",
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        _IN_IMAGE,
        what,
        str(scratch(layout)),
        ":".join(layers),
        str(credentials(layout)),
        region,
        *_ENVIRONMENT,
        *command,
    ]


def scratch(layout: Layout) -> Path:
    """Where each such command mounts a root of its own."""
    return layout.run / "root"


def credentials(layout: Layout) -> Path:
    """The administrator's keys of the fake account, as aws reads them (0600)."""
    return layout.run / "credentials"
