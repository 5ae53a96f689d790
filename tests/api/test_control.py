"""The control sockets, asked over real unix sockets: by aiohttp, and by the project's client."""

import asyncio
import json
import logging
import os
import stat
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import structlog
from openapi_spec_validator import validate

from muster.api import CheckStatus, Event, Operation, Plan, PlanCommand, Preflight, Status
from muster.errors import RefusedError
from muster.transport import Transport
from musterd.api import control
from musterd.api.access import Access, Caller
from musterd.api.control import ROUTES, control_applications
from musterd.api.serve import CONTROL_LIMITS, calm_aiohttp, serve_control, unix_listener
from musterd.errors import CloudError, CloudErrorKind, HelperError, MusterError, SettingsError

STATUS = Status(phase="waiting", reason="for one", since="2026-01-01T00:00:00Z", next="launch it")


def event_at(seconds: float) -> Event:
    return Event("2026-01-01T00:00:00Z", "phase", f"at {seconds}", "waiting", seconds, {"a": "b"})


@dataclass
class Door:
    """A ControlDoor that answers from its fields."""

    kept: list[Event] = field(default_factory=lambda: [event_at(1.0), event_at(2.0)])
    leaves: list[tuple[str, str]] = field(default_factory=list)
    joins: list[str] = field(default_factory=list)
    refusal: MusterError | None = None
    news: asyncio.Queue[Event | None] = field(default_factory=asyncio.Queue)
    left: asyncio.Event = field(default_factory=asyncio.Event)  # a follower has gone

    def status(self) -> Status:
        return STATUS

    def config(self) -> dict[str, object]:
        return {"spec": {"cluster": {"name": "web"}}, "origins": {}, "digest": "d"}

    def events(self, since: float) -> tuple[Event, ...]:
        return tuple(event for event in self.kept if event.seconds > since)

    async def follow(self, since: float) -> AsyncIterator[Event]:
        try:
            for event in self.events(since):
                yield event
            while (event_or_end := await self.news.get()) is not None:
                yield event_or_end
        finally:
            self.left.set()

    async def join(self, asked_by: str) -> Operation:
        if self.refusal is not None:
            raise self.refusal
        self.joins.append(asked_by)
        return Operation("0011", "join", "running", asked_by, "2026-01-01T00:00:00Z")

    async def leave(self, name: str, asked_by: str) -> Operation:
        if self.refusal is not None:
            raise self.refusal
        self.leaves.append((name, asked_by))
        return Operation("0012", "leave", "running", asked_by, "2026-01-01T00:00:00Z", name)

    async def plan(self) -> Plan:
        if self.refusal is not None:
            raise self.refusal
        return Plan("ab" * 32, (PlanCommand("pcs property set a=1", "so"),))

    async def apply(self, asked_by: str, plan: str, *, restart: bool) -> Operation:
        detail = f"{plan[:4]} {restart}"
        return Operation("0033", "apply", "running", asked_by, "2026-01-01T00:00:00Z", detail)

    async def preflight(self) -> Preflight:
        return Preflight((CheckStatus("ports", "error", "closed", "open it"),), 1.5)

    async def fence_test(self, asked_by: str, node: str) -> Operation:
        return Operation("0022", "fence-test", "running", asked_by, "2026-01-01T00:00:00Z", node)

    def operation(self, operation_id: str) -> Operation | None:
        known = Operation("0011", "join", "done", "uid 0", "2026-01-01T00:00:00Z")
        return known if operation_id == known.id else None

    def metrics(self) -> str:
        return "# TYPE muster_up gauge\nmuster_up 1\n"


@dataclass
class Sockets:
    """Both sockets of a door, served."""

    door: Door
    status: Path
    admin: Path

    async def ask(
        self, path: Path, method: str, target: str, data: bytes | None = None
    ) -> tuple[int, dict[str, str], str]:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session,
            session.request(method, f"http://localhost{target}", data=data) as answer,
        ):
            return answer.status, dict(answer.headers), await answer.text()

    async def problem(self, path: Path, method: str, target: str, data: bytes | None = None) -> Any:
        status, headers, text = await self.ask(path, method, target, data)
        assert headers["Content-Type"].startswith("application/problem+json")
        document = json.loads(text)
        assert document["status"] == status
        assert all(document[key] for key in ("title", "kind", "remedy"))
        return document


