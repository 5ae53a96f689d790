"""Calls to AWS by name, with every refusal turned into what, why and what to type next.

boto3 is imported when the first call is made: a node's client never pays for it, and the packages
for nodes do not contain it. Credentials are boto3's own business; nothing here reads them.
"""

from collections.abc import Callable, Iterator
from typing import Any

from muster.errors import ClientError

CONNECT_TIMEOUT = 10.0  # seconds
READ_TIMEOUT = 120.0  # seconds; a part of an upload is answered when S3 has stored it
ATTEMPTS = 5

Answer = dict[str, Any]  # what boto3 returns

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_UNKNOWN = {
    "AuthFailure",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"}


class RefusedByAwsError(ClientError):
    """AWS answered with an error; `code` is its name there, such as `NoSuchEntity`."""

    def __init__(self, what: str, *, code: str, why: str = "", cure: str = "") -> None:
        super().__init__(what, why=why, cure=cure)
        self.code = code


class Aws:
    """One account in one region.

    Args:
        region: its name; boto3's default (environment, profile) when None.
        say: told what would be changed, in a dry run.
        dry: change nothing.

    Raises:
        ClientError: boto3 is missing or too old, or no region is known.
    """

    def __init__(
        self, region: str | None, *, dry: bool = False, say: Callable[..., None] = print
    ) -> None:
        try:
            import boto3
            from botocore.config import Config
        except ImportError:
            raise _no_boto3(
                ", which is not installed",
                "it runs on a workstation or CI; the packages for nodes leave boto3 out",
            ) from None
        if "request_checksum_calculation" not in Config.OPTION_DEFAULTS:  # Debian 12's boto3
            raise _no_boto3(" 1.36 or later", f"the one installed is {boto3.__version__}")
        self.dry = dry
        self._say = say
        self._session = boto3.Session(region_name=region)
        self._clients: dict[str, Any] = {}
        self.region = str(self._session.region_name or "")
        if not self.region:
            raise ClientError(
                "no AWS region is known",
                why="neither --region nor AWS_REGION, AWS_DEFAULT_REGION or the profile names one",
                cure="muster image ... --region eu-west-1",
            )

    def account(self) -> str:
        """Return the account's number."""
        return str(self.call("sts", "get_caller_identity")["Account"])

    def call(self, service: str, operation: str, **params: Any) -> Answer:
        """Make one call.

        Raises:
            RefusedByAwsError: AWS refused it.
            ClientError: it could not be made.
        """
        from botocore.exceptions import BotoCoreError
        from botocore.exceptions import ClientError as Refused

        try:
            answer: Answer = getattr(self._client(service), operation)(**params)
        except Refused as refused:
            error = refused.response["Error"]
            raise refusal(
                f"{service}:{refused.operation_name}", error["Code"], error.get("Message", "")
            ) from None
        except BotoCoreError as error:
            raise _unmade(f"{service} {operation}", error) from None
        return answer

    def change(self, sentence: str, service: str, operation: str, **params: Any) -> Answer | None:
        """Make a call that changes something; in a dry run say only that it would be made."""
        if self.dry:
            self._say(f"would {sentence}")
            return None
        answer = self.call(service, operation, **params)
        self._say(f"{sentence}: done")
        return answer

    def each(self, service: str, operation: str, key: str, **params: Any) -> Iterator[Answer]:
        """Yield what a list holds, all pages of it. Raises as `call`."""
        from botocore.exceptions import BotoCoreError
        from botocore.exceptions import ClientError as Refused

        try:
            for page in self._client(service).get_paginator(operation).paginate(**params):
                yield from page.get(key, [])
        except Refused as refused:
            error = refused.response["Error"]
            raise refusal(
                f"{service}:{refused.operation_name}", error["Code"], error.get("Message", "")
            ) from None
        except BotoCoreError as error:
            raise _unmade(f"{service} {operation}", error) from None

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            from botocore.config import Config

            self._clients[service] = self._session.client(
                service,  # type: ignore[call-overload] # the stubs list each service's own name
                config=Config(
                    connect_timeout=CONNECT_TIMEOUT,
                    read_timeout=READ_TIMEOUT,
                    retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                    # Parts are checked by their MD5, which S3 keeps for a later resume.
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                ),
            )
        return self._clients[service]


def _no_boto3(lacks: str, why: str) -> ClientError:
    """Not pip's business: distributions keep it from their own Python, and have an older boto3."""
    return ClientError(
        f"`muster image` needs boto3{lacks}",
        why=why,
        cure="pipx install . (in a checkout of muster, with Python 3.11 or later)",
    )


def refusal(call: str, code: str, message: str) -> RefusedByAwsError:
    """Return AWS's refusal in our form."""
    if code in _EXPIRED:
        return RefusedByAwsError(
            "the AWS credentials have expired",
            code=code,
            why=f"{call} was refused: {message}",
            cure="aws sso login (or export new ones), then the same command: it goes on from here",
        )
    if code in _UNKNOWN:
        return RefusedByAwsError(
            "AWS does not know these credentials",
            code=code,
            why=f"{call} was refused: {message}",
            cure="aws sts get-caller-identity",
        )
    if code in _DENIED:
        return RefusedByAwsError(
            f"these credentials may not call {call}",
            code=code,
            why=message,
            cure="attach packaging/aws/image-policy.json to the user or role that builds images",
        )
    return RefusedByAwsError(
        f"{call} was refused",
        code=code,
        why=f"{code}: {message}",
        cure="correct what it names, then the same command: it goes on from here",
    )


def _unmade(call: str, error: Exception) -> ClientError:
    """Return why a call never reached AWS."""
    from botocore.exceptions import NoCredentialsError, PartialCredentialsError, TokenRetrievalError

    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return ClientError(
            "there are no AWS credentials",
            why=str(error),
            cure="aws configure sso, or export AWS_PROFILE",
        )
    if isinstance(error, TokenRetrievalError):
        return ClientError("the AWS credentials have expired", why=str(error), cure="aws sso login")
    return ClientError(
        f"AWS was not reached ({call})",
        why=str(error),
        cure="check the network and AWS_REGION, then the same command: it goes on from here",
    )


def tags(kind: str, **values: str) -> Answer:
    """Return a tag specification; an underscore in a key stands for muster's prefix."""
    named = [{"Key": _key(key), "Value": value} for key, value in values.items()]
    return {"ResourceType": kind, "Tags": named}


def tag(item: Answer, key: str) -> str:
    """Return one of our tags of anything that has a list of them, "" when it has it not."""
    return next((t["Value"] for t in item.get("Tags", []) if t["Key"] == _key(key)), "")


def _key(key: str) -> str:
    return f"muster:{key}"
