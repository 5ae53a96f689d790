"""Calls to other nodes' musterd, over mutual TLS."""

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable

import aiohttp
import structlog

from musterd import peer_wire, trust
from musterd.adapters.tls import Credentials, Tls
from musterd.election.types import Message
from musterd.errors import PeerError
from musterd.peer_wire import BODY_LIMIT, PORT, Envelope, Hello, Probe, Probed
from musterd.ports import Clock, Random

_TIMEOUT = aiohttp.ClientTimeout(total=4.0, sock_connect=2.0)
_OK, _NO_CONTENT, _CLIENT_ERROR, _SERVER_ERROR = 200, 204, 400, 500
_RENEWAL = 24 * 3600.0  # seconds; a leaf lives 30 days
_REASON_LENGTH = 300  # characters of a peer's sentence that are repeated
_COMPARE = (
    "compare on both nodes: cluster name and [secret] (`muster config`), the clock "
    "(`chronyc tracking`); an instance that took over the address is known as such within 10 s"
)

log = structlog.get_logger("musterd.peers")


class HttpPeers:
    """Port `Peers`.

    Args:
        tls: where credentials are made; calls raise PeerError until `open` has made them.
        clock: dates the leaves.
        random: names requests.
        listen: opens the peer port with the server's context; called again with another one
            when the token or the cluster's name changes.
        port: TCP port that every peer listens on.
    """

    def __init__(
        self,
        tls: Tls,
        clock: Clock,
        random: Random,
        listen: Callable[[ssl.SSLContext], Awaitable[None]],
        *,
        port: int = PORT,
    ) -> None:
        self._tls = tls
        self._clock = clock
        self._random = random
        self._listen = listen
        self._port = port
        self._session: aiohttp.ClientSession | None = None
        self._listening = False
        self._renewal: asyncio.Task[None] | None = None

    async def open(self, token: str, cluster: str, own_id: str) -> None:
        """Take the cluster token: open the peer port, and be able to call. Idempotent.

        Raises:
            SecretError: it is no token.
            PeerError: the port cannot be opened.
        """
        issuing = trust.parse_token(token)
        credentials, new = await self._tls.load(issuing, cluster, own_id, self._clock.wall())
        if new or not self._listening:
            try:
                await self._listen(credentials.server)
            except OSError as error:
                self._listening = False
                raise PeerError(
                    f"cannot listen on TCP {self._port}",
                    rejected=False,
                    why=error.strerror or str(error),
                    cure=f"see who holds the port: `ss -ltnp 'sport = :{self._port}'`",
                ) from error
            self._listening = True
            log.info("tokens taken up", issuing=credentials.authority, trusted=credentials.trusted)
            self._schedule_renewal()

    async def hello(self, instance_id: str, address: str, hello: Hello) -> Hello:
        """Exchange states with the peer that must prove to be `instance_id`.

        Raises:
            PeerError: `rejected` when one side does not accept the other, else unreachable.
        """
        body = peer_wire.hello_body(hello)
        try:
            theirs = peer_wire.read_hello(await self._ask(instance_id, address, "hello", body))
        except ValueError as error:
            raise _strange(instance_id, str(error)) from error
        if theirs.instance_id != instance_id:
            raise _strange(instance_id, "its answer names other nodes")
        return theirs

    async def probe(self, instance_id: str, address: str, probe: Probe) -> Probed:
        """Have the peer try the ways to this node, and return what it found.

        Raises:
            PeerError: as for `hello`.
        """
        body = peer_wire.probe_body(probe)
        try:
            return peer_wire.read_probed(await self._ask(instance_id, address, "probe", body))
        except ValueError as error:
            raise _strange(instance_id, str(error)) from error

    async def _ask(
        self, instance_id: str, address: str, kind: peer_wire.Kind, body: dict[str, object]
    ) -> dict[str, object]:
        """Return the body of the answer, which must be from this peer to this node.

        Raises:
            PeerError: as for `hello`.
            ValueError: the answer is no envelope.
        """
        credentials = self._tls.credentials()
        envelope = self._envelope(credentials, instance_id, kind, body, term=0)
        said = peer_wire.decode(await self._post(credentials, instance_id, address, envelope))
        if said.sender != instance_id or said.to != credentials.own_id:
            raise _strange(instance_id, "its answer names other nodes")
        return said.body

    async def send(self, instance_id: str, address: str, message: Message, term: int) -> None:
        """Deliver one election message.

        Raises:
            PeerError: as for `hello`; the message may have arrived all the same.
        """
        credentials = self._tls.credentials()
        body = peer_wire.message_body(message)
        envelope = self._envelope(credentials, instance_id, "message", body, term=term)
        await self._post(credentials, instance_id, address, envelope)

    async def close(self) -> None:
        """Close what is open; the peer port is its opener's to close."""
        self._stop_renewal()
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _schedule_renewal(self) -> None:
        self._stop_renewal()
        self._renewal = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEWAL)
            try:
                await self._tls.renew(self._clock.wall())
            except PeerError as error:
                # The leaf in use lives on for weeks, and tomorrow is another day.
                log.warning("the certificate was not renewed", why=error.why, cure=error.cure)

    def _stop_renewal(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            self._renewal = None

    def _envelope(
        self,
        credentials: Credentials,
        to: str,
        kind: peer_wire.Kind,
        body: dict[str, object],
        *,
        term: int,
    ) -> Envelope:
        return Envelope(
            v=peer_wire.VERSION,
            cluster=credentials.cluster,
            sender=credentials.own_id,
            to=to,
            term=term,
            id=self._random.hexadecimal(32),
            type=kind,
            body=body,
        )

    async def _post(
        self, credentials: Credentials, instance_id: str, address: str, envelope: Envelope
    ) -> bytes:
        try:
            async with self._open().post(
                f"https://{address}:{self._port}/peer/v1/{envelope.type}",
                data=peer_wire.encode(envelope),
                headers={"Content-Type": "application/json"},
                ssl=credentials.client,
                server_hostname=instance_id,
                allow_redirects=False,
            ) as response:
                content = await _read(response, instance_id)
                _judge(response, instance_id, content)
                return content
        except TimeoutError as error:
            raise _unreachable(instance_id, address, "no answer within 4 s") from error
        except (aiohttp.ClientConnectorCertificateError, ssl.SSLError) as error:
            raise _not_proven(instance_id, address, error) from error
        except aiohttp.ClientOSError as error:
            if isinstance(error.__cause__, ssl.SSLError):
                raise _not_proven(instance_id, address, error.__cause__) from error
            why = os.strerror(error.errno) if error.errno else str(error)
            raise _unreachable(instance_id, address, why) from error
        except aiohttp.ServerDisconnectedError as error:
            # In TLS 1.3 a client learns late, and only so, that its certificate was refused.
            why = "it closed the connection: it does not accept our certificate, or it died"
            raise _unreachable(instance_id, address, why) from error
        except aiohttp.ClientError as error:
            raise _strange(instance_id, type(error).__name__) from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # A connection is never used twice: EC2 gives addresses to other instances, and a
            # pooled connection has proved another identity than the one now asked for.
            connector = aiohttp.TCPConnector(force_close=True, limit=32)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=_TIMEOUT, trust_env=False, auto_decompress=False
            )
        return self._session


