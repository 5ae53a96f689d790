"""A short run of `make fuzz`, and that its judges would complain."""

import json
import os
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from muster_fuzz import attacks, tokens
from muster_fuzz.control import control
from muster_fuzz.process import target
from muster_fuzz.report import GROWTH, Report
from muster_fuzz.root_side import prepared
from musterd.errors import SecretError

ROOT = Path(__file__).parents[2]
CROWD = 60.0  # MiB: 128 living connections and 24 that are over, 256 KiB each, and some air


@pytest.fixture(autouse=True)
def _found_by_children(monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [str(ROOT / folder) for folder in ("tests/fuzz", "daemon", "client")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))


@pytest.mark.parametrize(
    ("run", "inputs", "seen"),
    [
        (attacks.peer, 500, ("200", "204", "400", "403", "404", "413")),
        (attacks.peer_tls, 40, ("400", "TLS alert or end")),
        (attacks.helper, 500, ("understood", "refused")),
        (attacks.token, 500, ("token read, secret read", "token refused, secret refused")),
        (control, 120, ("200", "202", "404")),
    ],
    ids=["peer", "peer-tls", "helper", "token", "control"],
)
def test_nothing_is_found(run: Callable[[int], Report], inputs: int, seen: tuple[str, ...]) -> None:
    report = run(inputs)
    assert report.problems() == []
    assert report.inputs >= inputs
    assert set(seen) <= set(report.outcomes)  # the inputs do reach what they are meant for


def test_growth_and_complaints_are_problems() -> None:
    assert Report("x", "y", before=50.0, after=50.5 + GROWTH).problems() == ["x grew by 8.5 MiB"]
    assert Report("x", "y", complaints=["500"]).problems() == ["500"]


def test_the_judge_of_the_helper_sees_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_request: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr("muster_helper.verbs.Request.perform", None)  # undone afterwards
    ask = prepared(tmp_path)
    monkeypatch.setattr("muster_helper.__main__.validate", broken)
    assert ask(b"{}\n") == ("broke", ["KeyError for b'{}\\n'"])


def test_the_judge_of_tokens_sees_a_repeated_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def telling(text: str) -> None:
        raise SecretError(f"what is {text}?")

    monkeypatch.setattr("musterd.trust.parse_token", telling)
    _, complaints = tokens.judge(attacks.GOOD[1])
    assert any("repeated" in complaint for complaint in complaints)
    assert any(complaint.startswith("accepted=False") for complaint in complaints)


def test_a_crowd_costs_little_memory() -> None:
    """As it lies in memory, not after a collection that only tests would do."""
    with target("peer-tls", "crowded") as victim:
        port = json.loads(victim.ask({"input": None})["outcome"])[0]
        before = victim.resident_now()
        for _ in range(4):
            with ExitStack() as crowd:
                for source in range(2, 12):
                    for _ in range(40):
                        each = crowd.enter_context(socket.socket())
                        each.bind((f"127.0.0.{source}", 0))
                        each.connect(("127.0.0.1", port))
                victim.ask({"input": None})  # it has looked at them
        assert victim.resident_now() - before < CROWD
        assert victim.report.complaints == []
