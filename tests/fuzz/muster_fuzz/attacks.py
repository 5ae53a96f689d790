"""The runs: for each target its inputs, generated here, judged there."""

import json
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import asdict
from random import Random
from typing import Any

from muster_fuzz.daemon import FIRST, OWN, SECOND, decree, hello_of
from muster_fuzz.process import Target, target
from muster_fuzz.report import Report
from muster_fuzz.words import as_json, body, text, torn, wounded
from musterd import peer_wire, trust
from musterd.adapters.tls import _present
from musterd.election.types import (
    Accepted,
    Decided,
    Lead,
    Message,
    Propose,
    ProposeReply,
    VoteReply,
    VoteRequest,
)
from musterd.model import Verb
from musterd.peer_wire import Envelope, Kind, Probe

KEY = "5e" * 256
MEMBERS = [asdict(member) for member in decree().members]
IDENTITY = {"name": "db", "uuid": "ab" * 16, "members": MEMBERS, "token_ms": 10_000}
REQUESTS: tuple[dict[str, Any], ...] = tuple(
    {"verb": verb.value, "params": params}
    for verb, params in {
        Verb.SURVEY: {"identity": IDENTITY, "tags": {"cluster": "db", "size": 3}},
        Verb.PREPARE: {"region": "eu-west-1"},
        Verb.LAY: {"identity": IDENTITY, "corosync_key": KEY, "pacemaker_key": KEY},
        Verb.START: {"identity": IDENTITY},
        Verb.TRUST: {"identity": IDENTITY, "pcsd_token": "A" * 192},
        Verb.PROBE_FENCING: {"identity": IDENTITY, "tags": {}, "region": "eu-west-1"},
        Verb.CONFIGURE: {
            "identity": IDENTITY,
            "tags": {},
            "spec_digest": "d" * 64,
            "region": "eu-west-1",
            "subnet": "10.0.0.0/24",
            "allocations": {"203.0.113.1": "eipalloc-0a"},
        },
    }.items()
)


def measured(victim: Target, inputs: int, attack: Callable[[Random], object]) -> Report:
    """Attack that often; memory may not grow after the first tenth."""
    began = time.monotonic()
    for number in range(inputs):
        if number == inputs // 10:
            victim.report.before = victim.measure()
        attack(Random(number))
    victim.report.after = victim.measure()
    victim.report.seconds = time.monotonic() - began
    return victim.report


# --- the peer port ----------------------------------------------------------------------------


def _envelope(kind: Kind, body: dict[str, object], term: int = 0) -> dict[str, Any]:
    envelope = Envelope(1, "db", FIRST, OWN, term, "0" * 32, kind, body)
    found: dict[str, Any] = json.loads(peer_wire.encode(envelope))
    return found


def _said() -> tuple[dict[str, Any], ...]:
    """Return a good request of each kind and word."""
    wish = decree()
    messages: tuple[Message, ...] = (
        VoteRequest(3, wish.roster, wish.spec_digest),
        VoteReply(3, granted=True, accepted=Accepted(2, wish), reason=""),
        Propose(3, wish, read_all=True),
        ProposeReply(3, accepted=False, held=Accepted(2, wish)),
        Lead(3),
        Decided(3, wish),
    )
    return (
        _envelope("hello", peer_wire.hello_body(hello_of(FIRST))),
        _envelope("probe", peer_wire.probe_body(Probe("0" * 32))),
        *(_envelope("message", peer_wire.message_body(said), said.term) for said in messages),
    )


SAID = _said()
ROUTES = ("hello", "message", "probe")
ODD_LINES = (
    b"X: \x00",
    b"X: " + b"y" * 9000,
    b"Transfer-Encoding: chunked",
    b"Expect: 100-continue",
    b"Expect: a",
    b"Content-Length: 1",
    b"Content-Encoding: gzip",
    b"Content-Encoding: deflate",
    b"Upgrade: websocket",
    b": ",
    b"X",
)


def request(dice: Random) -> bytes:
    """Return the bytes of a request: usually whole, with a body for its route or for another."""
    content = body(dice, SAID)
    route = next((each for each in ROUTES if f'"type": "{each}"'.encode() in content), "hello")
    method, length, more = "POST", len(content), b""
    odd = dice.randrange(20)
    if odd == 0:
        route = dice.choice((*ROUTES, "other", "../hello", "hello?a=b", "\u00e9"))
    elif odd == 1:
        method = dice.choice(("GET", "PUT", "HEAD", "OPTIONS", "BREW", "", "post"))
    elif odd == 2:
        length = dice.choice((0, len(content) + 1, 10**9, -1))
    elif odd == 3:
        more = dice.choice(ODD_LINES) + b"\r\n"
    head = f"{method} /peer/v1/{route} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".encode()
    return head + more + f"Content-Length: {length}\r\n\r\n".encode() + content


