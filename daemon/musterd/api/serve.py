"""Listening: limits that aiohttp does not have, and the two kinds of sites."""

import asyncio
import gc
import logging
import os
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from aiohttp.http import HttpProcessingError

from musterd.api.access import CALL, Call, Refusals
from musterd.peer_wire import PORT

HANDSHAKE_SECONDS = 5.0  # asyncio's own limit is 60
_BACKLOG = 128
# asyncio accepts as many in one turn of its loop as its backlog says, and serves none of them
# before the next. Few a turn and a long queue: a crowd waits in the kernel, not as connections.
_CONTROL_TURN = 16
_CONTROL_QUEUE = 1024
# A closed TLS connection leaves 256 KiB in a cycle of asyncio's objects, too few of them for
# Python to look for garbage soon: a crowd of 2,400 left 260 MiB lying about.
_COLLECT_AFTER = 16
# Ended ones keep that memory too, until asyncio has seen their end.
_ENDING_AT_ONCE = 8
_KEEPALIVE = 15.0  # also ends connections that never send a whole head; the default is an hour
_SHUTDOWN = 1.0  # spent twice where a handler does not end


@dataclass(frozen=True)
class Limits:
    """How many connections may live at once, and how long one may.

    Attributes:
        connections: of everybody together.
        of_one_address: of one source.
        seconds: longest life, None for ever.
    """

    connections: int
    of_one_address: int
    seconds: float | None


# An honest peer's connection lives for milliseconds, and it opens one or two at a time. Half a
# head would otherwise keep a connection for ever: headers have no time-out of their own.
PEER_LIMITS = Limits(connections=128, of_one_address=16, seconds=30.0)
# A local caller that was let in may have to wait for a processor before it asks.
CONTROL_LIMITS = Limits(connections=256, of_one_address=256, seconds=None)


@dataclass
class _Living:
    """One accepted connection: where it came from, and when it must be over (loop time)."""

    connection: socket.socket
    call: Call
    due: float | None


