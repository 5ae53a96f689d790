"""EC2: which instances there are, who has an address, who may be fenced."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from musterd.adapters.aws import Aws, error_code
from musterd.errors import CloudError, CloudErrorKind
from musterd.model import Instance, InstanceState

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceNetworkInterfaceTypeDef, InstanceTypeDef

_PAGE = 200
_GONE = {InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED}


class Ec2:
    """EC2's API, as port `Cloud`.

    Args:
        aws: the shared session.
        vpc_id: of this node; private addresses mean something only within it.
    """

    def __init__(self, aws: Aws, *, vpc_id: str) -> None:
        self._aws = aws
        self._vpc_id = vpc_id
        self._kept: EC2Client | None = None

    async def instances(self, tag: str, value: str) -> tuple[Instance, ...]:
        """Return every instance with the tag, terminated ones included (all pages).

        Raises:
            CloudError: no answer, or one that leaves out what must be known.
        """

        def describe() -> tuple[Instance, ...]:
            pages = (
                self._client()
                .get_paginator("describe_instances")
                .paginate(
                    Filters=[{"Name": f"tag:{tag}", "Values": [value]}],
                    PaginationConfig={"PageSize": _PAGE},
                )
            )
            return tuple(
                parse_instance(described)
                for page in pages
                for reservation in page["Reservations"]
                for described in reservation.get("Instances", [])
            )

        return await self._aws.run(describe, "ec2:DescribeInstances")

    async def allocation(self, elastic_ip: str) -> str:
        """Return the allocation id of an elastic address of this account.

        Raises:
            CloudError: no answer, or no such address.
        """

        def describe() -> list[str]:
            answer = self._client().describe_addresses(
                Filters=[{"Name": "public-ip", "Values": [elastic_ip]}]
            )
            return [each["AllocationId"] for each in answer["Addresses"] if "AllocationId" in each]

        found = await self._aws.run(describe, "ec2:DescribeAddresses")
        if not found:
            raise CloudError(
                CloudErrorKind.WRONG,
                f"this account has no elastic address {elastic_ip} in this region",
                cure="allocate it (`aws ec2 allocate-address`) or correct elastic_ip in "
                "/etc/muster/muster.toml on every node",
            )
        return found[0]

    async def holders(self, addresses: tuple[str, ...]) -> Mapping[str, str]:
        """Return private address -> instance id, for those addresses that an interface has.

        Raises:
            CloudError: no answer.
        """
        if not addresses:
            return {}

        def describe() -> dict[str, str]:
            pages = (
                self._client()
                .get_paginator("describe_network_interfaces")
                .paginate(
                    Filters=[
                        {"Name": "vpc-id", "Values": [self._vpc_id]},
                        {
                            "Name": "addresses.private-ip-address",
                            "Values": list(addresses),
                        },
                    ],
                    PaginationConfig={"PageSize": _PAGE},
                )
            )
            return {
                entry["PrivateIpAddress"]: interface["Attachment"]["InstanceId"]
                for page in pages
                for interface in page["NetworkInterfaces"]
                if "InstanceId" in interface.get("Attachment", {})
                for entry in interface.get("PrivateIpAddresses", [])
                if entry.get("PrivateIpAddress") in addresses
            }

        return await self._aws.run(describe, "ec2:DescribeNetworkInterfaces")

    async def may_fence(self, instance_id: str) -> None:
        """Prove by DryRun that this node may stop and start the instance.

        Raises:
            CloudError: it may not (REFUSED, naming the action), or that is not known.
        """

        def try_both() -> None:
            client = self._client()
            for attempt in (client.stop_instances, client.start_instances):
                try:
                    attempt(InstanceIds=[instance_id], DryRun=True)
                except ClientError as error:
                    if error_code(error) != "DryRunOperation":  # that one means: it would have
                        raise

        await self._aws.run(try_both, "ec2:StopInstances")

    def _client(self) -> "EC2Client":
        # Two threads may both make one: the second wins and no harm is done.
        if self._kept is None:
            self._kept = self._aws.ec2()
        return self._kept


def parse_instance(described: "InstanceTypeDef") -> Instance:
    """Turn one entry of DescribeInstances into an Instance.

    Raises:
        CloudError: WRONG, when a living instance is told of without its primary interface: a
            partial answer orders no roster.
    """
    instance_id = described["InstanceId"]
    state = InstanceState(described["State"]["Name"])
    interfaces = described.get("NetworkInterfaces", [])
    attached = _attach_time(interfaces)
    if attached is None and state not in _GONE:
        raise CloudError(
            CloudErrorKind.WRONG,
            f"EC2 tells of {instance_id} without its primary interface",
            why=f"state {state}: the answer is not complete yet",
            cure="nothing to do: muster asks again",
        )
    # Of a terminated instance EC2 shows no interface any more; it takes part in no order either.
    created = attached or described.get("LaunchTime")
    return Instance(
        instance_id=instance_id,
        state=state,
        created=0.0 if created is None else created.timestamp(),
        address=described.get("PrivateIpAddress", ""),
        addresses=tuple(
            entry["PrivateIpAddress"]
            for interface in interfaces
            for entry in interface.get("PrivateIpAddresses", [])
            if "PrivateIpAddress" in entry
        ),
        zone=described.get("Placement", {}).get("AvailabilityZone", ""),
        subnet_id=described.get("SubnetId", ""),
        vpc_id=described.get("VpcId", ""),
    )


def _attach_time(interfaces: Iterable["InstanceNetworkInterfaceTypeDef"]) -> datetime | None:
    for interface in interfaces:
        attachment = interface.get("Attachment", {})
        if attachment.get("DeviceIndex") == 0 and "AttachTime" in attachment:
            return attachment["AttachTime"]
    return None
