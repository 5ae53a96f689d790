"""`muster join`: the spec is written once and whole, never over another; then musterd is asked."""

import grp
import os
import stat
import threading
import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest
from tests.unit.client.conftest import Musterd, counted, formed, founding, printed

from muster import cli, spec_file
from muster.commands import join
from muster.context import Context

ASKED = ["join", "--cluster", "web", "--size", "3"]
ACCEPTED = {
    "id": "a1",
    "verb": "join",
    "state": "running",
    "asked_by": "uid 0",
    "at": "2026-01-01T00:00:00Z",
    "detail": "",
}


@pytest.fixture(autouse=True)
def root(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Let any user pass for root on a node with group musterd; return what was given away."""
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "fchown", lambda _, user, group: given.append((user, group)))
    group = grp.struct_group(("musterd", "x", 4711, []))
    monkeypatch.setattr(grp, "getgrnam", {"musterd": group}.__getitem__)
    return given


@pytest.fixture
def accepting(musterd: Musterd) -> Musterd:
    musterd.raw["/v1/join"] = counted(ACCEPTED, "202 Accepted")
    return musterd


def test_options_become_the_spec_and_musterd_is_asked(
    accepting: Musterd, context: Context, root: list[tuple[int, int]]
) -> None:
    address = ["--address", "10.0.0.68", "--elastic-ip", "35.169.153.122"]
    assert cli.main([*ASKED, *address], context) == 0
    path = Path(context.spec_file)
    assert tomllib.loads(path.read_text(encoding="utf-8")) == {
        "cluster": {"name": "web", "size": 3},
        "address": [{"private_ip": "10.0.0.68", "elastic_ip": "35.169.153.122"}],
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert root == [(0, 4711)]
    assert "POST /v1/join HTTP/1.1" in accepting.asked
    assert [file.name for file in path.parent.glob(".muster*")] == []


def test_without_options_no_spec_is_written(accepting: Musterd, context: Context) -> None:
    assert cli.main(["join"], context) == 0
    assert not Path(context.spec_file).exists()
    assert "POST /v1/join HTTP/1.1" in accepting.asked


def test_the_same_command_again_changes_nothing(accepting: Musterd, context: Context) -> None:
    assert cli.main(ASKED, context) == 0
    before = Path(context.spec_file).stat()
    assert cli.main(ASKED, context) == 0
    assert Path(context.spec_file).stat() == before
    assert printed(context.out).count("kept") == 1
    assert accepting.asked.count("POST /v1/join HTTP/1.1") == 2


def test_a_file_that_says_more_is_kept(accepting: Musterd, context: Context) -> None:
    content = '[cluster]\nname = "web"\nsize = 3\n[fencing]\nprove = "real"\n'
    Path(context.spec_file).write_text(content, encoding="utf-8")
    assert cli.main(ASKED, context) == 0
    assert Path(context.spec_file).read_text(encoding="utf-8") == content
    assert accepting.asked


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('[cluster]\nname = "db"\nsize = 3\n', 'cluster.name: the file says "db", asked for "web"'),
        ('[cluster]\nname = "web"\n', "cluster.size: the file says nothing, asked for 3"),
        ("cluster = 1\n", 'cluster.name: the file says nothing, asked for "web"'),
        ("[cluster\n", "Expected ']'"),
    ],
)
def test_another_spec_is_never_overwritten(
    accepting: Musterd, context: Context, content: str, why: str
) -> None:
    secret = '[secret]\nsource = "inline"\ntoken = "do-not-show"\n'
    Path(context.spec_file).write_text(content + secret, encoding="utf-8")
    assert cli.main(ASKED, context) == 1
    assert Path(context.spec_file).read_text(encoding="utf-8") == content + secret
    assert why in printed(context.err)
    assert f"next: sudoedit {context.spec_file}" in printed(context.err)
    assert "do-not-show" not in printed(context.err)
    assert accepting.asked == []


def test_an_address_that_the_file_lacks_is_a_difference() -> None:
    existing: spec_file.Table = {"address": [{"private_ip": "10.0.0.9"}]}
    asked = spec_file.wanted(None, None, "10.0.0.68", None)
    assert spec_file.contradictions(existing, asked) == [
        'address: the file does not list private_ip = "10.0.0.68"'
    ]
    assert spec_file.contradictions({"address": [{"private_ip": "10.0.0.68"}]}, asked) == []


def test_a_file_that_appears_meanwhile_is_not_replaced(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(context.spec_file)
    sync = os.fsync

    def appear(descriptor: int) -> None:
        path.write_text("theirs", encoding="utf-8")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", appear)
    assert cli.main(ASKED, context) == 1
    assert path.read_text(encoding="utf-8") == "theirs"
    assert [file.name for file in path.parent.glob(".muster*")] == []


def test_only_root_joins(
    accepting: Musterd, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cli.main(ASKED, context) == 1
    assert "next: run it with sudo" in printed(context.err)
    assert not Path(context.spec_file).exists()
    assert accepting.asked == []


def test_a_refusal_is_told_with_its_remedy(musterd: Musterd, context: Context) -> None:
    musterd.raw["/v1/join"] = counted(
        {"title": "cannot join", "detail": "no cluster name", "remedy": "tag the instance"},
        "409 Conflict",
    )
    assert cli.main(["join", "--wait"], context) == 1
    assert "next: tag the instance" in printed(context.err)


@pytest.mark.parametrize(
    "options",
    [
        ["--cluster", "not a name"],
        ["--size", "1"],
        ["--size", "17"],
        ["--size", "three"],
        ["--address", "10.0.0.256"],
        ["--address", "2001:db8::1"],
    ],
)
def test_values_out_of_bounds_are_usage_errors(
    options: list[str], context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["join", *options], context)
    assert ended.value.code == 2
    assert options[0] in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--elastic-ip", "35.169.153.122"], ["--timeout", "5"]])
def test_options_that_need_another_say_so(options: list[str], context: Context) -> None:
    assert cli.main(["join", *options], context) == 2
    assert f"{options[0]} needs" in printed(context.err)


def test_waiting_shows_progress_until_formed(accepting: Musterd, context: Context) -> None:
    accepting.status = asdict(founding())
    accepting.publish("laying corosync.conf and keys", kind="step")
    accepting.status = asdict(formed())
    assert cli.main(["join", "--wait", "--timeout", "15"], context) == 0
    assert "formed: all 3 founders are online" in printed(context.out)


def test_waiting_ends_with_the_codes_of_wait(accepting: Musterd, context: Context) -> None:
    accepting.status = asdict(founding())
    assert cli.main(["join", "--wait", "--timeout", "0.2"], context) == 3


def test_a_failure_of_before_does_not_end_the_wait(accepting: Musterd, context: Context) -> None:
    """The daemon had no spec and said so; it needs a moment to read the one just written."""
    accepting.status = asdict(founding()) | {"phase": "failed", "reason": "no cluster name"}
    codes: list[int] = []
    thread = threading.Thread(
        target=lambda: codes.append(cli.main([*ASKED, "--wait", "--timeout", "15"], context))
    )
    thread.start()
    accepting.wait_until_asked("/v1/events")
    accepting.publish("agreed", phase="founding")
    accepting.wait_until_asked("/v1/status", 2)
    status = asdict(formed())
    accepting.publish("formed", **status)
    thread.join(20)
    assert codes == [0]


def test_a_failure_that_stays_ends_the_wait(
    accepting: Musterd, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(join, "GRACE", 0.2)
    accepting.status = asdict(founding()) | {"phase": "failed", "reason": "a foreign cluster"}
    assert cli.main([*ASKED, "--wait", "--timeout", "15"], context) == 4
    assert "a foreign cluster" in printed(context.err)
