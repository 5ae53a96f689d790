"""`muster image import`: a disk file becomes an AMI. Killed anywhere, the same command goes on.

AWS itself is the memory. Image, import task and snapshot carry two tags: the image's name and the
digest of the disk file; the upload has both in its key and metadata.
"""

import argparse
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from muster.context import Context
from muster.contract import Exit
from muster.errors import ClientError
from muster.image import disk, upload
from muster.image.account import check_bucket, default_bucket
from muster.image.aws import Answer, Aws, RefusedByAwsError, tag, tags
from muster.image.meter import Meter
from muster.image.upload import PREFIX, Target

POLL = 10.0  # seconds between looks at an import, which takes minutes
ROLE_KNOWN = 60.0  # seconds until EC2 knows a role that was made just now, at most
ROOT = "/dev/sda1"
FORMATS = {"raw": "RAW", "vhd": "VHD", "vhdx": "VHDX", "vmdk": "VMDK"}
_FAILED = {"deleted", "deleting", "cancelled", "cancelling", "error"}


@dataclass(frozen=True)
class Job:
    """One import: what is wanted, and what tells it from others."""

    name: str
    source: str  # digest of the disk file
    options: argparse.Namespace

    def tagged(self, kind: str) -> Answer:
        """Return the tags of everything that this import makes."""
        return tags(kind, image=self.name, source=self.source)

    def made(self, item: Answer) -> bool:
        """Tell whether this import, in whichever run, made it."""
        return (tag(item, "image"), tag(item, "source")) == (self.name, self.source)


