"""EC2 actions that make an image of a disk: import a snapshot from S3, register it, take it back.

Imports advance with the region's clock and can fail late, as on AWS (VM Import/Export user guide,
"Importing a disk as a snapshot").
"""

from . import launching, views
from .errors import AwsError, invalid_value
from .estate import Estate, new_id
from .filters import Values, keep, page
from .model import ACCOUNT, Image, ImportTask, Snapshot
from .query import Answer, Params
from .request import Action, Request

FORMATS = ("RAW", "VHD", "VHDX", "VMDK")
IMPORT_ROLE = "vmimport"
GIBIBYTE = 1024**3

_STAGES = (
    (0.0, "3", "pending"),
    (0.2, "19", "active"),
    (0.5, "42", "converting"),
    (0.8, "86", "preparing snapshot"),
)


async def import_snapshot(request: Request) -> Answer:
    """ImportSnapshot: the role must exist at once, whether the disk does shows later."""
    params = request.params
    role = params.get("RoleName", IMPORT_ROLE)
    if not await request.services.has_role(role):
        raise AwsError(
            "InvalidParameter",
            f"The service role {role} provided does not exist or does not have sufficient"
            " permissions",
        )
    token = params.get("ClientToken")
    for known in request.estate.imports.values():
        if token is not None and known.client_token == token:
            return _task_shape(known)
    container: Params = params.get("DiskContainer", {})
    bucket = container.get("UserBucket", {})
    kind = container.get("Format", "").upper()
    if kind not in FORMATS:
        raise AwsError("InvalidParameter", f"The format '{kind}' is none of {', '.join(FORMATS)}")
    if not bucket.get("S3Bucket") or not bucket.get("S3Key"):
        raise AwsError("MissingParameter", "The request must contain S3 bucket and key of the disk")
    size = await request.services.object_size(bucket["S3Bucket"], bucket["S3Key"])
    task = ImportTask(
        task_id=new_id("import-snap"),
        kind=kind,
        bucket=bucket["S3Bucket"],
        key=bucket["S3Key"],
        size=size,
        started=request.estate.clock(),
        description=params.get("Description", ""),
        tags=launching.tag_specification(params, "import-snapshot-task"),
        client_token=token,
    )
    request.estate.imports[task.task_id] = task
    request.estate.changed()
    return _task_shape(task)


async def describe_import_snapshot_tasks(request: Request) -> Answer:
    """DescribeImportSnapshotTasks: a finished import has made its snapshot."""
    _advance(request.estate)
    tasks = request.estate.imports
    named = request.params.get("ImportTaskIds", [])
    for wanted in named:
        if wanted not in tasks:
            raise AwsError("InvalidConversionTaskId", f"The import task '{wanted}' does not exist")
    chosen = [task for task in tasks.values() if not named or task.task_id in named]
    return {"ImportSnapshotTasks": [_task_shape(task) for task in chosen]}


async def cancel_import_task(request: Request) -> Answer:
    """CancelImportTask: only one that is under way."""
    _advance(request.estate)
    task = request.estate.imports.get(request.params.get("ImportTaskId", ""))
    if task is None or task.snapshot_id is not None or task.cancelled:
        raise AwsError("InvalidConversionTaskId", "The import task cannot be cancelled")
    task.cancelled = True
    request.estate.changed()
    return {"ImportTaskId": task.task_id, "PreviousState": "active", "State": "cancelling"}


async def describe_snapshots(request: Request) -> Answer:
    """DescribeSnapshots."""
    _advance(request.estate)
    params, estate = request.params, request.seen
    named = [_snapshot(estate, i) for i in params.get("SnapshotIds", [])]
    fields: dict[str, Values[Snapshot]] = {
        "description": lambda one: [one.description],
        "snapshot-id": lambda one: [one.snapshot_id],
        "status": lambda _: ["completed"],
    }
    chosen = named or list(estate.snapshots.values())
    chosen = keep(chosen, params.get("Filters", []), fields, lambda one: one.tags)
    chosen, rest = page(chosen, params)
    answer: Answer = {"Snapshots": [_snapshot_shape(one) for one in chosen]}
    if rest is not None:
        answer["NextToken"] = rest
    return answer


