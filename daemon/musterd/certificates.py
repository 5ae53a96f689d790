"""What every node makes of the cluster token to speak TLS: the one authority, and its own leaf.

Also a program: musterd runs it as a child (`adapters/mint.py`) at start and once a day, because
`cryptography` takes 14 MiB of memory and a daemon at rest has no use for it. One JSON object comes
in on standard input, one goes out on standard output.

Pure but for `main`: time and keys come in as arguments.
"""

import json
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    derive_private_key,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from musterd.trust import Token, derive, parse_token

# Order of the group of P-256 (SEC 2, secp256r1).
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_AUTHORITY_DATES = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2120, 1, 1, tzinfo=UTC))
_LEAF_BEFORE = timedelta(hours=24)  # a peer's clock may be behind
_LEAF_AFTER = timedelta(days=30)


@dataclass(frozen=True)
class Authority:
    """The certificate authority of one token and cluster; never sent anywhere."""

    cluster: str
    certificate: x509.Certificate
    key: EllipticCurvePrivateKey = field(repr=False)

    def name(self) -> str:
        """Return "musterd CLUSTER KEY-ID", which every node derives alike."""
        return str(self.certificate.subject.rfc4514_string()).removeprefix("CN=")

    def pem(self) -> str:
        """Return the certificate, for a trust store."""
        return self.certificate.public_bytes(Encoding.PEM).decode("ascii")


@dataclass(frozen=True)
class Leaf:
    """A node's certificate with its key, both PEM; they live in memory only."""

    certificate: bytes
    key: bytes = field(repr=False)

    def pem(self) -> str:
        """Return both, as `ssl.SSLContext.load_cert_chain` takes them."""
        return (self.key + self.certificate).decode("ascii")


def authority(token: Token, cluster: str) -> Authority:
    """Derive the certificate authority of a cluster.

    The key is the same on every node; the certificates differ in their (random) signatures, which
    chain building does not look at: subject, key and key id decide.
    """
    material = derive(token, b"ca-p256\0" + cluster.encode("ascii"), 48)
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


def main() -> None:
    """Read an order, write authorities and a leaf.

    In: `issue` and `trust` (text forms of tokens), `cluster`, `own_id`, `now`. Out: `authority`
    (the issuer's name), `authorities` (one PEM text), `leaf` (key and certificate, one PEM text).
    """
    order = json.load(sys.stdin)
    cluster = order["cluster"]
    issuer = authority(parse_token(order["issue"]), cluster)
    trusted = [authority(parse_token(text), cluster).pem() for text in order["trust"]]
    own = leaf(issuer, order["own_id"], generate_private_key(SECP256R1()), order["now"])
    made = {"authority": issuer.name(), "authorities": "".join(trusted), "leaf": own.pem()}
    json.dump(made, sys.stdout)


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
