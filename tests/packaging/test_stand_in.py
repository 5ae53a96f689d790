"""The stand-in for python3-systemd in the .rpm, against sockets that listen as systemd does."""

import importlib.util
import json
import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

FOLDER = Path(__file__).parents[2] / "packaging" / "rpm" / "systemd"


def load(name: str) -> ModuleType:
    described = importlib.util.spec_from_file_location(f"stand_in_{name}", FOLDER / f"{name}.py")
    assert described is not None
    assert described.loader is not None
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    return module


CHILD = """
import json, os, runpy, sys
module = runpy.run_path(sys.argv[1])
os.environ["LISTEN_PID"] = sys.argv[2].replace("OWN", str(os.getpid()))
found = module["listen_fds_with_names"]()
left = [name for name in os.environ if name.startswith("LISTEN_")]
print(json.dumps([found, [os.get_inheritable(n) for n in found], left]))
"""


def listened(pid: str, count: str, names: str) -> tuple[dict[str, str], list[bool], list[str]]:
    """What a child with so many sockets from descriptor 3 on finds."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", CHILD, str(FOLDER / "daemon.py"), pid],
        env={"LISTEN_FDS": count, "LISTEN_FDNAMES": names},
        preexec_fn=lambda: [os.dup2(1, number) for number in (3, 4)],
        close_fds=False,
        capture_output=True,
        text=True,
        check=True,
    )
    found, inheritable, left = json.loads(done.stdout)
    return found, inheritable, left


def test_sockets_come_by_name_and_go_to_no_child() -> None:
    assert listened("OWN", "2", "status:admin") == ({"3": "status", "4": "admin"}, [False] * 2, [])


def test_a_socket_without_a_name_is_unknown() -> None:
    found, _, _ = listened("OWN", "2", "status")
    assert found == {"3": "status", "4": "unknown"}


@pytest.mark.parametrize(("pid", "count"), [("1", "2"), ("OWN", ""), ("OWN", "x")])
def test_what_was_passed_to_another_is_not_ours(pid: str, count: str) -> None:
    assert listened(pid, count, "status")[0] == {}


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_that_the_daemon_is_ready(
    abstract: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"@muster-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(name.replace("@", "\0", 1))
        monkeypatch.setenv("NOTIFY_SOCKET", name)
        assert load("daemon").notify("READY=1")
        assert systemd.recv(100) == b"READY=1"
    monkeypatch.delenv("NOTIFY_SOCKET")
    assert not load("daemon").notify("READY=1")


def test_the_journal_gets_fields_of_one_line_and_of_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = load("journal")
    path = str(tmp_path / "journal")
    monkeypatch.setattr(journal, "PATH", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        journal.sendv("MESSAGE=two\nlines", "PRIORITY=6", "PEER=a=b")
        expected = b"MESSAGE\n" + struct.pack("<Q", 9) + b"two\nlines\nPRIORITY=6\nPEER=a=b\n"
        assert listener.recv(1000) == expected
