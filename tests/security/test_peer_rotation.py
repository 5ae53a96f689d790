"""One token after another on an open port: nobody is turned away, and nobody stays too long."""

import asyncio
import socket
import ssl
import time
from typing import TYPE_CHECKING

import aiohttp
import pytest

from musterd import trust
from musterd.adapters.tls import Credentials, Tls
from musterd.errors import PeerError

if TYPE_CHECKING:
    from tests.security.conftest import MakeCaller, OpenPort, Port

SERVER = "i-00000000000000001"
CALLER = "i-00000000000000002"
OLD = trust.make_token(bytes(range(32)))
NEW = trust.make_token(bytes(32))


async def member_of(*tokens: trust.Token) -> Credentials:
    """Return a member's credentials: the first token issues, all are trusted."""
    tls = Tls()
    tls.hear(trust.Tokens(tokens[0], tokens))
    return (await tls.load(tokens[0], "db", CALLER, time.time()))[0]


async def turn(port: "Port", *tokens: trust.Token) -> None:
    """Have the node take up what the secret now says."""
    port.tls.hear(trust.Tokens(tokens[0], tokens))
    await port.peers.open(tokens[0].text(), "db", SERVER)


async def call(port: "Port", member: Credentials) -> bool:
    """Post a request; tell whether it came through. An empty body is not understood: inside."""
    connector = aiohttp.TCPConnector(force_close=True)
    try:
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.post(
                f"https://127.0.0.1:{port.listener.port}/peer/v1/hello",
                ssl=member.client,
                server_hostname=SERVER,
                data=b"{}",
            ) as response,
        ):
            return response.status == 400
    except aiohttp.ClientError:
        return False


async def test_no_call_fails_while_both_are_trusted(open_port: "OpenPort") -> None:
    """Calls come all the time, while the node goes from one token to the other and back."""
    port = await open_port(token=OLD)
    number = port.listener.port
    late = await member_of(OLD)  # has not heard of the new one yet
    await turn(port, OLD, NEW)
    assert await call(port, late)
    members = await member_of(OLD, NEW), await member_of(NEW, OLD)
    calls: list[bool] = []
    one_more, over = asyncio.Semaphore(0), asyncio.Event()

    async def keep_calling() -> None:
        while not over.is_set():
            for member in members:
                calls.append(await call(port, member))
                one_more.release()

    calling = [asyncio.create_task(keep_calling()) for _ in range(4)]
    for _ in range(20):
        await turn(port, NEW, OLD)
        await one_more.acquire()
        await turn(port, OLD, NEW)
        await one_more.acquire()
    over.set()
    await asyncio.gather(*calling)
    assert len(calls) >= 40
    assert all(calls)
    assert port.listener.port == number


async def test_a_dropped_token_is_refused_at_once(
    open_port: "OpenPort", make_caller: "MakeCaller"
) -> None:
    port = await open_port(token=OLD)
    old, new = await member_of(OLD, NEW), await member_of(NEW, OLD)
    await turn(port, NEW, OLD)
    assert await call(port, old)
    await turn(port, NEW)
    assert not await call(port, old)
    assert await call(port, new)
    with pytest.raises(PeerError) as caught:
        await (await make_caller(port.listener.port, token=OLD)).hello(
            SERVER, "127.0.0.1", port.door.hello_of_caller()
        )
    assert caught.value.rejected


async def test_what_does_not_change_is_not_done_again(open_port: "OpenPort") -> None:
    port = await open_port(token=OLD)
    before = port.tls.credentials()
    await turn(port, OLD)
    assert port.tls.credentials() is before


async def test_no_session_is_resumed(open_port: "OpenPort") -> None:
    """A resumed session would outlive the exchange of the token that it was opened under."""
    port = await open_port(token=OLD)
    context = (await member_of(OLD)).client

    def handshake(session: ssl.SSLSession | None) -> tuple[bool | None, ssl.SSLSession | None]:
        with (
            socket.create_connection(("127.0.0.1", port.listener.port), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=SERVER, session=session) as secure,
        ):
            secure.sendall(b"POST /peer/v1/hello HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            assert b" 400 " in secure.recv(4096)  # tickets would have come before this
            return secure.session_reused, secure.session

    _, session = await asyncio.to_thread(handshake, None)
    reused, _ = await asyncio.to_thread(handshake, session)
    assert session is not None
    assert not session.has_ticket
    assert not reused
