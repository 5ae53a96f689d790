"""The composition root: what the daemon leaves behind when it ends."""

import json
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest

from musterd import boot
from musterd.adapters.status_file import StatusFile
from musterd.adapters.store import FileStore


async def test_what_was_known_last_is_written_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes are a second apart; what happened within the last one must not be lost."""
    written = tmp_path / "status.json"
    monkeypatch.setattr(boot, "StatusFile", partial(StatusFile, written))
    monkeypatch.setattr(boot, "FileStore", partial(FileStore, tmp_path / "record.json"))
    async with AsyncExitStack() as stack:
        boot._compose(stack)
        assert not written.exists()
    assert json.loads(written.read_text())["phase"] == "starting"
