"""The token from its one source: Secrets Manager with its race, a file, the spec."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import pytest

from muster_lab.region import Fault, Region
from musterd import trust
from musterd.adapters.aws import Aws
from musterd.adapters.clock import SystemClock
from musterd.adapters.secrets import TokenSource, read_token_file, token_source
from musterd.errors import SecretError
from musterd.spec import Secret, SecretSource

TOKEN = trust.make_token(bytes(range(32)))
CHANGING = {"PutSecretValue", "UpdateSecret", "DeleteSecret"}


class QuickClock(SystemClock):
    """Does not make tests wait for pauses."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(min(seconds, 0.01))


@pytest.fixture
def cluster() -> str:
    """Name a cluster of this test only: the region's Secrets Manager outlives a region."""
    return f"c{uuid4().hex[:12]}"


def from_secrets_manager(aws: Aws, cluster: str) -> TokenSource:
    secret = Secret(SecretSource.SECRETS_MANAGER)
    return token_source(secret, cluster, lambda: aws, QuickClock(), lambda _tokens: None)


def actions(region: Region) -> list[str]:
    return [call.action for call in region.calls.list() if call.service == "secretsmanager"]


async def test_nodes_that_boot_at_once_make_one_secret(region: Region, cluster: str) -> None:
    sessions = [Aws(region.estate.region) for _ in range(4)]
    tokens = await asyncio.gather(*(from_secrets_manager(aws, cluster).token() for aws in sessions))
    for aws in sessions:
        aws.close()
    assert len(set(tokens)) == 1
    assert not CHANGING & set(actions(region))
    one = Aws(region.estate.region)
    stored = await one.run(
        lambda: one.secrets_manager().get_secret_value(SecretId=f"musterd/{cluster}"),
        "secretsmanager:",
    )
    one.close()
    assert trust.parse_secret(stored["SecretString"]).issue.text() == tokens[0]


async def create(aws: Aws, name: str, value: str) -> None:
    await aws.run(
        lambda: aws.secrets_manager().create_secret(Name=name, SecretString=value),
        "secretsmanager:CreateSecret",
    )


async def test_a_secret_of_any_name_is_read_and_its_trust_is_heard(aws: Aws, cluster: str) -> None:
    other = trust.make_token(bytes(32))
    both = f'{{"v":1,"issue":"{TOKEN.text()}","trust":["{TOKEN.text()}","{other.text()}"]}}'
    await create(aws, f"team/{cluster}", both)
    heard: list[trust.Tokens] = []
    secret = Secret(SecretSource.SECRETS_MANAGER, name=f"team/{cluster}")
    source = token_source(secret, "web", lambda: aws, QuickClock(), heard.append)
    assert await source.token() == TOKEN.text()
    assert heard == [trust.Tokens(TOKEN, (TOKEN, other))]


async def test_another_value_in_the_secret_is_refused_unrepeated(aws: Aws, cluster: str) -> None:
    await create(aws, f"musterd/{cluster}", "hunter2hunter2")
    with pytest.raises(SecretError) as caught:
        await from_secrets_manager(aws, cluster).token()
    assert "hunter2" not in f"{caught.value} {caught.value.cure}"


@pytest.mark.parametrize("action", ["GetSecretValue", "CreateSecret"])
async def test_a_missing_permission_is_named(
    aws: Aws, region: Region, cluster: str, action: str
) -> None:
    region.faults.add(
        Fault(action=action, service="secretsmanager", code="AccessDeniedException", status=400)
    )
    with pytest.raises(SecretError) as caught:
        await from_secrets_manager(aws, cluster).token()
    assert f"secretsmanager:{action}" in caught.value.cure
    assert not CHANGING & set(actions(region))


