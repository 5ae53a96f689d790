"""`muster wait` against a scripted musterd: how each wait ends, and through what it goes on."""

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from tests.unit.client.conftest import (
    Musterd,
    context_in,
    counted,
    formed,
    founding,
    printed,
    waiting,
)

from muster import api, cli, following, health
from muster.commands import wait
from muster.context import Context
from muster.fields import Document
from muster.following import Follower


def start(context: Context, *arguments: str) -> Callable[[], int]:
    """Run `muster wait` beside the test; return what waits for its exit code."""
    codes: list[int] = []
    thread = threading.Thread(
        target=lambda: codes.append(cli.main(["wait", *arguments], context)), daemon=True
    )
    thread.start()

    def finish() -> int:
        thread.join(20)
        assert not thread.is_alive()
        return codes[0]

    return finish


def test_a_formed_cluster_ends_the_wait_at_once(musterd: Musterd, context: Context) -> None:
    musterd.status = asdict(formed())
    assert cli.main(["wait"], context) == 0
    assert printed(context.out).startswith("formed: all 3 founders are online")


def test_the_stream_tells_when_it_is_formed_and_nothing_is_polled(
    musterd: Musterd, context: Context
) -> None:
    musterd.status = asdict(founding())
    finish = start(context, "--timeout", "15")
    musterd.wait_until_asked("/v1/events")
    time.sleep(0.3)  # in which a poll would show
    assert sum("/v1/status" in line for line in musterd.asked) == 1
    musterd.publish("formed", **asdict(formed()))
    assert finish() == 0
    assert sum("/v1/status" in line for line in musterd.asked) == 2


def test_a_time_out_says_what_was_missing(musterd: Musterd, context: Context) -> None:
    musterd.status = asdict(waiting())
    assert cli.main(["wait", "--timeout", "0.2"], context) == 3
    assert printed(context.err).splitlines() == [
        "muster: not formed after a moment",
        "  why:  this node is waiting: 2 of 3 founders are there: i-0123456789abcde3f is stopped",
        "  next: start i-0123456789abcde3f, or terminate it so that the next in order takes its"
        " place",
    ]


def test_a_failed_node_ends_the_wait(musterd: Musterd, context: Context) -> None:
    musterd.status = asdict(founding())
    finish = start(context, "--timeout", "15")
    musterd.wait_until_asked("/v1/events")
    musterd.publish(
        "failed", phase="failed", reason="a foreign corosync.conf", next="muster doctor"
    )
    assert finish() == 4
    assert "next: muster doctor" in printed(context.err)


def test_without_musterd_the_wait_ends_as_unreachable(context: Context) -> None:
    assert cli.main(["wait", "--timeout", "0.3"], context) == 5
    assert "musterd does not answer" in printed(context.err)


def test_the_wait_goes_on_through_a_restart(musterd: Musterd, context: Context) -> None:
    musterd.status = asdict(founding())
    finish = start(context, "--timeout", "15")
    musterd.wait_until_asked("/v1/events")
    musterd.stop()
    musterd.start()
    musterd.wait_until_asked("/v1/events", 2)
    musterd.publish("formed", **asdict(formed()))
    assert finish() == 0


def test_what_happened_during_a_restart_is_not_missed(musterd: Musterd, context: Context) -> None:
    musterd.status = asdict(founding())
    finish = start(context, "--timeout", "15")
    musterd.wait_until_asked("/v1/events")
    musterd.stop()
    musterd.status = asdict(formed())
    musterd.start()
    assert finish() == 0