async def delete_snapshot(request: Request) -> Answer:
    """DeleteSnapshot: not while an image needs it."""
    snapshot = _snapshot(request.estate, request.params["SnapshotId"])
    for image in request.estate.images.values():
        if image.snapshot_id == snapshot.snapshot_id:
            raise AwsError(
                "InvalidSnapshot.InUse",
                f"The snapshot {snapshot.snapshot_id} is currently in use by {image.image_id}",
            )
    del request.estate.snapshots[snapshot.snapshot_id]
    request.estate.changed()
    return {}


async def register_image(request: Request) -> Answer:
    """RegisterImage: names are unique, the root snapshot must exist, attributes are kept."""
    params, estate = request.params, request.estate
    name = params["Name"]
    for other in estate.images.values():
        if other.name == name:
            raise AwsError(
                "InvalidAMIName.Duplicate",
                f"AMI name {name} is already in use by AMI {other.image_id}",
            )
    root = params.get("RootDeviceName", "/dev/sda1")
    mapped = {
        mapping.get("DeviceName"): mapping.get("Ebs", {})
        for mapping in params.get("BlockDeviceMappings", [])
    }
    if "SnapshotId" not in mapped.get(root, {}):
        raise AwsError("InvalidBlockDeviceMapping", f"No snapshot is given for the root {root}")
    snapshot = _snapshot(estate, mapped[root]["SnapshotId"])
    size = mapped[root].get("VolumeSize", snapshot.size)
    if size < snapshot.size:
        raise AwsError(
            "InvalidBlockDeviceMapping",
            f"Volume of size {size}GB is smaller than snapshot '{snapshot.snapshot_id}', expect"
            f" size >= {snapshot.size}GB",
        )
    if params.get("ImdsSupport") not in (None, "v2.0"):
        raise invalid_value(params["ImdsSupport"], "imdsSupport")
    image = Image(
        image_id=new_id("ami"),
        name=name,
        stock=False,
        snapshot_id=snapshot.snapshot_id,
        created=estate.clock(),
        attributes=_image_attributes(params, root, mapped[root], size),
        tags=launching.tag_specification(params, "image"),
    )
    estate.images = {**estate.images, image.image_id: image}
    estate.changed()
    return {"ImageId": image.image_id}


async def deregister_image(request: Request) -> Answer:
    """DeregisterImage: the snapshot stays unless it is to go too."""
    params, estate = request.params, request.estate
    image = _image(estate, params["ImageId"])
    estate.images = {k: v for k, v in estate.images.items() if k != image.image_id}
    answer: Answer = {"Return": True}
    if params.get("DeleteAssociatedSnapshots") and image.snapshot_id is not None:
        estate.snapshots.pop(image.snapshot_id, None)
        deleted = {"SnapshotId": image.snapshot_id, "ReturnCode": "success"}
        answer["DeleteSnapshotResults"] = [deleted]
    estate.changed()
    return answer


async def describe_images(request: Request) -> Answer:
    """DescribeImages: what instances can be launched from."""
    params, images = request.params, request.seen.images
    named = [_image(request.seen, i) for i in params.get("ImageIds", [])]
    fields: dict[str, Values[Image]] = {
        "block-device-mapping.snapshot-id": lambda one: [one.snapshot_id],
        "architecture": lambda one: [one.attributes.get("Architecture", "x86_64")],
        "image-id": lambda one: [one.image_id],
        "is-public": lambda _: [False],
        "name": lambda one: [one.name],
        "owner-id": lambda _: [ACCOUNT],
        "root-device-type": lambda _: ["ebs"],
        "state": lambda _: ["available"],
    }
    chosen = named or list(images.values())
    chosen = keep(chosen, params.get("Filters", []), fields, lambda one: one.tags)
    return {"Images": [_image_shape(one) for one in chosen]}


