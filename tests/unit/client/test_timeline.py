"""`muster timeline`: rows, strips and a picture of a founding, wherever its events come from."""

import json
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from tests.unit.client import stories
from tests.unit.client.conftest import Musterd, context_in, formed, printed
from tests.unit.client.pictures import GOLDEN, wire

from muster import cli
from muster.context import Context
from muster.fields import Document
from muster.history import OWN, History
from muster.screen import Screen
from muster.timeline import lanes, sources, svg, text

SVG = "{http://www.w3.org/2000/svg}"


def told(events: list[Document]) -> History:
    history = History()
    for event in events:
        history.add(event)
    return history


def timeline(moment: float = 99.0) -> lanes.Timeline:
    history = told(stories.until(moment))
    return lanes.build([("ip-10-0-0-11", history)], boot=3.4, now=moment)


@pytest.mark.parametrize(("name", "width", "moment"), [("formed", 100, 99.0), ("half", 80, 12.5)])
def test_the_text_is_as_it_was_looked_at(name: str, width: int, moment: float) -> None:
    lines = text.draw(timeline(moment), Screen(0.0, width=width))
    assert "\n".join(lines) + "\n" == (GOLDEN / f"timeline-{name}.txt").read_text(encoding="utf-8")
    assert max(map(len, lines)) <= width


def test_the_summary_counts_from_boot() -> None:
    assert timeline().summary() == (
        "3 nodes formed 34.9 s after boot (3.4 s from boot to musterd, 31.5 s from there to formed)"
    )


def test_a_musterd_that_the_boot_did_not_start_is_not_drawn_with_it() -> None:
    drawn = lanes.build([("a", told(stories.founding()))], boot=86_400.0, now=40.0)
    assert drawn.begin == 0.0
    assert drawn.summary() == "3 nodes formed 31.5 s after the start of musterd"


def test_the_picture_is_svg_and_shows_every_bar_inside() -> None:
    document = ET.fromstring(svg.draw(timeline(), 'web & "co" <1>'))
    width, height = float(document.attrib["width"]), float(document.attrib["height"])
    words = [each.text or "" for each in document.iter(f"{SVG}text")]
    bars = [bar for lane in timeline().lanes for bar in lane.bars]
    assert {f"{bar.label} ({bar.lasted(0.0):.1f} s)" for bar in bars} <= set(words)
    assert 'web & "co" <1>' in words
    for rect in document.iter(f"{SVG}rect"):
        x, y = float(rect.attrib.get("x", 0)), float(rect.attrib.get("y", 0))
        assert x >= 0
        assert x + float(rect.attrib["width"]) <= width
        assert y + float(rect.attrib["height"]) <= height


def publish(musterd: Musterd, events: list[Document]) -> None:
    lines = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(lines)}\r\n\r\n".encode()
    musterd.raw["/v1/events"] = head + lines


def test_the_verb_draws_what_musterd_tells(musterd: Musterd, context: Context) -> None:
    musterd.status = dict(wire(formed()))
    publish(musterd, stories.founding())
    assert cli.main(["timeline"], context) == 0
    lines = printed(context.out).splitlines()
    assert lines[0].startswith("3 nodes formed 3")
    assert any(line.startswith("probe-fencing") and "3.9 s" in line for line in lines)


def test_the_verb_writes_a_picture(musterd: Musterd, context: Context, tmp_path: Path) -> None:
    musterd.status = dict(wire(formed()))
    publish(musterd, stories.founding())
    path = tmp_path / "web.svg"
    assert cli.main(["timeline", "--svg", str(path)], context) == 0
    assert ET.parse(path).getroot().tag == f"{SVG}svg"
    assert f"wrote {path}" in printed(context.out)


def write(path: Path, events: list[Document]) -> str:
    path.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")
    return str(path)


def test_files_of_several_nodes_are_put_on_one_clock(tmp_path: Path) -> None:
    """The second node's musterd started two seconds later; its own word counts, not hearsay."""
    names = [
        write(tmp_path / "a.json", stories.founding()),
        write(tmp_path / "b.json", stories.later(2)),
    ]
    context = context_in(tmp_path)
    assert cli.main(["timeline", *names], context) == 0
    lines = printed(context.out).splitlines()
    assert lines[0] == "2 nodes formed 33.2 s after the start of musterd"
    assert [line for line in lines if line in {"a", "b"}] == ["a", "b"]


@pytest.mark.parametrize("content", ["", "no json\n", None])
def test_a_file_without_events_is_told(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "events.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    context = context_in(tmp_path)
    assert cli.main(["timeline", str(path)], context) == 1
    assert "next: on" in printed(context.err)


def journal(events: list[Document], run: str) -> str:
    """Return entries as `journalctl --output=json` prints them."""
    lines = []
    for event in events:
        fields = event["fields"]
        assert isinstance(fields, dict)
        moment = int((stories.START + float(str(event["seconds"]))) * 1e6)
        entry = {
            "__REALTIME_TIMESTAMP": str(moment + 900),
            "_SOURCE_REALTIME_TIMESTAMP": str(moment),
            "_SYSTEMD_INVOCATION_ID": run,
            "MESSAGE": f"{event['message']} kind={event['kind']} phase={event['phase']}",
            "MUSTER_KIND": event["kind"],
            "MUSTER_PHASE": event["phase"],
            "MUSTER_LOGGER": "musterd",
            **{f"MUSTER_{key.upper()}": value for key, value in fields.items()},
        }
        lines.append(json.dumps(entry))
    return "".join(line + "\n" for line in [*lines, json.dumps({"MESSAGE": "Started"})])


def test_after_a_restart_the_journal_tells_the_same(
    musterd: Musterd, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = [
        stories.event(0.0, "phase", "starting", "reading who this node is"),
        stories.action(0.1, "starting", "identity", 0.1),
        stories.event(0.2, "phase", "formed", "web is formed; its state is being read"),
    ]
    musterd.status = dict(wire(formed()))
    publish(musterd, again)
    text_of_journal = journal(stories.founding(), "1") + journal(again, "2")
    monkeypatch.setattr(
        subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, text_of_journal, "")
    )
    assert cli.main(["timeline"], context) == 0
    from_journal = sources.of_journal()
    directly = told(stories.founding())
    for key in directly.tracks:
        assert [(bar.label, bar.begin, bar.end) for bar in from_journal.tracks[key].bars] == [
            (bar.label, bar.begin, bar.end) for bar in directly.tracks[key].bars
        ]
    assert from_journal.marks == directly.marks


def test_without_a_journal_it_is_said_what_to_type(
    musterd: Musterd, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(musterd, [stories.event(0.0, "phase", "formed", "web is formed")])
    monkeypatch.setattr(
        subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1, "", "no access")
    )
    assert cli.main(["timeline"], context) == 1
    assert "next: sudo muster timeline" in printed(context.err)


def test_this_machine_was_up_before_now() -> None:
    up = sources.uptime_at(1000.0, 1000.0)
    assert up is not None
    assert up > 0
    assert sources.uptime_at(990.0, 1000.0) == pytest.approx(up - 10, abs=1)


def test_a_track_without_events_is_no_founding() -> None:
    assert not lanes.tells_founding(History())
    assert History().tracks[OWN].bars == []
