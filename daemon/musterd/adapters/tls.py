"""TLS contexts of this node, made of the token; no key ever touches a disk.

TLS 1.3 only, certificates demanded on both sides, our own authorities the only trusted ones.
"""

import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field

from musterd.adapters.mint import mint
from musterd.errors import PeerError
from musterd.trust import UNKNOWN_AUTHORITY, Token, Tokens


@dataclass(frozen=True)
class Credentials:
    """Who this node is to its peers, and the contexts that prove and demand it."""

    cluster: str
    own_id: str
    authority: str  # the issuing authority's name; it holds its key's id, and no secret
    issuer: Token = field(repr=False)
    trusted: int  # how many authorities are believed
    server: ssl.SSLContext = field(repr=False)
    client: ssl.SSLContext = field(repr=False)


class Tls:
    """Holds this node's credentials from the moment the token is known.

    Args:
        judged: hears that a handshake on the listening side is over, and why where it failed
            (asyncio drops the reason); called in the context of that connection.
        doubted: hears that a handshake failed, on either side, because one of the two does not
            know the other's authority: the token may have been changed.
    """

    def __init__(
        self,
        judged: Callable[[ssl.SSLError | None], None] = lambda _error: None,
        doubted: Callable[[], None] = lambda: None,
    ) -> None:
        self._judged = judged
        self._doubted = doubted
        self._trusted: tuple[Token, ...] = ()
        self._made_of: tuple[object, ...] = ()
        self._credentials: Credentials | None = None

    def hear(self, tokens: Tokens) -> None:
        """Trust, from the next `load` on, also what the secret names beside its issuing token."""
        self._trusted = tokens.trust

    def has_heard(self) -> bool:
        """Tell whether a token was ever read since this process started."""
        return bool(self._trusted)

    async def load(
        self, token: Token, cluster: str, own_id: str, now: float
    ) -> tuple[Credentials, bool]:
        """Make credentials; the same contexts again unless anything they are made of changed.

        Args:
            token: the one that issues.
            cluster: the cluster's name.
            own_id: this node's instance id.
            now: seconds since 1970.

        Returns:
            The credentials, and whether they are new, so that a listener must be opened with them.

        Raises:
            PeerError: the certificate cannot be made.
        """
        trusted = dict.fromkeys((token, *self._trusted))
        made_of = (tuple(trusted), cluster, own_id)
        if self._credentials is not None and made_of == self._made_of:
            return self._credentials, False
        minted = await mint(token, trusted, cluster, own_id, now)
        server = _context(ssl.PROTOCOL_TLS_SERVER)
        server.sslobject_class = _reporting(self._judged, self._doubted)
        # A resumed session would outlive the exchange of the token.
        server.num_tickets = 0
        client = _context(ssl.PROTOCOL_TLS_CLIENT)
        client.sslobject_class = _reporting(lambda _error: None, self._doubted)
        client.check_hostname = True
        client.hostname_checks_common_name = False
        for context in (server, client):
            context.load_verify_locations(cadata=minted.authorities)
            _present(context, minted.leaf)
        self._made_of = made_of
        self._credentials = Credentials(
            cluster, own_id, minted.authority, token, len(trusted), server, client
        )
        return self._credentials, True

    async def renew(self, now: float) -> None:
        """Mint a new leaf with a new key; it holds from the next handshake, on open listeners too.

        Args:
            now: seconds since 1970.

        Raises:
            PeerError: it cannot be made; the old one stays in use.
        """
        mine = self.credentials()
        minted = await mint(mine.issuer, (mine.issuer,), mine.cluster, mine.own_id, now)
        try:
            for context in (mine.server, mine.client):
                _present(context, minted.leaf)
        except OSError as error:  # no descriptor is left, say
            raise PeerError(
                "the new certificate cannot be presented",
                rejected=False,
                why=error.strerror or str(error),
                cure="see `journalctl -u musterd`; it is tried again tomorrow",
            ) from error

    def credentials(self) -> Credentials:
        """Return the credentials. Raises PeerError while the token is not known yet."""
        if self._credentials is None:
            raise PeerError(
                "peers cannot be called yet",
                rejected=False,
                why="the cluster token is not known",
                cure="`muster status` says what the token waits for",
            )
        return self._credentials


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def _present(context: ssl.SSLContext, leaf: str) -> None:
    """Show a leaf in handshakes; `load_cert_chain` takes nothing but a path."""
    descriptor = os.memfd_create("leaf", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(leaf)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")


def _reporting(
    judged: Callable[[ssl.SSLError | None], None], doubted: Callable[[], None]
) -> type[ssl.SSLObject]:
    class ReportingObject(ssl.SSLObject):
        """An SSLObject that tells how its handshake ended (SSLContext.sslobject_class)."""

        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise  # not over yet
            except ssl.SSLError as error:
                judged(error)
                if _strangers(error):
                    doubted()
                raise
            judged(None)

    return ReportingObject


def _strangers(error: ssl.SSLError) -> bool:
    """Tell whether one of the two has no authority that signed the other's certificate."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_code in UNKNOWN_AUTHORITY
    return error.reason == "TLSV1_ALERT_UNKNOWN_CA"
