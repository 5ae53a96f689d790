"""The small adapters: systemd, the status file, chance, time."""

import json
import os
import socket
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

from muster.api import NodeStatus, Status
from musterd.adapters import systemd
from musterd.adapters.clock import SystemClock
from musterd.adapters.random import SystemRandom
from musterd.adapters.status_file import StatusFile
from musterd.errors import MusterError


class Binding(ModuleType):
    """Stands in for python3-systemd's `systemd.daemon`."""

    def __init__(self, named: dict[int, str]) -> None:
        super().__init__("systemd.daemon")
        self.named = named
        self.said: list[str] = []

    def listen_fds_with_names(self, *, unset_environment: bool) -> dict[int, str]:
        assert unset_environment
        return self.named

    def notify(self, state: str) -> None:
        self.said.append(state)


def bind(monkeypatch: pytest.MonkeyPatch, binding: Binding | None) -> None:
    monkeypatch.setitem(sys.modules, "systemd", ModuleType("systemd"))
    monkeypatch.setitem(sys.modules, "systemd.daemon", binding)


OURS = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2"}


def test_sockets_come_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {}
    for name in ("status", "admin"):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(tmp_path / name))
        given[listener.detach()] = name
    bind(monkeypatch, Binding(given))
    found = systemd.listeners(OURS)
    assert {name: each.getsockname() for name, each in found.items()} == {
        name: str(tmp_path / name) for name in ("status", "admin")
    }
    assert not any(each.getblocking() for each in found.values())
    for each in found.values():
        each.close()


@pytest.mark.parametrize("environment", [{}, {"LISTEN_PID": "1", "LISTEN_FDS": "2"}])
def test_sockets_of_another_process_are_not_ours(environment: dict[str, str]) -> None:
    assert systemd.listeners(environment) == {}


def test_without_the_binding_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    bind(monkeypatch, None)
    with pytest.raises(MusterError) as caught:
        systemd.listeners(OURS)
    assert "python3-systemd" in caught.value.cure
    systemd.notify("READY=1", {})  # nobody listens, nothing is needed


def test_systemd_hears_where_it_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    binding = Binding({})
    bind(monkeypatch, binding)
    systemd.notify("READY=1", {"NOTIFY_SOCKET": "/run/systemd/notify"})
    systemd.notify("READY=1", {})
    assert binding.said == ["READY=1"]


@pytest.mark.parametrize(
    ("environment", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 10.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_fed_three_times_in_its_time(
    environment: dict[str, str], interval: float | None
) -> None:
    assert systemd.watchdog_interval(environment) == interval


STATUS = Status(
    phase="waiting",
    reason="for a second node",
    since="2026-01-01T00:00:00Z",
    next="launch it",
    nodes=(NodeStatus("i-1", "a", "10.0.0.1", "z", "waiting", False, ""),),
)


def test_the_status_file_is_whole_and_for_its_folders_group(tmp_path: Path) -> None:
    folder = tmp_path / "musterd"
    folder.mkdir()
    os.chown(folder, -1, 12345)
    file = StatusFile(folder / "status.json")
    file.write(STATUS)
    file.write(STATUS)
    written = folder / "status.json"
    document = json.loads(written.read_text())
    assert (document["phase"], document["nodes"][0]["name"], document["schema"]) == (
        "waiting",
        "a",
        1,
    )
    assert written.stat().st_mode & 0o777 == 0o640
    assert written.stat().st_gid == 12345
    assert [each.name for each in folder.iterdir()] == ["status.json"]


def test_what_was_written_is_read_and_anything_else_is_nothing(tmp_path: Path) -> None:
    """A file of another version, or torn, must not keep the daemon from starting."""
    path = tmp_path / "status.json"
    file = StatusFile(path)
    assert file.read() is None
    file.write(STATUS)
    assert file.read() == STATUS
    path.write_text(json.dumps({**json.loads(path.read_text()), "added_later": 1}))
    assert file.read() == STATUS
    for torn in ("", "{", '{"schema": 1, "nodes": 3}', "\x00\x00"):
        path.write_text(torn)
        assert file.read() is None


def test_chance_has_the_wanted_form() -> None:
    chance = SystemRandom()
    drawn = [chance.hexadecimal(length) for length in (1, 7, 32)]
    assert [len(each) for each in drawn] == [1, 7, 32]
    assert set("".join(drawn)) <= set("0123456789abcdef")
    assert len({chance.hexadecimal(32) for _ in range(100)}) == 100
    assert all(0 <= chance.fraction() < 1 for _ in range(100))


async def test_time_is_the_hosts() -> None:
    clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(0.01)
    assert clock.monotonic() - before >= 0.01
    assert abs(clock.wall() - time.time()) < 5
