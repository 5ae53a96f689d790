"""Behind the handshake: membership, address, envelope, limits; and the way in for who belongs."""

import asyncio
import ssl
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import aiohttp
import pytest
from tests.security.conftest import hello_of

from musterd import peer_wire, trust
from musterd.adapters.tls import Tls
from musterd.election.types import Lead, Propose, VoteRequest
from musterd.errors import PeerError
from musterd.model import Contact, Decree, Member
from musterd.peer_wire import BODY_LIMIT, Envelope, Hello, Probe, Probed

if TYPE_CHECKING:
    from tests.security.conftest import MakeCaller, OpenPort, Port

SERVER = "i-00000000000000001"
CALLER = "i-00000000000000002"
THIRD = "i-00000000000000003"
TOKEN = trust.make_token(bytes(range(32)))
HELLO = hello_of(CALLER)
FOUNDERS = (Member(SERVER, "a", "10.0.0.1"), Member(CALLER, "b", "10.0.0.2"))
ENVELOPE = Envelope(
    v=1,
    cluster="db",
    sender=CALLER,
    to=SERVER,
    term=0,
    id="0" * 32,
    type="hello",
    body=peer_wire.hello_body(HELLO),
)


async def context_of(own_id: str = CALLER) -> ssl.SSLContext:
    return (await Tls().load(TOKEN, "db", own_id, time.time()))[0].client


async def post(
    port: "Port", envelope: Envelope | bytes, path: str = "hello", own_id: str = CALLER
) -> tuple[int, str]:
    """Return the status and the kind of problem (or "")."""
    data = envelope if isinstance(envelope, bytes) else peer_wire.encode(envelope)
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(
            f"https://127.0.0.1:{port.listener.port}/peer/v1/{path}",
            ssl=await context_of(own_id),
            server_hostname=SERVER,
            data=data,
        ) as response,
    ):
        problem = response.content_type == "application/problem+json"
        return response.status, (await response.json(content_type=None))["kind"] if problem else ""


async def test_the_envelope_used_below_is_good(open_port: "OpenPort") -> None:
    assert await post(await open_port(), ENVELOPE) == (200, "")


async def test_not_a_member_is_refused_after_one_look(open_port: "OpenPort") -> None:
    port = await open_port()
    envelope = replace(ENVELOPE, sender=THIRD)
    assert await post(port, envelope, own_id=THIRD) == (403, "forbidden")
    assert port.door.refreshes == 1
    assert port.door.hellos == []
    assert any(THIRD in said for said in port.refusals.said)


async def test_a_member_from_a_foreign_address_is_refused(open_port: "OpenPort") -> None:
    port = await open_port()
    port.door.members[CALLER] = frozenset({"127.0.0.9"})
    assert await post(port, ENVELOPE) == (403, "forbidden")
    assert port.door.hellos == []


async def test_our_own_identity_is_refused(open_port: "OpenPort") -> None:
    port = await open_port()
    port.door.members[SERVER] = frozenset({"127.0.0.1"})
    assert await post(port, replace(ENVELOPE, sender=SERVER), own_id=SERVER) == (403, "forbidden")


@pytest.mark.parametrize(
    "envelope",
    [
        replace(ENVELOPE, sender=THIRD),
        replace(ENVELOPE, to=THIRD),
        replace(ENVELOPE, cluster="web"),
        replace(ENVELOPE, body=peer_wire.hello_body(replace(HELLO, instance_id=THIRD))),
        replace(ENVELOPE, body=peer_wire.hello_body(replace(HELLO, address="127.0.0.9"))),
    ],
    ids=["sender", "receiver", "cluster", "hello of another", "address of another"],
)
async def test_an_envelope_must_fit_its_connection(
    open_port: "OpenPort", envelope: Envelope
) -> None:
    port = await open_port()
    port.door.members[THIRD] = frozenset({"127.0.0.1"})
    assert await post(port, envelope) == (403, "forbidden")
    assert port.door.hellos == []
    assert port.door.messages == []