async def _read(response: aiohttp.ClientResponse, instance_id: str) -> bytes:
    content = bytearray()
    async for chunk in response.content.iter_chunked(BODY_LIMIT):
        content += chunk
        if len(content) > BODY_LIMIT:
            raise _strange(instance_id, f"more than {BODY_LIMIT} bytes")
    return bytes(content)


def _judge(response: aiohttp.ClientResponse, instance_id: str, content: bytes) -> None:
    if response.status in (_OK, _NO_CONTENT):
        return
    sentence = content[:_REASON_LENGTH].decode("utf-8", "replace")
    if response.content_type == "application/problem+json":
        sentence = peer_wire.problem_detail(content)[:_REASON_LENGTH]
    sentence = "".join(letter for letter in sentence if letter.isprintable())
    raise PeerError(
        f"{instance_id} refused the request",
        rejected=_CLIENT_ERROR <= response.status < _SERVER_ERROR,
        why=f"{response.status}: {sentence}",
        cure="`muster status` on that node says how it sees this one",
    )


def _unreachable(instance_id: str, address: str, why: str) -> PeerError:
    return PeerError(
        f"{instance_id} ({address}) cannot be reached",
        rejected=False,
        why=why,
        cure=f"the security group must let its own members in on TCP {PORT}; and is musterd "
        "running there?",
    )


def _not_proven(instance_id: str, address: str, error: Exception) -> PeerError:
    why = getattr(error, "verify_message", "") or getattr(error, "reason", "") or str(error)
    inner = getattr(error, "certificate_error", None)
    if inner is not None:
        why = getattr(inner, "verify_message", "") or str(inner)
    return PeerError(
        f"whoever answers at {address} is not {instance_id} of this cluster",
        rejected=True,
        why=str(why),
        cure=_COMPARE,
    )


def _strange(instance_id: str, why: str) -> PeerError:
    return PeerError(
        f"{instance_id} answers in words this node does not know",
        rejected=True,
        why=why,
        cure="the two nodes run different versions of muster: `muster --version` on both",
    )
