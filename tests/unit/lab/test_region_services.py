"""Who may call, and the services beside EC2."""

import asyncio

import pytest
from botocore.exceptions import ClientError

from muster_lab.region import Fault, Region

from .conftest import Aws


def refusal(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize(
    ("service", "action", "code", "status"),
    [
        ("ec2", "describe_instances", "AuthFailure", 401),
        ("sts", "get_caller_identity", "InvalidClientTokenId", 403),
        ("secretsmanager", "list_secrets", "UnrecognizedClientException", 400),
        ("s3", "list_buckets", "InvalidAccessKeyId", 403),
    ],
)
async def test_an_unknown_key_is_refused_in_each_services_way(
    region: Region, service: str, action: str, code: str, status: int
) -> None:
    stranger = Aws(region, access_key="AKIAIOSFODNN7EXAMPLE")
    with pytest.raises(ClientError) as refused:
        await stranger.call(service, action)
    assert refusal(refused) == (code, status)
    assert region.calls.list()[-1].caller == "unknown"


async def test_keys_without_their_session_token_and_expired_keys_are_refused(
    region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = region.credentials.of_instance("i-1", "muster-node")
    with pytest.raises(ClientError) as refused:
        await Aws(region, keys.access_key, keys.secret_key).ec2("describe_instances")
    assert refusal(refused) == ("AuthFailure", 401)
    monkeypatch.setattr(region.credentials, "_clock", lambda: keys.expires)
    with pytest.raises(ClientError) as refused:
        await Aws(region, keys.access_key, keys.secret_key, keys.token).ec2("describe_instances")
    assert refusal(refused) == ("RequestExpired", 400)


async def test_the_administrator_is_nobodys_role(aws: Aws) -> None:
    identity = await aws.call("sts", "get_caller_identity")
    assert identity["Arn"] == "arn:aws:iam::123456789012:user/admin"


async def test_of_many_who_create_a_secret_one_does(aws: Aws) -> None:
    async def create(number: int) -> str:
        try:
            await aws.call(
                "secretsmanager",
                "create_secret",
                Name="muster/web",
                SecretBinary=b"token %d" % number,
            )
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "created"

    outcomes = await asyncio.gather(*(create(number) for number in range(4)))
    assert sorted(outcomes) == ["ResourceExistsException"] * 3 + ["created"]
    kept = await aws.call("secretsmanager", "get_secret_value", SecretId="muster/web")
    assert kept["SecretBinary"] == b"token %d" % outcomes.index("created")
    await aws.call("secretsmanager", "put_secret_value", SecretId="muster/web", SecretBinary=b"new")
    described = await aws.call("secretsmanager", "describe_secret", SecretId="muster/web")
    assert described["Name"] == "muster/web"


async def test_a_secret_that_is_not_there_is_not_found(aws: Aws) -> None:
    with pytest.raises(ClientError) as refused:
        await aws.call("secretsmanager", "get_secret_value", SecretId="muster/none")
    assert refusal(refused)[0] == "ResourceNotFoundException"


async def test_faults_reach_the_other_services_too(aws: Aws, region: Region) -> None:
    region.faults.add(
        Fault(service="secretsmanager", action="GetSecretValue", code="AccessDeniedException")
    )
    with pytest.raises(ClientError) as refused:
        await aws.call("secretsmanager", "get_secret_value", SecretId="muster/none")
    assert refusal(refused) == ("AccessDeniedException", 400)


async def test_buckets_and_roles_are_motos(aws: Aws) -> None:
    await aws.call(
        "s3",
        "create_bucket",
        Bucket="muster-images",
        CreateBucketConfiguration={"LocationConstraint": "eu-west-1"},
    )
    await aws.call("s3", "put_object", Bucket="muster-images", Key="a b/c%d", Body=b"disk")
    listed = await aws.call("s3", "list_objects_v2", Bucket="muster-images")
    assert [one["Key"] for one in listed["Contents"]] == ["a b/c%d"]
    await aws.call("iam", "create_role", RoleName="vmimport", AssumeRolePolicyDocument="{}")
    role = await aws.call("iam", "get_role", RoleName="vmimport")
    assert role["Role"]["RoleName"] == "vmimport"


async def test_a_service_that_the_lab_lacks_says_so(aws: Aws) -> None:
    status, body = await aws.raw({"Action": "ListTopics"}, service="sns")
    assert status == 404
    assert "no service &#x27;sns&#x27;" in body or "no service 'sns'" in body


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"Action": "DescribeNothing"}, "InvalidAction"),
        ({"Action": "CreateVpc", "CidrBlock": "10.0.0.0/8"}, "UnsupportedOperation"),
        ({"Action": "StopInstances"}, "MissingParameter"),
        ({"Action": "StopInstances", "InstanceId.1": "i-1", "Color": "red"}, "UnknownParameter"),
        ({"Action": "StopInstances", "InstanceId.x": "i-1"}, "InvalidParameterValue"),
        ({"Action": "DescribeInstances", "MaxResults": "many"}, "InvalidParameterValue"),
        ({"Action": "DescribeInstances", "NextToken": "made-up"}, "InvalidParameterValue"),
    ],
)
async def test_a_request_that_is_wrong_is_told_why(
    aws: Aws, form: dict[str, str], code: str
) -> None:
    status, body = await aws.raw(form)
    assert (status, f"<Code>{code}</Code>" in body) == (400, True)
