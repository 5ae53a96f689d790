"""`muster image prepare` and `cleanup`: what an import needs of the account, and nothing after."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.image.conftest import ACCOUNT, BUCKET
from tests.unit.lab.conftest import Aws

from muster.image.aws import Aws as Caller
from muster.image.aws import refusal
from muster_lab.region import Region

POLICY = {"RoleName": "vmimport", "PolicyName": f"muster-image-{BUCKET}"}


async def test_the_bucket_is_closed_and_the_role_is_for_the_service_alone(
    muster: Any, aws: Aws
) -> None:
    said = await muster("prepare")
    assert (said.code, said.err) == (0, "")
    closed = await aws.call("s3", "get_public_access_block", Bucket=BUCKET)
    assert set(closed["PublicAccessBlockConfiguration"].values()) == {True}
    kept = await aws.call("s3", "get_bucket_lifecycle_configuration", Bucket=BUCKET)
    [rule] = kept["Rules"]
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    role = (await aws.call("iam", "get_role", RoleName="vmimport"))["Role"]
    trust = role["AssumeRolePolicyDocument"]
    # IAM knows 2012-10-17 and 2008-10-17 only; a guide in circulation prints another year.
    assert trust["Version"] == "2012-10-17"
    [statement] = trust["Statement"]
    assert statement["Principal"] == {"Service": "vmie.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"sts:Externalid": "vmimport"}}
    policy = (await aws.call("iam", "get_role_policy", **POLICY))["PolicyDocument"]
    text = json.dumps(policy)
    assert f"arn:aws:s3:::{BUCKET}/muster-image/*" in text
    assert "s3:PutObject" not in text
    assert '"s3:*"' not in text


async def test_a_second_run_makes_nothing(muster: Any, region: Region) -> None:
    await muster("prepare")
    before = len(region.calls.list())
    said = await muster("prepare")
    assert said.code == 0
    assert f"bucket {BUCKET} is there" in said.out
    assert "role vmimport is there" in said.out
    made = {call.action for call in region.calls.list()[before:] if call.service == "iam"}
    assert made == {"GetRole", "GetRolePolicy"}


async def test_a_dry_run_only_tells(muster: Any, aws: Aws) -> None:
    said = await muster("prepare", "--dry-run")
    assert said.code == 0
    assert f"would create bucket {BUCKET}" in said.out
    assert "would create role vmimport" in said.out
    assert (await aws.call("s3", "list_buckets"))["Buckets"] == []
    assert (await aws.call("iam", "list_roles"))["Roles"] == []


@pytest.mark.parametrize("status", ["403", "301"])
async def test_a_bucket_of_somebody_else(
    status: str, muster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 answers a HEAD without a body, so the status is all there is."""
    real = Caller.call

    def call(self: Caller, service: str, operation: str, **params: Any) -> Any:
        if operation == "head_bucket":
            raise refusal("s3:HeadBucket", status, "")
        return real(self, service, operation, **params)

    monkeypatch.setattr(Caller, "call", call)
    said = await muster("prepare", "--bucket", "backups")
    assert said.code == 1
    assert "bucket backups is" in said.err
    assert "--bucket ANOTHER-NAME" in said.err


async def test_a_role_that_somebody_needs_is_left_alone(muster: Any, aws: Aws) -> None:
    document = '{"Version": "2012-10-17", "Statement": []}'
    await aws.call("iam", "create_role", RoleName="vmimport", AssumeRolePolicyDocument=document)
    said = await muster("prepare")
    assert said.code == 1
    assert "another trust policy" in said.err
    assert "--role muster-vmimport" in said.err
    assert (await muster("prepare", "--role", "muster-vmimport")).code == 0


async def test_rules_of_others_for_the_bucket_stay(muster: Any, aws: Aws) -> None:
    where = {"LocationConstraint": "eu-west-1"}
    await aws.call("s3", "create_bucket", Bucket="shared-disks", CreateBucketConfiguration=where)
    rule = {
        "ID": "theirs",
        "Status": "Enabled",
        "Filter": {"Prefix": "logs/"},
        "Expiration": {"Days": 1},
    }
    rules = {"Rules": [rule]}
    await aws.call(
        "s3",
        "put_bucket_lifecycle_configuration",
        Bucket="shared-disks",
        LifecycleConfiguration=rules,
    )
    assert (await muster("prepare", "--bucket", "shared-disks")).code == 0
    kept = await aws.call("s3", "get_bucket_lifecycle_configuration", Bucket="shared-disks")
    assert [each["ID"] for each in kept["Rules"]] == ["theirs"]


