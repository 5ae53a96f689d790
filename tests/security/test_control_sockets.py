"""The control sockets against who may connect and means no good: audit, limits, the description."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
import structlog

from muster.api import Event, Operation, Plan, Preflight, Status
from musterd.api import control, serve
from musterd.api.access import Caller
from musterd.api.control import ROUTES, control_applications
from musterd.api.openapi import document
from musterd.api.serve import serve_control, unix_listener
from musterd.errors import SettingsError

PUBLISHED = Path(__file__).parents[2] / "docs" / "openapi.json"


class Door:
    """A ControlDoor whose join ends as the test wants."""

    def __init__(self) -> None:
        self.fails: Exception | None = None

    def status(self) -> Status:
        return Status("waiting", "for one", "2026-01-01T00:00:00Z", "launch it")

    def config(self) -> dict[str, object]:
        return {}

    def events(self, since: float) -> tuple[Event, ...]:
        raise ValueError(f"a bug at {since}")

    async def follow(self, since: float) -> AsyncIterator[Event]:
        for event in self.events(since):
            yield event

    async def leave(self, name: str, asked_by: str) -> Operation:
        return replace(await self.join(asked_by), verb="leave", detail=name)

    async def join(self, asked_by: str) -> Operation:
        if self.fails is not None:
            raise self.fails
        return Operation("ab", "join", "running", asked_by, "2026-01-01T00:00:00Z")

    async def plan(self) -> Plan:
        return Plan("0" * 64)

    async def apply(self, asked_by: str, plan: str, *, restart: bool) -> Operation:
        return replace(await self.join(asked_by), verb="apply", detail=f"{plan} {restart}")

    async def preflight(self) -> Preflight:
        return Preflight()

    async def fence_test(self, asked_by: str, node: str) -> Operation:
        return Operation("0022", "fence-test", "running", asked_by, "2026-01-01T00:00:00Z", node)

    def operation(self, operation_id: str) -> Operation | None:
        assert operation_id
        return None

    def metrics(self) -> str:
        return ""


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
async def sockets(tmp_path: Path, door: Door) -> AsyncIterator[tuple[Path, Path]]:
    """The status and the admin socket, served."""
    paths = tmp_path / "status.sock", tmp_path / "admin.sock"
    runners = [
        await serve_control(application, unix_listener(path))
        for path, application in zip(paths, control_applications(door), strict=True)
    ]
    yield paths
    for runner in runners:
        await runner.cleanup()


async def ask(path: Path, method: str, target: str, body: bytes = b"") -> int:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
        session.request(method, f"http://localhost{target}", data=body) as answer,
    ):
        return answer.status


# --- audit -------------------------------------------------------------------------------------


async def audited(path: Path, method: str, target: str, body: bytes = b"") -> dict[str, object]:
    with structlog.testing.capture_logs() as entries:
        status = await ask(path, method, target, body)
    [entry] = [each for each in entries if each["event"] == "change asked for"]
    assert entry["status"] == status
    assert (entry["uid"], entry["pid"]) == (os.getuid(), os.getpid())
    return dict(entry)


async def test_whatever_comes_of_a_change_who_asked_is_logged(
    sockets: tuple[Path, Path], door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    status, admin = sockets
    outcomes = [
        await audited(admin, "POST", "/v1/join"),
        await audited(admin, "POST", "/v1/join", b'{"force": true}'),
        await audited(admin, "POST", "/v1/join", b" " * 20_000),
        await audited(admin, "DELETE", "/v1/status"),
        await audited(status, "POST", "/v1/join"),
    ]
    door.fails = SettingsError("no name", why="it is empty", cure="name it")
    outcomes.append(await audited(admin, "POST", "/v1/join"))
    door.fails = ValueError("a bug")
    outcomes.append(await audited(admin, "POST", "/v1/join"))
    told = [each["status"] for each in outcomes]
    assert told == [202, 400, 413, 405, 404, 409, 500]
    door.fails = None
    monkeypatch.setattr(control, "caller_of", lambda _request: Caller(os.getpid(), 65_534, 65_534))
    with structlog.testing.capture_logs() as entries:
        assert await ask(admin, "POST", "/v1/join") == 403
    assert [(each["uid"], each["status"]) for each in entries] == [(65_534, 403)]


async def test_a_path_does_not_fill_the_log(sockets: tuple[Path, Path]) -> None:
    entry = await audited(sockets[0], "POST", "/" + "x" * 5_000)
    assert len(str(entry["path"])) == 200


async def test_an_operation_that_never_was_tells_nothing_of_others(
    sockets: tuple[Path, Path],
) -> None:
    assert await ask(sockets[1], "GET", "/v1/operations/..%2f..%2fetc") == 404
    assert await ask(sockets[1], "GET", "/v1/operations/ab") == 404


# --- limits ------------------------------------------------------------------------------------


async def test_half_a_head_does_not_hold_a_connection(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, door: Door
) -> None:
    monkeypatch.setattr(serve, "_KEEPALIVE", 0.2)
    runner = await serve_control(control_applications(door)[0], unix_listener(tmp_path / "s"))
    reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
    writer.write(b"GET /v1/status HTTP/1.1\r\nHos")
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()
    await runner.cleanup()


async def test_half_a_body_does_not_hold_a_handler(
    monkeypatch: pytest.MonkeyPatch, sockets: tuple[Path, Path]
) -> None:
    monkeypatch.setattr(control, "BODY_SECONDS", 0.2)
    reader, writer = await asyncio.open_unix_connection(sockets[1])
    writer.write(b"POST /v1/join HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    assert b" 408 " in await asyncio.wait_for(reader.readuntil(b"\r\n"), 10)
    writer.close()


async def test_a_long_head_is_refused(sockets: tuple[Path, Path]) -> None:
    reader, writer = await asyncio.open_unix_connection(sockets[0])
    writer.write(b"GET /v1/status HTTP/1.1\r\nX: " + b"x" * 9_000 + b"\r\n\r\n")
    assert b" 400 " in await asyncio.wait_for(reader.readuntil(b"\r\n"), 10)
    writer.close()


async def test_a_bug_shows_no_inside(sockets: tuple[Path, Path]) -> None:
    reader, writer = await asyncio.open_unix_connection(sockets[0])
    writer.write(b"GET /v1/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    assert b" 500 " in answer
    assert b"a bug" not in answer
    assert b"Traceback" not in answer
    writer.close()


# --- the description -----------------------------------------------------------------------------


def test_the_published_description_is_the_one_made_from_routes_and_models() -> None:
    made = json.loads(json.dumps(document(ROUTES)))
    assert json.loads(PUBLISHED.read_text("utf-8")) == made, "type `make openapi` and commit it"


async def test_what_the_admin_socket_serves_is_what_is_published(
    sockets: tuple[Path, Path],
) -> None:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(sockets[1]))) as session,
        session.get("http://localhost/v1/openapi.json") as answer,
    ):
        assert await answer.json() == json.loads(PUBLISHED.read_text("utf-8"))


def test_every_route_is_described_with_its_access_and_its_query() -> None:
    published = json.loads(PUBLISHED.read_text("utf-8"))
    for route in ROUTES:
        described = published["paths"][route.path][route.method.lower()]
        assert described["x-muster-access"] == route.access
        queries = [
            each["name"] for each in described.get("parameters", ()) if each["in"] == "query"
        ]
        assert queries == [query.name for query in route.query]
        for media in described["responses"][str(route.status)]["content"].values():
            assert media["schema"]
