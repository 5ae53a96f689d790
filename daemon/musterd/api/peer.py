"""What other nodes may ask: three routes, behind TLS, membership and address."""

import asyncio

from aiohttp import web

from musterd import peer_wire
from musterd.api.access import Refusals, admit, check_envelope
from musterd.api.door import PeerDoor
from musterd.api.problems import Handler, as_problems, problem
from musterd.errors import PeerError
from musterd.peer_wire import BODY_LIMIT, Envelope, Kind

BODY_SECONDS = 3.0  # aiohttp itself waits for the rest of a body for ever

_DOOR = web.AppKey("door", PeerDoor)
_REFUSALS = web.AppKey("refusals", Refusals)


def peer_application(door: PeerDoor, refusals: Refusals) -> web.Application:
    """Make the application for the peer port."""
    application = web.Application(
        client_max_size=BODY_LIMIT, middlewares=[as_problems, _refusals_are_told]
    )
    application[_DOOR] = door
    application[_REFUSALS] = refusals
    application.router.add_post("/peer/v1/hello", _hello)
    application.router.add_post("/peer/v1/message", _message)
    application.router.add_post("/peer/v1/probe", _probe)
    return application


@web.middleware
async def _refusals_are_told(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 403 to whoever is not admitted, 400 to what is not understood, and log both."""
    try:
        return await handler(request)
    except PeerError as error:
        status, kind, what, why = 403, "forbidden", error.what, error.why
        remedy = error.cure
    except ValueError as error:
        status, kind, what, why = 400, "malformed", "the request is not muster-peer/1", str(error)
        remedy = "the two nodes run different versions of muster: `muster --version` on both"
    request.app[_REFUSALS].tell(what, why or str(request.remote))
    return problem(status, what, detail=f"{what}: {why}" if why else what, kind=kind, remedy=remedy)


async def _hello(request: web.Request) -> web.Response:
    door = request.app[_DOOR]
    peer, envelope = await _read(request, "hello")
    theirs = peer_wire.read_hello(envelope.body)
    if theirs.instance_id != peer:
        raise PeerError("the hello is about another node than its sender", rejected=True)
    if theirs.address not in (door.member_addresses(peer) or ()):
        # A decree is made of these addresses.
        raise PeerError("the hello names an address that is not the sender's", rejected=True)
    ours = await door.hello(theirs)
    return _answer(door, peer, envelope, peer_wire.hello_body(ours))


async def _probe(request: web.Request) -> web.Response:
    door = request.app[_DOOR]
    peer, envelope = await _read(request, "probe")
    found = await door.probe(peer, peer_wire.read_probe(envelope.body))
    return _answer(door, peer, envelope, peer_wire.probed_body(found))


def _answer(door: PeerDoor, peer: str, asked: Envelope, body: dict[str, object]) -> web.Response:
    answer = Envelope(
        v=peer_wire.VERSION,
        cluster=asked.cluster,
        sender=door.own_id(),
        to=peer,
        term=asked.term,
        id=asked.id,
        type=asked.type,
        body=body,
    )
    return web.Response(body=peer_wire.encode(answer), content_type="application/json")


async def _message(request: web.Request) -> web.Response:
    door = request.app[_DOOR]
    peer, envelope = await _read(request, "message")
    message = peer_wire.read_message(envelope.body)
    if message.term != envelope.term:
        raise ValueError("envelope and message are of different terms")
    if door.formed():
        return problem(
            409,
            "founding is over here",
            detail="this node's cluster is formed; a hello tells its uuid",
            kind="formed",
        )
    await door.receive(peer, message)
    return web.Response(status=204)


async def _read(request: web.Request, kind: Kind) -> tuple[str, Envelope]:
    """Admit the peer, then read its envelope. Raises PeerError, ValueError, HTTPException."""
    door = request.app[_DOOR]
    if not door.own_id() or not door.cluster_name():
        raise web.HTTPServiceUnavailable(reason="this node does not know yet who it is")
    peer = await admit(request, door)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            content = await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    envelope = peer_wire.decode(content)
    check_envelope(envelope, peer, door)
    if envelope.type != kind:
        raise ValueError(f"a {envelope.type} was sent where a {kind} belongs")
    return peer, envelope