# --- cleanup ----------------------------------------------------------------------------------


async def left(aws: Aws, region: Region) -> tuple[int, int, int]:
    """Images of ours, snapshots, and objects and unfinished uploads together."""
    images = (await aws.ec2("describe_images", Owners=["self"]))["Images"]
    found = await aws.call("s3", "list_objects_v2", Bucket=BUCKET)
    begun = await aws.call("s3", "list_multipart_uploads", Bucket=BUCKET)
    return (
        len([image for image in images if image["Name"].startswith("rhel")]),
        len(region.estate.snapshots),
        len(found.get("Contents", [])) + len(begun.get("Uploads", [])),
    )


async def test_what_imports_left_goes_and_the_image_stays(
    muster: Any, disk: Path, aws: Aws, region: Region
) -> None:
    await muster("prepare")
    await muster("import", disk, "--name", "rhel9-1", "--keep-upload")
    key = {"Bucket": BUCKET, "Key": "muster-image/rhel9-1/x.raw"}
    await aws.call("s3", "create_multipart_upload", **key)
    assert await left(aws, region) == (1, 1, 2)
    said = await muster("cleanup", "--name", "rhel9-1", "--dry-run")
    assert said.out.count("would ") == 2
    assert await left(aws, region) == (1, 1, 2)
    assert (await muster("cleanup", "--name", "rhel9-1")).code == 0
    assert await left(aws, region) == (1, 1, 0)
    assert (await muster("cleanup", "--name", "rhel9-1", "--image")).code == 0
    assert await left(aws, region) == (0, 0, 0)
    assert (await muster("cleanup", "--name", "rhel9-1", "--image")).code == 0, "twice is once"


async def test_an_import_under_way_is_cancelled(muster: Any, aws: Aws, region: Region) -> None:
    await muster("prepare")
    region.estate.import_seconds = 3600.0
    tags = {
        "ResourceType": "import-snapshot-task",
        "Tags": [{"Key": "muster:image", "Value": "rhel9-1"}],
    }
    await aws.call("s3", "put_object", Bucket=BUCKET, Key="d.raw", Body=b"disk")
    await aws.ec2(
        "import_snapshot",
        DiskContainer={"Format": "raw", "UserBucket": {"S3Bucket": BUCKET, "S3Key": "d.raw"}},
        TagSpecifications=[tags],
    )
    assert (await muster("cleanup", "--name", "rhel9-1")).code == 0
    assert [task.cancelled for task in region.estate.imports.values()] == [True]


async def test_an_image_that_instances_run_from_stays(
    muster: Any, disk: Path, region: Region
) -> None:
    await muster("prepare")
    await muster("import", disk, "--name", "rhel9-1")
    [image] = [i for i in region.estate.images.values() if i.name == "rhel9-1"]
    await region.run_instances(image_id=image.image_id)
    said = await muster("cleanup", "--name", "rhel9-1", "--image")
    assert said.code == 1
    assert f"{image.image_id} is in use by i-" in said.err


async def test_an_image_of_somebody_else_stays(muster: Any) -> None:
    said = await muster("cleanup", "--name", "muster-node", "--image")
    assert said.code == 1
    assert "muster did not make it" in said.err


async def test_the_account_is_as_before(muster: Any, disk: Path, aws: Aws) -> None:
    await muster("prepare")
    await muster("import", disk, "--name", "rhel9-1")
    said = await muster("cleanup", "--name", "rhel9-1", "--image", "--account")
    assert (said.code, said.err) == (0, "")
    assert (await aws.call("s3", "list_buckets"))["Buckets"] == []
    assert (await aws.call("iam", "list_roles"))["Roles"] == []


async def test_what_others_put_there_stays(muster: Any, aws: Aws) -> None:
    await muster("prepare")
    await aws.call("s3", "put_object", Bucket=BUCKET, Key="theirs", Body=b"x")
    trusting = {"Statement": [{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}]}
    await aws.call(
        "iam",
        "put_role_policy",
        RoleName="vmimport",
        PolicyName="theirs",
        PolicyDocument=json.dumps(trusting | {"Version": "2012-10-17"}),
    )
    said = await muster("cleanup", "--name", "rhel9-1", "--account")
    assert said.code == 0
    assert "stays: it holds more" in said.out
    assert "stays: it has policies of others" in said.out
    assert [b["Name"] for b in (await aws.call("s3", "list_buckets"))["Buckets"]] == [BUCKET]
    assert ACCOUNT in BUCKET
