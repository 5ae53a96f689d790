"""One HTTP/1.1 response, decoded as its bytes arrive. No input or output of its own.

The standard library's http.client costs 25 ms of imports (email, ssl); a status must not. What
musterd's sockets answer is a small part of RFC 9112: a head, then a body that is chunked
(section 7.1), counted by Content-Length (6.2), or ended by the close of the connection (6.3).
"""

from muster.errors import UnintelligibleError, UnreachableError

HEAD_LIMIT = 16_384  # bytes
CHUNK_LINE_LIMIT = 256  # bytes: a hexadecimal size and extensions nobody sends
CRLF = b"\r\n"
HEX_DIGITS = b"0123456789abcdefABCDEF"


def _wrong(why: str) -> UnintelligibleError:
    return UnintelligibleError(
        "cannot understand the answer on musterd's socket",
        why=why,
        cure="muster --version; systemctl status musterd",
    )


def request(method: str, target: str, body: bytes | None = None) -> bytes:
    """Return the bytes of one request; the server is asked to close the connection after it."""
    lines = [
        f"{method} {target} HTTP/1.1",
        "Host: localhost",
        "Accept: application/json",
        "Connection: close",
    ]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + (body or b"")


class Response:
    """Takes bytes as they come, gives the body's bytes back.

    Attributes:
        status: the status code, 0 until the head is complete.
        headers: field names in lower case -> values.
        done: whether the body is complete.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.done = False
        self._buffer = b""
        self._chunked = False
        self._left: int | None = 0  # bytes left of the body or chunk; None: until close
        self._in_chunk = False
        self._trailer = False

    def feed(self, data: bytes) -> bytes:
        """Take what was received and return what it adds to the body.

        Raises:
            UnintelligibleError: this is no HTTP/1.x response.
        """
        self._buffer += data
        if not self.status and not self._take_head():
            return b""
        return self._take_chunks() if self._chunked else self._take_plain()

    def close(self) -> None:
        """Say that the other side closed.

        Raises:
            UnreachableError: the response is not complete, so musterd went away while answering.
        """
        if self.status and self._left is None and not self._chunked:
            self.done = True
        if not self.done:
            raise UnreachableError(
                "musterd went away while answering",
                why="the connection closed before the answer was complete",
                cure="sudo journalctl -u musterd -n 50",
            )

    def _take_head(self) -> bool:
        """Read the status line and the fields once they are all here."""
        end = self._buffer.find(CRLF + CRLF)
        if end < 0:
            if len(self._buffer) > HEAD_LIMIT:
                raise _wrong(f"its head is longer than {HEAD_LIMIT} bytes")
            return False
        lines = self._buffer[:end].decode("latin-1").split("\r\n")
        self._buffer = self._buffer[end + 4 :]
        version, _, rest = lines[0].partition(" ")
        code = rest[:3]
        if not version.startswith("HTTP/1.") or not (code.isascii() and code.isdigit()):
            raise _wrong(f"it begins with {lines[0][:40]!r}")
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()
        self.status = int(code)
        self._choose_framing()
        return True

    def _choose_framing(self) -> None:
        """Decide how the body ends (RFC 9112, section 6.3)."""
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            self._chunked = True
            return
        length = self.headers.get("content-length")
        if length is None:
            self._left = None
        elif length.isascii() and length.isdigit():
            self._left = int(length)
        else:
            raise _wrong(f"its Content-Length is {length[:40]!r}")
        self.done = self._left == 0 or self.status in {204, 304}

    def _take_plain(self) -> bytes:
        """Return body bytes that are counted, or that run until the connection closes."""
        data, self._buffer = self._buffer, b""
        if self._left is None:
            return data
        data = data[: self._left]
        self._left -= len(data)
        self.done = self._left == 0
        return data

    def _take_chunks(self) -> bytes:
        """Return the bytes of every chunk that is here, whole or in part."""
        parts = []
        while not self.done:
            if self._left:
                part = self._buffer[: self._left]
                if not part:
                    break
                self._buffer = self._buffer[len(part) :]
                self._left -= len(part)
                parts.append(part)
            elif not self._take_chunk_line():
                break
        return b"".join(parts)

    def _take_chunk_line(self) -> bool:
        """Read the line between chunks: an end, a size, or a trailer; False when not here yet."""
        end = self._buffer.find(CRLF)
        if end < 0:
            if len(self._buffer) > CHUNK_LINE_LIMIT:
                raise _wrong("a chunk's size line has no end")
            return False
        line, self._buffer = self._buffer[:end], self._buffer[end + 2 :]
        if self._trailer:
            self.done = not line
        elif self._in_chunk:
            if line:
                raise _wrong("a chunk is longer than its size says")
            self._in_chunk = False
        else:
            size = line.partition(b";")[0].strip()
            if not size or size.strip(HEX_DIGITS):
                raise _wrong(f"a chunk's size is {size[:20]!r}")
            self._left = int(size, 16)
            self._trailer = self._left == 0
            self._in_chunk = not self._trailer
        return True
