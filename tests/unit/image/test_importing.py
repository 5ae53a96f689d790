"""From a disk file to a registered image, killed at every call on the way, refused in every way."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from tests.unit.image.conftest import BUCKET, PART, raw_disk
from tests.unit.lab.conftest import Aws

from muster.image.aws import Aws as Caller
from muster_lab.region import Fault, Region

CHANGES = ("create_", "put_", "upload_", "complete_", "import_", "register_", "delete_")


async def images(aws: Aws) -> list[dict[str, Any]]:
    found = await aws.ec2("describe_images", Owners=["self"])
    return [image for image in found["Images"] if image["Name"].startswith("rhel")]


async def objects(aws: Aws) -> list[str]:
    found = await aws.call("s3", "list_objects_v2", Bucket=BUCKET)
    return [one["Key"] for one in found.get("Contents", [])]


async def unfinished(aws: Aws) -> list[Any]:
    found = await aws.call("s3", "list_multipart_uploads", Bucket=BUCKET)
    return list(found.get("Uploads", []))


def imported(disk: Path, *words: str) -> list[object]:
    return ["import", disk, "--name", "rhel9-1", *words]


async def test_a_file_becomes_an_image(muster: Any, disk: Path, aws: Aws) -> None:
    assert (await muster("prepare")).code == 0
    said = await muster(*imported(disk, "--volume-size", "12", "--boot-mode", "uefi-preferred"))
    assert (said.code, said.err) == (0, "")
    [image] = await images(aws)
    assert f"--image {image['ImageId']} --cluster" in said.out
    assert (image["Name"], image["BootMode"], image["ImdsSupport"], image["EnaSupport"]) == (
        "rhel9-1",
        "uefi-preferred",
        "v2.0",
        True,
    )
    assert image["RootDeviceName"] == "/dev/sda1"
    [root] = image["BlockDeviceMappings"]
    assert (root["Ebs"]["VolumeSize"], root["Ebs"]["VolumeType"]) == (12, "gp3")
    assert root["Ebs"]["DeleteOnTermination"] is True
    assert {tag["Key"] for tag in image["Tags"]} == {"muster:image", "muster:source"}
    snapshots = await aws.ec2("describe_snapshots", SnapshotIds=[root["Ebs"]["SnapshotId"]])
    assert {tag["Key"] for tag in snapshots["Snapshots"][0]["Tags"]} >= {"muster:image"}
    assert await objects(aws) == [], "the upload is not paid for any longer"


async def test_progress_is_told_line_by_line(muster: Any, disk: Path) -> None:
    await muster("prepare")
    said = await muster(*imported(disk))
    lines = [line for line in said.out.splitlines() if line.startswith("uploading")]
    assert lines[-1] == "uploading 100 %"
    assert len(lines) == 3


async def test_a_second_run_finds_it_and_changes_nothing(
    muster: Any, disk: Path, aws: Aws, region: Region
) -> None:
    await muster("prepare")
    await muster(*imported(disk))
    before = len(region.calls.list())
    said = await muster(*imported(disk))
    assert said.code == 0
    assert "is registered as ami-" in said.out
    assert len(await images(aws)) == 1
    made = [call.action for call in region.calls.list()[before:] if call.service == "ec2"]
    assert set(made) <= {"DescribeImages"}


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_killed_at_every_change_the_next_run_goes_on(
    after: bool, muster: Any, disk: Path, aws: Aws, region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each run is killed at the first change that no run before it got past."""
    await muster("prepare")
    real, lock = Caller.call, threading.Lock()
    survived: set[str] = set()

    def call(self: Caller, service: str, operation: str, **params: Any) -> Any:
        change = operation.startswith(CHANGES)
        at = f"{operation} {params.get('PartNumber', '')}"
        with lock:
            fatal = change and at not in survived
            survived.add(at)
        if fatal and not after:
            raise Killed(at)
        answer = real(self, service, operation, **params)
        if fatal:
            raise Killed(at)
        return answer

    monkeypatch.setattr(Caller, "call", call)
    runs = 0
    while True:
        runs += 1
        assert runs < 20, sorted(survived)
        try:
            said = await muster(*imported(disk))
        except Killed:
            continue
        assert said.code == 0, said.err
        break
    assert runs > 6
    assert len(await images(aws)) == 1
    assert len(region.estate.snapshots) == 1
    assert len(region.estate.imports) == 1
    assert await objects(aws) == []
    assert await unfinished(aws) == []


