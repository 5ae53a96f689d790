"""Talking to muster-helper: whatever it answers, or does not, becomes a result or an error."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from musterd.adapters.helper import SocketHelper
from musterd.errors import HelperError
from musterd.helper_wire import (
    Done,
    PrepareParams,
    ProbeParams,
    ProbeResult,
    SurveyParams,
    Tags,
    WireMember,
)
from musterd.helper_wire import Identity as WireIdentity
from musterd.model import CorosyncConfig, Verb

REGION = "eu-west-1"
FACTS = {
    "instance_id": "i-00000000000000001",
    "name": "a",
    "versions": {"pcs": "0.11.5"},
    "missing": [],
    "corosync": "absent",
    "corosync_detail": "",
    "corosync_digest": "",
    "keys_digest": "",
    "cib": False,
    "prepared": True,
    "laid": False,
    "trusted": False,
    "enabled": False,
    "running": False,
    "built": False,
}
Answering = Callable[[bytes], Awaitable[tuple[SocketHelper, list[dict[str, object]]]]]


@pytest.fixture
async def answering(tmp_path: Path) -> AsyncIterator[Answering]:
    """Serve one fixed answer; returns the adapter and the list of requests it gets."""
    servers: list[asyncio.Server] = []

    async def start(answer: bytes) -> tuple[SocketHelper, list[dict[str, object]]]:
        asked: list[dict[str, object]] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(json.loads(await reader.readline()))
            writer.write(answer)
            if answer != b"":
                writer.close()
            else:  # silence, until the other side gives up
                await reader.read()
                writer.close()

        path = tmp_path / "helper.sock"
        servers.append(await asyncio.start_unix_server(serve, path))
        return SocketHelper(path, timeouts=dict.fromkeys(Verb, 1.0)), asked

    yield start
    for server in servers:
        server.close()


def lines(*answers: dict[str, object]) -> bytes:
    return b"".join(json.dumps(answer).encode() + b"\n" for answer in answers)


async def test_a_survey_becomes_facts(answering: Answering) -> None:
    helper, asked = await answering(lines({"ok": True, "result": FACTS}))
    facts = await helper.survey(SurveyParams(tags=Tags(cluster="web", size=3)))
    assert facts.corosync is CorosyncConfig.ABSENT
    assert facts.prepared
    assert asked == [
        {"verb": "survey", "params": {"identity": None, "tags": {"cluster": "web", "size": 3}}}
    ]


async def test_progress_is_heard_before_the_result(answering: Answering) -> None:
    helper, asked = await answering(
        lines(
            {"progress": "starting pcsd"},
            {"progress": "writing the AWS profile"},
            {"ok": True, "result": {"changed": ["pcsd runs"]}},
        )
    )
    heard: list[str] = []
    done = await helper.change(Verb.PREPARE, PrepareParams(REGION), heard.append)
    assert done == Done(("pcsd runs",))
    assert heard == ["starting pcsd", "writing the AWS profile"]
    assert asked == [{"verb": "prepare", "params": {"region": REGION}}]


async def test_a_probe_tells_each_members_status(answering: Answering) -> None:
    helper, asked = await answering(lines({"ok": True, "result": {"statuses": {"a": "on"}}}))
    member = WireMember("i-00000000000000001", "a", "10.0.0.1")  # type: ignore[arg-type]
    identity = WireIdentity("web", "ab" * 16, (member, member), 10_000)
    assert await helper.probe(ProbeParams(identity, Tags(), REGION)) == ProbeResult({"a": "on"})
    assert asked[0]["verb"] == "probe-fencing"


async def test_a_refusal_keeps_its_reasons(answering: Answering) -> None:
    helper, _ = await answering(
        lines({"ok": False, "refused": True, "what": "no", "why": "foreign", "cure": "look"})
    )
    with pytest.raises(HelperError) as caught:
        await helper.change(Verb.PREPARE, PrepareParams(REGION), lambda _: None)
    error = caught.value
    assert (error.refused, error.what, error.why, error.cure) == (True, "no", "foreign", "look")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lines({"progress": "half way"}), "without an answer"),
        (b'{"ok": tr', "without an answer"),
        (b"Segmentation fault\n", "no JSON object"),
        (b"[]\n", "no JSON object"),
        (b"x" * 70_000 + b"\n", "65536 bytes"),
        (lines({"ok": False}), "without its parts"),
        (lines({"ok": True, "result": {"changed": 7}}), "1 mistakes"),
        (b"", "in 1 s"),
    ],
    ids=["ended", "torn", "text", "list", "long", "bare failure", "other result", "silent"],
)
async def test_whatever_else_comes_is_an_error(
    answering: Answering, answer: bytes, said: str
) -> None:
    helper, _ = await answering(answer)
    with pytest.raises(HelperError) as caught:
        await helper.change(Verb.PREPARE, PrepareParams(REGION), lambda _: None)
    assert said in str(caught.value)
    assert not caught.value.refused
    assert caught.value.cure


async def test_no_socket_is_told_with_its_unit(tmp_path: Path) -> None:
    with pytest.raises(HelperError) as caught:
        await SocketHelper(tmp_path / "none.sock").survey(SurveyParams())
    assert "muster-helper.socket" in caught.value.cure


async def test_verbs_take_turns(tmp_path: Path) -> None:
    at_once, most = 0, 0
    release = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await reader.readline()
        await release.wait()
        at_once -= 1
        writer.write(lines({"ok": True, "result": {}}))
        writer.close()

    server = await asyncio.start_unix_server(serve, tmp_path / "helper.sock")
    helper = SocketHelper(tmp_path / "helper.sock")
    both = asyncio.gather(
        *(helper.change(Verb.PREPARE, PrepareParams(REGION), lambda _: None) for _ in range(2))
    )
    release.set()
    assert await both == [Done(), Done()]
    server.close()
    assert most == 1


@pytest.mark.parametrize(("resets", "succeeds"), [(1, True), (2, True), (3, False)])
async def test_a_connection_too_many_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resets: int, succeeds: bool
) -> None:
    monkeypatch.setattr("musterd.adapters.helper._PAUSES", (0.0, 0.0))
    loop, path = asyncio.get_running_loop(), tmp_path / "helper.sock"

    async def serve(listener: socket.socket) -> None:
        for _ in range(resets):
            connection, _ = await loop.sock_accept(listener)
            connection.close()  # with unread bytes, as systemd does
        connection, _ = await loop.sock_accept(listener)
        with connection:
            connection.setblocking(False)
            await loop.sock_recv(connection, 65_536)
            await loop.sock_sendall(connection, lines({"ok": True, "result": {}}))

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.setblocking(False)
        serving = asyncio.create_task(serve(listener))
        changing = SocketHelper(path).change(Verb.PREPARE, PrepareParams(REGION), lambda _: None)
        if succeeds:
            assert await changing == Done()
        else:
            with pytest.raises(HelperError):
                await changing
        serving.cancel()
        await asyncio.wait({serving})


async def test_the_answer_counts_when_the_helper_has_gone(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(lines({"ok": True, "result": {}}))
        await writer.drain()
        gone.set()
        writer.close()

    server = await asyncio.start_unix_server(serve, tmp_path / "helper.sock")
    helper = SocketHelper(tmp_path / "helper.sock")
    await helper.change(Verb.PREPARE, PrepareParams(REGION), lambda _: None)
    assert gone.is_set()
    server.close()
