"""EC2 actions on volumes, with the rules of Multi-Attach.

io1 and io2 volumes that were made so attach to up to 16 instances of their own zone, any other
volume to one (EBS user guide, "Attach an EBS volume to multiple instances").
"""

from . import launching, views
from .errors import AwsError, invalid_value
from .estate import Estate, new_id
from .filters import Values, keep, page
from .model import Attachment, Instance, State, Volume
from .query import Answer
from .request import Action, Request

MOST_ATTACHMENTS = 16
_MULTI = ("io1", "io2")


async def create_volume(request: Request) -> Answer:
    """CreateVolume: available at once."""
    params, estate = request.params, request.estate
    token = params.get("ClientToken")
    for made in estate.volumes.values() if token else ():
        if made.client_token == token:
            return _shape(made)
    zone = params.get("AvailabilityZone", "")
    if zone not in {subnet.zone for subnet in estate.subnets.values()}:
        raise AwsError("InvalidZone.NotFound", f"The zone '{zone}' does not exist.")
    kind = params.get("VolumeType", "gp3")
    multi = params.get("MultiAttachEnabled", False)
    if multi and kind not in _MULTI:
        raise AwsError(
            "InvalidParameterCombination",
            f"The parameter MultiAttachEnabled is not supported for {kind} volumes.",
        )
    if kind in _MULTI and "Iops" not in params:
        raise AwsError("MissingParameter", f"The parameter iops must be specified for {kind}")
    size = params.get("Size", 8)
    if not 1 <= size <= 65536:
        raise invalid_value(size, "size")
    volume = Volume(
        volume_id=new_id("vol"),
        zone=zone,
        size=size,
        kind=kind,
        iops=params.get("Iops", 3000),
        multi_attach=multi,
        created=estate.clock(),
        tags=launching.tag_specification(params, "volume"),
        client_token=token,
    )
    estate.volumes[volume.volume_id] = volume
    estate.changed()
    return _shape(volume)


async def delete_volume(request: Request) -> Answer:
    """DeleteVolume: only when nothing is attached."""
    volume = _volume(request.estate, request.params["VolumeId"])
    if volume.attachments:
        raise AwsError("VolumeInUse", f"Volume {volume.volume_id} is currently attached")
    del request.estate.volumes[volume.volume_id]
    request.estate.changed()
    return {}


async def describe_volumes(request: Request) -> Answer:
    """DescribeVolumes."""
    params, estate = request.params, request.seen
    named = [_volume(estate, i) for i in params.get("VolumeIds", [])]
    fields: dict[str, Values[Volume]] = {
        "attachment.instance-id": lambda one: list(one.attachments),
        "attachment.status": lambda one: ["attached" for _ in one.attachments],
        "availability-zone": lambda one: [one.zone],
        "multi-attach-enabled": lambda one: [one.multi_attach],
        "size": lambda one: [one.size],
        "status": lambda one: [_status(one)],
        "volume-id": lambda one: [one.volume_id],
        "volume-type": lambda one: [one.kind],
    }
    chosen = named or list(estate.volumes.values())
    chosen = keep(chosen, params.get("Filters", []), fields, lambda one: one.tags)
    chosen, rest = page(chosen, params)
    answer: Answer = {"Volumes": [_shape(one) for one in chosen]}
    if rest is not None:
        answer["NextToken"] = rest
    return answer


async def attach_volume(request: Request) -> Answer:
    """AttachVolume: not idempotent, as on EC2."""
    params, estate = request.params, request.estate
    volume = _volume(estate, params["VolumeId"])
    instance = estate.instance(params["InstanceId"])
    _check_attachment(volume, instance, params["Device"])
    attachment = Attachment(params["Device"], estate.clock())
    volume.attachments[instance.instance_id] = attachment
    estate.changed()
    await request.lifecycle.apply_volumes(instance)
    return _attachment(volume, instance.instance_id, attachment)


async def detach_volume(request: Request) -> Answer:
    """DetachVolume: the instance must be named when there are several."""
    params, estate = request.params, request.estate
    volume = _volume(estate, params["VolumeId"])
    instance_id = params.get("InstanceId")
    if instance_id is None and len(volume.attachments) > 1:
        raise AwsError("InvalidParameterValue", "Name the instance: the volume is multi-attached")
    instance_id = instance_id or next(iter(volume.attachments), None)
    if instance_id not in volume.attachments:
        raise AwsError(
            "IncorrectState", f"Volume '{volume.volume_id}' is not attached to {instance_id}"
        )
    attachment = volume.attachments.pop(instance_id)
    estate.changed()
    await request.lifecycle.apply_volumes(estate.instance(instance_id))
    return _attachment(volume, instance_id, attachment) | {"State": "detaching"}


def _check_attachment(volume: Volume, instance: Instance, device: str) -> None:
    if instance.state not in (State.RUNNING, State.STOPPED, State.STOPPING):
        raise AwsError(
            "IncorrectState", f"Instance '{instance.instance_id}' is {instance.state.value}"
        )
    if volume.zone != instance.zone:
        raise AwsError(
            "InvalidVolume.ZoneMismatch",
            f"The volume '{volume.volume_id}' is not in the same availability zone as instance"
            f" '{instance.instance_id}'",
        )
    if instance.instance_id in volume.attachments or (
        volume.attachments and not volume.multi_attach
    ):
        raise AwsError("VolumeInUse", f"{volume.volume_id} is already attached to an instance")
    if len(volume.attachments) >= MOST_ATTACHMENTS:
        raise AwsError("AttachmentLimitExceeded", f"{volume.volume_id} has 16 attachments")
    if not device.startswith("/dev/"):
        raise invalid_value(device, "device")


def _volume(estate: Estate, volume_id: str) -> Volume:
    found = estate.volumes.get(volume_id)
    if found is None:
        raise AwsError("InvalidVolume.NotFound", f"The volume '{volume_id}' does not exist.")
    return found


def _status(volume: Volume) -> str:
    return "in-use" if volume.attachments else "available"


def _attachment(volume: Volume, instance_id: str, attachment: Attachment) -> views.Shape:
    return {
        "VolumeId": volume.volume_id,
        "InstanceId": instance_id,
        "Device": attachment.device,
        "State": "attached",
        "AttachTime": attachment.attached,
        "DeleteOnTermination": False,
    }


def _shape(volume: Volume) -> views.Shape:
    return {
        "VolumeId": volume.volume_id,
        "AvailabilityZone": volume.zone,
        "CreateTime": volume.created,
        "Encrypted": False,
        "Size": volume.size,
        "SnapshotId": "",
        "State": _status(volume),
        "VolumeType": volume.kind,
        "Iops": volume.iops,
        "MultiAttachEnabled": volume.multi_attach,
        "Tags": views.tag_list(volume.tags),
        "Attachments": [_attachment(volume, i, a) for i, a in volume.attachments.items()],
    }


ACTIONS: dict[str, Action] = {
    "AttachVolume": attach_volume,
    "CreateVolume": create_volume,
    "DeleteVolume": delete_volume,
    "DescribeVolumes": describe_volumes,
    "DetachVolume": detach_volume,
}
