"""`muster status`: the live answer, the last written one, and what it costs to start."""

import json
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.unit.client.conftest import (
    Musterd,
    context_in,
    counted,
    formed,
    founding,
    printed,
)
from tests.unit.client.states import sixteen

from muster import cli
from muster.commands import status as status_command
from muster.context import Context
from muster.transport import EventStream

# What a status may import beyond the interpreter's own start and this package. http.client (email,
# ssl), asyncio, dataclasses (inspect) and typing each cost more than they give here.
ALLOWED = {
    *("argparse", "array", "collections", "copyreg", "datetime", "enum", "errno", "functools"),
    *("gettext", "importlib", "itertools", "json", "keyword", "locale", "math", "opcode"),
    *("operator", "re", "reprlib", "select", "selectors", "socket", "sre", "struct", "types"),
    *("warnings", "muster"),
}
PROGRAM = """
import sys
before = set(sys.modules)
from muster.cli import main
from muster.context import Context
code = main(["status"], Context(sockets=(sys.argv[1], sys.argv[1])))
print(*sorted(set(sys.modules) - before), file=sys.stderr)
sys.exit(code)
"""


def run_status(socket: str) -> subprocess.CompletedProcess[str]:
    """Run the status path in a Python of its own, isolated as an installed program is."""
    root = Path(cli.__file__).parents[1]
    program = f"import sys; sys.path.insert(0, {str(root)!r})\n{PROGRAM}"
    return subprocess.run(
        [sys.executable, "-I", "-c", program, socket], capture_output=True, text=True, timeout=30
    )


def test_a_status_needs_few_modules(musterd: Musterd) -> None:
    musterd.status = asdict(formed())
    done = run_status(musterd.sockets[0])
    assert done.returncode == 0, done.stderr
    imported = {name.partition(".")[0].removeprefix("_") for name in done.stderr.split()}
    assert imported - ALLOWED == set()
    assert "muster.api" not in done.stderr.split()


def test_a_status_starts_quickly(musterd: Musterd) -> None:
    """The median is bounded relative to a bare interpreter too, so that a slow machine may pass."""
    musterd.status = asdict(formed())
    taken, bare = [], []
    for _ in range(11):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-I", "-c", "pass"], check=True, timeout=30)
        middle = time.perf_counter()
        assert run_status(musterd.sockets[0]).returncode == 0
        bare.append(middle - begin)
        taken.append(time.perf_counter() - middle)
    assert statistics.median(taken) < max(0.060, 4 * statistics.median(bare))


def test_the_answer_is_drawn(musterd: Musterd, context: Context) -> None:
    musterd.status = asdict(formed())
    assert cli.main(["status"], context) == 0
    assert "ip-10-0-0-12" in printed(context.out)
    assert "\x1b" not in printed(context.out)


def test_json_is_the_document_itself(musterd: Musterd, context: Context) -> None:
    musterd.status = json.loads(json.dumps(asdict(formed()) | {"added_later": 1}))
    assert cli.main(["status", "--json"], context) == 0
    assert json.loads(printed(context.out)) == musterd.status