async def test_parts_that_are_there_are_not_sent_again(
    muster: Any, disk: Path, region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    await muster("prepare")
    real = Caller.call

    def call(self: Caller, service: str, operation: str, **params: Any) -> Any:
        if operation == "complete_multipart_upload":
            raise Killed
        return real(self, service, operation, **params)

    monkeypatch.setattr(Caller, "call", call)
    with pytest.raises(Killed):
        await muster(*imported(disk))
    monkeypatch.setattr(Caller, "call", real)
    before = len(region.calls.list())
    assert (await muster(*imported(disk))).code == 0
    sent = [call for call in region.calls.list()[before:] if call.action.startswith("PUT ")]
    assert sent == []


async def test_parts_of_another_file_are_replaced(muster: Any, disk: Path, aws: Aws) -> None:
    """What S3 has of a part is compared by MD5, not believed."""
    await muster("prepare")
    said = await muster(*imported(disk, "--dry-run"))
    key = said.out.partition(f"s3://{BUCKET}/")[2].partition(",")[0]
    begun = await aws.call("s3", "create_multipart_upload", Bucket=BUCKET, Key=key)
    await aws.call(
        "s3",
        "upload_part",
        Bucket=BUCKET,
        Key=key,
        UploadId=begun["UploadId"],
        PartNumber=1,
        Body=bytes(PART),
    )
    assert (await muster(*imported(disk, "--keep-upload"))).code == 0
    whole = await aws.call("s3", "get_object", Bucket=BUCKET, Key=key)
    sent = await asyncio.to_thread(whole["Body"].read)
    assert sent == await asyncio.to_thread(disk.read_bytes)


async def test_a_dry_run_changes_nothing(muster: Any, disk: Path, aws: Aws, region: Region) -> None:
    await muster("prepare")
    said = await muster(*imported(disk, "--dry-run"))
    assert said.code == 0
    assert "would upload" in said.out
    assert "would register image rhel9-1" in said.out
    assert await images(aws) == []
    assert region.estate.imports == {}
    assert await objects(aws) == []


# --- refusals ---------------------------------------------------------------------------------


async def test_a_name_that_is_taken(muster: Any, disk: Path, tmp_path: Path) -> None:
    await muster("prepare")
    await muster(*imported(disk))
    other = raw_disk(tmp_path / "other.raw", PART, b"else")
    said = await muster(*imported(other))
    assert said.code == 1
    assert "there is an image named rhel9-1 already: ami-" in said.err
    assert "--name rhel9-1-2" in said.err


async def test_an_import_that_fails_says_why_and_can_be_tried_again(
    muster: Any, disk: Path, aws: Aws, region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The object vanishes after the upload; EC2 notices late, as it does."""
    await muster("prepare")
    real = Caller.call

    def call(self: Caller, service: str, operation: str, **params: Any) -> Any:
        if operation == "import_snapshot":
            bucket = params["DiskContainer"]["UserBucket"]
            real(self, "s3", "delete_object", Bucket=bucket["S3Bucket"], Key=bucket["S3Key"])
        return real(self, service, operation, **params)

    monkeypatch.setattr(Caller, "call", call)
    said = await muster(*imported(disk))
    assert said.code == 1
    assert "could not import the disk (import-snap-" in said.err
    assert "404" in said.err
    assert "next: muster image prepare" in said.err
    monkeypatch.setattr(Caller, "call", real)
    assert (await muster(*imported(disk))).code == 0
    assert len(region.estate.imports) == 2
    assert len(await images(aws)) == 1


async def test_without_prepare_the_bucket_is_named(muster: Any, disk: Path) -> None:
    said = await muster(*imported(disk))
    assert said.code == 1
    assert f"next: muster image prepare --bucket {BUCKET}" in said.err


async def test_a_role_that_ec2_does_not_know_yet_is_waited_for(
    muster: Any, disk: Path, region: Region
) -> None:
    await muster("prepare")
    region.faults.add(
        Fault(
            action="ImportSnapshot",
            code="InvalidParameter",
            message="The service role vmimport provided does not exist or does not have sufficient"
            " permissions",
            count=3,
        )
    )
    assert (await muster(*imported(disk))).code == 0


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ExpiredToken", "have expired"),
        ("RequestExpired", "have expired"),
        ("UnauthorizedOperation", "may not call ec2:DescribeImages"),
        ("AuthFailure", "does not know these credentials"),
        ("OptInRequired", "OptInRequired"),
    ],
)
async def test_what_aws_refuses_is_told_with_a_cure(
    code: str, words: str, muster: Any, disk: Path, region: Region
) -> None:
    region.faults.add(Fault(action="DescribeImages", code=code, message="no"))
    said = await muster(*imported(disk))
    assert said.code == 1
    assert words in said.err
    assert "  next: " in said.err


async def test_without_credentials(
    muster: Any, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    said = await muster(*imported(disk))
    assert said.code == 1
    assert "there are no AWS credentials" in said.err


async def test_without_a_region(muster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    said = await muster("prepare")
    assert said.code == 1
    assert "--region" in said.err
