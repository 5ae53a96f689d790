"""From the cluster token to keys: who belongs, and what members share.

Every node derives the same certificate authority from the same 256-bit token, mints itself a leaf
that names its instance id, and so can prove membership without a certificate ever being handed out.
The token is random, never a pass-phrase: a TLS server shows its certificate before it knows the
client, so anybody who reaches the port can test guesses at leisure. 256 bits leave none to test.

Pure: time, keys and randomness come in as arguments.
"""

import hmac
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

from musterd.errors import PeerError, SecretError
from musterd.spec import INSTANCE_ID

TOKEN_BYTES = 32
# OpenSSL's verify codes when no trusted authority signed a certificate: another token's, or
# another cluster's (x509_vfy.h: X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT and the three after it).
UNKNOWN_AUTHORITY = frozenset({18, 19, 20, 21})
_TOKEN = re.compile(r"mst1_([A-Za-z0-9_-]{43})_([A-Za-z0-9_-]{6})", re.ASCII)
_CURE = "run `muster token` and put its whole output where [secret] says the token is"
_SALT = b"musterd/v1"
_KEY_BYTES = 256  # both authkeys: what `pcs cluster setup` makes


@dataclass(frozen=True)
class Token:
    """The cluster's root secret: 32 random bytes. Its repr hides them."""

    value: bytes = field(repr=False)

    def text(self) -> str:
        """Return the one text form: `mst1_<base64url>_<check>`."""
        return f"mst1_{_base64url(self.value)}_{_check(self.value)}"


@dataclass(frozen=True)
class Tokens:
    """What the source holds: the token that issues leaves, and all whose leaves are accepted.

    Two are trusted only while one replaces the other. `trust` always contains `issue`.
    """

    issue: Token
    trust: tuple[Token, ...]


@dataclass(frozen=True)
class ClusterKeys:
    """What all members of one decree share; 256 bytes each as hexadecimal, and pcsd's token."""

    corosync: str = field(repr=False)
    pacemaker: str = field(repr=False)
    pcsd_token: str = field(repr=False)


def make_token(random: bytes) -> Token:
    """Make a token of `random`: 32 bytes from the system's generator for secrets."""
    if len(random) != TOKEN_BYTES:
        raise ValueError(f"a token is made of {TOKEN_BYTES} bytes, not {len(random)}")
    return Token(random)


def parse_token(text: str) -> Token:
    """Read a token's text form; exactly that form, nothing around it.

    Raises:
        SecretError: it is anything else. The error never repeats the text.
    """
    match = _TOKEN.fullmatch(text)
    if match is None:
        raise SecretError(
            "the cluster token is malformed",
            why=f"{len(text)} characters that are not mst1_<43 characters>_<6 characters>",
            cure=_CURE,
        )
    value = urlsafe_b64decode(match[1] + "=")
    if _base64url(value) != match[1] or _check(value) != match[2]:
        raise SecretError(
            "the cluster token is malformed",
            why="its check characters do not fit: it was cut or mistyped",
            cure=_CURE,
        )
    return Token(value)


def parse_secret(text: str) -> Tokens:
    """Read a secret's value: a bare token, or `{"v": 1, "issue": TOKEN, "trust": [TOKEN, ...]}`.

    Raises:
        SecretError: it is neither. The error never repeats the text.
    """
    text = text.strip()
    if not text.startswith("{"):
        token = parse_token(text)
        return Tokens(token, (token,))
    malformed = SecretError(
        "the value of the cluster's secret is malformed",
        why='it is not JSON of the form {"v": 1, "issue": TOKEN, "trust": [TOKEN, ...]}',
        cure="restore its previous version; before the cluster is founded it may also be deleted "
        "for good, and the first node makes a new one",
    )
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        # Without the cause: json's error carries the whole document.
        raise malformed from None
    if set(value) != {"v", "issue", "trust"} or value["v"] != 1:
        raise malformed
    issue, trust = value["issue"], value["trust"]
    if not isinstance(issue, str) or not isinstance(trust, list):
        raise malformed
    if not 1 <= len(trust) <= 2 or not all(isinstance(entry, str) for entry in trust):
        raise malformed
    if issue not in trust:
        raise malformed
    return Tokens(parse_token(issue), tuple(parse_token(entry) for entry in trust))


def secret_text(token: Token) -> str:
    """Return the value under which a first node stores a new token."""
    return json.dumps({"v": 1, "issue": token.text(), "trust": [token.text()]})


def peer_id(alternative_names: Iterable[tuple[str, str]], cluster: str) -> str:
    """Return the instance id that a verified peer certificate names.

    Args:
        alternative_names: `subjectAltName` of `ssl.SSLSocket.getpeercert()`, (kind, name) pairs.
        cluster: the name of our cluster.

    Raises:
        PeerError: it does not name exactly one node of our cluster.
    """
    names = sorted(alternative_names)
    pattern = rf"musterd://{re.escape(cluster)}/({INSTANCE_ID.strip('^$')})"
    for kind, name in names:
        match = re.fullmatch(pattern, name, re.ASCII) if kind == "URI" else None
        if match is not None and names == [("DNS", match[1]), ("URI", name)]:
            return match[1]
    raise PeerError(
        "a peer's certificate does not name one node of this cluster",
        rejected=True,
        why=f"{len(names)} names in it; there must be the instance id and its URI, nothing else",
    )


def cluster_keys(token: Token, seed: str, uuid: str) -> ClusterKeys:
    """Derive what the members of one decree share.

    Args:
        token: the cluster token.
        seed: the decree's seed, hexadecimal: keys of another founding differ.
        uuid: the decree's cluster uuid.
    """
    context = b"\0" + uuid.encode("ascii") + b"\0" + bytes.fromhex(seed)
    return ClusterKeys(
        corosync=derive(token, b"corosync-authkey" + context, _KEY_BYTES).hex(),
        pacemaker=derive(token, b"pacemaker-authkey" + context, _KEY_BYTES).hex(),
        pcsd_token=_base64url(derive(token, b"pcsd-token" + context, 144)),
    )


def offer_token(token: Token, uuid: str, instance_id: str) -> str:
    """Derive what a joining node's pcsd lets the conductor in by, until it has joined.

    Whoever has the cluster token can derive it too, which is why it ends with the admission.
    """
    context = b"\0" + uuid.encode("ascii") + b"\0" + instance_id.encode("ascii")
    return _base64url(derive(token, b"pcsd-offer" + context, 144))


def derive(token: Token, info: bytes, length: int) -> bytes:
    """Derive `length` bytes for the purpose `info`: HKDF with SHA-256 (RFC 5869).

    By hand, because all of `cryptography` would stay loaded for these few lines; tests compare it
    with that library's.
    """
    secret = hmac.digest(_SALT, token.value, "sha256")
    block = made = b""
    for count in range(1, -(-length // sha256().digest_size) + 1):
        block = hmac.digest(secret, block + info + bytes([count]), "sha256")
        made += block
    return made[:length]


def _base64url(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def _check(value: bytes) -> str:
    return _base64url(sha256(value).digest())[:6]
