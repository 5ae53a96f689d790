"""Who does not belong gets nothing: the handshake fails before any of our code runs."""

import asyncio
import errno
import logging
import os
import socket
import ssl
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from tests.security.conftest import hello_of

from musterd import certificates, trust
from musterd.adapters.tls import Tls, _present
from musterd.certificates import Leaf
from musterd.errors import PeerError

if TYPE_CHECKING:
    from tests.security.conftest import MakeCaller, OpenPort, Port

SERVER = "i-00000000000000001"
CALLER = "i-00000000000000002"
THIRD = "i-00000000000000003"
TOKEN = trust.make_token(bytes(range(32)))
OTHER = trust.make_token(bytes(32))
HELLO = hello_of(CALLER)
BOTH = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])


def client_context(authority: certificates.Authority, leaf: Leaf | None) -> ssl.SSLContext:
    """Make a context that trusts `authority` and shows `leaf`, without any care of ours."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority.pem())
    if leaf is not None:
        _present(context, leaf.pem())
    return context


async def post(port: "Port", context: ssl.SSLContext) -> int:
    """Post to the port and return the status; raises what aiohttp raises."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.post(
            f"https://127.0.0.1:{port.listener.port}/peer/v1/hello",
            ssl=context,
            server_hostname=SERVER,
            data=b"{}",
        ) as response,
    ):
        return response.status


def good_leaf(shift: float = 0.0) -> Leaf:
    key = generate_private_key(SECP256R1())
    return certificates.leaf(certificates.authority(TOKEN, "db"), CALLER, key, time.time() + shift)


async def test_a_member_is_let_in(open_port: "OpenPort", make_caller: "MakeCaller") -> None:
    port = await open_port()
    caller = await make_caller(port.listener.port)
    answer = await caller.hello(SERVER, "127.0.0.1", HELLO)
    assert answer.instance_id == SERVER
    assert [hello.instance_id for hello in port.door.hellos] == [CALLER]


async def test_without_certificate_nothing_is_reached(
    open_port: "OpenPort", caplog: pytest.LogCaptureFixture
) -> None:
    port = await open_port()
    context = client_context(certificates.authority(TOKEN, "db"), None)
    with pytest.raises(aiohttp.ClientError):
        await post(port, context)
    assert port.door.asked == 0
    assert port.refusals.said == ["a TLS handshake with 127.0.0.1 failed: it showed no certificate"]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    ("token", "cluster"), [(OTHER, "db"), (TOKEN, "web")], ids=["other token", "other cluster"]
)
async def test_strangers_reject_each_other(
    open_port: "OpenPort", make_caller: "MakeCaller", token: trust.Token, cluster: str
) -> None:
    port = await open_port()
    caller = await make_caller(port.listener.port, token=token, cluster=cluster)
    with pytest.raises(PeerError) as caught:
        await caller.hello(SERVER, "127.0.0.1", HELLO)
    assert caught.value.rejected
    assert "not i-00000000000000001" in caught.value.what
    assert port.door.asked == 0
    # asyncio closes without saying why, so that is all one can know at the other end.
    await said(port, "did not finish a TLS handshake")


async def said(port: "Port", words: str) -> None:
    """Wait until the log has the words."""
    async with asyncio.timeout(20):
        while not any(words in line for line in port.refusals.said):
            # What is over is noticed when the next one comes.
            _, writer = await asyncio.open_connection("127.0.0.1", port.listener.port)
            writer.close()
            await writer.wait_closed()