def _advance(estate: Estate) -> None:
    """Give imports that are through their snapshot."""
    for task in estate.imports.values():
        if task.cancelled:
            continue
        if task.snapshot_id is None and task.size is not None and _share(estate, task) >= 1:
            snapshot = Snapshot(
                snapshot_id=new_id("snap"),
                size=max(1, -(-task.size // GIBIBYTE)),
                started=task.started,
                description=f"Created by VM Import/Export: {task.task_id}",
            )
            estate.snapshots[snapshot.snapshot_id] = snapshot
            task.snapshot_id = snapshot.snapshot_id
            estate.changed()
        task.share = _share(estate, task)


def _share(estate: Estate, task: ImportTask) -> float:
    """How much of its time an import has had, from 0."""
    return (estate.clock() - task.started).total_seconds() / estate.import_seconds


def _task_shape(task: ImportTask) -> views.Shape:
    detail: views.Shape = {
        "Description": task.description,
        "Format": task.kind,
        "UserBucket": {"S3Bucket": task.bucket, "S3Key": task.key},
    }
    if task.cancelled:
        detail |= {"Status": "deleted", "StatusMessage": "User initiated task cancellation"}
    elif task.snapshot_id is not None:
        detail |= {"Status": "completed", "SnapshotId": task.snapshot_id}
        detail["DiskImageSize"] = float(task.size or 0)
    elif task.size is None and task.share >= _STAGES[1][0]:
        detail |= {
            "Status": "deleted",
            "StatusMessage": "ClientError: Disk validation failed [We do not have access to the"
            " given resource. Reason 404 Not Found]",
        }
    else:
        _, progress, message = max(stage for stage in _STAGES if stage[0] <= task.share)
        detail |= {"Status": "active", "Progress": progress, "StatusMessage": message}
    return {
        "ImportTaskId": task.task_id,
        "Description": task.description,
        "SnapshotTaskDetail": detail,
        "Tags": views.tag_list(task.tags),
    }


def _snapshot(estate: Estate, snapshot_id: str) -> Snapshot:
    found = estate.snapshots.get(snapshot_id)
    if found is None:
        raise AwsError("InvalidSnapshot.NotFound", f"The snapshot '{snapshot_id}' does not exist.")
    return found


def _snapshot_shape(snapshot: Snapshot) -> views.Shape:
    return {
        "SnapshotId": snapshot.snapshot_id,
        "Description": snapshot.description,
        "Encrypted": False,
        "OwnerId": ACCOUNT,
        "Progress": "100%",
        "StartTime": snapshot.started,
        "State": "completed",
        "VolumeId": "vol-ffffffff",
        "VolumeSize": snapshot.size,
        "Tags": views.tag_list(snapshot.tags),
    }


def _image(estate: Estate, image_id: str) -> Image:
    found = estate.images.get(image_id)
    if found is None:
        raise AwsError("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
    return found


def _image_attributes(params: Params, root: str, ebs: Params, size: int) -> views.Shape:
    """What the caller said of the image, in the words in which it is described."""
    kept = (
        "Architecture",
        "BootMode",
        "Description",
        "EnaSupport",
        "ImdsSupport",
        "SriovNetSupport",
        "TpmSupport",
        "VirtualizationType",
    )
    volume = {
        "SnapshotId": ebs["SnapshotId"],
        "VolumeSize": size,
        "VolumeType": ebs.get("VolumeType", "gp2"),
        "DeleteOnTermination": ebs.get("DeleteOnTermination", True),
        "Encrypted": False,
    }
    return {name: params[name] for name in kept if name in params} | {
        "RootDeviceName": root,
        "BlockDeviceMappings": [{"DeviceName": root, "Ebs": volume}],
    }


def _image_shape(image: Image) -> views.Shape:
    shape: views.Shape = {
        "ImageId": image.image_id,
        "Name": image.name,
        "Architecture": "x86_64",
        "Hypervisor": "xen",
        "ImageLocation": f"{ACCOUNT}/{image.name}",
        "ImageType": "machine",
        "OwnerId": ACCOUNT,
        "PlatformDetails": "Linux/UNIX",
        "Public": False,
        "RootDeviceName": "/dev/xvda",
        "RootDeviceType": "ebs",
        "State": "available",
        "VirtualizationType": "hvm",
        "Tags": views.tag_list(image.tags),
    }
    if image.created is not None:
        shape["CreationDate"] = image.created.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    return shape | image.attributes


ACTIONS: dict[str, Action] = {
    "CancelImportTask": cancel_import_task,
    "DeleteSnapshot": delete_snapshot,
    "DeregisterImage": deregister_image,
    "DescribeImages": describe_images,
    "DescribeImportSnapshotTasks": describe_import_snapshot_tasks,
    "DescribeSnapshots": describe_snapshots,
    "ImportSnapshot": import_snapshot,
    "RegisterImage": register_image,
}
