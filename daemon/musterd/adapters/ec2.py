"""EC2: which instances there are, who has an address, who may be fenced."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from musterd.adapters.aws import Aws, error_code
from musterd.adapters.ec2_provision import tagged
from musterd.errors import CloudError, CloudErrorKind
from musterd.model import GroupRule, Instance, InstanceState
from musterd.ports import REHEARSED

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import (
        InstanceNetworkInterfaceTypeDef,
        InstanceTypeDef,
        IpPermissionOutputTypeDef,
        NetworkInterfaceTypeDef,
    )

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
        return await self._listed(f"tag:{tag}", (value,))

    async def described(self, instance_ids: tuple[str, ...]) -> tuple[Instance, ...]:
        """Return these instances, whatever their tags; unknown ones are left out.

        By filter: named as such, one unknown id makes the whole answer an error.

        Raises:
            CloudError: as for `instances`.
        """
        return await self._listed("instance-id", instance_ids)

    async def _listed(self, filter_name: str, values: tuple[str, ...]) -> tuple[Instance, ...]:
        def describe() -> tuple[Instance, ...]:
            pages = (
                self._client()
                .get_paginator("describe_instances")
                .paginate(
                    Filters=[{"Name": filter_name, "Values": list(values)}],
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

    async def group_rules(self, group_ids: tuple[str, ...]) -> Mapping[str, tuple[GroupRule, ...]]:
        """Return security group -> its permissions, in both directions.

        Raises:
            CloudError: no answer, or one of the groups does not exist.
        """
        if not group_ids:
            return {}

        def describe() -> dict[str, tuple[GroupRule, ...]]:
            answer = self._client().describe_security_groups(GroupIds=list(group_ids))
            return {
                group["GroupId"]: (
                    *(parse_rule(rule, egress=False) for rule in group.get("IpPermissions", [])),
                    *(parse_rule(r, egress=True) for r in group.get("IpPermissionsEgress", [])),
                )
                for group in answer["SecurityGroups"]
            }

        return await self._aws.run(describe, "ec2:DescribeSecurityGroups")

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

        An interface at no instance is told by its own id.

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
                entry["PrivateIpAddress"]: _holder(interface)
                for page in pages
                for interface in page["NetworkInterfaces"]
                for entry in interface.get("PrivateIpAddresses", [])
                if entry.get("PrivateIpAddress") in addresses
            }

        return await self._aws.run(describe, "ec2:DescribeNetworkInterfaces")

    async def elastic_holders(self, addresses: tuple[str, ...]) -> Mapping[str, str]:
        """Return elastic address -> instance or interface it leads to, for those that lead.

        Raises:
            CloudError: no answer.
        """
        if not addresses:
            return {}

        def describe() -> dict[str, str]:
            answer = self._client().describe_addresses(
                Filters=[{"Name": "public-ip", "Values": list(addresses)}]
            )
            return {
                each["PublicIp"]: each.get("InstanceId", "") or each["NetworkInterfaceId"]
                for each in answer["Addresses"]
                if each.get("InstanceId") or each.get("NetworkInterfaceId")
            }

        return await self._aws.run(describe, "ec2:DescribeAddresses")

    async def routed(
        self, tables: tuple[str, ...], addresses: tuple[str, ...]
    ) -> Mapping[tuple[str, str], str]:
        """Return (route table, address) -> instance or gateway that its /32 route leads to.

        Raises:
            CloudError: no answer, or one of the tables does not exist.
        """
        if not tables:
            return {}
        blocks = {f"{address}/32": address for address in addresses}

        def describe() -> dict[tuple[str, str], str]:
            answer = self._client().describe_route_tables(RouteTableIds=list(tables))
            return {
                (table["RouteTableId"], blocks[route["DestinationCidrBlock"]]): (
                    route.get("InstanceId")
                    or route.get("NetworkInterfaceId")
                    or route.get("GatewayId", "?")
                )
                for table in answer["RouteTables"]
                for route in table.get("Routes", [])
                if route.get("DestinationCidrBlock") in blocks
            }

        return await self._aws.run(describe, "ec2:DescribeRouteTables")

    async def may_fence(self, instance_id: str) -> None:
        """Prove by DryRun that this node may stop and start the instance.

        Raises:
            CloudError: it may not (REFUSED, naming the action), or that is not known.
        """
        for action in ("ec2:StopInstances", "ec2:StartInstances"):
            await self.rehearse(action, instance_id)

    async def rehearse(self, action: str, about: str, where: str = "") -> None:
        """Prove by DryRun that this node may do an action to a resource.

        Args:
            action: one of `ports.REHEARSED`.
            about: id of the instance, allocation, route table or volume; of what is to be made
                its tag, `KEY=VALUE`.
            where: the instance to which the resource would be tied, where the action ties one, or
                the zone in which it would be made.

        Raises:
            CloudError: it may not (REFUSED), the resource is not there (WRONG), or that is not
                known.
        """
        if action not in REHEARSED:
            raise ValueError(f"{action} cannot be rehearsed")

        def rehearse() -> None:
            try:
                _attempt(self._client(), action, about, where)
            except ClientError as error:
                if error_code(error) != "DryRunOperation":  # that one means: it would have
                    raise

        await self._aws.run(rehearse, action)

    def _client(self) -> "EC2Client":
        # Two threads may both make one: the second wins and no harm is done.
        if self._kept is None:
            self._kept = self._aws.ec2()
        return self._kept


def _holder(interface: "NetworkInterfaceTypeDef") -> str:
    attached = interface.get("Attachment", {}).get("InstanceId", "")
    return attached or interface.get("NetworkInterfaceId", "?")


def _attempt(client: "EC2Client", action: str, about: str, where: str) -> None:
    """Call an action with DryRun, which always ends in an error that says what it would have."""
    key, _, value = about.partition("=")
    match action:
        case "ec2:StopInstances":
            client.stop_instances(InstanceIds=[about], DryRun=True)
        case "ec2:StartInstances":
            client.start_instances(InstanceIds=[about], DryRun=True)
        case "ec2:AllocateAddress":
            client.allocate_address(
                Domain="vpc", TagSpecifications=[tagged("elastic-ip", {key: value})], DryRun=True
            )
        case "ec2:CreateVolume":
            client.create_volume(
                AvailabilityZone=where,
                Size=4,
                Iops=100,
                VolumeType="io2",
                MultiAttachEnabled=True,
                TagSpecifications=[tagged("volume", {key: value})],
                DryRun=True,
            )
        case "ec2:AssociateAddress":
            client.associate_address(AllocationId=about, InstanceId=where, DryRun=True)
        case "ec2:ReplaceRoute":
            # Never carried out; the block is the documentation's (RFC 5737).
            client.replace_route(
                RouteTableId=about,
                DestinationCidrBlock="192.0.2.1/32",
                InstanceId=where,
                DryRun=True,
            )
        case "ec2:AttachVolume":
            client.attach_volume(VolumeId=about, InstanceId=where, Device="/dev/sdz", DryRun=True)


def parse_rule(permission: "IpPermissionOutputTypeDef", *, egress: bool) -> GroupRule:
    """Turn one IpPermission into a GroupRule; -1 for a port means every one."""
    low, high = permission.get("FromPort", -1), permission.get("ToPort", -1)
    return GroupRule(
        egress=egress,
        protocol=permission.get("IpProtocol", "-1"),
        ports=(max(low, 0), high if high >= 0 else 65_535),
        groups=tuple(pair.get("GroupId", "") for pair in permission.get("UserIdGroupPairs", [])),
        ranges=tuple(entry.get("CidrIp", "") for entry in permission.get("IpRanges", [])),
    )


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
    launched = described.get("LaunchTime")
    options = described.get("MetadataOptions", {})
    # Of a terminated instance EC2 shows no interface any more; it takes part in no order either.
    created = attached or launched
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
        started=0.0 if launched is None else launched.timestamp(),
        source_dest_check=described.get("SourceDestCheck", True),
        tokens_required=options.get("HttpTokens", "required") == "required",
        hop_limit=options.get("HttpPutResponseHopLimit", 1),
        profile=described.get("IamInstanceProfile", {}).get("Arn", ""),
        groups=tuple(each.get("GroupId", "") for each in described.get("SecurityGroups", [])),
        kind=described.get("InstanceType", ""),
    )


def _attach_time(interfaces: Iterable["InstanceNetworkInterfaceTypeDef"]) -> datetime | None:
    for interface in interfaces:
        attachment = interface.get("Attachment", {})
        if attachment.get("DeviceIndex") == 0 and "AttachTime" in attachment:
            return attachment["AttachTime"]
    return None