@pytest.fixture
async def sockets(tmp_path: Path) -> AsyncIterator[Sockets]:
    door = Door()
    paths = tmp_path / "status.sock", tmp_path / "admin.sock"
    runners = [
        await serve_control(application, unix_listener(path))
        for path, application in zip(paths, control_applications(door), strict=True)
    ]
    yield Sockets(door, *paths)
    for runner in runners:
        await runner.cleanup()


async def test_the_status_is_the_public_model(sockets: Sockets) -> None:
    status, headers, text = await sockets.ask(sockets.status, "GET", "/v1/status")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    document = json.loads(text)
    assert (document["phase"], document["schema"], document["nodes"]) == ("waiting", 1, [])


async def test_metrics_and_config_are_answered(sockets: Sockets) -> None:
    status, headers, text = await sockets.ask(sockets.status, "GET", "/metrics")
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert text.endswith("muster_up 1\n")
    _, _, text = await sockets.ask(sockets.status, "GET", "/v1/config")
    assert json.loads(text)["digest"] == "d"


async def test_changes_do_not_exist_on_the_status_socket(sockets: Sockets) -> None:
    for route in ROUTES:
        if route.access is Access.ADMIN:
            target = route.path.format(id="0011", node="ip-10-0-0-11")
            assert (await sockets.problem(sockets.status, route.method, target))["status"] == 404
    assert sockets.door.joins == []


async def test_reading_works_on_both_sockets(sockets: Sockets) -> None:
    for route in ROUTES:
        if route.access is Access.READ:
            for path in (sockets.status, sockets.admin):
                assert (await sockets.ask(path, route.method, route.path))[0] == 200


async def test_a_join_is_accepted_and_can_be_followed(sockets: Sockets) -> None:
    status, headers, text = await sockets.ask(sockets.admin, "POST", "/v1/join", b"{}")
    assert (status, headers["Location"]) == (202, "/v1/operations/0011")
    assert json.loads(text)["state"] == "running"
    assert sockets.door.joins == [f"uid {os.getuid()}"]
    _, _, text = await sockets.ask(sockets.admin, "GET", headers["Location"])
    assert json.loads(text)["state"] == "done"
    assert (await sockets.problem(sockets.admin, "GET", "/v1/operations/77"))["status"] == 404


async def test_who_is_to_leave_is_named_in_the_query(sockets: Sockets) -> None:
    asked = "/v1/leave?node=ip-10-0-0-13"
    status, headers, text = await sockets.ask(sockets.admin, "POST", asked)
    assert (status, headers["Location"]) == (202, "/v1/operations/0012")
    assert json.loads(text)["detail"] == "ip-10-0-0-13"
    await sockets.ask(sockets.admin, "POST", "/v1/leave")
    uid = f"uid {os.getuid()}"
    assert sockets.door.leaves == [("ip-10-0-0-13", uid), ("", uid)]


@pytest.mark.parametrize("path", sorted(route.path for route in ROUTES if route.method == "POST"))
async def test_a_change_takes_no_body(sockets: Sockets, path: str) -> None:
    """Who names a member there, and not in the query, would see this node leave instead."""
    target = f"{path.format(node='node3')}?plan={'ab' * 32}"
    problem = await sockets.problem(sockets.admin, "POST", target, b'{"node": "node3"}')
    assert problem["status"] == 400
    assert "takes no values" in problem["title"]
    assert (sockets.door.joins, sockets.door.leaves) == ([], [])


@pytest.mark.parametrize(
    ("refusal", "status", "kind"),
    [
        (SettingsError("no name", why="empty", cure="name it"), 409, "settings"),
        (HelperError("unsafe", refused=True, why="foreign", cure="look"), 409, "helper"),
        (HelperError("failed", refused=False, why="killed", cure="look"), 503, "helper"),
        (CloudError(CloudErrorKind.THROTTLED, "slow", why="busy", cure="wait"), 503, "cloud"),
    ],
)
async def test_an_error_carries_its_three_parts(
    sockets: Sockets, refusal: MusterError, status: int, kind: str
) -> None:
    sockets.door.refusal = refusal
    problem = await sockets.problem(sockets.admin, "POST", "/v1/join")
    assert (problem["status"], problem["kind"]) == (status, kind)
    assert [problem[key] for key in ("title", "detail", "remedy")] == [
        refusal.what,
        refusal.why,
        refusal.cure,
    ]


