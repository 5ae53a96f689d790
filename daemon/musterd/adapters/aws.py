"""The AWS side of `ec2` and `secrets`: one session, few threads, one way to fail.

botocore rather than boto3's own layer on top of it: the clients are the same objects, and an
idle daemon is some MiB smaller. Credentials come from the instance profile.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar, cast

from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import (
    ConnectionError as BotocoreConnectionError,
)
from botocore.parsers import ResponseParserError
from botocore.session import Session

from musterd.errors import CloudError, CloudErrorKind

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_secretsmanager import SecretsManagerClient

Answer = TypeVar("Answer")

_DENIED = {"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"}
_IDENTITY = {
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_THROTTLED = {
    "EC2ThrottledException",
    "RequestLimitExceeded",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
_SERVER_ERROR = 500
_NAMES = {"ec2": "EC2", "secretsmanager": "Secrets Manager"}


class Aws:
    """A session of one region. Calls run in threads of their own and are bounded in time.

    Args:
        region: such as "eu-west-1".
        deadline: seconds after which a call is given up, whatever its thread does. A thread
            itself ends after at most two attempts of connect (3 s) and read (8 s).
    """

    def __init__(self, region: str, *, deadline: float = 20.0) -> None:
        self._region = region
        self._deadline = deadline
        self._executor = ThreadPoolExecutor(max_workers=2, thread_name_prefix="aws")
        self._session = Session()
        self._making = threading.Lock()  # botocore's clients may be shared by threads, not this
        # Defaults are one attempt of one second, which an early boot can miss.
        self._session.set_config_variable("metadata_service_timeout", 2)
        self._session.set_config_variable("metadata_service_num_attempts", 3)
        self._config = Config(
            connect_timeout=3,
            read_timeout=8,
            retries={"mode": "standard", "total_max_attempts": 2},
            max_pool_connections=2,
            user_agent_extra="muster",
        )

    def ec2(self) -> "EC2Client":
        """Make an EC2 client (tenths of a second: in a thread).

        Raises:
            NoCredentialsError: there are none yet. A client made now would never have any.
        """
        with self._making:
            if self._session.get_credentials() is None:
                raise NoCredentialsError
            client = self._session.create_client(
                "ec2", region_name=self._region, config=self._config
            )
        return cast("EC2Client", client)

    def secrets_manager(self) -> "SecretsManagerClient":
        """Make a Secrets Manager client."""
        with self._making:
            client = self._session.create_client(
                "secretsmanager", region_name=self._region, config=self._config
            )
        return cast("SecretsManagerClient", client)

    async def run(self, work: Callable[[], Answer], doing: str) -> Answer:
        """Run `work` in a thread, within the deadline.

        Args:
            work: calls that may raise botocore's errors.
            doing: the main API action, "service:Action", for errors that do not name theirs.

        Raises:
            CloudError: every failure; `kind` says which sort.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._deadline):
                return await loop.run_in_executor(self._executor, work)
        except TimeoutError:
            raise _unreachable(doing, f"no answer within {self._deadline:.0f} s") from None
        except (ClientError, BotoCoreError, ResponseParserError) as error:
            raise cloud_error(error, doing) from error

    def close(self) -> None:
        """Let the threads end; whatever hangs in them ends by its own time-outs."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def error_code(error: ClientError) -> str:
    """Return AWS's code of an error answer."""
    return str(error.response.get("Error", {}).get("Code", ""))


def cloud_error(error: ClientError | BotoCoreError | ResponseParserError, doing: str) -> CloudError:
    """Turn botocore's error into ours: what sort, and what a person can do."""
    if isinstance(error, ClientError):
        action = f"{doing.partition(':')[0]}:{error.operation_name}"
        return _answered(error, action)
    if isinstance(error, NoCredentialsError | PartialCredentialsError | CredentialRetrievalError):
        return CloudError(
            CloudErrorKind.REFUSED,
            f"no credentials for {doing}",
            why="instance metadata offers no role",
            cure="attach an instance profile with muster's policy: `aws ec2 "
            "associate-iam-instance-profile --instance-id ID --iam-instance-profile Name=NAME`",
        )
    if isinstance(error, HTTPClientError | BotocoreConnectionError):
        return _unreachable(doing, str(error))
    return CloudError(
        CloudErrorKind.WRONG,
        f"{doing} failed",
        why=f"{type(error).__name__}: {error}",
        cure="this is not an answer AWS gives: check that no proxy answers in its place",
    )


def _answered(error: ClientError, action: str) -> CloudError:
    code = error_code(error)
    message = str(error.response.get("Error", {}).get("Message", ""))
    why = f"{code}: {message[:300]}" if message else code
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _DENIED:
        return CloudError(
            CloudErrorKind.REFUSED,
            f"the instance's role may not call {action}",
            why=why,
            cure=f"allow {action} in the policy of the instance's role (muster's policy has it)",
        )
    if code in _IDENTITY:
        return CloudError(
            CloudErrorKind.REFUSED,
            f"AWS does not accept this node's credentials for {action}",
            why=why,
            cure="check the clock (`chronyc tracking`) and that the instance's role still exists",
        )
    if code in _THROTTLED:
        return CloudError(
            CloudErrorKind.THROTTLED,
            f"AWS throttles {action}",
            why=why,
            cure="nothing to do: muster asks again, more slowly",
        )
    if status >= _SERVER_ERROR:
        name = _name(action)
        return CloudError(
            CloudErrorKind.UNREACHABLE,
            f"{name} cannot answer {action} now",
            why=why,
            cure=f"nothing to do: muster asks again; AWS's health page tells of trouble with {name}"
            " in this region",
        )
    return CloudError(
        CloudErrorKind.WRONG, f"AWS refused {action}", why=why, cure="see the AWS error code"
    )


def _unreachable(action: str, why: str) -> CloudError:
    service = action.partition(":")[0]
    return CloudError(
        CloudErrorKind.UNREACHABLE,
        f"no answer to {action}",
        why=why,
        cure=f"the subnet needs a way to {_name(action)}: a NAT gateway or a VPC "
        f"endpoint for {service} whose security group lets this node in",
    )


def _name(action: str) -> str:
    """Return the service of an action as people call it."""
    service = action.partition(":")[0]
    return _NAMES.get(service, service)