def run(
    options: argparse.Namespace,
    context: Context,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Import, from wherever an earlier run has stopped."""
    aws = Aws(options.region, dry=options.dry_run, say=context.say)
    found = disk.look(options.file)
    job = Job(options.name, disk.digest(options.file, context), options)
    existing = _registered(aws, job)
    if existing:
        context.say(f"image {job.name} is registered as {existing}")
        _remove_leftovers(aws, job, found)
        return _done(context, existing)
    snapshot = _snapshot(aws, job, found, context, sleep)
    if snapshot is None:  # a dry run
        context.say(f"would register image {job.name}")
        return Exit.OK
    image_id = _register(aws, job, snapshot)
    if image_id is None:
        return Exit.OK
    _remove_leftovers(aws, job, found)
    return _done(context, image_id)


def _done(context: Context, image_id: str) -> int:
    context.say(f"  next: muster image launch --image {image_id} --cluster NAME --count 3")
    return Exit.OK


def _registered(aws: Aws, job: Job) -> str:
    """Return the id of the image if it is there, "" if the name is free.

    Raises:
        ClientError: the name is another image's.
    """
    named = [{"Name": "name", "Values": [job.name]}]
    for image in aws.each("ec2", "describe_images", "Images", Owners=["self"], Filters=named):
        if job.made(image):
            return str(image["ImageId"])
        raise ClientError(
            f"there is an image named {job.name} already: {image['ImageId']}",
            why="it was made from another disk, and names of images are unique in a region",
            cure=f"muster image import ... --name {job.name}-2, or, if it can go,"
            f" muster image cleanup --name {job.name} --image",
        )
    return ""


# --- from the file to a snapshot --------------------------------------------------------------


def _snapshot(
    aws: Aws, job: Job, found: disk.Disk, context: Context, sleep: Callable[[float], None]
) -> str | None:
    """Return the snapshot of the disk, None in a dry run without one."""
    account = aws.account()
    bucket = job.options.bucket or default_bucket(account, aws.region)
    tasks = [task for task in import_tasks(aws) if job.made(task)]
    going = [task for task in tasks if _status(task) not in _FAILED]
    if going:
        task_id = str(going[-1]["ImportTaskId"])
        context.say(f"following {task_id}, which an earlier run began")
        return _finished(aws, job, task_id, context, sleep)
    if not check_bucket(aws, bucket, account) and not aws.dry:
        raise ClientError(
            f"there is no bucket {bucket}",
            why="an import reads the disk from S3",
            cure=f"muster image prepare --bucket {bucket}",
        )
    target = Target(bucket, _key(job, found), account)
    if aws.dry:
        if not found.ready:
            context.say(f"would convert {found.path} to VMDK")
        context.say(f"would upload to s3://{bucket}/{target.key}, and import it")
        return None
    if upload.there(aws, target, job.source):
        context.say(f"s3://{bucket}/{target.key} is there")
    else:
        ready = disk.converted(found, job.source, job.options.workdir, context)
        upload.upload(aws, target, ready.path, job.source, context)
        context.say(f"uploaded to s3://{bucket}/{target.key}")
    task_id = _begin(aws, job, target, attempt=len(tasks), sleep=sleep)
    context.say(f"EC2 imports it as {task_id}")
    return _finished(aws, job, task_id, context, sleep)


def import_tasks(aws: Aws) -> list[Answer]:
    """Return every import of a disk that the region remembers, oldest first."""
    listed = aws.each("ec2", "describe_import_snapshot_tasks", "ImportSnapshotTasks")
    return list(listed)


def _key(job: Job, found: disk.Disk) -> str:
    kind = found.kind if found.ready else "vmdk"
    return f"{PREFIX}{job.name}/{job.source[:16]}.{kind}"


def _begin(
    aws: Aws, job: Job, target: Target, *, attempt: int, sleep: Callable[[float], None]
) -> str:
    """Start the import; the token makes a repeated request the same one, per attempt."""
    token = hashlib.sha256(f"{job.name}/{job.source}/{attempt}".encode()).hexdigest()[:60]
    deadline = time.monotonic() + ROLE_KNOWN
    while True:
        try:
            answer = aws.call(
                "ec2",
                "import_snapshot",
                ClientToken=token,
                Description=f"muster image {job.name}",
                RoleName=job.options.role,
                DiskContainer={
                    "Format": FORMATS[target.key.rpartition(".")[2]],
                    "Description": job.name,
                    "UserBucket": {"S3Bucket": target.bucket, "S3Key": target.key},
                },
                TagSpecifications=[job.tagged("import-snapshot-task")],
            )
            return str(answer["ImportTaskId"])
        except RefusedByAwsError as refused:
            if "role" not in refused.why:
                raise
            if time.monotonic() > deadline:
                raise ClientError(
                    f"EC2 cannot take on the role {job.options.role}",
                    why=refused.why,
                    cure=f"muster image prepare --role {job.options.role}",
                ) from None
        sleep(POLL / 2)


def _finished(
    aws: Aws, job: Job, task_id: str, context: Context, sleep: Callable[[float], None]
) -> str | None:
    """Follow the import to its end; return the snapshot.

    Raises:
        ClientError: it failed.
    """
    meter = Meter(context, "importing", 100)
    while True:
        [task] = aws.call("ec2", "describe_import_snapshot_tasks", ImportTaskIds=[task_id])[
            "ImportSnapshotTasks"
        ]
        detail = task["SnapshotTaskDetail"]
        status = _status(task)
        if status == "completed":
            meter.to(100)
            snapshot = str(detail["SnapshotId"])
            if aws.dry:
                return snapshot
            # The task's tags do not come to the snapshot by themselves.
            marks = job.tagged("snapshot")["Tags"]
            aws.call("ec2", "create_tags", Resources=[snapshot], Tags=marks)
            return snapshot
        if status in _FAILED:
            why = str(detail.get("StatusMessage", "EC2 did not say"))
            raise ClientError(
                f"EC2 could not import the disk ({task_id})", why=why, cure=_cure(job, why)
            )
        if aws.dry:
            context.say(f"{task_id} is at {detail.get('Progress', '0')} %")
            return None
        meter.to(min(99, int(detail.get("Progress", "0"))))
        sleep(POLL)


def _status(task: Answer) -> str:
    return str(task["SnapshotTaskDetail"].get("Status", "active")).lower()


def _cure(job: Job, why: str) -> str:
    again = "then the same command"
    if "404" in why or "403" in why or "access" in why.lower():
        return f"muster image prepare (the role {job.options.role} must read the bucket), {again}"
    if "format" in why.lower() or "vmdk" in why.lower():
        return f"qemu-img convert -O raw {job.options.file} disk.raw, and import that"
    return f"qemu-img check {job.options.file}, {again}: it begins a new import"


# --- from the snapshot to an image ------------------------------------------------------------


def _register(aws: Aws, job: Job, snapshot: str) -> str | None:
    """Register the image; return its id, None in a dry run."""
    options = job.options
    volume = {"SnapshotId": snapshot, "VolumeType": "gp3", "DeleteOnTermination": True}
    if options.volume_size:
        volume["VolumeSize"] = options.volume_size
    answer = aws.change(
        f"register image {job.name}",
        "ec2",
        "register_image",
        Name=job.name,
        Description=options.description,
        Architecture=options.architecture,
        BootMode=options.boot_mode or default_boot_mode(options.architecture),
        VirtualizationType="hvm",
        EnaSupport=True,
        SriovNetSupport="simple",
        ImdsSupport="v2.0",
        RootDeviceName=ROOT,
        BlockDeviceMappings=[{"DeviceName": ROOT, "Ebs": volume}],
        TagSpecifications=[job.tagged("image")],
    )
    return None if answer is None else str(answer["ImageId"])


def default_boot_mode(architecture: str) -> str:
    """Return what such a disk boots with most likely: arm64 knows UEFI alone."""
    return "uefi" if architecture == "arm64" else "legacy-bios"


def _remove_leftovers(aws: Aws, job: Job, found: disk.Disk) -> None:
    """Remove the upload and the converted file: the snapshot has all of it."""
    made = job.options.workdir / f"{job.source[:16]}.vmdk"
    if made.exists() and not aws.dry:
        os.unlink(made)
    if job.options.keep_upload:
        return
    account = aws.account()
    bucket = job.options.bucket or default_bucket(account, aws.region)
    target = Target(bucket, _key(job, found), account)
    if upload.there(aws, target, job.source):
        aws.change(f"remove s3://{bucket}/{target.key}", "s3", "delete_object", **target.params())
