"""A connection in memory: bytes in, bytes out, the certificate as TLS would have verified it."""

import asyncio
import re
from collections.abc import Iterable

from aiohttp import web

TURNS = 60  # of the loop, in which an answer comes if one comes at all
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


class Wire(asyncio.Transport):
    """What aiohttp's server writes to."""

    def __init__(self, certificate: object, peer: tuple[str, int] | None) -> None:
        super().__init__({"peercert": certificate, "peername": peer})
        self.sent = bytearray()
        self.over = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def writelines(self, parts: Iterable[bytes | bytearray | memoryview]) -> None:
        for part in parts:
            self.sent += part

    def is_closing(self) -> bool:
        return self.over

    def close(self) -> None:
        self.over = True

    def abort(self) -> None:
        self.over = True

    def pause_reading(self) -> None:
        return

    def resume_reading(self) -> None:
        return

    def get_write_buffer_size(self) -> int:
        return 0

    def can_write_eof(self) -> bool:
        return False


async def exchange(server: web.Server, wire: Wire, chunks: Iterable[bytes]) -> list[int]:
    """Deliver the chunks on a new connection; return the statuses answered until it idles."""
    protocol = server()
    protocol.connection_made(wire)
    for chunk in chunks:
        if wire.over:
            break
        protocol.data_received(chunk)
        await asyncio.sleep(0)
    for _ in range(TURNS):
        if wire.over:
            break
        await asyncio.sleep(0)
    protocol.connection_lost(None)
    for _ in range(3):
        await asyncio.sleep(0)
    return [int(found) for found in _STATUS.findall(bytes(wire.sent))]
