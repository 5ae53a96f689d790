"""One JSON line in, JSON lines out, over a real socket and real processes."""

import json
import os
import signal
import socket
import stat
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from fake_node import FakeNode

from muster_helper.__main__ import serve
from muster_helper.caller import Caller, CallerGone
from muster_helper.children import Children
from musterd.errors import HelperError
from musterd.helper_wire import LINE_LIMIT
from musterd.model import Verb

PREPARE = {"verb": "prepare", "params": {"region": "eu-west-1"}}


def ask(node: FakeNode, request: bytes) -> list[dict[str, Any]]:
    """Send one request over a socket pair and return the answer's lines."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(request)
        ours.shutdown(socket.SHUT_WR)
        serve(Caller(theirs.fileno(), theirs.fileno()), node.paths)
        theirs.shutdown(socket.SHUT_WR)
        with ours.makefile("rb") as answer:
            return [json.loads(line) for line in answer]


@pytest.mark.parametrize(
    ("request_line", "why"),
    [
        (b"", "ended before its line did"),
        (b"not json\n", "not JSON"),
        (b"[]\n", "exactly the keys"),
        (b'{"verb":"survey"}\n', "exactly the keys"),
        (b'{"verb":"survey","params":{},"more":1}\n', "exactly the keys"),
        (b'{"verb":"destroy","params":{}}\n', "the verbs are survey, prepare"),
        (b'{"verb":["survey"],"params":{}}\n', "the verbs are"),
        (b'{"verb":"prepare","params":{"region":"eu-west-1","path":"/x"}}\n', "path"),
        (b'{"verb":"prepare","params":{"region":"--force"}}\n', "region"),
        (b"x" * (LINE_LIMIT + 1) + b"\n", "longer than"),
        (json.dumps(PREPARE).encode() * 2 + b"\n", "not JSON"),
    ],
)
def test_a_request_that_is_none_is_refused(node: FakeNode, request_line: bytes, why: str) -> None:
    before = node.snapshot()
    [answer] = ask(node, request_line)
    assert answer["ok"] is False
    assert answer["refused"] is True
    assert why in answer["why"]
    assert node.snapshot() == before


def test_no_value_of_a_refused_request_is_repeated(
    node: FakeNode, capsys: pytest.CaptureFixture[str]
) -> None:
    params = {"identity": None, "corosync_key": "5ec2e7" * 9, "pacemaker_key": "5ec2e7" * 9}
    answers = ask(node, json.dumps({"verb": "lay", "params": params}).encode() + b"\n")
    assert "5ec2e7" not in json.dumps(answers) + capsys.readouterr().err


@pytest.mark.parametrize("verb", list(Verb))
def test_every_verb_is_known(node: FakeNode, verb: Verb) -> None:
    line = json.dumps({"verb": verb, "params": {"nobody": "knows"}}).encode() + b"\n"
    [answer] = ask(node, line)
    assert answer["why"].startswith(f"{verb}: ")


def test_a_silent_caller_is_not_waited_for(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muster_helper.caller._READ_TIMEOUT", 0.05)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b'{"verb":')
        assert serve(Caller(theirs.fileno(), theirs.fileno()), node.paths) == 1
        assert b"no whole line came" in ours.recv(LINE_LIMIT)


def test_somebody_else_is_refused(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Caller, "_uid", lambda _: 65_534)
    [answer] = ask(node, json.dumps(PREPARE).encode() + b"\n")
    assert answer["what"] == "user 65534 may not ask muster-helper for anything"


def test_the_peer_is_who_the_kernel_says() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert Caller(theirs.fileno(), theirs.fileno())._uid() == os.getuid()


def test_a_caller_that_left_is_noticed_at_the_next_word() -> None:
    ours, theirs = socket.socketpair()
    ours.close()
    with theirs, pytest.raises(CallerGone):
        Caller(theirs.fileno(), theirs.fileno()).progress("next")


def test_a_child_sees_only_the_allowed_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://somebody.else")
    ran = Children()(["env"], timeout=10, environment={"OCF_ROOT": "/usr/lib/ocf"})
    names = {line.split("=", 1)[0] for line in ran.out.splitlines()}
    assert names == {"PATH", "LC_ALL", "HOME", "OCF_ROOT"}


def test_a_child_reads_its_input_also_by_name() -> None:
    assert Children()(["cat", "/dev/stdin"], timeout=10, stdin=b"token").out == "token"


def test_a_child_that_takes_too_long_is_killed_with_its_own_children(tmp_path: Path) -> None:
    script = f"sleep 600 & echo $! > {tmp_path}/pid; echo busy; wait"
    with pytest.raises(HelperError, match="did not end within") as failed:
        Children()(["sh", "-c", script], timeout=0.5)
    assert failed.value.why == "busy"
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}/stat").exists():
        if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            break
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_program_that_is_missing_is_told() -> None:
    with pytest.raises(HelperError, match="not installed"):
        Children()(["no-such-program"], timeout=1)


def test_a_child_of_a_killed_helper_still_holds_the_lock(tmp_path: Path) -> None:
    """So that the next verb starts only after the pcs that the dead one had started."""
    code = (
        "import fcntl, os, sys\n"
        "from muster_helper.children import Children\n"
        f"lock = os.open({str(tmp_path / 'lock')!r}, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)\n"
        "fcntl.flock(lock, fcntl.LOCK_EX)\n"
        f"Children((lock,))(['sh', '-c', 'echo $$ > {tmp_path}/pid; exec sleep 600'], timeout=600)"
    )
    folder = str(Path(__file__).parents[3] / "daemon")
    helper = os.posix_spawn(
        sys.executable, [sys.executable, "-c", code], {**os.environ, "PYTHONPATH": folder}
    )
    deadline = time.monotonic() + 20
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(helper, signal.SIGKILL)
    os.waitpid(helper, 0)
    import fcntl

    with (tmp_path / "lock").open("r+") as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert stat.S_ISREG(os.fstat(lock.fileno()).st_mode)
