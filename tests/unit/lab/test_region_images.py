"""From a disk image in S3 to an instance, and back."""

from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from muster_lab.region import Region

from .conftest import Aws, RecordingMachines

BUCKET = "muster-disks"
DISK = {"Format": "raw", "UserBucket": {"S3Bucket": BUCKET, "S3Key": "node.raw"}}
TRUST = '{"Version": "2012-10-17", "Statement": []}'


@pytest.fixture
async def account(aws: Aws) -> Aws:
    """An account with the import role and a disk."""
    for service, action, params in (
        ("iam", "create_role", {"RoleName": "vmimport", "AssumeRolePolicyDocument": TRUST}),
        (
            "s3",
            "create_bucket",
            {
                "Bucket": BUCKET,
                "CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"},
            },
        ),
        ("s3", "put_object", {"Bucket": BUCKET, "Key": "node.raw", "Body": b"disk"}),
    ):
        await aws.call(service, action, **params)
    return aws


def later(region: Region, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now = region.estate.clock()
    monkeypatch.setattr(region.estate, "clock", lambda: now + timedelta(seconds=seconds))


async def detail(aws: Aws, task_id: str) -> Any:
    answer = await aws.ec2("describe_import_snapshot_tasks", ImportTaskIds=[task_id])
    return answer["ImportSnapshotTasks"][0]["SnapshotTaskDetail"]


async def imported(aws: Aws, region: Region, monkeypatch: pytest.MonkeyPatch) -> str:
    task = await aws.ec2("import_snapshot", DiskContainer=DISK)
    later(region, monkeypatch, 60)
    return str((await detail(aws, task["ImportTaskId"]))["SnapshotId"])


def registration(snapshot: str, **more: Any) -> dict[str, Any]:
    root = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot, **more}}
    return {
        "Name": "muster-1",
        "RootDeviceName": "/dev/sda1",
        "BlockDeviceMappings": [root],
        "Architecture": "x86_64",
        "VirtualizationType": "hvm",
        "BootMode": "uefi-preferred",
        "EnaSupport": True,
        "ImdsSupport": "v2.0",
    }


async def test_an_import_advances_and_ends_with_a_snapshot(
    account: Aws, region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = await account.ec2("import_snapshot", DiskContainer=DISK, Description="node")
    seen = [task["SnapshotTaskDetail"]]
    for seconds in (1.5, 1.5, 1.5, 1.5):
        later(region, monkeypatch, seconds)
        seen.append(await detail(account, task["ImportTaskId"]))
    assert [one["Status"] for one in seen] == ["active"] * 4 + ["completed"]
    assert len({one.get("Progress") for one in seen}) == 5
    found = await account.ec2("describe_snapshots", SnapshotIds=[seen[-1]["SnapshotId"]])
    assert (found["Snapshots"][0]["State"], found["Snapshots"][0]["VolumeSize"]) == ("completed", 1)


async def test_an_import_of_nothing_fails_late_and_without_the_role_at_once(
    account: Aws, region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = {"Format": "raw", "UserBucket": {"S3Bucket": BUCKET, "S3Key": "none.raw"}}
    task = await account.ec2("import_snapshot", DiskContainer=missing)
    assert task["SnapshotTaskDetail"]["Status"] == "active"
    later(region, monkeypatch, 60)
    failed = await detail(account, task["ImportTaskId"])
    assert failed["Status"] == "deleted"
    assert "404" in failed["StatusMessage"]
    for wrong in ({"RoleName": "none"}, {"DiskContainer": {**DISK, "Format": "iso"}}):
        with pytest.raises(ClientError) as refused:
            await account.ec2("import_snapshot", **{"DiskContainer": DISK, **wrong})
        assert refused.value.response["Error"]["Code"] == "InvalidParameter"


async def test_an_image_keeps_what_it_was_registered_with_and_boots(
    account: Aws, region: Region, machines: RecordingMachines, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = await imported(account, region, monkeypatch)
    wanted = registration(snapshot, VolumeSize=12, VolumeType="gp3", DeleteOnTermination=True)
    image_id = (await account.ec2("register_image", **wanted))["ImageId"]
    (image,) = (await account.ec2("describe_images", ImageIds=[image_id]))["Images"]
    for name in ("BootMode", "EnaSupport", "ImdsSupport", "Architecture", "RootDeviceName"):
        assert image[name] == wanted[name]
    assert image["BlockDeviceMappings"][0]["Ebs"] == {
        "DeleteOnTermination": True,
        "SnapshotId": snapshot,
        "VolumeSize": 12,
        "VolumeType": "gp3",
        "Encrypted": False,
    }
    (made,) = await region.run_instances(image_id=image_id)
    await region.settled(made.instance_id)
    assert not machines.booted[made.instance_id].stock


async def test_registrations_that_ec2_refuses(
    account: Aws, region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = await imported(account, region, monkeypatch)
    await account.ec2("register_image", **registration(snapshot))
    for wanted, code in (
        (registration(snapshot), "InvalidAMIName.Duplicate"),
        ({**registration("snap-0"), "Name": "muster-2"}, "InvalidSnapshot.NotFound"),
        (
            {**registration(snapshot), "Name": "muster-2", "BlockDeviceMappings": []},
            "InvalidBlockDeviceMapping",
        ),
    ):
        with pytest.raises(ClientError) as refused:
            await account.ec2("register_image", **wanted)
        assert refused.value.response["Error"]["Code"] == code


async def test_deregistering_frees_the_snapshot(
    account: Aws, region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = await imported(account, region, monkeypatch)
    image = (await account.ec2("register_image", **registration(snapshot)))["ImageId"]
    with pytest.raises(ClientError) as refused:
        await account.ec2("delete_snapshot", SnapshotId=snapshot)
    assert refused.value.response["Error"]["Code"] == "InvalidSnapshot.InUse"
    await account.ec2("deregister_image", ImageId=image)
    await account.ec2("delete_snapshot", SnapshotId=snapshot)
    assert (await account.ec2("describe_snapshots"))["Snapshots"] == []
    with pytest.raises(ClientError) as refused:
        await account.ec2("describe_images", ImageIds=[image])
    assert refused.value.response["Error"]["Code"] == "InvalidAMIID.NotFound"