GOOD = peer_wire.encode(ENVELOPE)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{" * 5000,
        b"\xff",
        GOOD.replace(b'"v":1', b'"v":2'),
        GOOD.replace(b'"v":1', b'"v":1,"more":1'),
        GOOD.replace(b'"roster_age":1.5', b'"roster_age":NaN'),
        GOOD.replace(b'"roster_age":1.5', b'"roster_age":1e999'),
        GOOD.replace(b'"roster_age":1.5', b'"roster_age":-1'),
        GOOD.replace(b'"proofs":{}', b'"proofs":{"x":["real",1e300]}'),
        GOOD.replace(b'"term":0', b'"term":9007199254740992'),
        GOOD.replace(b'"term":0', b'"term":' + b"9" * 4000),
        GOOD.replace(b'"v":1', b'"v":' + b"[" * 5000),
        GOOD.replace(b'"zone":', b'"zzone":'),
        GOOD.replace(b'"phase":"electing"', b'"phase":"dreaming"'),
        GOOD.replace(b'"type":"hello"', b'"type":"message"'),
    ],
)
async def test_what_is_not_the_protocol_is_refused(open_port: "OpenPort", content: bytes) -> None:
    port = await open_port()
    assert await post(port, content) == (400, "malformed")
    assert port.door.hellos == []


DECREE = {
    "uuid": "ab" * 16,
    "members": [{"instance_id": m.instance_id, "name": m.name, "address": m.address}
                for m in FOUNDERS],
    "spec_digest": "d",
    "seed": "cd" * 32,
}  # fmt: skip
HELD = {"term": 2, "decree": DECREE}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"lead": {"term": 3}, "decided": {}},
        {"command": {"term": 3}},
        {"lead": {"term": 3, "more": 1}},
        {"lead": {"term": "3"}},
        {"lead": {"term": 4}},
        {"vote_request": {"term": 3}},
        {
            "vote_reply": {
                "term": 3,
                "granted": True,
                "accepted": HELD | {"term": -1},
                "reason": "",
                "spent": False,
            }
        },
        {"propose": {"term": 3, "decree": DECREE | {"seed": "xy" * 32}, "read_all": True}},
        {"propose": {"term": 3, "decree": DECREE | {"uuid": "\u00e4" * 32}, "read_all": True}},
        {"propose": {"term": 3, "decree": DECREE | {"members": []}, "read_all": True}},
        {"decided": {"term": 3, "decree": DECREE | {"spec_digest": "d" * 9999}}},
    ],
)
async def test_a_message_is_one_known_word_said_exactly(
    open_port: "OpenPort", body: dict[str, object]
) -> None:
    port = await open_port()
    envelope = replace(ENVELOPE, type="message", term=3, body=body)
    assert await post(port, envelope, "message") == (400, "malformed")
    assert port.door.messages == []


async def test_refused_words_never_show_a_seed(open_port: "OpenPort") -> None:
    port = await open_port()
    decree = Decree("ab" * 16, FOUNDERS, "d", "5eed" * 16)
    body = peer_wire.message_body(Propose(3, decree, read_all=True))
    said = body["propose"]
    assert isinstance(said, dict)
    said["decree"]["members"] = "nobody"
    await post(port, replace(ENVELOPE, type="message", term=3, body=body), "message")
    assert len(port.refusals.said) == 1
    assert "5eed" not in port.refusals.said[0]


async def test_messages_arrive_as_they_were_sent(
    open_port: "OpenPort", make_caller: "MakeCaller"
) -> None:
    port = await open_port()
    caller = await make_caller(port.listener.port)
    messages = (
        VoteRequest(3, (SERVER, CALLER), "digest"),
        Propose(3, Decree("ab" * 16, FOUNDERS, "d", "0" * 64), True),
    )
    for message in messages:
        await caller.send(SERVER, "127.0.0.1", message, message.term)
    assert port.door.messages == [(CALLER, message) for message in messages]


async def test_a_member_may_have_the_ways_to_it_tried(
    open_port: "OpenPort", make_caller: "MakeCaller"
) -> None:
    port = await open_port()
    caller = await make_caller(port.listener.port)
    found = await caller.probe(SERVER, "127.0.0.1", Probe("ab" * 16))
    assert found == Probed({"2224": Contact.OPEN}, True, 1.0, 2.0)
    assert port.door.probes == [(CALLER, "ab" * 16)]
    port.door.members = {}
    with pytest.raises(PeerError, match="refused"):
        await caller.probe(SERVER, "127.0.0.1", Probe("ab" * 16))
    assert len(port.door.probes) == 1


