"""Listening: limits that aiohttp does not have, and the two kinds of sites."""

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

from aiohttp import web
from aiohttp.http import HttpProcessingError

from musterd.peer_wire import PORT

HANDSHAKE_SECONDS = 5.0  # asyncio's own limit is 60
PEER_SECONDS = 30.0  # longest life of a peer's connection: headers have no time-out of their own
PEER_CONNECTIONS = 128
CONTROL_CONNECTIONS = 32
_BACKLOG = 128
_KEEPALIVE = 15.0  # also ends connections that never send a whole head; the default is an hour
_SHUTDOWN = 1.0  # spent twice where a handler does not end


class LimitedListener(socket.socket):
    """A listening socket that bounds how many accepted connections live, and how long.

    asyncio calls `accept` and nothing of ours before a TLS handshake is over, so here is the only
    place where silent connections can be bounded. One too many ends the oldest, or the newest:
    an honest peer's connection lives for some milliseconds, it is hardly ever the oldest.

    Args:
        connections: how many may live at once.
        seconds: how long one may live, None for ever.
        ends_oldest: which to end when there is one too many: the oldest, else the newest.
        family: of a new socket.
        fileno: of a socket that exists, instead.
    """

    def __init__(
        self,
        *,
        connections: int,
        seconds: float | None,
        ends_oldest: bool,
        family: int = -1,
        fileno: int | None = None,
    ) -> None:
        super().__init__(family, socket.SOCK_STREAM if fileno is None else -1, fileno=fileno)
        self._connections = connections
        self._seconds = seconds
        self._ends_oldest = ends_oldest
        self._living: list[socket.socket] = []

    def accept(self) -> tuple[socket.socket, object]:
        """Accept a connection and, where that is one too many, end one."""
        connection, address = super().accept()
        # Whoever closes a connection leaves its object without a descriptor.
        self._living = [each for each in self._living if each.fileno() >= 0]
        self._living.append(connection)
        if len(self._living) > self._connections:
            _end(self._living.pop(0 if self._ends_oldest else -1))
        if self._seconds is not None:
            asyncio.get_running_loop().call_later(self._seconds, _end, connection)
        return connection, address


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
        host: address to bind; every one by default, because a node's own may change its interface.
        port: TCP port; 0 for any (tests).
    """

    def __init__(
        self,
        application: web.Application,
        *,
        host: str = "0.0.0.0",  # noqa: S104 who may speak is decided by TLS and membership
        port: int = PORT,
    ) -> None:
        self._application = application
        self._host = host
        self._wanted_port = port
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self.port = 0  # the bound one

    async def listen(self, context: ssl.SSLContext) -> None:
        """Open the port with this context, in place of an earlier one.

        Raises:
            OSError: it cannot be bound.
        """
        if self._runner is None:
            self._runner = _runner(self._application)
            await self._runner.setup()
        if self._server is not None:
            self._server.close()
            self._server = None
        listener = LimitedListener(
            connections=PEER_CONNECTIONS,
            seconds=PEER_SECONDS,
            ends_oldest=True,
            family=socket.AF_INET,
        )
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self._host, self._wanted_port))
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
        self.port = listener.getsockname()[1]

    async def close(self) -> None:
        """Close the port and end its connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


async def serve_control(application: web.Application, listener: socket.socket) -> web.AppRunner:
    """Serve an application on a listening unix socket; `cleanup` of the result ends it.

    Args:
        application: from `control_applications`.
        listener: made by systemd or `unix_listener`; taken over.
    """
    runner = _runner(application)
    await runner.setup()
    limited = LimitedListener(
        connections=CONTROL_CONNECTIONS,
        seconds=None,
        ends_oldest=False,
        fileno=listener.detach(),
    )
    limited.setblocking(False)
    await web.SockSite(runner, limited, backlog=_BACKLOG).start()
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
