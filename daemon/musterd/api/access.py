"""Who may ask: local callers by the kernel's word, peers by certificate, membership and address.

A certificate proves knowledge of the token, which every member has; the instance it names must
also be a member by EC2's word, and the connection must come from that instance's address. A
leaked token is so of no use from any other machine.
"""

import asyncio
import socket
import ssl
import struct
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

import structlog
from aiohttp import web

from musterd import trust
from musterd.api.door import PeerDoor
from musterd.errors import PeerError
from musterd.peer_wire import Envelope

_PEER_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid (unix(7))
_QUIET = 60.0  # seconds in which one reason is logged once
_REMEMBERED = 256  # reasons; more within `_QUIET` are counted only
_SHOWN = 300  # characters
# In OpenSSL's words (its error reasons) -> in ours.
_HANDSHAKES = {
    "HTTP_REQUEST": "it speaks plain HTTP",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "it showed no certificate",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not accept our certificate: it has another token, or is of"
    " another cluster",
    "UNSUPPORTED_PROTOCOL": "it does not speak TLS 1.3",
    "WRONG_VERSION_NUMBER": "it does not speak TLS",
}


@dataclass
class Call:
    """One connection to the peer port: where from, and whether its handshake came to an end."""

    address: str
    judged: bool = False


# Known to all that runs for a connection, from before its first byte.
CALL: ContextVar[Call] = ContextVar("call")

log = structlog.get_logger("musterd.access")


class Access(StrEnum):
    """Which sockets have a route: `read` both, `admin` only the administrator's."""

    READ = "read"
    ADMIN = "admin"


@dataclass(frozen=True)
class Caller:
    """A local process, as it was when it connected; never decide by the pid, it may be reused."""

    pid: int
    uid: int
    gid: int


def caller_of(request: web.Request) -> Caller:
    """Return who is on the other end of a unix socket (SO_PEERCRED)."""
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the caller has gone")
    connection: socket.socket = transport.get_extra_info("socket")
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER_CREDENTIALS.size)
    return Caller(*_PEER_CREDENTIALS.unpack(raw))


class Refusals:
    """Tells the log who was refused and why, each reason once a minute: a flood costs no disk."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], float] = {}
        self._untold = 0

    def handshake(self, error: ssl.SSLError | None) -> None:
        """Tell why a TLS handshake on the peer port failed, if it did.

        Runs in the context of that connection.
        """
        call = CALL.get()
        call.judged = True
        if error is None:
            return
        reason = error.reason or type(error).__name__
        why = _HANDSHAKES.get(reason, reason.lower().replace("_", " "))
        if isinstance(error, ssl.SSLCertVerificationError):
            why = f"its certificate is not accepted: {error.verify_message}"
            if error.verify_code in trust.UNKNOWN_AUTHORITY:
                why = "its certificate was made with another token, or for another cluster"
        self.tell(f"a TLS handshake with {call.address} failed", why)

    def unfinished(self, address: str) -> None:
        """Tell who came and went, or came and said nothing, before TLS could judge."""
        why = "it said nothing for too long, or it left: perhaps it does not accept our certificate"
        self.tell(f"{address} did not finish a TLS handshake", why)

    def crowded(self, address: str) -> None:
        """Tell who opened more connections than one address may have."""
        self.tell(f"{address} opens too many connections", "it gets no more until others of it end")

    def tell(self, what: str, why: str) -> None:
        """Log one refusal, unless the same was logged within the last minute."""
        now = asyncio.get_running_loop().time()
        if now - self._told.get((what, why), -_QUIET) < _QUIET:
            return
        if len(self._told) >= _REMEMBERED:
            self._told = {said: at for said, at in self._told.items() if now - at < _QUIET}
        if len(self._told) >= _REMEMBERED:
            self._untold += 1
            return
        self._told[what, why] = now
        if self._untold:
            log.warning("refused many peers", untold=self._untold)
            self._untold = 0
        log.warning("refused a peer", what=_shown(what), why=_shown(why))


def _shown(text: str) -> str:
    """Return what of a text may stand in a log: callers choose parts of it."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_SHOWN])


async def admit(request: web.Request, door: PeerDoor) -> str:
    """Return the instance id of the member that asks.

    Raises:
        PeerError: the certificate names no member, or the connection comes from elsewhere.
    """
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the peer has gone")
    certificate = transport.get_extra_info("peercert") or {}
    peer = trust.peer_id(certificate.get("subjectAltName", ()), door.cluster_name())
    address = (transport.get_extra_info("peername") or ("an unknown address",))[0]
    if peer == door.own_id():
        raise PeerError(f"{address} claims to be this very node", rejected=True)
    addresses = door.member_addresses(peer)
    if addresses is None:
        await door.refresh_members(peer)
        addresses = door.member_addresses(peer)
    if addresses is None:
        raise PeerError(
            f"{peer} is not a member here",
            rejected=True,
            why="EC2 does not list it with this cluster's tag, in this VPC, or it is terminated",
            cure="compare its tags with another member's; a new instance is known within 10 s",
        )
    if address not in addresses:
        raise PeerError(
            f"{peer} calls from a foreign address",
            rejected=True,
            why=f"{address} is not one of its private addresses by EC2's word",
            cure="peers must reach each other without address translation",
        )
    return peer


def check_envelope(envelope: Envelope, peer: str, door: PeerDoor) -> None:
    """Hold an envelope against the connection it came on. Raises PeerError."""
    if envelope.sender != peer:
        raise PeerError("the sender is not the one its certificate names", rejected=True)
    if envelope.to != door.own_id():
        raise PeerError("the request is meant for another node", rejected=True)
    if envelope.cluster != door.cluster_name():
        raise PeerError("the request is about another cluster", rejected=True)
