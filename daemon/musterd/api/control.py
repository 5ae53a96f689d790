"""What people and programs on this node may ask: one table of routes, access on each row.

Two applications are made of it, one a socket. The kernel decides who may connect (file modes);
what changes something does not even exist on the socket that many may read.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from aiohttp import web
from pydantic import TypeAdapter

from muster.api import Config, Event, Operation, Plan, Preflight, Status
from muster.contract import BUSY
from musterd.api.access import Access, caller_of
from musterd.api.door import ControlDoor
from musterd.api.openapi import LINES, Query, document
from musterd.api.problems import Handler, as_problems, problem

BODY_LIMIT = 16_384  # bytes
BODY_SECONDS = 5.0
STREAMS = 4  # followers of events at once, on each socket
_LONGEST_PATH = 200  # characters of a path that go into the log

_STATUS = TypeAdapter(Status)
_EVENT = TypeAdapter(Event)
_OPERATION = TypeAdapter(Operation)
_PREFLIGHT = TypeAdapter(Preflight)
_PLAN = TypeAdapter(Plan)
_PLAN_NAME = re.compile(r"[0-9a-f]{64}")

log = structlog.get_logger("musterd.control")


@dataclass(frozen=True)
class Route:
    """One row: what is asked, on which sockets, what answers, and how it is described.

    `answer` is a public model, or a media type where the answer is no JSON document of ours.
    """

    method: str
    path: str
    access: Access
    handler: Callable[[ControlDoor, web.Request], Awaitable[web.StreamResponse]]
    summary: str
    answer: type | str
    status: int = 200
    query: tuple[Query, ...] = ()


class _Streams:
    """Counts the followers of one application."""

    def __init__(self) -> None:
        self.open = 0


_STREAMS = web.AppKey("streams", _Streams)
_ROUTES = web.AppKey("routes", tuple[Route, ...])


async def _status(door: ControlDoor, _request: web.Request) -> web.StreamResponse:
    return _json(_STATUS.dump_json(door.status()))


async def _config(door: ControlDoor, _request: web.Request) -> web.StreamResponse:
    return _json(json.dumps(door.config()).encode())


async def _preflight(door: ControlDoor, _request: web.Request) -> web.StreamResponse:
    return _json(_PREFLIGHT.dump_json(await door.preflight()))


async def _metrics(door: ControlDoor, _request: web.Request) -> web.StreamResponse:
    # The version parameter is part of Prometheus' media type.
    headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    return web.Response(body=door.metrics().encode(), headers=headers)


async def _events(door: ControlDoor, request: web.Request) -> web.StreamResponse:
    try:
        since = float(request.query.get("since", "-1"))
        follow = {"0": False, "1": True}[request.query.get("follow", "0")]
    except (ValueError, KeyError):
        return problem(
            400,
            "the query is not understood",
            detail="since is a number of seconds, follow is 0 or 1",
            kind="request",
            remedy="GET /v1/events?since=12.5&follow=1",
        )
    if not follow:
        lines = b"".join(_EVENT.dump_json(event) + b"\n" for event in door.events(since))
        return web.Response(body=lines, content_type=LINES)
    streams = request.app[_STREAMS]
    if streams.open >= STREAMS:
        return problem(
            503,
            "too many follow the events already",
            detail=f"{STREAMS} streams are open on this socket",
            kind=BUSY,
            remedy="end one of them (`muster events --follow`, `muster status --watch`)",
        )
    streams.open += 1
    try:
        return await _stream(door, request, since)
    finally:
        streams.open -= 1


async def _stream(door: ControlDoor, request: web.Request, since: float) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_type = LINES
    await response.prepare(request)
    async for event in door.follow(since):
        await response.write(_EVENT.dump_json(event) + b"\n")
    await response.write_eof()
    return response


async def _openapi(_door: ControlDoor, request: web.Request) -> web.StreamResponse:
    routes: tuple[Route, ...] = request.app[_ROUTES]
    return _json(json.dumps(document(routes)).encode())


async def _join(door: ControlDoor, request: web.Request) -> web.StreamResponse:
    refused = await _values(
        request,
        "a join takes no values",
        "what to join is the spec's to say",
        "`muster join --cluster NAME --size N` writes the spec first",
    )
    if refused is not None:
        return refused
    return _accepted(await door.join(f"uid {caller_of(request).uid}"))


async def _fence_test(door: ControlDoor, request: web.Request) -> web.StreamResponse:
    refused = await _values(
        request,
        "a fence test takes no values",
        "the path names the node",
        "POST /v1/fence-test/NODE, or /v1/fence-test for all",
    )
    if refused is not None:
        return refused
    node = request.match_info.get("node", "")
    return _accepted(await door.fence_test(f"uid {caller_of(request).uid}", node))


async def _values(
    request: web.Request, title: str, detail: str, remedy: str
) -> web.StreamResponse | None:
    """Return the problem with a body that says anything, None when it is empty."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    if body.strip() in (b"", b"{}"):
        return None
    return problem(400, title, detail=detail, kind="request", remedy=remedy)


def _accepted(operation: Operation) -> web.StreamResponse:
    """Answer that a change has begun, and where to see how far it is."""
    headers = {"Location": f"/v1/operations/{operation.id}"}
    return _json(_OPERATION.dump_json(operation), status=202, headers=headers)


async def _leave(door: ControlDoor, request: web.Request) -> web.StreamResponse:
    refused = await _values(
        request,
        "a departure takes no values",
        "the query names the member, and without it this node leaves",
        "POST /v1/leave?node=NODE, or /v1/leave for this node",
    )
    if refused is not None:
        return refused
    name = request.query.get("node", "")
    return _accepted(await door.leave(name, f"uid {caller_of(request).uid}"))


