"""`muster seal`: make this node forget who it is, before its disk becomes an image.

Needs no musterd. `--check` looks only, for the end of an image build.
"""

import argparse
import os
from pathlib import Path

from muster.context import Context
from muster.contract import Exit
from muster.errors import ClientError, NotAllowedError
from muster.sealing.erase import Eraser
from muster.sealing.look import Membership, finds, membership
from muster.sealing.traces import BY_SEAL, Find, Removal

EXAMPLE = """examples:
  sudo muster seal && sudo muster seal --check    # last step of an image build
  sudo muster seal --root /mnt --check            # an image mounted somewhere

It removes: machine-id, keys and tokens of pcs, Corosync and Pacemaker, their
configuration, what musterd and cloud-init remember, with --host-keys also
sshd's keys. The spec stays. A node of a real cluster is refused, unless
--abandon names that cluster.

exit codes of --check: 0 nothing found   1 found, one line each"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = EXAMPLE
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="only tell what is left; 1 if anything")
    mode.add_argument("--dry-run", action="store_true", help="only tell what would be done")
    parser.add_argument(
        "--host-keys",
        action="store_true",
        help="sshd's keys too (cloud-init replaces them anyway unless ssh_deletekeys is off)",
    )
    parser.add_argument(
        "--root", type=Path, default=Path("/"), metavar="DIR", help="a mounted image (default: /)"
    )
    parser.add_argument(
        "--abandon",
        metavar="CLUSTER",
        help="this node belongs to CLUSTER, and is to leave it for good",
    )


def run(options: argparse.Namespace, context: Context) -> int:
    """Look, and unless told only to look, remove."""
    return seal(options, context, Eraser(options.root.resolve()), os.geteuid())


def seal(options: argparse.Namespace, context: Context, eraser: Eraser, user: int) -> int:
    """Do it; `user` is the effective user id."""
    if user != 0:
        raise NotAllowedError(
            "cannot look at a node's keys as this user",
            why="only root sees all that an image would carry",
            cure="run it with sudo",
        )
    root = options.root.resolve()
    if not (root / "etc").is_dir():
        raise ClientError(
            f"{root} holds no system", why="it has no folder etc", cure="muster seal --root DIR"
        )
    left = finds(root, host_keys=options.host_keys)
    if options.check:
        return _report(context, left)
    _refuse_member(membership(root), eraser, options.abandon)
    if options.dry_run:
        context.say(*(_would(found) for found in left))
        context.say(f"{len(left)} traces; nothing was changed")
        return Exit.OK
    eraser.stop()
    # Looked for again: what stops writes its last files.
    for found in finds(root, host_keys=options.host_keys):
        if found.removal is not Removal.BY_HAND:
            eraser.erase(found)
            context.say(f"removed {found.path} ({found.what})")
    eraser.finish()
    return _end(context, finds(root, host_keys=options.host_keys), live=eraser.live)


def _report(context: Context, left: list[Find]) -> int:
    context.say(*(f"{found.path}: {found.what}; type: {found.next}" for found in left))
    if left:
        return Exit.ERROR
    context.say("sealed: nothing of a node is left")
    return Exit.OK


def _would(found: Find) -> str:
    if found.removal is Removal.BY_HAND:
        return f"would leave {found.path} ({found.what}); type: {found.next}"
    return f"would remove {found.path} ({found.what})"


def _refuse_member(cluster: Membership | None, eraser: Eraser, abandon: str | None) -> None:
    """Keep a typing error at night from taking a node of a cluster apart.

    Raises:
        ClientError: the running system belongs to a cluster, and `abandon` does not name it.
    """
    if not eraser.live:
        return
    runs = eraser.cluster_runs()
    if cluster is not None and cluster.stub:
        return
    if cluster is None and runs:
        raise ClientError(
            "cannot seal: Corosync or Pacemaker runs here, of a cluster that its files do not name",
            why="somebody is at work on this node, or its corosync.conf was removed",
            cure="systemctl status corosync pacemaker",
        )
    if cluster is None or abandon == (cluster.name or "unnamed"):
        return
    name = cluster.name or "unnamed"
    nodes = f", with {len(cluster.members)} nodes" if cluster.members else ""
    if abandon is not None:
        raise ClientError(
            f"cannot seal: this node belongs to cluster {name}, not to {abandon}",
            why="--abandon must name the cluster that this node is to leave",
            cure="muster status",
        )
    raise ClientError(
        f"cannot seal: this node belongs to cluster {name}{nodes}",
        why="sealing takes its keys and configuration away"
        + (", and the cluster runs here now" if runs else ""),
        cure=f"if it is to leave {name} for good: muster seal --abandon {name}, and on another"
        f" node: pcs cluster node remove {os.uname().nodename}",
    )


def _end(context: Context, left: list[Find], *, live: bool) -> int:
    """Say what remains, by what was found when all was done."""
    if left:
        context.complain("muster: not sealed")
        for found in left:
            by_hand = found.next if found.removal is Removal.BY_HAND else f"{BY_SEAL} (again)"
            context.complain(f"  why:  {found.path}: {found.what}", f"  next: {by_hand}")
        return Exit.ERROR
    context.say("sealed: nothing of a node is left")
    if live:
        context.say("  next: capture the image now, before this instance boots again")
    return Exit.OK
