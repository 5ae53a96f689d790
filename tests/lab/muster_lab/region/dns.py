"""The VPC's resolver: AWS's host names lead to the fake region, instances' names to instances."""

import asyncio
import contextlib
import ipaddress
import logging
import re
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.reversename
import dns.rrset

from .estate import Estate

log = logging.getLogger(__name__)

TTL = 5  # seconds: an instance that takes over an address is found soon
TCP_SECONDS = 10.0

_PUBLIC_NAME = re.compile(r"ec2-(\d+)-(\d+)-(\d+)-(\d+)\.")


class Resolver:
    """Answers over UDP and TCP.

    Args:
        estate: whose instances have names.
    """

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._datagrams = _Datagrams(self.reply)
        self._server: asyncio.Server | None = None

    async def start(self, address: str, port: int) -> int:
        """Bind both protocols to one port.

        Args:
            address: where to listen.
            port: 0 lets the kernel choose.

        Returns:
            The port.
        """
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: self._datagrams, local_addr=(address, port)
        )
        bound: int = transport.get_extra_info("sockname")[1]
        self._server = await asyncio.start_server(self._converse, address, bound)
        return bound

    async def stop(self) -> None:
        """Give the port back."""
        await self._datagrams.close()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def reply(self, wire: bytes) -> bytes | None:
        """The answer to one query in wire form; None for what is no query."""
        try:
            query = dns.message.from_wire(wire)
        except (dns.exception.DNSException, ValueError):
            return None
        if query.flags & dns.flags.QR or len(query.question) != 1:
            return None
        response = dns.message.make_response(query, recursion_available=True)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        if question.name.is_subdomain(_REVERSE):
            self._reverse(response, question.name)
            return response.to_wire()
        address = self.address(name)
        if address is None:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdtype in (dns.rdatatype.A, dns.rdatatype.ANY):
            response.answer.append(dns.rrset.from_text(question.name, TTL, "IN", "A", str(address)))
        return response.to_wire()

    def address(self, name: str) -> IPv4Address | None:
        """The IPv4 address of a name in lower case without its final dot, if it has one."""
        layout = self._estate.layout
        if name == "amazonaws.com" or name.endswith(".amazonaws.com"):
            public = _PUBLIC_NAME.match(name)
            if public is not None and ".compute" in name:
                return self._inside(IPv4Address(".".join(public.groups())))
            return layout.api
        for instance, interface in self._estate.interfaces():
            if name == instance.private_dns:
                return interface.primary
        return None

    def _inside(self, public: IPv4Address) -> IPv4Address | None:
        """Public names of instances resolve to the private address inside the VPC."""
        for elastic in self._estate.elastic.values():
            if elastic.public == public:
                return elastic.private or public
        return None

    def _reverse(self, response: dns.message.Message, name: dns.name.Name) -> None:
        with contextlib.suppress(ValueError, dns.exception.DNSException):
            address = ipaddress.ip_address(dns.reversename.to_address(name))
            for instance, interface in self._estate.interfaces():
                if interface.primary == address:
                    target = instance.private_dns + "."
                    response.answer.append(dns.rrset.from_text(name, TTL, "IN", "PTR", target))
                    return
        response.set_rcode(dns.rcode.NXDOMAIN)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One TCP connection: queries with a two-byte length before each (RFC 1035, 4.2.2)."""
        try:
            async with asyncio.timeout(TCP_SECONDS):
                while True:
                    length = int.from_bytes(await reader.readexactly(2), "big")
                    answer = self.reply(await reader.readexactly(length))
                    if answer is None:
                        break
                    writer.write(len(answer).to_bytes(2, "big") + answer)
                    await writer.drain()
        except (asyncio.IncompleteReadError, TimeoutError, ConnectionError) as error:
            log.debug("a client of the resolver went away: %r", error)
        finally:
            writer.close()


_REVERSE = dns.name.from_text("in-addr.arpa.")


class _Datagrams(asyncio.DatagramProtocol):
    """UDP: a datagram in, at most one out."""

    def __init__(self, reply: Callable[[bytes], bytes | None]) -> None:
        self._reply = reply
        self._transport: asyncio.DatagramTransport | None = None
        self._closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # asyncio's own class for this is no subclass of DatagramTransport before Python 3.12.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._closed.set()

    def datagram_received(self, data: bytes, addr: tuple[str | int, ...]) -> None:
        answer = self._reply(data)
        if answer is not None and self._transport is not None:
            self._transport.sendto(answer, addr)

    async def close(self) -> None:
        """Close the socket and return when it is closed."""
        if self._transport is not None:
            self._transport.close()
            await self._closed.wait()
