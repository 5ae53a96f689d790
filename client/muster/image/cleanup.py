"""`muster image cleanup`: removes what imports left, and when told to, what they made."""

import argparse

from muster.context import Context
from muster.contract import Exit
from muster.errors import ClientError
from muster.image.account import POLICY_NAME, check_bucket, default_bucket
from muster.image.aws import Answer, Aws, RefusedByAwsError, tag
from muster.image.importing import import_tasks
from muster.image.upload import PREFIX, pending


def run(options: argparse.Namespace, context: Context) -> int:
    """Remove; what is not there any more is no error."""
    aws = Aws(options.region, dry=options.dry_run, say=context.say)
    account = aws.account()
    bucket = options.bucket or default_bucket(account, aws.region)
    _tasks(aws, options.name)
    if options.image:
        _images(aws, options.name)
    _snapshots(aws, options.name)
    if check_bucket(aws, bucket, account):
        _uploads(aws, bucket, f"{PREFIX}{options.name}/", account)
        if options.account:
            _bucket(aws, bucket, account, context)
    if options.account:
        _rights(aws, options.role, bucket, context)
    context.say(f"nothing is left of {options.name}" if not aws.dry else "nothing was changed")
    return Exit.OK


def _tasks(aws: Aws, name: str) -> None:
    for task in import_tasks(aws):
        going = task["SnapshotTaskDetail"].get("Status", "active") == "active"
        if going and tag(task, "image") == name:
            task_id = task["ImportTaskId"]
            aws.change(
                f"cancel {task_id}",
                "ec2",
                "cancel_import_task",
                ImportTaskId=task_id,
                CancelReason="muster image cleanup",
            )


def _images(aws: Aws, name: str) -> None:
    named = [{"Name": "name", "Values": [name]}]
    for image in aws.each("ec2", "describe_images", "Images", Owners=["self"], Filters=named):
        image_id = image["ImageId"]
        if tag(image, "image") != name:
            raise ClientError(
                f"{image_id} is named {name}, but muster did not make it",
                why="it lacks the tag muster:image",
                cure=f"aws ec2 deregister-image --image-id {image_id}, if it can go",
            )
        _refuse_used(aws, image_id)
        aws.change(f"deregister {image_id}", "ec2", "deregister_image", ImageId=image_id)


def _refuse_used(aws: Aws, image_id: str) -> None:
    """An image in use is a cluster's way to get a replaced node."""
    used = [{"Name": "image-id", "Values": [image_id]}]
    found = [
        one["InstanceId"]
        for reservation in aws.each("ec2", "describe_instances", "Reservations", Filters=used)
        for one in reservation["Instances"]
        if one["State"]["Name"] != "terminated"
    ]
    if found:
        raise ClientError(
            f"{image_id} is in use by {', '.join(found)}",
            why="a replacement for one of them could not be launched any more",
            cure="terminate them first, or leave the image",
        )


def _snapshots(aws: Aws, name: str) -> None:
    """Remove snapshots of this name that no image needs."""
    wanted = [{"Name": "tag:muster:image", "Values": [name]}]
    for snapshot in aws.each(
        "ec2", "describe_snapshots", "Snapshots", OwnerIds=["self"], Filters=wanted
    ):
        snapshot_id = snapshot["SnapshotId"]
        if _needed(aws, snapshot_id):
            continue
        aws.change(f"delete {snapshot_id}", "ec2", "delete_snapshot", SnapshotId=snapshot_id)


def _needed(aws: Aws, snapshot_id: str) -> list[Answer]:
    of = [{"Name": "block-device-mapping.snapshot-id", "Values": [snapshot_id]}]
    return list(aws.each("ec2", "describe_images", "Images", Owners=["self"], Filters=of))


def _uploads(aws: Aws, bucket: str, prefix: str, account: str) -> None:
    owned = {"Bucket": bucket, "ExpectedBucketOwner": account}
    for one in pending(aws, bucket, prefix, account):
        aws.change(
            f"give up the upload of s3://{bucket}/{one['Key']}",
            "s3",
            "abort_multipart_upload",
            **owned,
            Key=one["Key"],
            UploadId=one["UploadId"],
        )
    for one in aws.each("s3", "list_objects_v2", "Contents", **owned, Prefix=prefix):
        aws.change(
            f"remove s3://{bucket}/{one['Key']}", "s3", "delete_object", **owned, Key=one["Key"]
        )


def _bucket(aws: Aws, bucket: str, account: str, context: Context) -> None:
    owned = {"Bucket": bucket, "ExpectedBucketOwner": account}
    try:
        aws.change(f"remove bucket {bucket}", "s3", "delete_bucket", **owned)
    except RefusedByAwsError as refused:
        if refused.code != "BucketNotEmpty":
            raise
        context.say(f"bucket {bucket} stays: it holds more than muster's uploads")


def _rights(aws: Aws, role: str, bucket: str, context: Context) -> None:
    """Take our policy off the role; the role itself goes only if nothing else hangs on it."""
    try:
        aws.change(
            f"take muster's policy off role {role}",
            "iam",
            "delete_role_policy",
            RoleName=role,
            PolicyName=f"{POLICY_NAME}-{bucket}",
        )
        aws.change(f"remove role {role}", "iam", "delete_role", RoleName=role)
    except RefusedByAwsError as refused:
        if refused.code == "DeleteConflict":
            context.say(f"role {role} stays: it has policies of others")
        elif refused.code != "NoSuchEntity":
            raise