async def test_a_secret_that_hides_is_asked_for_again(
    aws: Aws, region: Region, cluster: str
) -> None:
    await create(aws, f"musterd/{cluster}", trust.secret_text(TOKEN))
    absent = Fault(
        action="GetSecretValue",
        service="secretsmanager",
        code="ResourceNotFoundException",
        status=400,
        count=2,
    )
    region.faults.add(absent)
    assert await from_secrets_manager(aws, cluster).token() == TOKEN.text()


async def test_a_secret_that_hides_for_good_is_told(aws: Aws, region: Region, cluster: str) -> None:
    await create(aws, f"musterd/{cluster}", trust.secret_text(TOKEN))
    absent = Fault(
        action="GetSecretValue",
        service="secretsmanager",
        code="ResourceNotFoundException",
        status=400,
    )
    region.faults.add(absent)
    with pytest.raises(SecretError) as caught:
        await from_secrets_manager(aws, cluster).token()
    assert "exists" in caught.value.what


async def test_a_secret_on_its_way_out_is_told(aws: Aws, region: Region, cluster: str) -> None:
    gone = Fault(
        service="secretsmanager",
        action="GetSecretValue",
        code="InvalidRequestException",
        status=400,
        message="You can't perform this operation: the secret was marked for deletion.",
    )
    region.faults.add(gone)
    with pytest.raises(SecretError) as caught:
        await from_secrets_manager(aws, cluster).token()
    assert "restore-secret" in caught.value.cure


def never() -> Aws:
    raise AssertionError("no AWS session is wanted here")


async def test_the_token_in_the_spec_needs_no_aws() -> None:
    secret = Secret(SecretSource.INLINE, token=TOKEN.text())
    source = token_source(secret, "web", never, QuickClock(), lambda _tokens: None)
    assert await source.token() == TOKEN.text()


async def test_a_root_only_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN.text() + "\n")
    path.chmod(0o600)
    secret = Secret(SecretSource.FILE, path=str(path))
    source = token_source(secret, "web", never, QuickClock(), lambda _tokens: None)
    assert await source.token() == TOKEN.text()


def give_to_group(path: Path) -> None:
    os.chown(path, -1, 12345)
    path.chmod(0o640)


def give_to_user(path: Path) -> None:
    os.chown(path, 12345, -1)


def make_link(path: Path) -> None:
    path.rename(path.with_name("real"))
    path.symlink_to(path.with_name("real"))


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path, 0o600)


def make_binary(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "no token file"),
        (lambda path: path.chmod(0o604), "mode is 0604"),
        (lambda path: path.chmod(0o620), "mode is 0620"),
        (give_to_group, "gid 12345"),
        (give_to_user, "uid 12345"),
        (make_link, "symbolic link"),
        (make_pipe, "not a regular file"),
        (make_binary, "not plain ASCII"),
    ],
)
def test_a_file_that_others_can_touch_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN.text())
    path.chmod(0o600)
    spoil(path)
    with pytest.raises(SecretError) as caught:
        read_token_file(path)
    assert said in f"{caught.value}"
    assert str(path) in caught.value.what
    assert TOKEN.text() not in f"{caught.value} {caught.value.cure}"


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_a_file_of_root_alone_is_told_with_its_cure(mode: int) -> None:
    """The daemon is not root, and has no capability that would make up for it."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        path = Path(folder) / "token"
        path.write_text(TOKEN.text())
        os.chown(path, 0, 0)
        path.chmod(mode)
        groups = os.getgroups()
        os.setgroups([])
        os.setegid(12345)
        os.seteuid(12345)
        try:
            with pytest.raises(SecretError) as caught:
                read_token_file(path)
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.setgroups(groups)
    assert "its group musterd must be let read it" in caught.value.why
    assert caught.value.cure == f"`chown root:musterd {path} && chmod 0640 {path}`"


def test_a_file_may_be_read_by_the_daemons_group(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN.text())
    os.chown(path, 0, 0)
    path.chmod(0o640)
    assert read_token_file(path, group="root") == TOKEN.text()
