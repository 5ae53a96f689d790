"""`muster metrics`: the text as musterd gives it."""

from tests.unit.client.conftest import Musterd, printed

from muster import cli
from muster.context import Context

TEXT = b"# TYPE muster_quorate gauge\nmuster_quorate 1\n"


def test_the_text_is_passed_on(musterd: Musterd, context: Context) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(TEXT)}\r\n\r\n".encode()
    musterd.raw["/metrics"] = head + TEXT
    assert cli.main(["metrics"], context) == 0
    assert printed(context.out).encode() == TEXT


def test_without_musterd_nothing_is_printed(context: Context) -> None:
    """So that a timer leaves the old file alone, and its age tells."""
    assert cli.main(["metrics"], context) == 5
    assert printed(context.out) == ""
