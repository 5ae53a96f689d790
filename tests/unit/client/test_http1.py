"""The response decoder: every framing musterd uses, cut anywhere, and what is no response."""

import pytest

from muster.errors import UnintelligibleError, UnreachableError
from muster.http1 import HEAD_LIMIT, Response, request

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: Chunked\r\n\r\n"
    b"5\r\nhello\r\n10;name=value\r\n, chunked world!\r\n0\r\nTrailer: kept\r\n\r\n"
)
COUNTED = b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\nhello, chunked world!"
UNTIL_CLOSE = b"HTTP/1.0 200 OK\r\n\r\nhello, chunked world!"


@pytest.mark.parametrize("data", [CHUNKED, COUNTED], ids=["chunked", "counted"])
@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_a_body_is_the_same_however_its_bytes_arrive(data: bytes, step: int) -> None:
    response = Response()
    body = b"".join(
        response.feed(data[start : start + step]) for start in range(0, len(data), step)
    )
    assert body == b"hello, chunked world!"
    assert response.done
    assert response.status == 200


def test_a_body_without_length_ends_with_the_connection() -> None:
    response = Response()
    assert response.feed(UNTIL_CLOSE) == b"hello, chunked world!"
    assert not response.done
    response.close()
    assert response.done


def test_field_names_are_read_in_any_case() -> None:
    response = Response()
    response.feed(b"HTTP/1.1 204 No Content\r\nX-Some:  thing \r\n\r\n")
    assert response.headers == {"x-some": "thing"}
    assert response.done


@pytest.mark.parametrize("data", [CHUNKED, COUNTED], ids=["chunked", "counted"])
def test_a_response_cut_anywhere_is_never_taken_for_whole(data: bytes) -> None:
    for end in range(len(data)):
        response = Response()
        response.feed(data[:end])
        with pytest.raises(UnreachableError, match="went away while answering"):
            response.close()


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 300,
        b"X" * (HEAD_LIMIT + 1),
    ],
)
def test_what_is_no_response_is_refused(data: bytes) -> None:
    with pytest.raises(UnintelligibleError):
        Response().feed(data)


def test_a_request_asks_for_the_connection_to_be_closed() -> None:
    assert request("POST", "/v1/join", b"{}") == (
        b"POST /v1/join HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n"
        b"Connection: close\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    )
