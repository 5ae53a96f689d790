"""The test authority, and the region's certificate for every AWS host name.

The authority is made once and kept: the node image carries it among its trusted certificates, which
is how unmodified boto3 and aws commands come to trust the fake region.
"""

import ipaddress
import os
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CERTIFICATE = "ca.pem"
KEY = "ca.key"

_AUTHORITY_DAYS = 3650
_SERVER_DAYS = 365
# Machines whose clock is a little behind must still accept a fresh certificate.
_BACKDATE = timedelta(days=1)


def ensure_ca(directory: Path) -> Path:
    """Make the authority in the directory unless it is there already.

    Two callers at once end up with one authority: the folder is filled aside and renamed.

    Returns:
        The authority's certificate (PEM), `ca.pem`; its key is `ca.key` beside it, mode 0600.
    """
    certificate = directory / CERTIFICATE
    if certificate.exists():
        return certificate
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix=".ca-") as scratch:
        made = Path(scratch) / "ca"
        made.mkdir(mode=0o755)
        _make_authority(made)
        try:
            made.rename(directory)
        except OSError:
            if not certificate.exists():
                raise
    return certificate


def server_context(
    ca_directory: Path, scratch: Path, region: str, *also: IPv4Address
) -> ssl.SSLContext:
    """A TLS context with a fresh certificate for AWS's host names in the region.

    Args:
        ca_directory: where `ensure_ca` made the authority.
        scratch: where the key may lie while it is read (0600, removed at once).
        region: such as `eu-west-1`.
        also: addresses the certificate is good for too.
    """
    authority = x509.load_pem_x509_certificate((ca_directory / CERTIFICATE).read_bytes())
    signer = serialization.load_pem_private_key((ca_directory / KEY).read_bytes(), None)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    domains = (
        "amazonaws.com",
        f"{region}.amazonaws.com",
        f"s3.{region}.amazonaws.com",
        "s3.amazonaws.com",
        "ec2.internal",
        f"{region}.compute.internal",
    )
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    for domain in domains:
        names += [x509.DNSName(f"*.{domain}"), x509.DNSName(domain)]
    names += [x509.IPAddress(ipaddress.ip_address(str(address))) for address in also]
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name(f"{region}.amazonaws.com"))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + timedelta(days=_SERVER_DAYS))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(signer, hashes.SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory(dir=scratch, prefix=".tls-") as folder:
        chain = Path(folder) / "server.pem"
        _write_private(chain, _key_pem(key) + certificate.public_bytes(_PEM))
        context.load_cert_chain(chain)
    return context


_PEM = serialization.Encoding.PEM


def _make_authority(directory: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("muster lab test authority")
    now = datetime.now(UTC)
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + timedelta(days=_AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_private(directory / KEY, _key_pem(key))
    (directory / CERTIFICATE).write_bytes(certificate.public_bytes(_PEM))


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _write_private(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