async def _plan(door: ControlDoor, _request: web.Request) -> web.StreamResponse:
    return _json(_PLAN.dump_json(await door.plan()))


async def _apply(door: ControlDoor, request: web.Request) -> web.StreamResponse:
    again = "POST /v1/apply?plan=NAME&restart=0"
    refused = await _values(request, "apply takes no values", "the query names the plan", again)
    if refused is not None:
        return refused
    plan, restart = request.query.get("plan", ""), request.query.get("restart", "0")
    if not _PLAN_NAME.fullmatch(plan) or restart not in {"0", "1"}:
        return problem(
            400,
            "the query is not understood",
            detail="plan is the name that GET /v1/plan gives, restart is 0 or 1",
            kind="request",
            remedy=again,
        )
    by = f"uid {caller_of(request).uid}"
    return _accepted(await door.apply(by, plan, restart=restart == "1"))


async def _operation(door: ControlDoor, request: web.Request) -> web.StreamResponse:
    operation = door.operation(request.match_info["id"])
    if operation is None:
        raise web.HTTPNotFound
    return _json(_OPERATION.dump_json(operation))


# Sorted by path, then method.
ROUTES: tuple[Route, ...] = (
    Route(
        "GET",
        "/metrics",
        Access.READ,
        _metrics,
        "Counters and gauges for Prometheus",
        "text/plain; version=0.0.4",
    ),
    Route(
        "POST",
        "/v1/apply",
        Access.ADMIN,
        _apply,
        "Carry out exactly the plan that is named",
        Operation,
        202,
        query=(
            Query("plan", "string", "the plan's name, as GET /v1/plan gives it"),
            Query("restart", "integer", "1: the whole cluster may be stopped for it", (0, 1)),
        ),
    ),
    Route(
        "GET",
        "/v1/config",
        Access.READ,
        _config,
        "The effective spec and where each value came from",
        Config,
    ),
    Route(
        "GET",
        "/v1/events",
        Access.READ,
        _events,
        "What happened, one Event a line",
        LINES,
        query=(
            Query("since", "number", "only what is later than that: seconds from the start"),
            Query("follow", "integer", "1: stay, and get each new event as it happens", (0, 1)),
        ),
    ),
    Route(
        "POST",
        "/v1/fence-test",
        Access.ADMIN,
        _fence_test,
        "Fence every member for real, one after another",
        Operation,
        202,
    ),
    Route(
        "POST",
        "/v1/fence-test/{node}",
        Access.ADMIN,
        _fence_test,
        "Fence one member (name or instance id) for real",
        Operation,
        202,
    ),
    Route(
        "POST", "/v1/join", Access.ADMIN, _join, "Join the cluster the spec names", Operation, 202
    ),
    Route(
        "POST",
        "/v1/leave",
        Access.ADMIN,
        _leave,
        "Take a member out of the formed cluster",
        Operation,
        202,
        query=(Query("node", "string", "name of the member; this node without it"),),
    ),
    Route(
        "GET",
        "/v1/openapi.json",
        Access.READ,
        _openapi,
        "This description of what the socket answers",
        "application/json",
    ),
    Route(
        "GET",
        "/v1/operations/{id}",
        Access.ADMIN,
        _operation,
        "How far a change is that was asked for",
        Operation,
    ),
    Route(
        "GET",
        "/v1/plan",
        Access.READ,
        _plan,
        "What of the cluster is not as the spec says, and what would be done about it",
        Plan,
    ),
    Route(
        "GET",
        "/v1/preflight",
        Access.READ,
        _preflight,
        "What stands in the cluster's way, looked at now",
        Preflight,
    ),
    Route("GET", "/v1/status", Access.READ, _status, "Everything known now", Status),
)


def control_applications(door: ControlDoor) -> tuple[web.Application, web.Application]:
    """Make the applications of the status socket and of the admin socket."""
    return _application(door, {Access.READ}), _application(door, {Access.READ, Access.ADMIN})


def _application(door: ControlDoor, granted: set[Access]) -> web.Application:
    # The audit is outermost: it sees refusals and errors as the answers they become.
    application = web.Application(client_max_size=BODY_LIMIT, middlewares=[_audited, as_problems])
    routes = tuple(route for route in ROUTES if route.access in granted)
    application[_STREAMS] = _Streams()
    application[_ROUTES] = routes
    for route in routes:
        application.router.add_route(route.method, route.path, _bound(route, door))
    return application


def _bound(
    route: Route, door: ControlDoor
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        if route.access is Access.ADMIN and caller_of(request).uid != 0:
            # The file mode says so already; a wrong mode must not be a way in.
            return problem(
                403,
                "only root may ask for this",
                detail=f"uid {caller_of(request).uid} is not root",
                kind="forbidden",
                remedy="run it with sudo",
            )
        return await route.handler(door, request)

    return handle


@web.middleware
async def _audited(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Log who asks for a change, here or where there is none to ask for, and what came of it."""
    if request.method in {"GET", "HEAD"}:
        return await handler(request)
    caller = caller_of(request)
    status = web.HTTPInternalServerError.status_code  # unless there is an answer
    try:
        response = await handler(request)
        status = response.status
        return response
    finally:
        log.info(
            "change asked for",
            method=request.method,
            path=request.path[:_LONGEST_PATH],
            uid=caller.uid,
            pid=caller.pid,
            status=status,
        )


def _json(
    content: bytes, *, status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    return web.Response(
        body=content, status=status, content_type="application/json", headers=headers
    )
