"""`muster events`, and what follows them through restarts."""

import json
import socket
from pathlib import Path

import pytest
from tests.unit.client.conftest import Musterd, counted, printed

from muster import cli
from muster.context import Context
from muster.errors import UnreachableError
from muster.following import Follower
from muster.transport import Transport


def test_kept_events_are_printed_aligned(musterd: Musterd, context: Context) -> None:
    musterd.publish("2 of 3 founders are there", phase="waiting")
    musterd.publish("prepare: done in 0.4 s", kind="step")
    assert cli.main(["events"], context) == 0
    assert printed(context.out).splitlines() == [
        "     0.0 s  00:00:00  phase    waiting: 2 of 3 founders are there",
        "     1.0 s  00:00:01  step     prepare: done in 0.4 s",
    ]


def test_json_gives_one_object_a_line(musterd: Musterd, context: Context) -> None:
    musterd.publish("one")
    musterd.publish("two")
    assert cli.main(["events", "--json"], context) == 0
    lines = printed(context.out).splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["one", "two"]


def test_events_of_a_silent_daemon_are_an_error(musterd: Musterd, context: Context) -> None:
    musterd.raw["/v1/events"] = b""
    assert cli.main(["events"], context) == 5
    assert "without an answer" in printed(context.err)


def test_a_refused_stream_is_told(musterd: Musterd, context: Context) -> None:
    musterd.raw["/v1/events"] = counted(
        {"title": "too many followers", "detail": "8 at most", "remedy": "end one"},
        "503 Service Unavailable",
    )
    assert cli.main(["events"], context) == 1
    assert "next: end one" in printed(context.err)


def test_a_follower_gives_each_event_once_through_restarts(
    musterd: Musterd, context: Context
) -> None:
    """A restarted musterd tells its kept events again; only its own new ones are new."""
    with Follower(context.client, pause=lambda _: None) as follower:
        musterd.publish("one")
        assert [event["message"] for event in follower.take(5)] == ["one"]
        musterd.stop()
        assert follower.take(5) == []
        assert follower.interrupted
        musterd.start()
        musterd.publish("one")
        musterd.publish("two")
        messages = []
        while "two" not in messages:
            messages += [event["message"] for event in follower.take(5)]
        assert messages == ["two"]


def test_a_follower_loses_patience(context: Context) -> None:
    moments = iter([0.0, 10.0, 30.5])
    follower = Follower(
        context.client, patience=30, clock=lambda: next(moments), pause=lambda _: None
    )
    assert follower.status() is None
    assert follower.take(1) == []
    with pytest.raises(UnreachableError, match="cannot reach musterd"):
        follower.take(1)


def test_a_follower_bears_longer_with_a_musterd_that_is_there_and_late(tmp_path: Path) -> None:
    """Sixteen nodes on one small machine: the socket is held, and the answer takes minutes."""
    path = str(tmp_path / "late.sock")
    moments = iter([0.0, 10.0, 299.0, 301.0])
    with socket.socket(socket.AF_UNIX) as late:
        late.bind(path)
        late.listen()
        follower = Follower(
            Transport(path, path), patience=30, clock=lambda: next(moments), pause=lambda _: None
        )
        assert [follower.status(0.01) for _ in range(3)] == [None, None, None]
        with pytest.raises(UnreachableError, match="cannot reach musterd"):
            follower.status(0.01)
