"""From the cluster token to keys: who belongs, and what members share.

Every node derives the same certificate authority from the same 256-bit token, mints itself a leaf
that names its instance id, and so can prove membership without a certificate ever being handed out.
The token is random, never a pass-phrase: a TLS server shows its certificate before it knows the
client, so anybody who reaches the port can test guesses at leisure. 256 bits leave none to test.

Pure: time, keys and randomness come in as arguments.
"""

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    derive_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from musterd.errors import PeerError, SecretError
from musterd.spec import INSTANCE_ID

TOKEN_BYTES = 32
_TOKEN = re.compile(r"mst1_([A-Za-z0-9_-]{43})_([A-Za-z0-9_-]{6})", re.ASCII)
_CURE = "run `muster token` and put its whole output where [secret] says the token is"
_SALT = b"musterd/v1"
# Order of the group of P-256 (SEC 2, secp256r1).
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_AUTHORITY_DATES = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2120, 1, 1, tzinfo=UTC))
_LEAF_BEFORE = timedelta(hours=24)  # a peer's clock may be behind
_LEAF_AFTER = timedelta(days=30)
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
class Authority:
    """The certificate authority of one token and cluster; never sent anywhere."""

    cluster: str
    certificate: x509.Certificate
    key: EllipticCurvePrivateKey = field(repr=False)

    def pem(self) -> str:
        """Return the certificate, for a trust store."""
        return self.certificate.public_bytes(Encoding.PEM).decode("ascii")


@dataclass(frozen=True)
class Leaf:
    """A node's certificate with its key, both PEM; they live in memory only."""

    certificate: bytes
    key: bytes = field(repr=False)


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
    except ValueError:
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


def authority(token: Token, cluster: str) -> Authority:
    """Derive the certificate authority of a cluster.

    The key is the same on every node; the certificates differ in their (random) signatures, which
    chain building does not look at: subject, key and key id decide.
    """
    material = _derive(token, b"ca-p256\0" + cluster.encode("ascii"), 48)
    # 48 bytes, not 32: reduced to the group's order their bias is below 2^-128.
    scalar = int.from_bytes(material, "big") % (_P256_ORDER - 1) + 1
    key = derive_private_key(scalar, SECP256R1())
    public = key.public_key()
    identifier = _key_identifier(public)
    # The key id keeps two authorities of one cluster apart while tokens are exchanged.
    name = _common_name(f"musterd {cluster} {identifier.digest.hex()[:12]}")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(_serial(public))
        .not_valid_before(_AUTHORITY_DATES[0])
        .not_valid_after(_AUTHORITY_DATES[1])
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, SHA256())
    )
    return Authority(cluster, certificate, key)


def leaf(issuer: Authority, instance_id: str, key: EllipticCurvePrivateKey, now: float) -> Leaf:
    """Mint this node's certificate for `key`, valid around `now` (seconds since 1970).

    The host name to verify is the instance id; the URI also names the cluster. Its lifetime is no
    boundary (whoever has the token can mint another), so it is wide enough for clocks that differ.
    """
    at = datetime.fromtimestamp(int(now), UTC)
    names = [
        x509.DNSName(instance_id),
        x509.UniformResourceIdentifier(f"musterd://{issuer.cluster}/{instance_id}"),
    ]
    public = key.public_key()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_common_name("musterd"))  # constant: names are read from the SAN alone
        .issuer_name(issuer.certificate.subject)
        .public_key(public)
        .serial_number(_serial(public))
        .not_valid_before(at - _LEAF_BEFORE)
        .not_valid_after(at + _LEAF_AFTER)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
        .add_extension(_key_identifier(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
                _key_identifier(issuer.key.public_key())
            ),
            critical=False,
        )
        .sign(issuer.key, SHA256())
    )
    return Leaf(
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


def peer_id(alternative_names: Iterable[tuple[str, str]], cluster: str) -> str:
    """Return the instance id that a verified peer certificate names.

    Args:
        alternative_names: `subjectAltName` of `ssl.SSLSocket.getpeercert()`, (kind, name) pairs.
        cluster: the name of our cluster.

    Raises:
        PeerError: it does not name exactly one node of our cluster.
    """
    names = tuple(alternative_names)
    uris = [name for kind, name in names if kind == "URI"]
    pattern = rf"musterd://{re.escape(cluster)}/({INSTANCE_ID.strip('^$')})"
    match = re.fullmatch(pattern, uris[0], re.ASCII) if len(uris) == 1 else None
    if match is None or any(kind == "DNS" and name != match[1] for kind, name in names):
        raise PeerError(
            "a peer's certificate does not name one node of this cluster",
            rejected=True,
            why=f"{len(uris)} cluster names in it",
        )
    return match[1]


def cluster_keys(token: Token, seed: str, uuid: str) -> ClusterKeys:
    """Derive what the members of one decree share.

    Args:
        token: the cluster token.
        seed: the decree's seed, hexadecimal: keys of another founding differ.
        uuid: the decree's cluster uuid.
    """
    context = b"\0" + uuid.encode("ascii") + b"\0" + bytes.fromhex(seed)
    return ClusterKeys(
        corosync=_derive(token, b"corosync-authkey" + context, _KEY_BYTES).hex(),
        pacemaker=_derive(token, b"pacemaker-authkey" + context, _KEY_BYTES).hex(),
        pcsd_token=_base64url(_derive(token, b"pcsd-token" + context, 144)),
    )


def _derive(token: Token, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=_SALT, info=info).derive(token.value)


def _base64url(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode("ascii")


def _check(value: bytes) -> str:
    return _base64url(sha256(value).digest())[:6]


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _public_digest(public: EllipticCurvePublicKey) -> bytes:
    return sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def _key_identifier(public: EllipticCurvePublicKey) -> x509.SubjectKeyIdentifier:
    # Not RFC 5280's SHA-1 form: hosts under a FIPS policy refuse SHA-1, any unique value will do.
    return x509.SubjectKeyIdentifier(_public_digest(public)[:20])


def _serial(public: EllipticCurvePublicKey) -> int:
    return int.from_bytes(_public_digest(public)[:16], "big") | 1


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
