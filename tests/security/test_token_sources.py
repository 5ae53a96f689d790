"""One source of the token: where it fails nothing else is tried, however much is at hand."""

import random
from dataclasses import fields
from pathlib import Path
from typing import NoReturn

import pytest
from botocore.exceptions import ClientError

from musterd import trust
from musterd.adapters.aws import Aws
from musterd.adapters.clock import SystemClock
from musterd.adapters.secrets import TokenSource, token_source
from musterd.errors import SecretError
from musterd.spec import Secret, SecretSource

TOKEN = trust.make_token(bytes(range(32))).text()


class Denied:
    """A Secrets Manager that lets nobody in."""

    asked = 0

    def get_secret_value(self, **_asked: str) -> NoReturn:
        self.asked += 1
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetSecretValue")


class DeniedAws(Aws):
    """A session with that one."""

    def __init__(self) -> None:
        super().__init__("eu-west-1")
        self.client = Denied()

    def secrets_manager(self) -> Denied:  # type: ignore[override]
        return self.client


@pytest.fixture
def good_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    put(path, TOKEN)
    return path


def put(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


def source(secret: Secret, aws: Aws) -> TokenSource:
    return token_source(secret, "db", lambda: aws, SystemClock(), lambda _tokens: None)


@pytest.mark.parametrize("broken", list(SecretSource))
async def test_a_source_that_fails_is_not_replaced_by_another(
    broken: SecretSource, good_file: Path
) -> None:
    aws = DeniedAws()
    secret = Secret(
        broken,
        name="musterd/db",
        path=str(good_file if broken is not SecretSource.FILE else good_file.with_name("none")),
        token=TOKEN if broken is not SecretSource.INLINE else TOKEN[:-1],
    )
    with pytest.raises(SecretError) as caught:
        await source(secret, aws).token()
    aws.close()
    assert TOKEN[5:40] not in f"{caught.value} {caught.value.cure}"
    assert aws.client.asked == (1 if broken is SecretSource.SECRETS_MANAGER else 0)


async def test_each_source_works_alone(good_file: Path) -> None:
    aws = DeniedAws()
    for secret in (
        Secret(SecretSource.FILE, path=str(good_file), token="nonsense"),
        Secret(SecretSource.INLINE, path="/nonexistent", token=TOKEN),
    ):
        assert await source(secret, aws).token() == TOKEN
    aws.close()
    assert aws.client.asked == 0


async def test_a_source_is_read_anew_each_time(good_file: Path) -> None:
    aws = DeniedAws()
    reading = source(Secret(SecretSource.FILE, path=str(good_file)), aws)
    other = trust.make_token(random.Random(1).randbytes(32)).text()
    assert await reading.token() == TOKEN
    put(good_file, other)
    assert await reading.token() == other
    aws.close()


def test_there_is_no_other_source_and_no_switch_to_do_without() -> None:
    assert {each.value for each in SecretSource} == {"secretsmanager", "file", "inline"}
    assert {each.name for each in fields(Secret)} == {"source", "name", "path", "token"}