async def test_the_projects_client_understands_all_of_it(sockets: Sockets) -> None:
    client = Transport(str(sockets.status), str(sockets.admin))
    status, config, operation = await asyncio.gather(
        asyncio.to_thread(client.status),
        asyncio.to_thread(client.config),
        asyncio.to_thread(client.join),
    )
    assert (status["phase"], config["digest"], operation["id"]) == ("waiting", "d", "0011")
    sockets.door.refusal = SettingsError("no name", why="it is empty", cure="name it")
    with pytest.raises(RefusedError) as caught:
        await asyncio.to_thread(client.join)
    assert "no name" in str(caught.value)


async def test_wrong_paths_and_methods_are_problems(sockets: Sockets) -> None:
    assert (await sockets.problem(sockets.status, "GET", "/v2/status"))["status"] == 404
    problem = await sockets.problem(sockets.status, "DELETE", "/v1/status")
    assert problem["status"] == 405
    large = await sockets.problem(sockets.admin, "POST", "/v1/join", b" " * 20_000)
    assert large["status"] == 413


@pytest.mark.parametrize(
    ("query", "seconds"), [("", [1.0, 2.0]), ("?since=1.0", [2.0]), ("?since=5&follow=0", [])]
)
async def test_events_are_lines(sockets: Sockets, query: str, seconds: list[float]) -> None:
    _, headers, text = await sockets.ask(sockets.status, "GET", f"/v1/events{query}")
    assert headers["Content-Type"].startswith("application/x-ndjson")
    assert [json.loads(line)["seconds"] for line in text.splitlines()] == seconds


@pytest.mark.parametrize("query", ["since=soon", "follow=yes"])
async def test_a_query_that_means_nothing_is_refused(sockets: Sockets, query: str) -> None:
    assert (await sockets.problem(sockets.status, "GET", f"/v1/events?{query}"))["status"] == 400


async def test_followers_hear_each_event_and_the_end(sockets: Sockets) -> None:
    client = Transport(str(sockets.status), str(sockets.admin))

    def read_all() -> list[str]:
        lines: list[str] = []
        with client.events(follow=True) as stream:
            while not stream.ended:
                lines += stream.take(5.0)
        return lines

    reading = asyncio.create_task(asyncio.to_thread(read_all))
    await sockets.door.news.put(event_at(3.0))
    await sockets.door.news.put(None)
    lines = await asyncio.wait_for(reading, 10)
    assert [json.loads(line)["seconds"] for line in lines] == [1.0, 2.0, 3.0]


async def test_only_some_may_follow_and_who_hangs_up_makes_room(sockets: Sockets) -> None:
    async def follow() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(sockets.status)
        writer.write(b"GET /v1/events?follow=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n")
        return reader, writer

    followers = [await follow() for _ in range(control.STREAMS)]
    problem = await sockets.problem(sockets.status, "GET", "/v1/events?follow=1")
    assert (problem["status"], problem["kind"]) == (503, "busy")
    followers[0][1].close()
    await asyncio.wait_for(sockets.door.left.wait(), 5)
    followers.append(await follow())
    for _, writer in followers:
        writer.close()


async def test_two_hundred_ask_at_the_same_moment(sockets: Sockets) -> None:
    """A monitoring system and every administrator: each gets its answer, none is turned away."""
    crowd = 200
    at_once = threading.Barrier(crowd)

    def ask() -> object:
        client = Transport(str(sockets.status), str(sockets.admin), seconds=30.0)
        at_once.wait(30.0)
        return client.status()["reason"]

    with ThreadPoolExecutor(crowd) as threads:
        loop = asyncio.get_running_loop()
        told = await asyncio.gather(*(loop.run_in_executor(threads, ask) for _ in range(crowd)))
    assert told == [STATUS.reason] * crowd