def test_a_musterd_that_stays_away_ends_the_wait(
    musterd: Musterd, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It restarts within seconds; when it does not, waiting longer is of no use."""
    patient = Follower.__init__
    monkeypatch.setattr(
        Follower,
        "__init__",
        lambda self, client, **more: patient(self, client, patience=0.3, **more),
    )
    musterd.status = asdict(founding())
    finish = start(context, "--timeout", "15")
    musterd.wait_until_asked("/v1/events")
    musterd.stop()
    assert finish() == 5
    assert "next: sudo systemctl start musterd" in printed(context.err)


BUSY = {
    "title": "too many follow the events already",
    "detail": "4 streams are open on this socket",
    "kind": "busy",
    "remedy": "end one of them",
}


def too_many(musterd: Musterd, kind: str = "busy") -> None:
    """Have musterd refuse every stream, as the fifth on a socket."""
    musterd.raw["/v1/events"] = counted({**BUSY, "kind": kind}, "503 Service Unavailable")


@pytest.mark.parametrize("flags", [[], ["--progress"]])
def test_a_wait_that_gets_no_stream_asks_for_the_status_instead(
    flags: list[str], musterd: Musterd, context: Context
) -> None:
    musterd.status = asdict(founding())
    too_many(musterd)
    began = time.monotonic()
    finish = start(context, "--timeout", "15", *flags)
    musterd.wait_until_asked("/v1/status", 2)
    assert time.monotonic() - began >= 0.9, "it asks no faster than once a second"
    musterd.status = asdict(formed())
    assert finish() == 0
    assert printed(context.err) == ""


def test_a_wait_that_gets_no_stream_keeps_its_deadline(musterd: Musterd, context: Context) -> None:
    musterd.status = asdict(founding())
    too_many(musterd)
    assert cli.main(["wait", "--timeout", "0.5"], context) == 3
    assert sum("/v1/events" in line for line in musterd.asked) == 1


def test_a_wait_goes_on_by_the_stream_once_there_is_room(
    musterd: Musterd, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "CROWDED", 0.1)
    musterd.status = asdict(founding())
    too_many(musterd)
    finish = start(context, "--timeout", "15")
    musterd.wait_until_asked("/v1/events", 2)
    del musterd.raw["/v1/events"]
    musterd.publish("laying keys")
    told = sum("/v1/events" in line for line in musterd.asked)
    musterd.wait_until_asked("/v1/events", told + 1)
    musterd.publish("formed", **asdict(formed()))
    assert finish() == 0


def test_another_refusal_of_the_stream_ends_the_wait(musterd: Musterd, context: Context) -> None:
    musterd.status = asdict(founding())
    too_many(musterd, kind="request")
    assert cli.main(["wait", "--timeout", "5"], context) == 1


@pytest.mark.parametrize(
    ("terminal", "flags", "shown"),
    [
        (True, [], True),
        (True, ["--quiet"], False),
        (False, [], False),
        (False, ["--progress"], True),
    ],
)
def test_progress_is_for_terminals_unless_asked_for(
    musterd: Musterd, tmp_path: Path, terminal: bool, flags: list[str], shown: bool
) -> None:
    musterd.status = asdict(founding())
    musterd.publish("laying corosync.conf and keys")
    context = context_in(tmp_path, terminal=terminal, NO_COLOR="1")
    assert cli.main(["wait", "--timeout", "0.5", *flags], context) == 3
    assert ("laying corosync.conf" in printed(context.out)) == shown


def test_healthy_waits_for_what_no_event_tells(
    musterd: Musterd, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wait, "RECHECK", 0.05)
    status = formed()
    musterd.status = asdict(
        replace(status, resources=(replace(status.resources[0], state="Stopped"),))
    )
    finish = start(context, "--for", "healthy", "--timeout", "15")
    musterd.wait_until_asked("/v1/status", 3)
    musterd.status = asdict(status)
    assert finish() == 0


def unhealthy_states() -> list[tuple[api.Status, str]]:
    status = formed()
    return [
        (replace(status, phase="joining", reason="late"), "this node is joining: late"),
        (
            replace(status, cluster=api.ClusterStatus()),
            "the cluster is not quorate: nothing runs without quorum",
        ),
        (
            replace(status, nodes=(replace(status.nodes[1], online=False),)),
            "ip-10-0-0-12 is not online",
        ),
        (
            replace(status, addresses=(replace(status.addresses[0], agrees=False),)),
            "the views of 10.0.0.68 do not agree: pacemaker says ip-10-0-0-11,"
            " ec2 says ip-10-0-0-11, kernel says ip-10-0-0-11",
        ),
        (
            replace(status, resources=(replace(status.resources[1], state="Failed"),)),
            "vip is Failed",
        ),
        (
            replace(status, findings=(api.FindingStatus("error", "no quorum device", ""),)),
            "no quorum device",
        ),
    ]


@pytest.mark.parametrize(("status", "sentence"), unhealthy_states())
def test_each_lack_of_health_is_named(status: api.Status, sentence: str) -> None:
    assert health.missing("healthy", wire(status)) == [sentence]


def test_an_instance_that_waits_outside_does_not_make_a_cluster_unhealthy() -> None:
    status = formed()
    outside = replace(
        status.nodes[0], instance_id="i-0123456789abcdeff", name="ip-10-0-0-14", online=False
    )
    status = replace(status, nodes=(*status.nodes, outside))
    assert health.missing("healthy", wire(status)) == []


def test_a_warning_does_not_make_a_cluster_unhealthy() -> None:
    status = replace(formed(), findings=(api.FindingStatus("warning", "tags are off", ""),))
    assert health.missing("healthy", wire(status)) == []


@pytest.mark.parametrize("words", ["0", "-1", "soon", "nan", "inf"])
def test_a_time_out_must_be_a_time(
    words: str, context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["wait", "--timeout", words], context)
    assert ended.value.code == 2
    assert "--timeout" in capsys.readouterr().err


def wire(status: api.Status) -> Document:
    """Return a status as a client reads it: arrays are lists."""
    document = asdict(status)
    for key in ("nodes", "addresses", "resources", "findings"):
        document[key] = list(document[key])
    return document
