"""The record survives everything: after any failure the old one or the new one is there, whole."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from musterd.adapters.store import FileStore
from musterd.election.types import Accepted, Durable
from musterd.errors import StoreError
from musterd.model import Decree, Member
from musterd.ports import Record

DECREE = Decree(
    "ab" * 16,
    (Member("i-00000000000000001", "a", "10.0.0.1"), Member("i-00000000000000002", "b", "")),
    "d" * 64,
    "5eed" * 16,
)
OLD = Record(Durable(term=3, voted_for="i-00000000000000001"))
NEW = Record(Durable(4, "i-00000000000000002", Accepted(4, DECREE), DECREE), formed=True)


class Killed(BaseException):
    """The process ends here; nothing of ours may catch it."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "record.json"


def test_nothing_was_ever_written(path: Path) -> None:
    assert FileStore(path).load() is None


@pytest.mark.parametrize("record", [OLD, NEW])
def test_what_is_saved_is_loaded(path: Path, record: Record) -> None:
    FileStore(path).save(record)
    assert FileStore(path).load() == record


def test_only_the_owner_reads_it_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        FileStore(path).save(NEW)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"\n", b"{", b"[]", b"\xff", b'{"v":2,"record":{}}'])
def test_a_broken_record_is_never_taken_for_none(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        FileStore(path).load()
    assert "broken" in caught.value.what
    assert caught.value.cure


def test_a_torn_record_is_broken_wherever_it_was_torn(path: Path) -> None:
    FileStore(path).save(NEW)
    whole = path.read_bytes()
    end = len(whole) - 2  # the last two bytes are "}" and a line feed
    for length in (*range(0, end, 7), *range(end - 10, end)):
        path.write_bytes(whole[:length])
        with pytest.raises(StoreError) as caught:
            FileStore(path).load()
        assert DECREE.seed not in f"{caught.value} {caught.value.__cause__}"


def test_a_record_that_cannot_be_read_is_broken(path: Path) -> None:
    path.mkdir()
    with pytest.raises(StoreError):
        FileStore(path).load()


CALLS = ("open", "fchmod", "write", "fsync", "close", "rename", "unlink")


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, BaseException], None]]:
    """Have the n-th system call of the writer raise, instead of doing its work."""

    def arm(number: int, failure: BaseException) -> None:
        left = [number]

        def wrap(name: str) -> None:
            real = getattr(os, name)

            def call(*args: Any, **kwargs: Any) -> Any:
                left[0] -= 1
                if left[0] == 0:
                    raise failure
                if name == "write":  # a short write, as a full pipe or a signal makes
                    return real(args[0], bytes(args[1])[:40])
                return real(*args, **kwargs)

            monkeypatch.setattr(os, name, call)

        for name in CALLS:
            wrap(name)

    yield arm
    monkeypatch.undo()


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), Killed()])
@pytest.mark.parametrize("number", range(1, 60))
def test_whatever_call_fails_the_old_or_the_new_is_there(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    interrupted: Callable[[int, BaseException], None],
    number: int,
    failure: BaseException,
) -> None:
    store = FileStore(path)
    store.save(OLD)
    interrupted(number, failure)
    try:
        store.save(NEW)
    except (StoreError, Killed):
        saved = False
    else:
        saved = True
    monkeypatch.undo()
    found = FileStore(path).load()
    assert found == NEW if saved else found in (OLD, NEW)
    FileStore(path).save(NEW)  # what a crash left behind is not in the way
    assert FileStore(path).load() == NEW
    assert sorted(each.name for each in path.parent.iterdir()) == ["record.json"]


def test_the_order_is_write_sync_rename_sync(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    for name in ("write", "fsync", "rename"):
        real = getattr(os, name)

        def call(*args: Any, name: str = name, real: Any = real) -> Any:
            told.append(name)
            return real(*args)

        monkeypatch.setattr(os, name, call)
    FileStore(path).save(OLD)
    assert told == ["write", "fsync", "rename", "fsync"]


def test_a_full_disk_is_told_with_a_cure(
    path: Path, interrupted: Callable[[int, BaseException], None]
) -> None:
    interrupted(2, OSError(28, "No space left on device"))
    with pytest.raises(StoreError) as caught:
        FileStore(path).save(OLD)
    assert "No space left" in caught.value.why