@pytest.mark.parametrize(
    ("environ", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_a_terminal_gets_colour_unless_it_says_no(
    musterd: Musterd, tmp_path: Path, environ: dict[str, str], coloured: bool
) -> None:
    musterd.status = asdict(formed())
    context = context_in(tmp_path, terminal=True, **environ)
    assert cli.main(["status"], context) == 0
    assert ("\x1b[32m" in printed(context.out)) == coloured


def test_a_narrow_terminal_is_respected(musterd: Musterd, tmp_path: Path) -> None:
    musterd.status = asdict(formed())
    context = context_in(tmp_path, terminal=True, NO_COLOR="1", COLUMNS="80")
    cli.main(["status"], context)
    assert max(map(len, printed(context.out).splitlines())) <= 80


def test_a_low_terminal_sums_up_what_is_well_unless_all_is_wanted(
    musterd: Musterd, tmp_path: Path
) -> None:
    musterd.status = asdict(sixteen())
    lines = {}
    for flags in ([], ["--all"]):
        context = context_in(tmp_path, terminal=True, NO_COLOR="1", COLUMNS="80", LINES="24")
        cli.main(["status", *flags], context)
        lines[len(flags)] = printed(context.out).splitlines()
    assert len(lines[0]) < 24
    assert "  15 of 16 online (`muster status --all` lists them)" in lines[0]
    assert sum(" online " in line for line in lines[1]) >= 15


def watch(context: Context, *flags: str) -> tuple[threading.Thread, threading.Event]:
    """Run `muster status --watch` beside the test, until the event is set."""
    over = threading.Event()
    wait_for_event = EventStream.take

    def take(stream: EventStream, seconds: float | None) -> list[str]:
        if over.is_set():
            raise KeyboardInterrupt
        return wait_for_event(stream, min(seconds or 0.05, 0.05))

    def run() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(EventStream, "take", take)
            assert cli.main(["status", "--watch", *flags], context) == 0

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, over


def test_a_watched_terminal_is_redrawn_in_place_and_left_as_it_was(
    musterd: Musterd, tmp_path: Path
) -> None:
    musterd.status = asdict(founding())
    context = context_in(tmp_path, terminal=True, NO_COLOR="1", COLUMNS="80", LINES="24")
    thread, over = watch(context)
    musterd.wait_until_asked("/v1/status", 2)
    musterd.publish("formed", **asdict(formed()))
    musterd.wait_until_asked("/v1/status", 5)
    over.set()
    thread.join(10)
    told = printed(context.out)
    entered, _, rest = told.partition(status_command.HOME)
    assert entered == status_command.ENTER
    screens, _, left = rest.rpartition(status_command.LEAVE)
    assert "founding since" in screens
    assert left.splitlines()[1].startswith("Phase      formed since")
    assert "\x1b[2J" not in told  # erasing everything flickers


def test_a_watched_status_that_gets_no_stream_is_asked_for_anew(
    musterd: Musterd, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_command, "REFRESH", 0.05)
    musterd.status = asdict(founding())
    musterd.raw["/v1/events"] = counted({"kind": "busy"}, "503 Service Unavailable")
    thread, over = watch(context, "--json")
    musterd.wait_until_asked("/v1/status", 3)
    musterd.status = asdict(formed())
    told = sum("/v1/status" in line for line in musterd.asked)
    musterd.wait_until_asked("/v1/status", told + 2)
    over.set()
    thread.join(20)
    last = json.loads(printed(context.out).splitlines()[-1])
    assert last["phase"] == "formed"


def test_a_watched_pipe_gets_a_document_a_line_when_it_changed(
    musterd: Musterd, context: Context
) -> None:
    musterd.status = asdict(founding())
    thread, over = watch(context, "--json")
    musterd.wait_until_asked("/v1/status", 3)
    musterd.publish("formed", **asdict(formed()))
    musterd.wait_until_asked("/v1/status", 6)
    over.set()
    thread.join(10)
    documents = [json.loads(line) for line in printed(context.out).splitlines()]
    assert [document["phase"] for document in documents] == ["founding", "formed"]


def test_with_musterd_down_the_last_written_status_is_shown_as_such(context: Context) -> None:
    Path(context.status_file).write_text(json.dumps(asdict(formed())), encoding="utf-8")
    assert cli.main(["status"], context) == 5
    first = printed(context.out).splitlines()[:3]
    assert "musterd does not answer" in first[0]
    assert "last wrote, 2 seconds ago (2026-01-01T00:04:58Z)" in first[1]


def test_with_musterd_down_json_is_marked_as_stale(context: Context) -> None:
    Path(context.status_file).write_text(json.dumps(asdict(formed())), encoding="utf-8")
    assert cli.main(["status", "--json"], context) == 5
    document = json.loads(printed(context.out))
    assert document["stale"] is True
    assert document["phase"] == "formed"


@pytest.mark.parametrize("content", [None, "", "{", "[]"])
def test_with_nothing_to_show_the_error_says_what_to_type(
    context: Context, content: str | None
) -> None:
    if content is not None:
        Path(context.status_file).write_text(content, encoding="utf-8")
    assert cli.main(["status"], context) == 5
    assert printed(context.out) == ""
    assert "next: sudo systemctl start musterd" in printed(context.err)


def test_a_daemon_that_breaks_off_counts_as_down(musterd: Musterd, context: Context) -> None:
    Path(context.status_file).write_text(json.dumps(asdict(formed())), encoding="utf-8")
    musterd.raw["/v1/status"] = counted({"phase": "formed"})[:-5]
    assert cli.main(["status"], context) == 5
    assert "OUTDATED" in printed(context.out)


def test_a_refusal_is_told_with_its_remedy(musterd: Musterd, context: Context) -> None:
    musterd.raw["/v1/status"] = counted(
        {
            "title": "cannot tell the status",
            "detail": "the engine stopped",
            "kind": "internal",
            "remedy": "journalctl -u musterd",
        },
        "500 Internal Server Error",
    )
    assert cli.main(["status"], context) == 1
    assert printed(context.err).splitlines() == [
        "muster: cannot tell the status",
        "  why:  the engine stopped",
        "  next: journalctl -u musterd",
    ]


def test_an_answer_that_is_not_ours_is_an_error(musterd: Musterd, context: Context) -> None:
    musterd.raw["/v1/status"] = counted(["phase"])
    assert cli.main(["status"], context) == 1
    assert "is not a JSON object" in printed(context.err)