async def test_too_many_connections_are_ended_at_once(sockets: Sockets) -> None:
    number = CONTROL_LIMITS.connections + 8
    many = [await asyncio.open_unix_connection(sockets.status) for _ in range(number)]
    for reader, _ in many[CONTROL_LIMITS.connections :]:
        assert await asyncio.wait_for(reader.read(), 5) == b""
    first_reader, first_writer = many[0]
    first_writer.write(b"GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b" 200 " in await asyncio.wait_for(first_reader.readuntil(b"\r\n"), 5)
    for _, writer in many:
        writer.close()


async def test_a_wrong_socket_mode_is_no_way_in(
    sockets: Sockets, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "caller_of", lambda _request: Caller(1, 1000, 1000))
    problem = await sockets.problem(sockets.admin, "POST", "/v1/join")
    assert (problem["status"], problem["kind"]) == (403, "forbidden")
    assert (await sockets.problem(sockets.admin, "GET", "/v1/operations/0011"))["status"] == 403
    assert sockets.door.joins == []


async def test_who_asks_for_a_change_is_logged(sockets: Sockets) -> None:
    with structlog.testing.capture_logs() as entries:
        await sockets.ask(sockets.admin, "POST", "/v1/join")
        await sockets.ask(sockets.admin, "GET", "/v1/status")
    (entry,) = entries
    assert (entry["path"], entry["uid"], entry["status"]) == ("/v1/join", os.getuid(), 202)


async def test_a_malformed_request_leaves_no_traceback_and_none_of_its_bytes(
    sockets: Sockets, caplog: pytest.LogCaptureFixture
) -> None:
    logger = logging.getLogger("aiohttp.server")
    calm_aiohttp()
    reader, writer = await asyncio.open_unix_connection(sockets.status)
    writer.write(b"GET /hunter2\x00 HTTP/9.9\r\n\r\n")
    await asyncio.wait_for(reader.read(), 5)
    writer.close()
    logger.filters.clear()
    assert "hunter2" not in caplog.text
    assert "Traceback" not in caplog.text


async def test_the_description_is_valid_and_complete(sockets: Sockets) -> None:
    described: dict[Path, Any] = {}
    for path in (sockets.status, sockets.admin):
        _, _, text = await sockets.ask(path, "GET", "/v1/openapi.json")
        described[path] = json.loads(text)
        validate(described[path])
    readable = {route.path for route in ROUTES if route.access is Access.READ}
    assert set(described[sockets.status]["paths"]) == readable
    assert set(described[sockets.admin]["paths"]) == {route.path for route in ROUTES}
    schemas = described[sockets.admin]["components"]["schemas"]
    assert {"Status", "Event", "Operation", "Problem"} <= set(schemas)
    assert "reason" in schemas["Status"]["properties"]


def test_routes_are_sorted_and_only_root_changes() -> None:
    order = [(route.path, route.method) for route in ROUTES]
    assert order == sorted(order)
    assert all(route.access is Access.ADMIN for route in ROUTES if route.method != "GET")


@pytest.mark.parametrize("mode", [0o600, 0o660])
def test_a_socket_has_its_mode_from_the_first_instant(
    tmp_path: Path, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.sock"
    seen: list[int] = []
    monkeypatch.setattr(os, "chmod", lambda *_: pytest.fail("a mode was changed afterwards"))
    before = os.umask(0)
    try:
        with unix_listener(path, mode) as listener:
            seen.append(stat.S_IMODE(path.stat().st_mode))
            assert listener.getsockname() == str(path)
    finally:
        os.umask(before)
    assert seen == [mode]


@pytest.mark.parametrize(("path", "node"), [("", ""), ("/ip-10-0-0-12", "ip-10-0-0-12")])
async def test_a_fence_test_is_accepted_of_one_node_or_of_all(
    sockets: Sockets, path: str, node: str
) -> None:
    target = f"/v1/fence-test{path}"
    status, headers, text = await sockets.ask(sockets.admin, "POST", target, b"{}")
    assert (status, headers["Location"]) == (202, "/v1/operations/0022")
    assert json.loads(text)["detail"] == node


async def test_the_plan_is_read_by_everybody_and_applied_by_its_name(sockets: Sockets) -> None:
    status, _, text = await sockets.ask(sockets.status, "GET", "/v1/plan")
    plan = json.loads(text)
    assert (status, plan["plan"], len(plan["commands"])) == (200, "ab" * 32, 1)
    target = f"/v1/apply?plan={plan['plan']}&restart=1"
    status, headers, text = await sockets.ask(sockets.admin, "POST", target)
    assert (status, headers["Location"]) == (202, "/v1/operations/0033")
    assert json.loads(text)["detail"] == "abab True"
    assert (await sockets.ask(sockets.status, "POST", target))[0] == 404


@pytest.mark.parametrize("query", ["", "?plan=abc", f"?plan={'ab' * 32}&restart=yes"])
async def test_a_plan_without_its_whole_name_is_not_applied(sockets: Sockets, query: str) -> None:
    problem = await sockets.problem(sockets.admin, "POST", f"/v1/apply{query}")
    assert (problem["status"], problem["kind"]) == (400, "request")
