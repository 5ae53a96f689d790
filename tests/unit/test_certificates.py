"""The authority that the token gives, the leaves it signs, and the child that mints them."""

import asyncio
from hashlib import sha256

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from musterd import certificates, trust
from musterd.adapters import mint as minting
from musterd.adapters.mint import mint
from musterd.errors import PeerError

TOKEN = trust.make_token(bytes(range(32)))
OTHER = trust.make_token(bytes(32))
OWN = "i-0123456789abcdef0"
NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def key() -> EllipticCurvePrivateKey:
    return generate_private_key(SECP256R1())


def public_key_digest(authority: certificates.Authority) -> str:
    public = authority.key.public_key()
    return sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def test_authority_matches_the_published_vector() -> None:
    assert public_key_digest(certificates.authority(TOKEN, "db")).startswith(
        "f076e016da7d27e50d83bc82"
    )


def test_authority_differs_by_token_and_by_cluster() -> None:
    digests = {
        public_key_digest(certificates.authority(token, cluster))
        for token in (TOKEN, OTHER)
        for cluster in ("db", "web")
    }
    assert len(digests) == 4


def test_leaf_names_the_instance_and_little_else(key: EllipticCurvePrivateKey) -> None:
    authority = certificates.authority(TOKEN, "db")
    leaf = certificates.leaf(authority, OWN, key, NOW)
    certificate = x509.load_pem_x509_certificate(leaf.certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [OWN]
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [f"musterd://db/{OWN}"]
    assert OWN not in certificate.subject.rfc4514_string()
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usage) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert not constraints.value.ca
    certificate.verify_directly_issued_by(authority.certificate)
    valid = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
    assert [NOW - at.timestamp() for at in valid] == [24 * 3600, -30 * 24 * 3600]
    assert b"PRIVATE" not in leaf.certificate
    assert "PRIVATE" not in repr(leaf)


def test_authority_is_constrained_and_old_enough() -> None:
    certificate = certificates.authority(TOKEN, "db").certificate
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    assert certificate.not_valid_before_utc.year == 2020
    assert certificate.not_valid_after_utc.year == 2120


async def test_a_child_mints_what_a_node_needs() -> None:
    minted = await mint(TOKEN, (TOKEN, OTHER), "db", OWN, NOW)
    trusted = x509.load_pem_x509_certificates(minted.authorities.encode())
    own = x509.load_pem_x509_certificate(minted.leaf.encode())
    assert [one.subject for one in trusted] == [
        certificates.authority(token, "db").certificate.subject for token in (TOKEN, OTHER)
    ]
    own.verify_directly_issued_by(trusted[0])
    assert "PRIVATE" in minted.leaf
    assert "PRIVATE" not in repr(minted)


async def test_every_leaf_has_a_key_of_its_own() -> None:
    first, second = await asyncio.gather(
        mint(TOKEN, (TOKEN,), "db", OWN, NOW), mint(TOKEN, (TOKEN,), "db", OWN, NOW)
    )
    keys = [
        x509.load_pem_x509_certificate(minted.leaf.encode()).public_key()
        for minted in (first, second)
    ]
    assert keys[0] != keys[1]


async def test_a_child_that_fails_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minting, "_PROGRAM", "raise MemoryError('no room')")
    with pytest.raises(PeerError) as caught:
        await mint(TOKEN, (TOKEN,), "db", OWN, NOW)
    assert "no room" in caught.value.why
    assert TOKEN.text() not in f"{caught.value} {caught.value.why}"
