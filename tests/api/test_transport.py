"""The client against a real HTTP server on a real unix socket: aiohttp, as in the daemon."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path

import pytest
from aiohttp import web

from muster.contract import ADMIN_SOCKET, STATUS_SOCKET
from muster.errors import (
    NotAllowedError,
    RefusedError,
    UnintelligibleError,
    UnreachableError,
)
from muster.transport import ANSWER_LIMIT, Transport, explain

MORE = web.AppKey("more", asyncio.Event)


async def status(request: web.Request) -> web.Response:
    if request.query:
        raise web.HTTPNotFound
    return web.json_response({"schema": 1, "phase": "formed", "reason": "é" * 100_000})


async def join(request: web.Request) -> web.Response:
    assert await request.json() == {}
    problem = {"title": "cannot join", "detail": "no name", "kind": "settings", "remedy": "tag it"}
    return web.json_response(problem, status=409, content_type="application/problem+json")


async def events(request: web.Request) -> web.StreamResponse:
    """Send two kept events at once, and after `MORE` a third in two pieces."""
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b'{"message": "one"}\n{"message": "two"}\n')
    if request.query["follow"] == "1":
        await request.app[MORE].wait()
        await response.write(b'{"message": ')
        await response.write(b'"three"}\n')
    return response


async def config(request: web.Request) -> web.StreamResponse:
    """Answer with more than a client takes, chunked."""
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(ANSWER_LIMIT // 2**20 + 1):
        await response.write(b" " * 2**20)
    return response


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[web.Application]:
    app = web.Application()
    app[MORE] = asyncio.Event()
    app.add_routes(
        [
            web.get("/v1/status", status),
            web.get("/v1/events", events),
            web.get("/v1/config", config),
            web.post("/v1/join", join),
        ]
    )
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.UnixSite(runner, str(tmp_path / "muster.sock")).start()
    yield app
    await runner.cleanup()


@pytest.fixture
def client(tmp_path: Path) -> Transport:
    path = str(tmp_path / "muster.sock")
    return Transport(path, path)


@pytest.mark.usefixtures("app")
async def test_a_document_is_read_whole(client: Transport) -> None:
    document = await asyncio.to_thread(client.status)
    assert document == {"schema": 1, "phase": "formed", "reason": "é" * 100_000}


@pytest.mark.usefixtures("app")
async def test_a_problem_document_becomes_an_error_with_its_remedy(client: Transport) -> None:
    with pytest.raises(RefusedError, match="cannot join") as refused:
        await asyncio.to_thread(client.join)
    error = refused.value
    assert (error.status, error.kind, error.why, error.cure) == (
        409,
        "settings",
        "no name",
        "tag it",
    )


@pytest.mark.usefixtures("app")
async def test_an_answer_without_end_is_given_up(client: Transport) -> None:
    with pytest.raises(UnintelligibleError, match="cannot use"):
        await asyncio.to_thread(client.config)


@pytest.mark.usefixtures("app")
async def test_kept_events_end_by_themselves(client: Transport) -> None:
    def read() -> list[str]:
        lines = []
        with client.events(follow=False) as stream:
            while not stream.ended:
                lines += stream.take(5)
        return lines

    assert await asyncio.to_thread(read) == ['{"message": "one"}', '{"message": "two"}']


async def test_followed_events_come_as_they_happen(app: web.Application, client: Transport) -> None:
    with client.events(follow=True) as stream:
        kept = await asyncio.to_thread(stream.take, 5)
        while len(kept) < 2:
            kept += await asyncio.to_thread(stream.take, 5)
        assert await asyncio.to_thread(stream.take, 0.05) == []
        assert not stream.ended
        app[MORE].set()
        assert await asyncio.to_thread(stream.take, 5) == ['{"message": "three"}']


@pytest.mark.usefixtures("app")
async def test_plain_text_errors_are_told_too(tmp_path: Path) -> None:
    """An older daemon has no such route: aiohttp answers 404 in plain text."""
    client = Transport(str(tmp_path / "muster.sock"))
    with pytest.raises(RefusedError, match="answered 404 to GET /v1/status\\?") as refused:
        await asyncio.to_thread(
            client._ask, str(tmp_path / "muster.sock"), "GET", "/v1/status?novel=1"
        )
    assert refused.value.why == "404: Not Found"


def test_no_socket_means_unreachable(tmp_path: Path) -> None:
    with pytest.raises(UnreachableError) as caught:
        Transport(str(tmp_path / "none.sock")).status()
    assert caught.value.cure == "sudo systemctl start musterd"


def test_a_socket_without_listener_means_unreachable(tmp_path: Path) -> None:
    path = str(tmp_path / "left.sock")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)
    with pytest.raises(UnreachableError) as caught:
        Transport(path).status()
    assert "nobody listens" in caught.value.why


def test_silence_is_bounded_in_time(tmp_path: Path) -> None:
    """The kernel accepts for a listener that never does: systemd's socket, a stopped daemon."""
    path = str(tmp_path / "silent.sock")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen()
        with pytest.raises(UnreachableError, match="cannot reach") as caught:
            Transport(path, seconds=0.1).status()
    assert caught.value.why == "it did not answer in time"


@pytest.fixture
def full(tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """A listener whose queue has no room: its path, and itself."""
    path = str(tmp_path / "full.sock")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(path)
        listener.listen(0)  # room for one (unix(7): the length is compared before it is added)
        first.connect(path)
        yield path, listener


def test_a_full_queue_is_waited_for(full: tuple[str, socket.socket]) -> None:
    path, listener = full
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"phase": "lay"}'

    def serve() -> None:
        silent, _ = listener.accept()
        asking, _ = listener.accept()
        with silent, asking:
            assert asking.recv(4096).startswith(b"GET /v1/status ")
            asking.sendall(answer)

    with ThreadPoolExecutor(2) as threads:
        asked = threads.submit(Transport(path, seconds=20.0).status)
        with pytest.raises(FutureTimeoutError):
            asked.result(0.2)  # it waits: nobody has accepted yet
        served = threads.submit(serve)
        assert asked.result(20) == {"phase": "lay"}
        served.result(5)


def test_a_queue_that_stays_full_is_given_up(full: tuple[str, socket.socket]) -> None:
    with pytest.raises(UnreachableError, match="cannot reach") as caught:
        Transport(full[0], seconds=0.1).status()
    assert caught.value.why == "it did not answer in time"


def test_a_forbidden_socket_says_who_may() -> None:
    """Unix permissions do not stop root, who may well run the tests: the kernel's word is given."""
    reading = explain(PermissionError(), STATUS_SOCKET)
    assert isinstance(reading, NotAllowedError)
    assert "usermod -aG muster" in reading.cure
    changing = explain(PermissionError(), ADMIN_SOCKET)
    assert (changing.why, changing.cure) == ("only root may use it", "run it with sudo")
