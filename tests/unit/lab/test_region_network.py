"""What else an account has: subnets, routes, attributes, tags, volumes."""

from collections.abc import Awaitable, Callable
from ipaddress import IPv4Network
from typing import Any

import pytest
from botocore.exceptions import ClientError

from muster_lab.region import Region

from .conftest import Aws, RecordingMachines

Running = Callable[..., Awaitable[list[str]]]

OVERLAY = "192.168.10.10/32"


def refusal(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


async def test_the_vpc_has_a_subnet_in_each_of_two_zones(aws: Aws, running: Running) -> None:
    subnets = (await aws.ec2("describe_subnets"))["Subnets"]
    assert [one["AvailabilityZone"] for one in subnets] == ["eu-west-1a", "eu-west-1b"]
    (vpc,) = (await aws.ec2("describe_vpcs"))["Vpcs"]
    assert {one["VpcId"] for one in subnets} == {vpc["VpcId"]}
    await running(subnet_id=subnets[1]["SubnetId"])
    (reservation,) = (await aws.ec2("describe_instances"))["Reservations"]
    instance = reservation["Instances"][0]
    assert instance["PrivateIpAddress"] == "127.10.1.11"
    assert instance["Placement"]["AvailabilityZone"] == "eu-west-1b"
    (group,) = (await aws.ec2("describe_security_groups"))["SecurityGroups"]
    assert instance["SecurityGroups"] == [{"GroupName": "default", "GroupId": group["GroupId"]}]
    assert (await aws.ec2("describe_regions"))["Regions"][0]["RegionName"] == "eu-west-1"


async def test_an_overlay_route_is_replaced_only_where_it_exists(
    aws: Aws, region: Region, running: Running
) -> None:
    first, second = await running(2)
    table = (await aws.ec2("describe_route_tables"))["RouteTables"][0]["RouteTableId"]
    route = {"RouteTableId": table, "DestinationCidrBlock": OVERLAY}
    with pytest.raises(ClientError) as refused:
        await aws.ec2("replace_route", **route, InstanceId=first)
    assert refusal(refused) == "InvalidRoute.NotFound"
    await aws.ec2("create_route", **route, InstanceId=first)
    with pytest.raises(ClientError) as refused:
        await aws.ec2("create_route", **route, InstanceId=second)
    assert refusal(refused) == "RouteAlreadyExists"
    await aws.ec2("replace_route", **route, InstanceId=second)

    async def shown() -> tuple[str, str]:
        answer = await aws.ec2(
            "describe_route_tables",
            Filters=[{"Name": "route.destination-cidr-block", "Values": [OVERLAY]}],
        )
        (found,) = [
            one
            for one in answer["RouteTables"][0]["Routes"]
            if one["DestinationCidrBlock"] == OVERLAY
        ]
        return found["InstanceId"], found["State"]

    assert await shown() == (second, "active")
    await region.stop_instance(second)
    await region.settled(second)
    assert await shown() == (second, "blackhole")


async def test_the_source_check_is_one_flag_of_instance_and_interface(
    aws: Aws, running: Running
) -> None:
    (instance_id,) = await running()
    await aws.ec2(
        "modify_instance_attribute", InstanceId=instance_id, SourceDestCheck={"Value": False}
    )
    told = await aws.ec2(
        "describe_instance_attribute", InstanceId=instance_id, Attribute="sourceDestCheck"
    )
    assert told["SourceDestCheck"] == {"Value": False}
    (interface,) = (await aws.ec2("describe_network_interfaces"))["NetworkInterfaces"]
    assert interface["SourceDestCheck"] is False


async def test_tags_are_put_read_and_taken(aws: Aws, running: Running) -> None:
    (instance_id,) = await running(tags={"muster:cluster": "web"})
    await aws.ec2(
        "create_tags",
        Resources=[instance_id],
        Tags=[{"Key": "role", "Value": "db"}, {"Key": "muster:cluster", "Value": "data"}],
    )
    wanted = [{"Name": "resource-id", "Values": [instance_id]}]
    tags = (await aws.ec2("describe_tags", Filters=wanted))["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"muster:cluster": "data", "role": "db"}
    await aws.ec2(
        "delete_tags",
        Resources=[instance_id],
        Tags=[{"Key": "role", "Value": "other"}, {"Key": "muster:cluster"}],
    )
    tags = (await aws.ec2("describe_tags", Filters=wanted))["Tags"]
    assert [(tag["Key"], tag["Value"]) for tag in tags] == [("role", "db")]


async def test_a_tag_that_metadata_cannot_show_is_refused(aws: Aws, running: Running) -> None:
    (instance_id,) = await running()
    with pytest.raises(ClientError) as refused:
        await aws.ec2("create_tags", Resources=[instance_id], Tags=[{"Key": "a b", "Value": "c"}])
    assert refusal(refused) == "InvalidParameterValue"
    with pytest.raises(ClientError) as refused:
        await aws.ec2(
            "create_tags", Resources=["i-0123456789abcdef0"], Tags=[{"Key": "a", "Value": "c"}]
        )
    assert refusal(refused) == "InvalidInstanceID.NotFound"


async def test_metadata_options_change_while_an_instance_runs(
    aws: Aws, region: Region, running: Running
) -> None:
    (instance_id,) = await running()
    await aws.ec2(
        "modify_instance_metadata_options", InstanceId=instance_id, HttpEndpoint="disabled"
    )
    options = region.estate.instance(instance_id).metadata
    assert (options.enabled, options.tokens_required, options.tags) == (False, True, True)


async def test_a_multi_attach_volume_attaches_to_several_and_others_to_one(
    aws: Aws, region: Region, running: Running
) -> None:
    first, second = await running(2)
    zone = {"AvailabilityZone": "eu-west-1a", "Size": 10}
    shared = await aws.ec2(
        "create_volume", **zone, VolumeType="io2", Iops=100, MultiAttachEnabled=True
    )
    single = await aws.ec2("create_volume", **zone, VolumeType="gp3")
    for volume in (shared, single):
        await aws.ec2(
            "attach_volume", VolumeId=volume["VolumeId"], InstanceId=first, Device="/dev/sdf"
        )
    await aws.ec2(
        "attach_volume", VolumeId=shared["VolumeId"], InstanceId=second, Device="/dev/sdf"
    )
    for volume, instance in ((single, second), (shared, second)):
        with pytest.raises(ClientError) as refused:
            await aws.ec2(
                "attach_volume", VolumeId=volume["VolumeId"], InstanceId=instance, Device="/dev/sdg"
            )
        assert refusal(refused) == "VolumeInUse"
    (shown,) = (await aws.ec2("describe_volumes", VolumeIds=[shared["VolumeId"]]))["Volumes"]
    assert shown["MultiAttachEnabled"] is True
    assert [one["InstanceId"] for one in shown["Attachments"]] == [first, second]
    await region.terminate_instance(second)
    await region.settled(second)
    (shown,) = (await aws.ec2("describe_volumes", VolumeIds=[shared["VolumeId"]]))["Volumes"]
    assert [one["InstanceId"] for one in shown["Attachments"]] == [first]


async def test_one_volume_is_made_for_a_token_and_shown_where_it_is_attached(
    aws: Aws, region: Region, machines: RecordingMachines, running: Running
) -> None:
    first, _ = await running(2)
    wanted = {"AvailabilityZone": "eu-west-1a", "Size": 4, "VolumeType": "io2", "Iops": 100}
    one, again = [
        await aws.ec2("create_volume", **wanted, MultiAttachEnabled=True, ClientToken="same")
        for _ in range(2)
    ]
    volume = one["VolumeId"]
    assert again["VolumeId"] == volume
    assert len(region.estate.volumes) == 1
    await aws.ec2("attach_volume", VolumeId=volume, InstanceId=first, Device="/dev/sdf")
    assert machines.volumes == {first: {volume: 4}}
    await aws.ec2("detach_volume", VolumeId=volume, InstanceId=first)
    assert machines.volumes == {first: {}}


async def test_types_tell_what_they_are_built_on(aws: Aws) -> None:
    names = ["m4.large", "m6i.large", "i3.metal"]
    for asked in (
        {"InstanceTypes": names},
        {"Filters": [{"Name": "instance-type", "Values": names}]},
    ):
        told = (await aws.ec2("describe_instance_types", **asked))["InstanceTypes"]
        assert [each.get("Hypervisor") for each in told] == ["xen", "nitro", None]


async def test_volumes_that_ec2_refuses(aws: Aws, running: Running) -> None:
    (instance_id,) = await running()
    with pytest.raises(ClientError) as refused:
        await aws.ec2(
            "create_volume",
            AvailabilityZone="eu-west-1a",
            Size=10,
            VolumeType="gp3",
            MultiAttachEnabled=True,
        )
    assert refusal(refused) == "InvalidParameterCombination"
    away = await aws.ec2("create_volume", AvailabilityZone="eu-west-1b", Size=10)
    with pytest.raises(ClientError) as refused:
        await aws.ec2(
            "attach_volume", VolumeId=away["VolumeId"], InstanceId=instance_id, Device="/dev/sdf"
        )
    assert refusal(refused) == "InvalidVolume.ZoneMismatch"


async def test_the_router_follows_the_table_and_ports_follow_the_check(
    aws: Aws, region: Region, machines: RecordingMachines, running: Running
) -> None:
    first, second = await running(2)
    primaries = {one: machines.booted[one].address for one in (first, second)}
    table = region.estate.route_table.route_table_id
    route = {"RouteTableId": table, "DestinationCidrBlock": OVERLAY}
    overlay = IPv4Network(OVERLAY)
    await aws.ec2("create_route", **route, InstanceId=first)
    assert machines.routes == {overlay: primaries[first]}
    assert machines.addresses[first] == {primaries[first]}  # checked: nothing else passes
    await aws.ec2("modify_instance_attribute", InstanceId=first, SourceDestCheck={"Value": False})
    assert machines.addresses[first] == {primaries[first], overlay.network_address}
    await aws.ec2("replace_route", **route, InstanceId=second)
    assert machines.routes == {overlay: primaries[second]}
    assert machines.addresses[first] == {primaries[first]}
    await aws.ec2("delete_route", **route)
    assert machines.routes == {}


async def test_a_security_group_lets_in_what_its_rules_say(aws: Aws) -> None:
    async def lets_in() -> list[Any]:
        [group] = (await aws.ec2("describe_security_groups"))["SecurityGroups"]
        return [(rule["IpProtocol"], rule.get("FromPort")) for rule in group["IpPermissions"]]

    [group] = (await aws.ec2("describe_security_groups"))["SecurityGroups"]
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    corosync = [
        {
            "IpProtocol": "udp",
            "FromPort": 5404,
            "ToPort": 5412,
            "UserIdGroupPairs": [{"GroupId": group["GroupId"]}],
        }
    ]
    own = {"GroupId": group["GroupId"]}
    await aws.ec2("authorize_security_group_ingress", **own, IpPermissions=corosync)
    await aws.ec2("revoke_security_group_ingress", **own, IpPermissions=everything)
    assert await lets_in() == [("udp", 5404)]
    with pytest.raises(ClientError) as refused:
        await aws.ec2("authorize_security_group_ingress", **own, IpPermissions=corosync)
    assert refusal(refused) == "InvalidPermission.Duplicate"
    with pytest.raises(ClientError) as refused:
        await aws.ec2("revoke_security_group_ingress", **own, IpPermissions=everything)
    assert refusal(refused) == "InvalidPermission.NotFound"


async def test_an_instance_profile_is_taken_away_and_given_back(aws: Aws, running: Running) -> None:
    (instance_id,) = await running()
    wanted = [{"Name": "instance-id", "Values": [instance_id]}]

    async def associations() -> list[Any]:
        told = await aws.ec2("describe_iam_instance_profile_associations", Filters=wanted)
        return list(told["IamInstanceProfileAssociations"])

    assert await associations() == []
    given = {"InstanceId": instance_id, "IamInstanceProfile": {"Name": "muster"}}
    await aws.ec2("associate_iam_instance_profile", **given)
    [held] = await associations()
    with pytest.raises(ClientError) as refused:
        await aws.ec2("associate_iam_instance_profile", **given)
    assert refusal(refused) == "IncorrectState"
    taken = {"AssociationId": held["AssociationId"]}
    await aws.ec2("disassociate_iam_instance_profile", **taken)
    assert await associations() == []
    with pytest.raises(ClientError) as refused:
        await aws.ec2("disassociate_iam_instance_profile", **taken)
    assert refusal(refused) == "InvalidAssociationID.NotFound"
