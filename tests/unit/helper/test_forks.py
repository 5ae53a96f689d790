"""A program that is run in forks of one interpreter behaves as one that is run afresh."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from muster_helper.forks import Forks

SCRIPT = """#!/usr/bin/python3 -Es
import os, subprocess, sys, time
match sys.argv[1:]:
    case ["echo", *words]:
        print(*words)
        print(sys.stdin.read(), file=sys.stderr)
    case ["exit", code]:
        sys.exit(int(code))
    case ["complain"]:
        sys.exit("no")
    case ["raise"]:
        1 / 0
    case ["kill"]:
        os.kill(os.getpid(), 9)
    case ["environment"]:
        print(*sorted(os.environ))
    case ["child"]:
        sys.exit(subprocess.run(["sh", "-c", "exit 7"]).returncode)
    case ["name"]:
        print(__name__, os.getsid(0) == os.getpid(), open("/dev/stdin").read())
    case ["hang"]:
        child = subprocess.Popen(["sleep", "600"])
        print(child.pid, flush=True)
        child.wait()
"""

Run = Callable[..., tuple[int | None, str, str]]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    script = tmp_path / "program"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    forks = Forks("program", {"PATH": f"{tmp_path}:/usr/bin:/bin"})

    def one(*words: str, stdin: str = "", timeout: float = 20.0) -> tuple[int | None, str, str]:
        with ExitStack() as stack:
            streams = [stack.enter_context((tmp_path / each).open("w+")) for each in "ioe"]
            streams[0].write(stdin)
            streams[0].flush()
            streams[0].seek(0)
            given, out, err = (each.fileno() for each in streams)
            code = forks.run(["program", *words], timeout, (given, out, err), {"EXTRA": "1"})
        return code, (tmp_path / "o").read_text(), (tmp_path / "e").read_text()

    yield one
    forks.close()


def test_words_input_and_both_outputs_are_its_own(run: Run) -> None:
    assert run("echo", "a", "b c", stdin="token") == (0, "a b c\n", "token\n")
    assert run("echo", "again", stdin="other") == (0, "again\n", "other\n")


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["exit", "3"], 3, ""),
        (["exit", "0"], 0, ""),
        (["complain"], 1, "no\n"),
        (["kill"], -9, ""),
        (["child"], 7, ""),
    ],
)
def test_it_ends_as_it_would_alone(run: Run, words: list[str], code: int, complaint: str) -> None:
    assert run(*words) == (code, "", complaint)
    assert run("echo") == (0, "\n", "\n")  # the next one is not touched by it


def test_an_error_nobody_caught_is_a_traceback(run: Run) -> None:
    code, _, complaint = run("raise")
    assert code == 1
    assert complaint.rstrip().endswith("ZeroDivisionError: division by zero")


def test_it_is_the_main_program_in_a_session_of_its_own(run: Run) -> None:
    assert run("name", stdin="token") == (0, "__main__ True token\n", "")


def test_its_environment_is_what_was_given(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://somebody.else")
    # LC_CTYPE is Python's own (PEP 538).
    assert set(run("environment")[1].split()) - {"LC_CTYPE"} == {"PATH", "EXTRA"}


def test_one_that_takes_too_long_is_killed_with_its_children(run: Run, tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        run("hang", timeout=3.0)
    stat = Path(f"/proc/{(tmp_path / 'o').read_text().strip()}/stat")
    deadline = time.monotonic() + 10
    while stat.exists() and stat.read_text().split()[2] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert run("exit", "4")[0] == 4


def test_what_is_no_python_script_is_left_to_the_caller(tmp_path: Path) -> None:
    (tmp_path / "program").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "program").chmod(0o755)
    forks = Forks("program", {"PATH": str(tmp_path)})
    assert forks.run(["program"], 5.0, (0, 1, 2), {}) is None
    assert Forks("missing", {"PATH": str(tmp_path)}).run(["missing"], 5.0, (0, 1, 2), {}) is None


def test_a_dead_interpreter_leaves_it_to_the_caller(tmp_path: Path) -> None:
    (tmp_path / "program").write_text("#!/bin/false python\n")
    (tmp_path / "program").chmod(0o755)
    assert os.access(tmp_path / "program", os.X_OK)
    forks = Forks("program", {"PATH": str(tmp_path)})
    assert forks.run(["program"], 5.0, (0, 1, 2), {}) is None
    forks.close()
