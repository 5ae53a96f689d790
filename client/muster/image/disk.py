"""The disk file: what it is, and making of it what EC2 takes.

Formats by their first (VHD: last) bytes: qcow2 (QEMU docs/interop/qcow2), VMDK sparse extent
(VMware Virtual Disk Format 5.0), VHD footer (Microsoft, Virtual Hard Disk Image Format), VHDX
(MS-VHDX). EC2 takes raw, VHD, VHDX and stream-optimized VMDK (VM Import/Export user guide).
"""

import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from muster.context import Context
from muster.errors import ClientError
from muster.image.meter import Meter

SECTOR = 512
LARGEST = 16 * 1024**4  # bytes; the largest gp3 volume that every region has
CHUNK = 1024 * 1024
_STREAM_OPTIMIZED = 1 << 16  # VMDK header flag: grains are compressed
_BOOT_SIGNATURE = b"\x55\xaa"


@dataclass(frozen=True)
class Disk:
    """A disk file.

    Attributes:
        path: where.
        kind: qcow2, vmdk, vhd, vhdx or raw.
        size: of the disk in bytes, as a machine sees it; None where only qemu-img could tell.
        ready: EC2 takes it as it is.
    """

    path: Path
    kind: str
    size: int | None
    ready: bool


def look(path: Path) -> Disk:
    """Tell what a file is.

    Raises:
        ClientError: it is no disk, or larger than a volume can be.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4096)
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - SECTOR))
            tail = file.read(SECTOR)
    except OSError as error:
        raise ClientError(
            f"cannot read {path}", why=error.strerror or str(error), cure=f"ls -l {path}"
        ) from None
    disk = _recognised(path, head, tail, length)
    if disk.size is not None and disk.size > LARGEST:
        raise ClientError(
            f"{path} is a disk of {disk.size / 1024**4:.1f} TiB, too large for EC2",
            why=f"a volume has at most {LARGEST // 1024**4} TiB",
            cure=f"shrink its file systems, then qemu-img resize --shrink {path} SIZE",
        )
    return disk


def _recognised(path: Path, head: bytes, tail: bytes, length: int) -> Disk:
    if head.startswith(b"QFI\xfb"):
        return Disk(path, "qcow2", struct.unpack_from(">Q", head, 24)[0], ready=False)
    if head.startswith(b"KDMV"):
        flags, sectors = struct.unpack_from("<IQ", head, 8)
        return Disk(path, "vmdk", sectors * SECTOR, ready=bool(flags & _STREAM_OPTIMIZED))
    if head.startswith(b"vhdxfile"):
        return Disk(path, "vhdx", None, ready=True)
    if tail.startswith(b"conectix"):
        return Disk(path, "vhd", struct.unpack_from(">Q", tail, 48)[0], ready=True)
    if head[510:512] == _BOOT_SIGNATURE and length % SECTOR == 0:
        return Disk(path, "raw", length, ready=True)
    packed = {b"\x1f\x8b": "gunzip", b"\xfd7zXZ": "unxz", b"\x28\xb5\x2f\xfd": "unzstd"}
    for magic, program in packed.items():
        if head.startswith(magic):
            raise ClientError(
                f"{path} is compressed", why="EC2 takes disks only", cure=f"{program} -k {path}"
            )
    raise ClientError(
        f"{path} is no disk that could boot",
        why="it is neither qcow2, VMDK, VHD nor VHDX, and its first sector has no boot signature",
        cure=f"qemu-img info {path}",
    )


def digest(path: Path, context: Context) -> str:
    """Return the file's SHA-256: by it a later run knows what it has already done."""
    whole = hashlib.sha256()
    meter = Meter(context, "reading", path.stat().st_size)
    done = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            whole.update(chunk)
            done += len(chunk)
            meter.to(done)
    return whole.hexdigest()


def converted(disk: Disk, source: str, folder: Path, context: Context) -> Disk:
    """Return the disk as EC2 takes it: itself, or a compressed VMDK made of it.

    A conversion that was finished by an earlier run is used again.

    Args:
        disk: what `look` found.
        source: its digest, which names the result.
        folder: where to put it.
        context: where progress is shown.

    Raises:
        ClientError: qemu-img is missing or refused, or the folder has no room.
    """
    if disk.ready:
        return disk
    target = folder / f"{source[:16]}.vmdk"
    if target.exists():
        context.say(f"using {target}, which an earlier run made")
        return replace(disk, path=target, kind="vmdk", ready=True)
    size = _inspected(disk)
    folder.mkdir(parents=True, exist_ok=True)
    # Compressed, it is never much larger than the data that the source holds.
    wanted = min(size, disk.path.stat().st_size * 2)
    if shutil.disk_usage(folder).free < wanted:
        raise ClientError(
            f"{folder} has no room for the converted disk",
            why=f"up to {wanted / 1024**3:.0f} GiB may be needed",
            cure="muster image import ... --workdir DIR, on a larger file system",
        )
    partial = target.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    _convert(disk, partial, context)
    partial.rename(target)
    return Disk(target, "vmdk", size, ready=True)


def _inspected(disk: Disk) -> int:
    """Return the disk's size after looking for what must not be followed."""
    done = _qemu("info", "--output=json", "-f", disk.kind, str(disk.path))
    told = json.loads(done.stdout)
    if backing := told.get("backing-filename"):
        raise ClientError(
            f"{disk.path} is only the difference to another file",
            why=f"it names {backing}; a name in an image is not followed to a file of this machine",
            cure=f"qemu-img convert -O qcow2 {disk.path} whole.qcow2, where that file is wanted",
        )
    return int(told["virtual-size"])


def _qemu(*words: str) -> "subprocess.CompletedProcess[str]":
    try:
        done = subprocess.run(  # noqa: S603 (no shell; the file's name is one word)
            ["qemu-img", *words],  # noqa: S607 (from PATH)
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise _no_qemu() from None
    if done.returncode:
        raise ClientError(
            "qemu-img cannot read the disk",
            why=done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "it did not say",
            cure=f"qemu-img check {words[-1]}",
        )
    return done


def _no_qemu() -> ClientError:
    return ClientError(
        "qemu-img is missing",
        why="EC2 takes neither qcow2 nor an uncompressed VMDK, so the disk must be converted",
        cure="apt install qemu-utils, or dnf install qemu-img; or give a raw disk",
    )


def _convert(disk: Disk, target: Path, context: Context) -> None:
    meter = Meter(context, "converting", 100)
    command = ["qemu-img", "convert", "-p", "-f", disk.kind, "-O", "vmdk"]
    command += ["-o", "subformat=streamOptimized", str(disk.path), str(target)]
    said = ""
    try:
        with subprocess.Popen(  # noqa: S603 (no shell; the names are one word each)
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as running:
            # Progress comes as "    (12.34/100%)\r".
            while running.stdout is not None and (piece := running.stdout.read(32)):
                said = (said + piece)[-4096:]
                if found := re.findall(r"\((\d+)\.\d+/100%\)", said):
                    meter.to(int(found[-1]))
    except FileNotFoundError:
        raise _no_qemu() from None
    if running.returncode:
        target.unlink(missing_ok=True)
        raise ClientError(
            "qemu-img could not convert the disk",
            why=said.strip().splitlines()[-1] if said.strip() else "it did not say",
            cure=f"qemu-img check {disk.path}",
        )
