"""Secondary private addresses and elastic addresses: one holder at a time, whoever asks."""

from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address
from typing import Any

import pytest
from botocore.exceptions import ClientError

from muster_lab.region import Region

from .conftest import Aws, RecordingMachines

Running = Callable[..., Awaitable[list[str]]]

FLOATING = "127.10.0.100"


def interface_id(region: Region, instance_id: str) -> str:
    interface = region.estate.instance(instance_id).interface
    assert interface is not None
    return interface.interface_id


async def held(aws: Aws, instance_id: str) -> list[str]:
    """The addresses that DescribeInstances shows on the instance."""
    answer = await aws.ec2("describe_instances", InstanceIds=[instance_id])
    interface = answer["Reservations"][0]["Instances"][0]["NetworkInterfaces"][0]
    return [address["PrivateIpAddress"] for address in interface["PrivateIpAddresses"]]


async def assign(aws: Aws, region: Region, instance_id: str, address: str, **more: Any) -> Any:
    return await aws.ec2(
        "assign_private_ip_addresses",
        NetworkInterfaceId=interface_id(region, instance_id),
        PrivateIpAddresses=[address],
        **more,
    )


async def test_an_address_moves_and_is_nowhere_twice(
    aws: Aws, region: Region, running: Running, machines: RecordingMachines
) -> None:
    first, second = await running(2)
    answer = await assign(aws, region, first, FLOATING)
    assert answer["AssignedPrivateIpAddresses"] == [{"PrivateIpAddress": FLOATING}]
    assert await held(aws, first) == ["127.10.0.11", FLOATING]
    await assign(aws, region, second, FLOATING, AllowReassignment=True)
    assert await held(aws, first) == ["127.10.0.11"]
    assert await held(aws, second) == ["127.10.0.12", FLOATING]
    assert machines.addresses == {
        first: frozenset({IPv4Address("127.10.0.11")}),
        second: frozenset({IPv4Address("127.10.0.12"), IPv4Address(FLOATING)}),
    }


async def test_assigning_what_one_has_again_changes_nothing(
    aws: Aws, region: Region, running: Running
) -> None:
    (instance_id,) = await running()
    for _ in range(2):
        await assign(aws, region, instance_id, FLOATING, AllowReassignment=True)
    assert await held(aws, instance_id) == ["127.10.0.11", FLOATING]


@pytest.mark.parametrize(
    ("address", "reassign"),
    [
        (FLOATING, False),
        ("127.10.0.11", True),
        ("127.10.1.50", True),
        ("127.11.0.50", True),
        ("127.10.0.2", True),
        ("address", True),
    ],
)
async def test_what_may_not_be_assigned(
    aws: Aws, region: Region, running: Running, address: str, reassign: bool
) -> None:
    first, second = await running(2)
    await assign(aws, region, first, FLOATING)
    with pytest.raises(ClientError) as refused:
        await assign(aws, region, second, address, AllowReassignment=reassign)
    assert refused.value.response["Error"]["Code"] == "InvalidParameterValue"
    assert await held(aws, first) == ["127.10.0.11", FLOATING]
    assert await held(aws, second) == ["127.10.0.12"]


async def test_a_count_gives_free_addresses(aws: Aws, region: Region, running: Running) -> None:
    first, _ = await running(2)
    await aws.ec2(
        "assign_private_ip_addresses",
        NetworkInterfaceId=interface_id(region, first),
        SecondaryPrivateIpAddressCount=2,
    )
    assert await held(aws, first) == ["127.10.0.11", "127.10.0.13", "127.10.0.14"]


async def test_unassigning_takes_only_what_is_there(
    aws: Aws, region: Region, running: Running, machines: RecordingMachines
) -> None:
    first, second = await running(2)
    await assign(aws, region, first, FLOATING)
    for instance_id, address in ((second, FLOATING), (first, "127.10.0.11")):
        with pytest.raises(ClientError) as refused:
            await aws.ec2(
                "unassign_private_ip_addresses",
                NetworkInterfaceId=interface_id(region, instance_id),
                PrivateIpAddresses=[address],
            )
        assert refused.value.response["Error"]["Code"] == "InvalidParameterValue"
    await aws.ec2(
        "unassign_private_ip_addresses",
        NetworkInterfaceId=interface_id(region, first),
        PrivateIpAddresses=[FLOATING],
    )
    assert machines.addresses[first] == frozenset({IPv4Address("127.10.0.11")})


async def test_secondaries_outlive_a_stop_and_not_a_termination(
    aws: Aws, region: Region, running: Running, machines: RecordingMachines
) -> None:
    first, second = await running(2)
    await assign(aws, region, first, FLOATING)
    await region.stop_instance(first)
    await region.settled(first)
    await region.start_instance(first)
    await region.settled(first)
    assert IPv4Address(FLOATING) in machines.addresses[first]
    await region.terminate_instance(first)
    await region.settled(first)
    await assign(aws, region, second, FLOATING)
    assert await held(aws, second) == ["127.10.0.12", FLOATING]