def certified(own_id: str) -> list[list[str]]:
    """Return the names in that node's certificate."""
    return [["DNS", own_id], ["URI", f"musterd://db/{own_id}"]]


ODD_NAMES: tuple[list[list[str]], ...] = (
    certified(SECOND),
    certified(OWN),
    certified("i-0000000000000000f"),
    [["URI", f"musterd://db/{FIRST}"]],
    [["DNS", "\x00"], ["URI", "musterd://"]],
    [],
)


def connection(dice: Random) -> dict[str, Any]:
    """Return a connection: whose certificate, from where, and its bytes in pieces."""
    names, address = certified(FIRST), "127.0.0.1"
    odd = dice.randrange(16)
    if odd == 0:
        names = dice.choice(ODD_NAMES)
    elif odd == 1:
        address = dice.choice(("10.9.9.9", ""))
    data = request(dice)
    if odd == 2:
        data = dice.randbytes(dice.randint(0, 300))
    elif odd < 6:
        data = torn(dice, data)
    cuts = sorted(dice.randint(0, len(data)) for _ in range(dice.choice((0, 0, 1, 3))))
    pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    chunks = [b64encode(piece).decode() for piece in pieces]
    return {"names": names, "address": address, "chunks": chunks}


def peer(inputs: int) -> Report:
    """The peer port in memory: everything above TLS."""
    with target("peer", "in memory, from the HTTP parser on") as victim:
        return measured(victim, inputs, lambda dice: victim.give(connection(dice)))


def peer_tls(inputs: int) -> Report:
    """The peer port over sockets: a member's certificate, or bytes in place of a handshake."""
    with target(
        "peer-tls", "over TCP: two of three inside mutual TLS, one instead of it"
    ) as victim:
        port, name, authorities, leaf = json.loads(victim.ask({"input": None})["outcome"])
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=authorities)
        _present(context, leaf)

        def attack(dice: Random) -> None:
            with socket.create_connection(("127.0.0.1", port), timeout=1.0) as plain:
                try:
                    if dice.randrange(3) == 0:
                        noise = dice.randbytes(dice.randint(0, 600))
                        victim.note(_answer(plain, dice.choice((b"", b"\x16\x03\x01")) + noise))
                        return
                    with context.wrap_socket(plain, server_hostname=name) as secure:
                        data = request(dice)
                        victim.note(_answer(secure, dice.choice((data, torn(dice, data)))))
                except OSError as error:
                    victim.note(type(error).__name__)

        return measured(victim, inputs, attack)


def _answer(connection: socket.socket, data: bytes) -> str:
    """Send, say no more, and return the status or what else came back."""
    inside = isinstance(connection, ssl.SSLSocket)
    connection.sendall(data)
    if inside:
        connection.settimeout(0.2)
    else:
        connection.shutdown(socket.SHUT_WR)
    try:
        got = connection.recv(65_536)
    except TimeoutError:
        return "no answer"
    if got.startswith(b"HTTP/"):
        return got[9:12].decode("ascii")
    return "the end" if inside else "TLS alert or end"


# --- the helper and the token -----------------------------------------------------------------


def helper(inputs: int) -> Report:
    """muster-helper's one line."""
    with target("helper", "over a socket pair, up to the verb") as victim:

        def attack(dice: Random) -> None:
            line = body(dice, REQUESTS) + dice.choice((b"\n",) * 15 + (b"",))
            victim.give(b64encode(line).decode())

        return measured(victim, inputs, attack)


GOOD = tuple(trust.make_token(bytes([byte] * 32)).text() for byte in (0, 7, 255))
SECRETS = (
    {"v": 1, "issue": GOOD[0], "trust": [GOOD[0]]},
    {"v": 1, "issue": GOOD[1], "trust": [GOOD[0], GOOD[1]]},
)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def token_text(dice: Random) -> str:
    """Return a text that may be a token, or a secret with one or two."""
    good, at = dice.choice(GOOD), dice.randrange(55)
    near: str = (
        good[:at] + dice.choice((*ALPHABET, "", " ", "\n", "\uff21", "\u00e9")) + good[at + 1 :]
    )
    match dice.randrange(8):
        case 0:
            return trust.make_token(dice.randbytes(32)).text()
        case 1:
            return text(dice, 80)
        case 2:
            letters = [dice.choices(ALPHABET, k=dice.randint(n - 1, n + 1)) for n in (43, 6)]
            return "mst1_" + "_".join("".join(each) for each in letters)
        case 3:
            return f"{near}{dice.choice((' ', chr(10), '', '_'))}{dice.choice(GOOD)}"
        case 4:
            return '{"v":' + "[" * dice.randint(1, 4000)
        case 5 | 6:
            return as_json(wounded(dice, dice.choice(SECRETS))).decode()
        case _:
            return near


def token(inputs: int) -> Report:
    """The parsers of a token and of a secret."""
    with target("token", "both parsers") as victim:
        return measured(victim, inputs, lambda dice: victim.give(token_text(dice)))
