"""The ways between this node and a peer: TCP ports tried, one datagram exchanged each way.

Datagrams leave from a port of their own and arrive at 5405. Were both the same port, a security
group would take what the peer sends for the answer to ours and let it in whatever its rules say.
"""

import asyncio
import socket
from contextlib import suppress

from musterd.model import Contact

UDP_PORT = 5405  # knet's first port (corosync.conf(5), mcastport)
_CONNECT = 2.0  # seconds
_REPEAT = 0.1  # seconds between two datagrams
_AFTERWARDS = 0.5  # seconds to go on once heard, so that the peer hears us too


class _Ear(asyncio.DatagramProtocol):
    """Listens on the port, and lets those know whose nonce came."""

    def __init__(self) -> None:
        self.waiting: dict[bytes, asyncio.Event] = {}

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Take one datagram; only a nonce that somebody waits for means anything."""
        del addr
        if data in self.waiting:
            self.waiting[data].set()


class Ways:
    """Port `Network`.

    Args:
        udp_port: listened on while an exchange is under way.
    """

    def __init__(self, *, udp_port: int = UDP_PORT) -> None:
        self._udp_port = udp_port
        self._ear: asyncio.DatagramTransport | None = None
        self._heard = _Ear()
        self._binding = asyncio.Lock()
        self._closed = False

    async def connect(self, address: str, port: int) -> Contact:
        """Try a TCP port; two seconds at most."""
        try:
            async with asyncio.timeout(_CONNECT):
                _, writer = await asyncio.open_connection(address, port)
        except ConnectionRefusedError:
            return Contact.REFUSED
        except OSError:  # TimeoutError is one: no route, or nothing came back
            return Contact.SILENT
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return Contact.OPEN

    async def exchange(
        self, nonce: str, own_address: str, peer_address: str, seconds: float
    ) -> bool | None:
        """Send `nonce` to the peer's UDP 5405 while it does the same; tell whether its came.

        `seconds` is how long to listen at most. None when this node's port is taken, by Corosync
        or by `close`.
        """
        word = nonce.encode()
        heard = asyncio.Event()
        self._heard.waiting[word] = heard
        try:
            if not await self._listen(own_address):
                return None
            return await self._talk(word, (peer_address, self._udp_port), heard, seconds)
        finally:
            self._heard.waiting.pop(word, None)
            if not self._heard.waiting:
                self._stop()

    def close(self) -> None:
        """Give the port up for good: Corosync is about to need it."""
        self._closed = True
        self._stop()

    async def _listen(self, own_address: str) -> bool:
        """Open the port unless it is open; tell whether it is."""
        async with self._binding:
            if self._closed:
                return False
            if self._ear is None:
                loop = asyncio.get_running_loop()
                try:
                    self._ear, _ = await loop.create_datagram_endpoint(
                        lambda: self._heard, local_addr=(own_address, self._udp_port)
                    )
                except OSError:
                    return False
            if self._closed:
                self._stop()
            return self._ear is not None

    def _stop(self) -> None:
        if self._ear is not None:
            self._ear.abort()
            self._ear = None

    async def _talk(
        self, word: bytes, peer: tuple[str, int], heard: asyncio.Event, seconds: float
    ) -> bool:
        """Repeat the word until the peer's has come and it has had time to hear ours."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as mouth:
            mouth.setblocking(False)
            known = False
            while (left := end - loop.time()) > 0:
                with suppress(OSError):  # no way there: the silence says so
                    mouth.sendto(word, peer)
                await asyncio.sleep(min(_REPEAT, left))
                if heard.is_set() and not known:
                    known, end = True, min(end, loop.time() + _AFTERWARDS)
        return known or heard.is_set()
