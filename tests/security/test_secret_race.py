"""Ten nodes boot at once and race for the cluster's secret, while Secrets Manager misbehaves."""

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable
from hashlib import sha256

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError
from botocore.parsers import ResponseParserError
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from musterd import certificates, trust
from musterd.adapters.aws import Aws
from musterd.adapters.clock import SystemClock
from musterd.adapters.secrets import TokenSource, token_source
from musterd.errors import SecretError
from musterd.spec import Secret, SecretSource

NODES = 10
DENIED = {7, 8}  # nodes whose role may not read
NAME = "musterd/db"


def answer(operation: str, code: str, status: int = 400) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": "made up"},
            "ResponseMetadata": {
                "HTTPStatusCode": status,
                "RequestId": "1",
                "HostId": "",
                "HTTPHeaders": {},
                "RetryAttempts": 0,
            },
        },
        operation,
    )


class Vault:
    """Secrets Manager: one secret, made once; and what was asked of it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.value = ""
        self.asked: Counter[str] = Counter()
        self.first_look = threading.Barrier(NODES)  # nobody creates before all have looked

    def get(self) -> str:
        with self.lock:
            self.asked["get"] += 1
            if not self.value:
                raise answer("GetSecretValue", "ResourceNotFoundException")
            return self.value

    def create(self, value: str) -> None:
        with self.lock:
            self.asked["create"] += 1
            if self.value:
                raise answer("CreateSecret", "ResourceExistsException")
            self.value = value
            self.asked["created"] += 1


class NodesClient:
    """What one node sees of it: sometimes the truth. It has the two calls nodes may make."""

    def __init__(self, vault: Vault, number: int, chance: random.Random) -> None:
        self._vault, self._number, self._chance = vault, number, chance
        self._looked = False

    def get_secret_value(self, **asked: str) -> dict[str, str]:
        assert asked == {"SecretId": NAME}
        if not self._looked:
            self._looked = True
            self._vault.first_look.wait(20)
        if self._number in DENIED:
            raise answer("GetSecretValue", "AccessDeniedException")
        self._trouble("GetSecretValue")
        return {"SecretString": self._vault.get()}

    def create_secret(self, **asked: str) -> None:
        assert set(asked) == {"Name", "SecretString", "Description"}
        assert asked["Name"] == NAME
        self._trouble("CreateSecret")
        self._vault.create(asked["SecretString"])
        if self._chance.random() < 0.3:  # done, but the answer is lost
            raise ConnectTimeoutError(endpoint_url="https://secretsmanager")

    def _trouble(self, operation: str) -> None:
        troubles: list[Callable[[], Exception]] = [
            lambda: answer(operation, "ThrottlingException"),
            lambda: answer(operation, "InternalServiceError", 500),
            lambda: ResponseParserError("<html>not an answer of AWS</html>"),
            lambda: answer("GetSecretValue", "ResourceNotFoundException"),  # shown late
        ]
        if self._chance.random() < 0.4:
            raise self._chance.choice(troubles)()


class NodesAws(Aws):
    """The adapter's own session, threads and errors, around that client."""

    def __init__(self, client: NodesClient) -> None:
        super().__init__("eu-west-1")
        self._client = client

    def secrets_manager(self) -> NodesClient:  # type: ignore[override]
        return self._client


class QuickClock(SystemClock):
    """Does not make tests wait for pauses."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(min(seconds, 0.001))


def source(aws: Aws, *, may_create: bool = True) -> TokenSource:
    secret = Secret(SecretSource.SECRETS_MANAGER)
    return token_source(
        secret, "db", lambda: aws, QuickClock(), lambda _t: None, may_create=may_create
    )


async def token_of(aws: Aws) -> str | SecretError:
    """Ask as often as the engine would; return the token, or what is said of a denial."""
    for _ in range(200):
        try:
            return await source(aws).token()
        except SecretError as error:
            if "AccessDenied" in error.why:
                return error
            last = error
    return last


def authority(token: str) -> str:
    public = certificates.authority(trust.parse_token(token), "db").key.public_key()
    return sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


@pytest.mark.parametrize("seed", range(12))
async def test_ten_nodes_make_exactly_one_secret(seed: int) -> None:
    vault = Vault()
    sessions = [
        NodesAws(NodesClient(vault, number, random.Random(f"{seed}/{number}")))
        for number in range(NODES)
    ]
    found = await asyncio.gather(*(token_of(aws) for aws in sessions))
    for aws in sessions:
        aws.close()
    denied = [each for each in found if isinstance(each, SecretError)]
    assert len(denied) == len(DENIED)
    for error in denied:
        assert error.cure.startswith("allow secretsmanager:GetSecretValue in the policy")
    tokens = [each for each in found if isinstance(each, str)]
    assert len(tokens) == NODES - len(DENIED)
    assert len({authority(token) for token in tokens}) == 1
    assert vault.asked["created"] == 1
    assert trust.parse_secret(vault.value).issue.text() == tokens[0]


async def test_a_secret_that_is_gone_is_not_made_again_by_who_knows_it() -> None:
    vault = Vault()
    vault.first_look = threading.Barrier(1)
    aws = NodesAws(NodesClient(vault, 0, random.Random(4)))
    errors = []
    for _ in range(20):
        with pytest.raises(SecretError) as caught:
            await source(aws, may_create=False).token()
        errors.append(caught.value.what)
    aws.close()
    assert f"the secret {NAME} is gone" in errors
    assert vault.asked["create"] == 0
