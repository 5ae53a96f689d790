"""Hear when one file in a folder changes, also while the folder comes and goes (inotify(7))."""

import asyncio
import ctypes
import os
import struct
from pathlib import Path

from musterd.errors import MusterError

# <sys/inotify.h>
_MODIFY = 0x002
_ATTRIB = 0x004
_CLOSE_WRITE = 0x008
_MOVED_TO = 0x080
_CREATE = 0x100
_DELETE = 0x200
_IGNORED = 0x8000
_ONLYDIR = 0x0100_0000
_IN_FOLDER = _MODIFY | _CLOSE_WRITE | _MOVED_TO | _CREATE | _DELETE | _ONLYDIR
# ATTRIB: systemd makes a folder first and lets us read it a moment later.
_IN_PARENT = _CREATE | _MOVED_TO | _ATTRIB | _ONLYDIR
_HEADER = struct.Struct("iIII")  # watch, mask, cookie, length of the name that follows
_BUFFER = 65_536
_SETTLE = 0.05  # seconds in which a burst of writes counts as one change


class FileWatch:
    """One file. Needs a running event loop from the first `changed` on.

    Args:
        path: the file; its folder's parent must exist.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = -1
        self._parent_watch = -1
        self._folder_watch = -1
        self._happened = asyncio.Event()

    async def changed(self) -> None:
        """Return when the file may have changed since the last call; the first returns at once.

        Raises:
            MusterError: the kernel grants no watch.
        """
        if self._descriptor < 0:
            self._open()
        await self._happened.wait()
        await asyncio.sleep(_SETTLE)
        self._happened.clear()

    def close(self) -> None:
        """Stop listening."""
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        parent = self._path.parent.parent
        if self._descriptor >= 0:
            self._parent_watch = self._watch(parent, _IN_PARENT)
        if self._descriptor < 0 or self._parent_watch < 0:
            why = os.strerror(ctypes.get_errno())
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
            raise MusterError(
                f"cannot watch {parent}",
                why=why,
                cure="`sysctl fs.inotify` shows the limits; raise max_user_instances or "
                "max_user_watches",
            )
        self._folder_watch = self._watch(self._path.parent, _IN_FOLDER)
        asyncio.get_running_loop().add_reader(self._descriptor, self._read)
        self._happened.set()

    def _watch(self, folder: Path, mask: int) -> int:
        watch: int = self._libc.inotify_add_watch(self._descriptor, os.fsencode(folder), mask)
        return watch

    def _read(self) -> None:
        events = os.read(self._descriptor, _BUFFER)
        offset = 0
        while offset < len(events):
            watch, mask, _cookie, length = _HEADER.unpack_from(events, offset)
            offset += _HEADER.size
            name = os.fsdecode(events[offset : offset + length].rstrip(b"\0"))
            offset += length
            self._take(watch, mask, name)

    def _take(self, watch: int, mask: int, name: str) -> None:
        if watch == self._folder_watch and mask & _IGNORED:  # the folder is gone
            self._folder_watch = -1
            self._happened.set()
        elif watch == self._folder_watch and name == self._path.name:
            self._happened.set()
        elif watch == self._parent_watch and name == self._path.parent.name:
            if self._folder_watch < 0:
                self._folder_watch = self._watch(self._path.parent, _IN_FOLDER)
            self._happened.set()
