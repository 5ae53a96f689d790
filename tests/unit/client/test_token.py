"""`muster token`: what it prints is what the daemon reads."""

import secrets

from tests.unit.client.conftest import printed

from muster import cli
from muster.commands import token
from muster.context import Context
from musterd import trust


def test_the_daemon_reads_what_is_printed(context: Context) -> None:
    assert cli.main(["token"], context) == 0
    words = printed(context.out).removesuffix("\n")
    assert trust.parse_token(words).text() == words


def test_both_write_the_same_form() -> None:
    for _ in range(50):
        value = secrets.token_bytes(token.BYTES)
        assert token.written(value) == trust.make_token(value).text()


def test_no_two_tokens_are_alike(context: Context) -> None:
    for _ in range(3):
        cli.main(["token"], context)
    assert len(set(printed(context.out).splitlines())) == 3