class LimitedListener(socket.socket):
    """A listening socket that bounds how many accepted connections live, and how long.

    asyncio calls `accept` and nothing of ours before a TLS handshake is over, so here is the only
    place where silent connections can be bounded. Whoever opens one too many is not served until
    its others end: nobody can crowd out callers at other addresses.

    Args:
        limits: for all connections, and for those of one address.
        refusals: hears whose connection was ended for that, and who never finished a handshake;
            None where there is no handshake.
        family: of a new socket.
        fileno: of a socket that exists, instead.
    """

    def __init__(
        self,
        limits: "Limits",
        *,
        refusals: Refusals | None = None,
        family: int = -1,
        fileno: int | None = None,
    ) -> None:
        super().__init__(family, socket.SOCK_STREAM if fileno is None else -1, fileno=fileno)
        self._limits = limits
        self._over = 0  # since garbage was last collected
        self._refusals = refusals
        self._living: list[_Living] = []
        self._ending: list[socket.socket] = []
        self._sweeping = False

    def heir(self) -> "LimitedListener":
        """Return a second listener on the same queue, which counts the same connections."""
        heir = LimitedListener(
            self._limits,
            refusals=self._refusals,
            fileno=os.dup(self.fileno()),
        )
        heir.setblocking(False)
        heir._living = self._living
        heir._ending = self._ending
        return heir

    def accept(self) -> tuple[socket.socket, object]:
        """Accept a connection.

        Raises:
            ConnectionAbortedError: its address has too many. asyncio then tries the next, and has
                made none of the large objects that a TLS connection takes.
            BlockingIOError: too many were ended just now. asyncio comes back to the queue when it
                has cleaned up after some of them.
        """
        self._forget_closed()
        if len(self._ending) >= _ENDING_AT_ONCE:
            raise BlockingIOError
        connection, address = super().accept()
        source = str(address[0]) if isinstance(address, tuple) else ""
        counts = Counter(each.call.address for each in self._living)
        if counts[source] >= self._limits.of_one_address:
            connection.close()
            self._tell_crowded(source)
            raise ConnectionAbortedError
        counts[source] += 1
        if len(self._living) >= self._limits.connections:
            self._end_oldest_of(counts.most_common(1)[0][0])
        # The task that asyncio makes of this connection, and its handshake, inherit this.
        CALL.set(call := Call(source))
        loop = asyncio.get_running_loop()
        seconds = self._limits.seconds
        due = None if seconds is None else loop.time() + seconds
        self._living.append(_Living(connection, call, due))
        if seconds is not None and not self._sweeping:
            self._sweeping = True
            loop.call_later(seconds, self._sweep)
        return connection, address

    def _forget_closed(self) -> None:
        # Whoever closes a connection leaves its object without a descriptor.
        for each in self._living:
            if each.connection.fileno() < 0 and not each.call.judged and self._refusals is not None:
                self._refusals.unfinished(each.call.address)
        before = len(self._living) + len(self._ending)
        # In place: heirs share.
        self._living[:] = [each for each in self._living if each.connection.fileno() >= 0]
        self._ending[:] = [each for each in self._ending if each.fileno() >= 0]
        self._over += before - len(self._living) - len(self._ending)
        if self._refusals is not None and self._over >= _COLLECT_AFTER:  # else there is no TLS
            self._over = 0
            gc.collect()

    def _end_oldest_of(self, source: str) -> None:
        victim = next(each for each in self._living if each.call.address == source)
        self._living.remove(victim)
        self._ending.append(victim.connection)
        _end(victim.connection)
        self._tell_crowded(source)

    def _tell_crowded(self, source: str) -> None:
        if self._refusals is not None:
            self._refusals.crowded(source)

    def _sweep(self) -> None:
        """End what has lived too long; one timer for all, however many come."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for each in self._living:
            if each.due is not None and each.due <= now:
                _end(each.connection)
        self._forget_closed()
        dues = [each.due for each in self._living if each.due is not None and each.due > now]
        self._sweeping = bool(dues)
        if dues:
            loop.call_later(min(dues) - now, self._sweep)


def _end(connection: socket.socket) -> None:
    """Make the kernel say goodbye; the transport then sees the end and cleans up by itself."""
    if connection.fileno() >= 0:
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            return  # the other side was faster


class PeerListener:
    """The peer port: TLS only, opened once the token is known.

    Args:
        application: from `peer_application`.
        refusals: hears of those who came no further than the connection.
        host: address to bind; every one by default, because a node's own may change its interface.
        port: TCP port; 0 for any (tests).
        limits: of its connections.
    """

    def __init__(
        self,
        application: web.Application,
        refusals: Refusals,
        *,
        host: str = "0.0.0.0",  # noqa: S104 who may speak is decided by TLS and membership
        port: int = PORT,
        limits: Limits = PEER_LIMITS,
    ) -> None:
        self._application = application
        self._refusals = refusals
        self._limits = limits
        self._host = host
        self._wanted_port = port
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._listener: LimitedListener | None = None
        self.port = 0  # the bound one

    async def listen(self, context: ssl.SSLContext) -> None:
        """Open the port with this context; or, where it is open, use this one from now on.

        The queue of the open port is kept, so that nobody is turned away by the change.

        Raises:
            OSError: it cannot be bound.
        """
        if self._runner is None:
            self._runner = _runner(self._application)
            await self._runner.setup()
        before = self._server, self._listener
        listener = self._bound() if self._listener is None else self._listener.heir()
        try:
            self._server = await asyncio.get_running_loop().create_server(
                _factory(self._runner),
                sock=listener,
                ssl=context,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=1.0,
                backlog=_BACKLOG,
            )
        except OSError:
            listener.close()
            raise
        self._listener = listener
        await _stop(*before)
        self.port = listener.getsockname()[1]

    def _bound(self) -> LimitedListener:
        listener = LimitedListener(self._limits, refusals=self._refusals, family=socket.AF_INET)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self._host, self._wanted_port))
        except OSError:
            listener.close()
            raise
        return listener

    async def close(self) -> None:
        """Close the port and end its connections."""
        before = self._server, self._listener
        self._server = self._listener = None
        await _stop(*before)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


async def _stop(server: asyncio.Server | None, listener: LimitedListener | None) -> None:
    """Stop accepting; connections live on."""
    if server is None or listener is None:
        return
    asyncio.get_running_loop().remove_reader(listener)
    # What was accepted last is handed to the server in the loop's next turn, and a closed server
    # would drop it.
    await asyncio.sleep(0)
    server.close()


async def serve_control(application: web.Application, listener: socket.socket) -> web.AppRunner:
    """Serve an application on a listening unix socket; `cleanup` of the result ends it.

    Args:
        application: from `control_applications`.
        listener: made by systemd or `unix_listener`; taken over.
    """
    runner = _runner(application)
    await runner.setup()
    limited = LimitedListener(CONTROL_LIMITS, fileno=listener.detach())
    limited.setblocking(False)
    await web.SockSite(runner, limited, backlog=_CONTROL_TURN).start()
    limited.listen(_CONTROL_QUEUE)
    return runner


def unix_listener(path: Path, mode: int = 0o600) -> socket.socket:
    """Bind a unix socket ourselves, where no systemd does; of that mode from its first instant."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o777 & ~mode)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    return listener


def _runner(application: web.Application) -> web.AppRunner:
    return web.AppRunner(
        application,
        access_log=None,
        keepalive_timeout=_KEEPALIVE,
        shutdown_timeout=_SHUTDOWN,
        handler_cancellation=True,  # a follower that hung up must not keep its place
        auto_decompress=False,  # nobody here compresses; a wrong one would be a server error
    )


def _factory(runner: web.AppRunner) -> Callable[[], asyncio.BaseProtocol]:
    server = runner.server
    if server is None:
        raise RuntimeError("the runner is not set up")
    return server


def calm_aiohttp() -> None:
    """Keep a client's bytes out of the log: aiohttp logs malformed requests with a traceback."""
    logging.getLogger("aiohttp.server").addFilter(_without_client_bytes)


def _without_client_bytes(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        record.exc_info = record.exc_text = None
        record.msg, record.args = "a malformed request was refused: %s", (type(error).__name__,)
        record.levelno, record.levelname = logging.INFO, "INFO"
    return True