async def test_whoever_does_not_know_the_others_authority_doubts_its_own_token(
    open_port: "OpenPort",
) -> None:
    port = await open_port()
    doubts: list[None] = []
    caller = Tls(doubted=lambda: doubts.append(None))
    credentials, _ = await caller.load(OTHER, "db", CALLER, time.time())
    with pytest.raises(aiohttp.ClientError):
        await post(port, credentials.client)
    assert len(doubts) == 1

    def call_and_say_why() -> None:
        with (
            socket.create_connection(("127.0.0.1", port.listener.port), timeout=5) as plain,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            credentials.client.wrap_socket(plain, server_hostname=SERVER)

    assert port.doubts == []
    await asyncio.to_thread(call_and_say_why)
    await said(port, "has another token, or is of another cluster")
    assert len(port.doubts) == 1


async def test_a_foreign_leaf_is_refused_though_it_trusts_us(open_port: "OpenPort") -> None:
    port = await open_port()
    foreign = certificates.leaf(
        certificates.authority(OTHER, "db"), CALLER, generate_private_key(SECP256R1()), time.time()
    )
    with pytest.raises(aiohttp.ClientError):
        await post(port, client_context(certificates.authority(TOKEN, "db"), foreign))
    assert port.door.asked == 0
    assert "made with another token, or for another cluster" in port.refusals.said[0]
    assert len(port.doubts) == 1


async def test_another_instance_behind_an_address_is_no_peer(
    open_port: "OpenPort", make_caller: "MakeCaller"
) -> None:
    port = await open_port()
    caller = await make_caller(port.listener.port)
    with pytest.raises(PeerError) as fresh:
        await caller.hello(THIRD, "127.0.0.1", HELLO)
    # EC2 gives addresses to other instances: a connection that proved one must not serve another.
    await caller.hello(SERVER, "127.0.0.1", HELLO)
    with pytest.raises(PeerError) as pooled:
        await caller.hello(THIRD, "127.0.0.1", HELLO)
    assert fresh.value.rejected
    assert pooled.value.rejected
    assert len(port.door.hellos) == 1


async def test_tls_1_2_is_refused(open_port: "OpenPort") -> None:
    port = await open_port()
    context = client_context(certificates.authority(TOKEN, "db"), good_leaf())
    assert await post(port, context) == 400  # the same context as 1.3 gets in
    asked = port.door.asked
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(aiohttp.ClientError):
        await post(port, context)
    assert port.door.asked == asked
    assert "it does not speak TLS 1.3" in port.refusals.said[-1]


async def test_plain_http_is_refused(open_port: "OpenPort") -> None:
    port = await open_port()
    reader, writer = await asyncio.open_connection("127.0.0.1", port.listener.port)
    writer.write(b"POST /peer/v1/hello HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
    try:
        answer = await reader.read()
    except ConnectionResetError:
        answer = b""
    writer.close()
    assert not answer.startswith(b"HTTP")
    assert port.door.asked == 0
    assert port.refusals.said == ["a TLS handshake with 127.0.0.1 failed: it speaks plain HTTP"]
    assert port.doubts == []


@pytest.mark.parametrize("shift", [-40 * 86400.0, 2 * 86400.0], ids=["expired", "not yet valid"])
async def test_certificates_out_of_their_time_are_refused(
    open_port: "OpenPort", shift: float
) -> None:
    port = await open_port()
    context = client_context(certificates.authority(TOKEN, "db"), good_leaf(shift=shift))
    with pytest.raises(aiohttp.ClientError):
        await post(port, context)
    assert port.door.asked == 0
    assert port.doubts == []  # a clock is wrong, not a token


def names(*found: x509.GeneralName) -> tuple[x509.ExtensionType, bool]:
    return x509.SubjectAlternativeName(found), False


def crafted(
    issuer_key: EllipticCurvePrivateKey,
    issuer: x509.Certificate,
    extensions: Iterable[tuple[x509.ExtensionType, bool]],
    common_name: str = "musterd",
) -> Leaf:
    """Sign whatever a member could sign: it knows the authority's key as we do."""
    key, now = generate_private_key(SECP256R1()), datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    certificate = builder.sign(issuer_key, SHA256())
    return Leaf(
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


OWN_URI = x509.UniformResourceIdentifier(f"musterd://db/{CALLER}")
OWN_DNS = x509.DNSName(CALLER)


async def test_a_server_only_certificate_cannot_call(open_port: "OpenPort") -> None:
    port = await open_port()
    authority = certificates.authority(TOKEN, "db")
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    leaf = crafted(authority.key, authority.certificate, [names(OWN_DNS, OWN_URI), (usage, False)])
    with pytest.raises(aiohttp.ClientError):
        await post(port, client_context(authority, leaf))
    assert port.door.asked == 0


async def test_a_leaf_cannot_issue(open_port: "OpenPort") -> None:
    port = await open_port()
    authority = certificates.authority(TOKEN, "db")
    middle_key = generate_private_key(SECP256R1())
    middle = certificates.leaf(authority, CALLER, middle_key, time.time())
    below = crafted(
        middle_key,
        x509.load_pem_x509_certificate(middle.certificate),
        [names(OWN_DNS, OWN_URI), (BOTH, False)],
    )
    chain = Leaf(below.certificate + middle.certificate, below.key)
    with pytest.raises(aiohttp.ClientError):
        await post(port, client_context(authority, chain))
    assert port.door.asked == 0


@pytest.mark.parametrize(
    "extensions",
    [
        [],
        [names(OWN_DNS)],
        [names(OWN_URI)],
        [names(OWN_DNS, x509.DNSName(THIRD), OWN_URI)],
        [names(OWN_URI, x509.UniformResourceIdentifier(f"musterd://db/{THIRD}"))],
        [names(x509.UniformResourceIdentifier(f"musterd://web/{CALLER}"))],
    ],
    ids=["common name only", "no URI", "URI only", "two DNS names", "two URIs", "another cluster"],
)
async def test_a_certificate_must_name_one_node_of_this_cluster(
    open_port: "OpenPort", extensions: list[tuple[x509.ExtensionType, bool]]
) -> None:
    port = await open_port()
    authority = certificates.authority(TOKEN, "db")
    leaf = crafted(authority.key, authority.certificate, [*extensions, (BOTH, False)], CALLER)
    try:
        status = await post(port, client_context(authority, leaf))
    except aiohttp.ClientError:
        status = 403  # refused even earlier
    assert status == 403
    assert port.door.hellos == []


CLIENT_ONLY = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
SERVER_URI = x509.UniformResourceIdentifier(f"musterd://db/{SERVER}")


@pytest.mark.parametrize(
    "extensions",
    [
        [(BOTH, False)],
        [names(SERVER_URI), (BOTH, False)],
        [names(x509.DNSName(THIRD), SERVER_URI), (BOTH, False)],
        [names(x509.DNSName(SERVER), SERVER_URI), (CLIENT_ONLY, False)],
    ],
    ids=["common name only", "URI only", "another's DNS name", "client only"],
)
async def test_a_server_must_prove_the_name_that_is_called(
    make_caller: "MakeCaller", extensions: list[tuple[x509.ExtensionType, bool]]
) -> None:
    authority = certificates.authority(TOKEN, "db")
    leaf = crafted(authority.key, authority.certificate, extensions, SERVER)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _present(context, leaf.pem())
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0, ssl=context)
    try:
        caller = await make_caller(server.sockets[0].getsockname()[1])
        with pytest.raises(PeerError) as caught:
            await caller.hello(SERVER, "127.0.0.1", HELLO)
    finally:
        server.close()
    assert caught.value.rejected


async def test_nobody_there_is_not_a_rejection(make_caller: "MakeCaller") -> None:
    server = await asyncio.start_server(lambda _r, w: w.close(), "127.0.0.1", 0)
    number = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    caller = await make_caller(number)
    with pytest.raises(PeerError) as caught:
        await caller.hello(SERVER, "127.0.0.1", HELLO)
    assert not caught.value.rejected
    assert "refused" in caught.value.why


async def test_a_renewed_leaf_holds_on_the_open_port(
    open_port: "OpenPort", make_caller: "MakeCaller"
) -> None:
    port = await open_port()
    caller = await make_caller(port.listener.port)
    await port.tls.renew(time.time() - 60 * 86400)  # expired at once, so that it is seen to be used
    with pytest.raises(PeerError) as caught:
        await caller.hello(SERVER, "127.0.0.1", HELLO)
    assert "expired" in caught.value.why
    await port.tls.renew(time.time())
    await caller.hello(SERVER, "127.0.0.1", HELLO)


async def test_a_renewal_that_finds_no_descriptor_is_told_and_the_old_leaf_holds(
    open_port: "OpenPort", make_caller: "MakeCaller", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever renews daily goes on tomorrow: it expects no other error."""

    def exhausted(_name: str, _flags: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    port = await open_port()
    monkeypatch.setattr("os.memfd_create", exhausted)
    with pytest.raises(PeerError, match="certificate cannot be presented") as caught:
        await port.tls.renew(time.time())
    assert "Too many open files" in caught.value.why
    monkeypatch.undo()
    caller = await make_caller(port.listener.port)
    await caller.hello(SERVER, "127.0.0.1", HELLO)