@pytest.mark.parametrize("nonce", ["", "AB" * 16, "ab" * 17, "ab" * 16 + "\n"])
async def test_a_datagram_is_never_chosen_freely(open_port: "OpenPort", nonce: str) -> None:
    port = await open_port()
    envelope = replace(ENVELOPE, type="probe", body={"nonce": nonce})
    assert await post(port, envelope, path="probe") == (400, "malformed")
    assert port.door.probes == []


async def test_when_founding_is_over_messages_are_rejected_and_hellos_answered(
    open_port: "OpenPort", make_caller: "MakeCaller"
) -> None:
    port = await open_port()
    port.door.founded = True
    caller = await make_caller(port.listener.port)
    with pytest.raises(PeerError) as caught:
        await caller.send(SERVER, "127.0.0.1", Lead(3), 3)
    assert caught.value.rejected
    assert "409" in caught.value.why
    assert "formed" in caught.value.why
    assert port.door.messages == []
    assert (await caller.hello(SERVER, "127.0.0.1", HELLO)).instance_id == SERVER


async def test_before_the_node_knows_itself_it_is_not_a_rejection(
    open_port: "OpenPort", make_caller: "MakeCaller"
) -> None:
    port = await open_port()
    port.door.own = ""
    caller = await make_caller(port.listener.port)
    with pytest.raises(PeerError) as caught:
        await caller.hello(SERVER, "127.0.0.1", HELLO)
    assert not caught.value.rejected


async def test_a_large_body_and_a_large_header_are_refused(open_port: "OpenPort") -> None:
    port = await open_port()
    assert (await post(port, b" " * (BODY_LIMIT + 1)))[0] == 413
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(
            f"https://127.0.0.1:{port.listener.port}/peer/v1/hello",
            ssl=await context_of(),
            server_hostname=SERVER,
            headers={"X-Long": "x" * 9000},
        ) as response,
    ):
        assert response.status == 400
    assert port.door.hellos == []


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
async def test_a_compressed_body_is_a_malformed_one(
    open_port: "OpenPort", caplog: pytest.LogCaptureFixture, coding: str
) -> None:
    port = await open_port()
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port.listener.port, ssl=await context_of(), server_hostname=SERVER
    )
    head = f"POST /peer/v1/hello HTTP/1.1\r\nHost: x\r\nContent-Encoding: {coding}\r\n"
    writer.write(head.encode() + b"Connection: close\r\nContent-Length: 8\r\n\r\nnonsense")
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    assert b" 400 " in answer
    assert not any(record.exc_info for record in caplog.records)


async def test_a_body_that_never_ends_is_given_up(
    open_port: "OpenPort", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("musterd.api.peer.BODY_SECONDS", 0.2)
    port = await open_port()
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port.listener.port, ssl=await context_of(), server_hostname=SERVER
    )
    head = b"POST /peer/v1/hello HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
    writer.write(head)
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)
    writer.close()
    assert b" 408 " in answer
    assert port.door.hellos == []


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 70000\r\n\r\n" + b" " * 70_000,
        b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
    ids=["not an envelope", "too long", "redirect", "not HTTP"],
)
async def test_strange_answers_are_errors(make_caller: "MakeCaller", answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    context = (await Tls().load(TOKEN, "db", SERVER, time.time()))[0].server
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        caller = await make_caller(server.sockets[0].getsockname()[1])
        with pytest.raises(PeerError):
            await caller.hello(SERVER, "127.0.0.1", HELLO)
    finally:
        server.close()


async def test_an_answer_about_another_node_is_an_error(
    open_port: "OpenPort", make_caller: "MakeCaller", monkeypatch: pytest.MonkeyPatch
) -> None:
    port = await open_port()

    async def another(_peer: Hello) -> Hello:
        return replace(HELLO, instance_id=THIRD)

    monkeypatch.setattr(port.door, "hello", another)
    caller = await make_caller(port.listener.port)
    with pytest.raises(PeerError) as caught:
        await caller.hello(SERVER, "127.0.0.1", HELLO)
    assert "names other nodes" in caught.value.why