async def test_interfaces_are_found_by_their_secondary_addresses(
    aws: Aws, region: Region, running: Running
) -> None:
    first, _ = await running(2)
    await assign(aws, region, first, FLOATING)
    found = await aws.ec2(
        "describe_network_interfaces",
        Filters=[{"Name": "addresses.private-ip-address", "Values": [FLOATING]}],
    )
    (shown,) = found["NetworkInterfaces"]
    assert shown["Attachment"]["InstanceId"] == first
    assert shown["PrivateIpAddress"] == "127.10.0.11"
    assert [one["Primary"] for one in shown["PrivateIpAddresses"]] == [True, False]


async def test_an_elastic_address_stands_for_the_address_named(
    aws: Aws, region: Region, running: Running, machines: RecordingMachines
) -> None:
    (instance_id,) = await running()
    await assign(aws, region, instance_id, FLOATING)
    elastic = await aws.ec2("allocate_address", Domain="vpc")
    await aws.ec2(
        "associate_address",
        AllocationId=elastic["AllocationId"],
        NetworkInterfaceId=interface_id(region, instance_id),
        PrivateIpAddress=FLOATING,
    )
    (shown,) = (await aws.ec2("describe_addresses"))["Addresses"]
    assert (shown["PrivateIpAddress"], shown["InstanceId"]) == (FLOATING, instance_id)
    assert machines.elastic == {IPv4Address(elastic["PublicIp"]): IPv4Address(FLOATING)}
    answer = await aws.ec2("describe_instances")
    instance = answer["Reservations"][0]["Instances"][0]
    assert "PublicIpAddress" not in instance
    secondary = instance["NetworkInterfaces"][0]["PrivateIpAddresses"][1]
    assert secondary["Association"]["PublicIp"] == elastic["PublicIp"]


async def test_an_elastic_address_follows_its_private_one(
    aws: Aws, region: Region, running: Running, machines: RecordingMachines
) -> None:
    first, second = await running(2)
    await assign(aws, region, first, FLOATING)
    elastic = await aws.ec2("allocate_address")
    await aws.ec2(
        "associate_address",
        AllocationId=elastic["AllocationId"],
        InstanceId=first,
        PrivateIpAddress=FLOATING,
    )
    await assign(aws, region, second, FLOATING, AllowReassignment=True)
    (shown,) = (await aws.ec2("describe_addresses"))["Addresses"]
    assert shown["InstanceId"] == second
    await aws.ec2(
        "unassign_private_ip_addresses",
        NetworkInterfaceId=interface_id(region, second),
        PrivateIpAddresses=[FLOATING],
    )
    (shown,) = (await aws.ec2("describe_addresses"))["Addresses"]
    assert "AssociationId" not in shown
    assert machines.elastic == {}


async def test_an_elastic_address_moves_unless_that_is_forbidden(
    aws: Aws, running: Running, machines: RecordingMachines
) -> None:
    first, second = await running(2)
    elastic = (await aws.ec2("allocate_address"))["AllocationId"]
    one = await aws.ec2("associate_address", AllocationId=elastic, InstanceId=first)
    again = await aws.ec2("associate_address", AllocationId=elastic, InstanceId=first)
    assert again["AssociationId"] == one["AssociationId"]
    with pytest.raises(ClientError) as refused:
        await aws.ec2(
            "associate_address", AllocationId=elastic, InstanceId=second, AllowReassociation=False
        )
    assert refused.value.response["Error"]["Code"] == "Resource.AlreadyAssociated"
    moved = await aws.ec2("associate_address", AllocationId=elastic, InstanceId=second)
    assert moved["AssociationId"] != one["AssociationId"]
    assert list(machines.elastic.values()) == [IPv4Address("127.10.0.12")]
    with pytest.raises(ClientError) as refused:
        await aws.ec2("disassociate_address", AssociationId=one["AssociationId"])
    assert refused.value.response["Error"]["Code"] == "InvalidAssociationID.NotFound"
    with pytest.raises(ClientError) as refused:
        await aws.ec2("release_address", AllocationId=elastic)
    assert refused.value.response["Error"]["Code"] == "InvalidIPAddress.InUse"
    await aws.ec2("disassociate_address", AssociationId=moved["AssociationId"])
    await aws.ec2("release_address", AllocationId=elastic)
    assert (await aws.ec2("describe_addresses"))["Addresses"] == []


async def test_termination_frees_the_elastic_address(
    aws: Aws, region: Region, running: Running, machines: RecordingMachines
) -> None:
    (instance_id,) = await running()
    elastic = (await aws.ec2("allocate_address"))["AllocationId"]
    await aws.ec2("associate_address", AllocationId=elastic, InstanceId=instance_id)
    await region.terminate_instance(instance_id)
    await region.settled(instance_id)
    assert machines.elastic == {}
    (shown,) = (await aws.ec2("describe_addresses", AllocationIds=[elastic]))["Addresses"]
    assert "InstanceId" not in shown
