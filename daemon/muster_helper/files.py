"""Files replaced as a whole, and the hosts file, which is only ever appended to."""

import os
from pathlib import Path


def replace(path: Path, content: bytes, mode: int, owner: tuple[int, int] | None = None) -> None:
    """Write `content` beside `path`, make it durable, rename it into place.

    A crash leaves the old file or the new one, and at most a `.muster-new` beside it.

    Args:
        path: the file; its folder must exist.
        content: all of it.
        mode: of the new file, from its first instant.
        owner: user and group ids; those of the process when None.

    Raises:
        OSError: the folder is missing, full or read-only.
    """
    beside = path.with_name(f"{path.name}.muster-new")
    beside.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(beside, flags, mode & 0o700)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        if owner is not None:
            os.fchown(descriptor, *owner)
        os.fchmod(descriptor, mode)
        os.fsync(descriptor)
    beside.rename(path)
    sync_folder(path.parent)


def append(path: Path, lines: tuple[str, ...]) -> None:
    """Add whole lines to a text file with one write, making it if needed.

    The hosts file may be a mount of its own in our sandbox, so it cannot be replaced by a rename.
    A last line that lacks its end, from a torn write of anybody, is ended first.
    """
    old = path.read_bytes() if path.exists() else b""
    start = b"\n" if old and not old.endswith(b"\n") else b""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, start + "".join(f"{line}\n" for line in lines).encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> bool:
    """Remove a file durably; tell whether it was there."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    sync_folder(path.parent)
    return True


def sync_folder(folder: Path) -> None:
    """Make renames and removals in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
