"""What the root helper's child processes get, and what of theirs comes back."""

import ast
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_node import IDENTITY, LAY, FakeNode

from muster_helper.__main__ import serve
from muster_helper.build import build
from muster_helper.caller import Caller
from muster_helper.children import OUTPUT_LIMIT, Children, Ran
from muster_helper.configure import configure
from muster_helper.lay import lay
from muster_helper.prepare import prepare
from muster_helper.probe import probe
from muster_helper.start import start
from muster_helper.trust import trust
from musterd.errors import HelperError
from musterd.helper_wire import (
    LINE_LIMIT,
    PrepareParams,
    ProbeParams,
    StartParams,
    Tags,
    TrustParams,
)

DAEMON = Path(__file__).parents[2] / "daemon"
PCSD_TOKEN = "pcsd-token-" + "t" * 100
SECRETS = (LAY.corosync_key, LAY.pacemaker_key, PCSD_TOKEN)


@pytest.fixture
def node(tmp_path: Path) -> FakeNode:
    return FakeNode(tmp_path / "node")


def everything(node: FakeNode) -> None:
    """Each verb once, as on the conductor of a founding."""
    host = node.host()
    prepare(host, PrepareParams("eu-west-1"))
    lay(host, LAY)
    start(host, StartParams(IDENTITY))
    node.live = host.run(["cibadmin", "--empty"], timeout=1).out
    build(host, node.configure_params())
    configure(host, node.configure_params())
    trust(host, TrustParams(IDENTITY, PCSD_TOKEN))
    node.answers["fence_aws"] = Ran(0, "", "")
    probe(host, ProbeParams(IDENTITY, Tags(), "eu-west-1"))


def test_no_secret_is_an_argument_of_any_child(node: FakeNode) -> None:
    everything(node)
    assert len(node.calls) > 10
    words = [word for call in node.calls for word in call]
    assert not [word for word in words for secret in SECRETS if secret in word]
    assert PCSD_TOKEN.encode() in node.stdins  # it did go somewhere


def test_what_is_said_on_the_way_holds_no_secret(node: FakeNode) -> None:
    everything(node)
    assert not [said for said in node.said for secret in SECRETS if secret in said]


def test_standard_input_is_in_memory_and_in_no_folder() -> None:
    """A memory file: nothing of it is ever on a disk, and it goes with the child."""
    ran = Children()(["readlink", "/proc/self/fd/0"], timeout=10, stdin=b"secret")
    assert ran.out == "/memfd:stdin (deleted)\n"


def test_of_what_a_child_prints_only_so_much_is_read() -> None:
    ran = Children()(["head", "-c", str(OUTPUT_LIMIT + 100_000), "/dev/zero"], timeout=60)
    assert (ran.code, len(ran.out)) == (0, OUTPUT_LIMIT)


def test_a_child_has_no_descriptor_but_its_streams(tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        ran = Children()(["ls", "/proc/self/fd"], timeout=10)
    assert ran.out.split() == ["0", "1", "2", "3"]  # 3 is the folder that ls reads


def ask(node: FakeNode, verb: str, params: object) -> dict[str, Any]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(json.dumps({"verb": verb, "params": params}).encode() + b"\n")
        serve(Caller(theirs.fileno(), theirs.fileno()), node.paths)
        theirs.shutdown(socket.SHUT_WR)
        with ours.makefile("rb") as answer:
            told: dict[str, Any] = json.loads(answer.readlines()[-1])
    return told


def test_one_verb_at_a_time_but_looking_is_always_free(
    node: FakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    def player(_kept: tuple[int, ...] = ()) -> FakeNode:
        return node

    monkeypatch.setattr("muster_helper.__main__.Children", player)
    monkeypatch.setattr("muster_helper.__main__._LOCK_PATIENCE", 1)
    with (node.paths.state / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = ask(node, "prepare", {"region": "eu-west-1"})
        assert "another verb of muster-helper has been running" in refused["what"]
        assert node.calls == []
        began = time.monotonic()
        assert ask(node, "survey", {})["ok"] is True
        assert time.monotonic() - began < 1
    assert ask(node, "prepare", {"region": "eu-west-1"})["ok"] is True


def test_an_answer_is_never_longer_than_its_line() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(HelperError, match="too long"):
        Caller(theirs.fileno(), theirs.fileno()).answer({"result": "x" * LINE_LIMIT})


# --- who may start processes -------------------------------------------------------------------

STARTERS = {
    "muster_helper/children.py": {"Popen"},
    "muster_helper/forks.py": {"Popen"},
    "muster_helper/pcs_host.py": {"fork"},
    "musterd/adapters/mint.py": {"create_subprocess_exec"},
}
STARTING = {
    *("Popen", "fork", "forkpty", "create_subprocess_exec", "create_subprocess_shell"),
    *("system", "popen", "posix_spawn", "posix_spawnp", "spawnl", "spawnv", "execv", "execve"),
    *("execvp", "execvpe", "execl", "execle", "execlp", "check_output", "check_call", "getoutput"),
}


def starting(source: str) -> Iterator[str]:
    for found in ast.walk(ast.parse(source)):
        if isinstance(found, ast.Call):
            function = found.func
            name = getattr(function, "attr", getattr(function, "id", ""))
            if name in STARTING:
                yield name
            if name == "run" and "subprocess" in ast.unparse(function):
                yield "run"


def test_four_files_start_processes_and_none_by_a_shell() -> None:
    found = {
        str(path.relative_to(DAEMON)): set(starting(path.read_text(encoding="utf-8")))
        for path in DAEMON.rglob("*.py")
    }
    assert {name: calls for name, calls in found.items() if calls} == STARTERS


@pytest.mark.parametrize("line", ["os.system('x')", "subprocess.run('x', shell=True)", "Popen(x)"])
def test_the_look_for_starts_finds_them(line: str) -> None:
    assert list(starting(line))
