"""EC2: elastic addresses and volumes that muster makes, finds again by their tags, and attaches."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from botocore.exceptions import ClientError

from musterd.adapters.aws import Aws, error_code
from musterd.model import Volume
from musterd.spec import NewVolume

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import (
        FilterTypeDef,
        TagSpecificationTypeDef,
        TagTypeDef,
        VolumeResponseTypeDef,
        VolumeTypeDef,
    )

_ATTACHED = {"attached", "attaching", "busy"}


class Ec2Provision:
    """EC2's API, as port `Provision`.

    Args:
        aws: the shared session.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._kept: EC2Client | None = None

    async def elastics(self, tags: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """Return the elastic addresses with all these tags, each with its allocation id.

        Raises:
            CloudError: no answer.
        """

        def describe() -> tuple[tuple[str, str], ...]:
            answer = self._client().describe_addresses(Filters=_filters(tags))
            return tuple(
                sorted((each["PublicIp"], each["AllocationId"]) for each in answer["Addresses"])
            )

        return await self._aws.run(describe, "ec2:DescribeAddresses")

    async def allocate(self, tags: Mapping[str, str]) -> tuple[str, str]:
        """Allocate an elastic address with these tags; return it and its allocation id.

        Raises:
            CloudError: EC2 did not, or did not say so.
        """

        def allocate() -> tuple[str, str]:
            answer = self._client().allocate_address(
                Domain="vpc", TagSpecifications=[tagged("elastic-ip", tags)]
            )
            return answer["PublicIp"], answer["AllocationId"]

        return await self._aws.run(allocate, "ec2:AllocateAddress")

    async def volumes(self, volume_ids: tuple[str, ...]) -> tuple[Volume, ...]:
        """Return these volumes; unknown ones are left out.

        By filter: named as such, one unknown id makes the whole answer an error.

        Raises:
            CloudError: no answer.
        """
        if not volume_ids:
            return ()
        return await self._listed([{"Name": "volume-id", "Values": list(volume_ids)}])

    async def tagged_volumes(self, tags: Mapping[str, str]) -> tuple[Volume, ...]:
        """Return the volumes with all these tags.

        Raises:
            CloudError: no answer.
        """
        return await self._listed(_filters(tags))

    async def _listed(self, filters: "list[FilterTypeDef]") -> tuple[Volume, ...]:
        def describe() -> tuple[Volume, ...]:
            pages = self._client().get_paginator("describe_volumes").paginate(Filters=filters)
            return tuple(_volume(each) for page in pages for each in page["Volumes"])

        return await self._aws.run(describe, "ec2:DescribeVolumes")

    async def create_volume(
        self, wanted: NewVolume, zone: str, tags: Mapping[str, str], token: str
    ) -> Volume:
        """Create a Multi-Attach volume. EC2 makes one for a token, however often it is asked.

        Raises:
            CloudError: EC2 did not, or did not say so.
        """

        def create() -> Volume:
            return _volume(
                self._client().create_volume(
                    AvailabilityZone=zone,
                    Size=wanted.size,
                    Iops=wanted.iops,
                    VolumeType=wanted.kind,
                    MultiAttachEnabled=True,
                    ClientToken=token,
                    TagSpecifications=[tagged("volume", tags)],
                )
            )

        return await self._aws.run(create, "ec2:CreateVolume")

    async def attach(self, volume_id: str, instance_id: str, device: str) -> None:
        """Attach a volume to an instance; nothing happens where it is attached already.

        Raises:
            CloudError: EC2 did not.
        """

        def attach() -> None:
            client = self._client()
            try:
                client.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=device)
            except ClientError as error:
                # Said of one that is attached here as well as of one that is in use elsewhere.
                if error_code(error) != "VolumeInUse":
                    raise
                [told] = client.describe_volumes(VolumeIds=[volume_id])["Volumes"]
                if _volume(told).attachments.get(instance_id) not in _ATTACHED:
                    raise

        await self._aws.run(attach, "ec2:AttachVolume")

    async def not_nitro(self, instance_types: tuple[str, ...]) -> frozenset[str]:
        """Return those of the instance types that are not built on Nitro.

        A bare-metal type has no hypervisor, and is.

        Raises:
            CloudError: no answer.
        """

        def describe() -> frozenset[str]:
            answer = self._client().describe_instance_types(
                Filters=[{"Name": "instance-type", "Values": list(instance_types)}]
            )
            return frozenset(
                each["InstanceType"]
                for each in answer["InstanceTypes"]
                if each.get("Hypervisor") == "xen"
            )

        return await self._aws.run(describe, "ec2:DescribeInstanceTypes")

    def _client(self) -> "EC2Client":
        if self._kept is None:
            self._kept = self._aws.ec2()
        return self._kept


def _filters(tags: Mapping[str, str]) -> "list[FilterTypeDef]":
    return [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]


def tagged(
    kind: Literal["elastic-ip", "volume"], tags: Mapping[str, str]
) -> "TagSpecificationTypeDef":
    """Return what gives tags to a thing as it is made."""
    listed: list[TagTypeDef] = [{"Key": key, "Value": value} for key, value in tags.items()]
    return {"ResourceType": kind, "Tags": listed}


def _volume(told: "VolumeTypeDef | VolumeResponseTypeDef") -> Volume:
    return Volume(
        volume_id=told["VolumeId"],
        kind=told.get("VolumeType", ""),
        zone=told.get("AvailabilityZone", ""),
        state=told.get("State", ""),
        multi_attach=told.get("MultiAttachEnabled", False),
        attachments={
            each.get("InstanceId", ""): each.get("State", "")
            for each in told.get("Attachments", [])
        },
    )
