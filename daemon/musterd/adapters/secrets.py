"""The cluster token from its one configured source; never another one instead."""

import asyncio
import errno
import grp
import os
import secrets
import stat
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from musterd import trust
from musterd.adapters.aws import Aws, error_code
from musterd.errors import CloudError, SecretError
from musterd.ports import Clock
from musterd.spec import Secret, SecretSource
from musterd.trust import Tokens

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

GROUP = "musterd"
_LARGEST = 4096  # bytes; two tokens and their braces are under 200
_REREADS = 5  # of a secret that exists already but is not shown yet
_PAUSE = 1.0
_UNOPENED = {
    errno.ELOOP: "it is a symbolic link",
    errno.EACCES: f"musterd is not root: its group {GROUP} must be let read it",
}


class TokenSource:
    """Port `Secrets`: reads the source anew at every call, keeps nothing.

    Args:
        read: returns the value as stored.
        heard: is told all tokens of each read: while one replaces another, two are trusted.
    """

    def __init__(self, read: Callable[[], Awaitable[str]], heard: Callable[[Tokens], None]) -> None:
        self._read = read
        self._heard = heard

    async def token(self) -> str:
        """Return the text of the token that issues.

        Raises:
            SecretError: the source could not be read, or holds something else.
        """
        tokens = trust.parse_secret(await self._read())
        self._heard(tokens)
        return tokens.issue.text()


def token_source(
    secret: Secret,
    cluster: str,
    aws: Callable[[], Aws],
    clock: Clock,
    heard: Callable[[Tokens], None],
    *,
    may_create: bool = True,
) -> TokenSource:
    """Choose the source that `[secret]` names.

    Args:
        secret: the section of the spec.
        cluster: the cluster's name.
        aws: makes or returns the session; called for Secrets Manager only.
        clock: paces reads of a secret that another node is just creating.
        heard: is told all tokens of each read (`Tls.hear`).
        may_create: whether a secret that does not exist is made. Not while a token is known: a
            secret that is gone is then a person's doing or a passing lie, and neither is cured by
            another token.
    """
    match secret.source:
        case SecretSource.SECRETS_MANAGER:
            name = secret.name or f"musterd/{cluster}"
            read = partial(_from_secrets_manager, aws(), clock, name, may_create=may_create)
            return TokenSource(read, heard)
        case SecretSource.FILE:
            return TokenSource(
                partial(asyncio.to_thread, read_token_file, Path(secret.path)), heard
            )
        case SecretSource.INLINE:
            return TokenSource(partial(_from_spec, secret.token), heard)


async def _from_spec(token: str) -> str:
    return token


async def _from_secrets_manager(aws: Aws, clock: Clock, name: str, *, may_create: bool) -> str:
    """Read the secret; create it when there is none; read again when another node was faster."""
    for attempt in range(_REREADS):
        if attempt:
            await clock.sleep(_PAUSE * attempt)
        try:
            value = await aws.run(
                partial(_ask, aws, name, may_create=may_create), "secretsmanager:GetSecretValue"
            )
        except CloudError as error:
            raise _unreadable(name, error) from error
        if value is not None:
            return value
    raise SecretError(
        f"the secret {name} exists but cannot be read yet",
        why="Secrets Manager says both that it exists and that there is none",
        cure="nothing to do: the node tries again",
    )


def _ask(aws: Aws, name: str, *, may_create: bool) -> str | None:
    """Return the value, created if need be; None when another node has just created the secret.

    The client is made for this and dropped: it is needed once at boot and costs some MiB.
    """
    client = aws.secrets_manager()
    try:
        return _get(client, name)
    except ClientError as error:
        if error_code(error) != "ResourceNotFoundException" or not may_create:
            raise
    value = trust.secret_text(trust.make_token(secrets.token_bytes(trust.TOKEN_BYTES)))
    try:
        client.create_secret(
            Name=name, SecretString=value, Description="Cluster token, made by the first node"
        )
    except ClientError as error:
        if error_code(error) == "ResourceExistsException":
            return None
        raise
    return value


def _get(client: "SecretsManagerClient", name: str) -> str:
    # A secret of bytes reads as no token, which is what it is.
    return client.get_secret_value(SecretId=name).get("SecretString", "")


def _unreadable(name: str, error: CloudError) -> SecretError:
    cause = error.__cause__
    if isinstance(cause, ClientError) and error_code(cause) == "InvalidRequestException":
        return SecretError(
            f"the secret {name} is scheduled for deletion",
            why=error.why,
            cure=f"`aws secretsmanager restore-secret --secret-id {name}`, or delete it for good "
            "(`delete-secret --force-delete-without-recovery`), or give the cluster another name",
        )
    if isinstance(cause, ClientError) and error_code(cause) == "ResourceNotFoundException":
        return SecretError(
            f"the secret {name} is gone",
            why=error.why,
            cure="this node goes on with the token it has; put the same one back, or another: "
            "`aws secretsmanager create-secret` (docs/security-peers.md)",
        )
    return SecretError(f"the secret {name} cannot be had", why=str(error), cure=error.cure)


def read_token_file(path: Path, *, group: str = GROUP) -> str:
    """Return the content of a file that nobody but root, and the group of musterd, can touch.

    musterd reads it itself, as its own user: what only root may read is of no use to it.

    Raises:
        SecretError: it is missing, too open, owned by somebody else, or no plain file.
    """
    cure = f"`chown root:{group} {path} && chmod 0640 {path}`"
    try:
        # Not through a link: what is checked and what is read must be one file.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise SecretError(
            f"there is no token file {path}",
            cure="put the same token there on every node: `muster token` makes one; " + cure,
        ) from error
    except OSError as error:
        why = _UNOPENED.get(error.errno or 0, error.strerror or "")
        raise SecretError(f"the token file {path} cannot be read", why=why, cure=cure) from error
    with os.fdopen(descriptor, "rb") as file:
        problem = _file_problem(os.fstat(descriptor), group)
        if problem:
            raise SecretError(f"the token file {path} is not safe", why=problem, cure=cure)
        content = file.read(_LARGEST + 1)
    try:
        return content[:_LARGEST].decode("ascii")
    except UnicodeDecodeError:
        # Without the cause: it carries the content.
        raise SecretError(
            f"the token file {path} holds no token",
            why="it is not plain ASCII",
            cure="put the output of `muster token` there, nothing else",
        ) from None


def _file_problem(status: os.stat_result, group: str) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "it is not a regular file"
    if status.st_uid != 0:
        return f"its owner is uid {status.st_uid}, not root"
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o037:
        return f"its mode is {mode:04o}: others may read it or its group write it"
    if mode & 0o040:
        try:
            allowed = grp.getgrnam(group).gr_gid
        except KeyError:
            allowed = 0
        if status.st_gid not in (0, allowed):
            return f"gid {status.st_gid} may read it, which is not the group {group}"
    return ""
