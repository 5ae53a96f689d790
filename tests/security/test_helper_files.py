"""Files with secrets or power: killed at every line of what writes them, never wider, never half.

The writers run in a process of their own, under no umask at all, and that process is killed with
SIGKILL before its first line, its second, and so on to the end.
"""

import os
import signal
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from muster_helper import files
from musterd.adapters import atomic
from musterd.adapters.store import FileStore
from musterd.election.types import Durable
from musterd.ports import Record

OLD, NEW = b"old " * 100, b"new and secret " * 100


@dataclass(frozen=True)
class Writer:
    """A way to replace a file, and the mode it must have."""

    write: Callable[[Path], None]
    source: str  # the file whose lines are counted
    mode: int
    beside: str  # what a killed run leaves


WRITERS = {
    "corosync's key": Writer(
        lambda path: files.replace(path, NEW, 0o400), files.__file__, 0o400, ".muster-new"
    ),
    "pacemaker's key": Writer(
        lambda path: files.replace(path, NEW, 0o400, (os.getuid(), os.getgid())),
        files.__file__,
        0o400,
        ".muster-new",
    ),
    "built cib": Writer(
        lambda path: files.replace(path, NEW, 0o600), files.__file__, 0o600, ".muster-new"
    ),
    "record": Writer(
        lambda path: atomic.replace_file(path, NEW, 0o600), atomic.__file__, 0o600, ".new"
    ),
    "status": Writer(
        lambda path: atomic.replace_file(path, NEW, 0o640, group=os.getgid()),
        atomic.__file__,
        0o640,
        ".new",
    ),
}


def killed_at(line: int, source: str, act: Callable[[], None]) -> bool:
    """Run `act` in a process that is killed before the given line of `source`; tell whether it was.

    Args:
        line: 0 for the first line executed there.
        source: path of the module.
        act: what the process does.
    """
    child = os.fork()
    if child == 0:
        left = line

        def trace(frame: FrameType, event: str, _arg: Any) -> Any:
            nonlocal left
            if frame.f_code.co_filename != source:
                return None
            if event == "line":
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1
            return trace

        os.umask(0)
        sys.settrace(trace)
        try:
            act()
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("there", [True, False], ids=["over an old file", "a new file"])
def test_killed_at_every_line(tmp_path: Path, name: str, there: bool) -> None:
    writer = WRITERS[name]
    kills, outcomes = 0, set[bytes | None]()
    while True:
        folder = tmp_path / f"{kills}"
        folder.mkdir()
        path = folder / "file"
        if there:
            path.write_bytes(OLD)
            path.chmod(writer.mode)
        left_before = folder / f"file{writer.beside}"
        left_before.write_bytes(b"what an earlier crash left")
        left_before.chmod(0o666)
        killed = killed_at(kills, writer.source, partial(writer.write, path))
        content = path.read_bytes() if path.exists() else None
        assert content in ((OLD, NEW) if there else (None, NEW)), f"torn at line {kills}"
        outcomes.add(content)
        for each in folder.iterdir():
            if each.read_bytes() != b"what an earlier crash left":
                assert mode(each) & ~writer.mode == 0, f"{each.name} is wider at line {kills}"
        writer.write(path)  # the next run completes it
        assert (path.read_bytes(), mode(path)) == (NEW, writer.mode)
        assert [each.name for each in folder.iterdir()] == ["file"]
        if not killed:
            break
        kills += 1
    assert kills > 8
    assert outcomes == ({OLD, NEW} if there else {None, NEW})  # both sides of the rename were met


def test_the_hosts_file_keeps_all_it_had_wherever_the_writer_dies(tmp_path: Path) -> None:
    kills = 0
    while True:
        path = tmp_path / f"hosts{kills}"
        path.write_bytes(b"127.0.0.1 localhost")
        entry = partial(files.append, path, ("10.0.0.12 other",))
        killed = killed_at(kills, files.__file__, entry)
        content = path.read_bytes()
        assert content in (
            b"127.0.0.1 localhost",
            b"127.0.0.1 localhost\n10.0.0.12 other\n",
        )
        if not killed:
            break
        kills += 1
    assert kills > 5


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    """Whoever owns the folder (hacluster: the CIB's) could have put one there."""
    victim = tmp_path / "shadow"
    victim.write_bytes(OLD)
    folder = tmp_path / "cib"
    folder.mkdir()
    (folder / "cib.xml.muster-new").symlink_to(victim)
    (folder / "cib.xml").symlink_to(victim)
    files.replace(folder / "cib.xml", NEW, 0o600)
    assert victim.read_bytes() == OLD
    assert not (folder / "cib.xml").is_symlink()


def test_the_daemons_memory_is_its_own(tmp_path: Path) -> None:
    """Half a secret is in it until the cluster is formed."""
    before = os.umask(0)
    try:
        FileStore(tmp_path / "record.json").save(Record(Durable()))
    finally:
        os.umask(before)
    assert mode(tmp_path / "record.json") == 0o600
