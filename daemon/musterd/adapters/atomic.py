"""Replace a file as a whole: readers and power cuts see the old one or the new one."""

import os
from pathlib import Path


def replace_file(path: Path, content: bytes, mode: int, *, group: int | None = None) -> None:
    """Write `content` beside `path`, make it durable, and rename it into place.

    Args:
        path: the file to replace; its folder must exist.
        content: all of it.
        mode: of the new file, from its first instant.
        group: numeric group of the new file; the process must belong to it.

    Raises:
        OSError: something failed. The file holds its old content, unless only the last step did,
            which makes the rename itself durable.
    """
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)  # what a crash left; its mode may be another
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode & 0o700)
    try:
        # Asked for only where needed: musterd's own sandbox forbids the call and its folder, being
        # set-group-id, makes it unnecessary.
        if group not in (None, os.fstat(descriptor).st_gid):
            os.fchown(descriptor, -1, group)
        os.fchmod(descriptor, mode)  # after the group: never wider than wanted, whatever the umask
        written = 0
        while written < len(content):
            written += os.write(descriptor, content[written:])
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    beside.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
