"""Slow, silent and oversized callers: bounded by address, in number and in time."""

import asyncio
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from musterd import trust
from musterd.adapters.tls import Tls
from musterd.api import access, serve
from musterd.api.access import Refusals
from musterd.api.serve import PEER_LIMITS, LimitedListener, Limits

if TYPE_CHECKING:
    from tests.security.conftest import MakeCaller, OpenPort

SERVER = "i-00000000000000001"
CALLER = "i-00000000000000002"
TOKEN = trust.make_token(bytes(range(32)))
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def silent(port: int, source: str = "127.0.0.1") -> Stream:
    return await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))


async def ended(stream: Stream) -> None:
    """Wait until the other side ends the connection."""
    try:
        assert await asyncio.wait_for(stream[0].read(), 20) is not None
    except ConnectionResetError:
        return
    finally:
        stream[1].close()


def alive(stream: Stream) -> bool:
    return not stream[0].at_eof()


async def test_four_hundred_silent_connections_do_not_keep_members_out(
    open_port: "OpenPort", make_caller: "MakeCaller"
) -> None:
    port = await open_port()
    caller = await make_caller(port.listener.port)
    streams = [await silent(port.listener.port, "127.0.0.9") for _ in range(400)]
    took = []
    for _ in range(5):  # the best of them: other programs use the processors too
        began = time.monotonic()
        await caller.hello(SERVER, "127.0.0.1", port.door.hello_of_caller())
        took.append(time.monotonic() - began)
    living = [stream for stream in streams if alive(stream)]
    for _, writer in streams:
        writer.close()
    assert min(took) < 0.1
    assert len(living) <= PEER_LIMITS.of_one_address
    assert port.refusals.said[0] == (
        "127.0.0.9 opens too many connections: it gets no more until others of it end"
    )
    assert all(said.startswith("127.0.0.9 ") for said in port.refusals.said)


async def test_who_crowds_loses_its_own_connections_not_anothers(
    open_port: "OpenPort", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "HANDSHAKE_SECONDS", 60.0)  # not what ends them here
    port = await open_port()
    honest = await silent(port.listener.port, "127.0.0.8")
    crowd = [
        await silent(port.listener.port, f"127.0.1.{number}")
        for number in range(1, PEER_LIMITS.connections)
    ]
    # All places are taken; from here on the one with the most connections pays for each new one.
    crowd += [await silent(port.listener.port, "127.0.1.1") for _ in range(PEER_LIMITS.connections)]
    await ended(crowd[0])
    assert alive(honest)
    for _, writer in (honest, *crowd):
        writer.close()


@pytest.mark.parametrize("head", [b"", b"POST /peer/v1/hello HTTP/1.1\r\nHost: x\r\nX-Half: "])
async def test_half_a_request_is_ended_at_the_limit(
    open_port: "OpenPort", monkeypatch: pytest.MonkeyPatch, head: bytes
) -> None:
    monkeypatch.setattr(serve, "_KEEPALIVE", 60.0)  # not what ends it here
    port = await open_port(limits=Limits(8, 8, seconds=0.5))
    credentials, _ = await Tls().load(TOKEN, "db", CALLER, time.time())
    began = time.monotonic()
    stream = await asyncio.open_connection(
        "127.0.0.1", port.listener.port, ssl=credentials.client, server_hostname=SERVER
    )
    stream[1].write(head)
    await ended(stream)
    assert 0.4 < time.monotonic() - began < 10
    assert port.door.hellos == []


async def test_half_a_handshake_is_ended_at_the_limit(
    open_port: "OpenPort", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "HANDSHAKE_SECONDS", 0.3)
    port = await open_port()
    stream = await silent(port.listener.port)
    stream[1].write(b"\x16\x03\x01")
    await ended(stream)
    assert port.door.asked == 0


async def test_one_timer_serves_all_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that connects and leaves ten thousand times a second must not leave timers."""
    loop = asyncio.get_running_loop()
    later, timers = loop.call_later, []

    def counted(
        delay: float, callback: Callable[..., object], *given: object
    ) -> asyncio.TimerHandle:
        timers.append(callback)
        return later(delay, callback, *given)

    monkeypatch.setattr(loop, "call_later", counted)
    with LimitedListener(Limits(8, 8, 0.2), family=socket.AF_INET) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        for _ in range(50):
            with socket.create_connection(listener.getsockname()):
                listener.accept()[0].close()
        assert len(timers) == 1
        with socket.create_connection(listener.getsockname()) as calling:
            accepted, _ = listener.accept()
            calling.setblocking(False)
            assert await asyncio.wait_for(loop.sock_recv(calling, 1), 10) == b""
            accepted.close()


async def test_no_more_is_accepted_than_the_loop_ends() -> None:
    """An ended connection keeps its buffers until asyncio sees the end of it."""
    limits = Limits(connections=2, of_one_address=2, seconds=None)
    with ExitStack() as held, LimitedListener(limits, family=socket.AF_INET) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        for source in range(2, 22):
            calling = held.enter_context(socket.socket())
            calling.bind((f"127.0.0.{source}", 0))
            calling.connect(listener.getsockname())
        # Two live, eight are ended.
        accepted = [held.enter_context(listener.accept()[0]) for _ in range(10)]
        with pytest.raises(BlockingIOError):
            listener.accept()
        accepted[0].close()
        listener.accept()[0].close()


class Lines:
    """A log that tests can read."""

    def __init__(self) -> None:
        self.lines: list[dict[str, object]] = []

    def warning(self, event: str, **fields: object) -> None:
        self.lines.append({"event": event, **fields})


async def test_a_flood_of_refusals_costs_few_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Lines()
    monkeypatch.setattr(access, "log", log)
    refusals = Refusals()
    for _ in range(3):
        for number in range(10_000):
            refusals.tell("made up", f"reason {number}")
    assert len(log.lines) == 256
    monkeypatch.setattr(access, "_QUIET", 0.0)  # the minute is over
    refusals.tell("made up", "afterwards")
    assert [line["event"] for line in log.lines[256:]] == ["refused many peers", "refused a peer"]
    assert log.lines[256]["untold"] == 3 * (10_000 - 256)


async def test_a_refusal_is_one_short_printable_line(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Lines()
    monkeypatch.setattr(access, "log", log)
    Refusals().tell("what", "\x1b[2J\r\n" + "x" * 70_000)
    assert log.lines[0]["why"] == "?[2J??" + "x" * 294


async def test_the_reason_is_known_with_the_address(open_port: "OpenPort") -> None:
    """Two strangers at once: each reason stands beside the right one."""
    port = await open_port()
    plain, nothing = (
        await silent(port.listener.port, "127.0.0.7"),
        await silent(port.listener.port, "127.0.0.6"),
    )
    nothing[1].write(b"\x00" * 64)
    plain[1].write(b"GET / HTTP/1.1\r\n\r\n")
    await asyncio.gather(ended(plain), ended(nothing))
    assert sorted(port.refusals.said) == [
        "a TLS handshake with 127.0.0.6 failed: it does not speak TLS",
        "a TLS handshake with 127.0.0.7 failed: it speaks plain HTTP",
    ]
