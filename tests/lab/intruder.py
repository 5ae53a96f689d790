"""What a rogue does, run with the system's Python on a node or in the bastion (`python3 -c`).

The cluster's token, where it has one, comes on standard input. What became of it is printed as one
line of JSON.
"""

import json
import selectors
import socket
import ssl
import sys
import time
from collections.abc import Callable

sys.path[:0] = ["/usr/lib/muster/app", "/usr/lib/muster/lib"]

PORT = 7224
SILENT = 400


def _context(token: str, cluster: str, name: str, protocol: int) -> ssl.SSLContext:
    """Return what a holder of the token can make itself: a certificate of any name."""
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

    from musterd import certificates, trust
    from musterd.adapters.tls import _present

    authority = certificates.authority(trust.parse_token(token), cluster)
    key = generate_private_key(SECP256R1())
    context = ssl.SSLContext(protocol)
    context.load_verify_locations(cadata=authority.pem())
    _present(context, certificates.leaf(authority, name, key, time.time()).pem())
    return context


def call(cluster: str, name: str, target: str, target_id: str) -> object:
    """Say hello as `name`; return the status and the body of the answer, or the TLS error."""
    token = sys.stdin.read().strip()
    from musterd import peer_wire
    from musterd.model import Phase

    context = _context(token, cluster, name, ssl.PROTOCOL_TLS_CLIENT)
    hello = peer_wire.Hello(
        name, "rogue", "10.0.0.1", "a", Phase.FORMED, "", (), 0.0, "", {}, "ee" * 16, None, (), {},
        (), (),
    )  # fmt: skip
    body = peer_wire.encode(
        peer_wire.Envelope(
            1, cluster, name, target_id, 0, "0" * 32, "hello", peer_wire.hello_body(hello)
        )
    )
    head = f"POST /peer/v1/hello HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    try:
        with (
            socket.create_connection((target, PORT), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=target_id) as secure,
        ):
            secure.sendall(head.encode() + b"Connection: close\r\n\r\n" + body)
            answer = b""
            while part := secure.recv(65_536):
                answer += part
    except OSError as error:
        return {"error": str(error)}
    _, _, content = answer.partition(b"\r\n\r\n")
    return {"status": int(answer.split()[1]), "body": content.decode()}


def stand_in(cluster: str, name: str, address: str, seconds: str) -> object:
    """Answer at an address as `name`; return how many handshakes came through."""
    context = _context(sys.stdin.read().strip(), cluster, name, ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    tried = served = 0
    until = time.monotonic() + float(seconds)
    with socket.create_server((address, PORT)) as server:
        while (left := until - time.monotonic()) > 0 and tried < 2:
            server.settimeout(left)
            try:
                connection, _ = server.accept()
                tried += 1
                with context.wrap_socket(connection, server_side=True) as secure:
                    secure.settimeout(5)
                    served += bool(secure.recv(1))
            except OSError:
                continue
    return {"tried": tried, "served": served}


def record(target: str, seconds: str) -> object:
    """Watch this node's wire until it has called the target once; return the bytes it sent."""
    found = bytearray()
    port = None
    until = time.monotonic() + float(seconds)
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)) as wire:
        wire.bind(("eth0", 0x0003))  # ETH_P_ALL: what leaves is seen by such sockets only
        while (left := until - time.monotonic()) > 0:
            wire.settimeout(left)
            packet = wire.recv(65_536)
            if packet[:1] != b"\x45" or packet[9] != socket.IPPROTO_TCP:
                continue
            source, to = (int.from_bytes(packet[at : at + 2], "big") for at in (20, 22))
            if (
                socket.inet_ntoa(packet[16:20]) != target
                or to != PORT
                or port not in {None, source}
            ):
                continue
            flags, offset = packet[33], (packet[32] >> 4) * 4
            if flags & 0x02:  # SYN: a connection from its beginning
                port = source
            length = int.from_bytes(packet[2:4], "big")
            if port is not None:
                found += packet[20 + offset : length]
                if flags & 0x05 and len(found) > 1000:  # FIN or RST: all of it was seen
                    break
    return {"hex": found.hex()}


def replay(target: str) -> object:
    """Send what was recorded to the target, on a new connection; return what came back."""
    data = bytes.fromhex(sys.stdin.read().strip())
    with socket.create_connection((target, PORT), timeout=5) as plain:
        plain.sendall(data)
        answer = b""
        try:
            while part := plain.recv(65_536):
                answer += part
        except OSError:
            pass
    # 0x17 is a record of application data; its plain text nobody without the keys can read.
    return {"bytes": len(answer), "http": answer.startswith(b"HTTP")}


def crowd(*targets: str) -> object:
    """Hold silent connections to each target, opening new ones as they are ended, until killed."""
    selector = selectors.DefaultSelector()
    counts = dict.fromkeys(targets, 0)
    while True:
        for target in targets:
            for _ in range(counts[target], SILENT):
                connection = socket.socket()
                connection.setblocking(False)
                connection.connect_ex((target, PORT))
                selector.register(connection, selectors.EVENT_READ, target)
                counts[target] += 1
        for key, _ in selector.select(1.0):
            selector.unregister(key.fileobj)
            key.fileobj.close()  # type: ignore[union-attr]
            counts[key.data] -= 1
        time.sleep(0.2)  # a crowd, not a flood


if __name__ == "__main__":
    verbs: dict[str, Callable[..., object]] = {
        "call": call, "stand-in": stand_in, "record": record, "replay": replay, "crowd": crowd
    }  # fmt: skip
    print(json.dumps(verbs[sys.argv[1]](*sys.argv[2:])))
