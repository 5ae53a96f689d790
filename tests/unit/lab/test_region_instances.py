"""Instances over their lives, as boto3 sees them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from muster_lab.ports import ExitKind
from muster_lab.region import IMAGES, Region

from .conftest import Aws, RecordingMachines

Running = Callable[..., Awaitable[list[str]]]
IMAGE = IMAGES[0].image_id


def code(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    """The error's code and HTTP status."""
    response = error.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def instances(answer: Any) -> list[Any]:
    return [one for reservation in answer["Reservations"] for one in reservation["Instances"]]


async def state(aws: Aws, instance_id: str) -> str:
    answer = await aws.ec2("describe_instances", InstanceIds=[instance_id])
    return str(instances(answer)[0]["State"]["Name"])


async def test_a_launch_boots_one_machine_per_instance_and_shows_all_it_was_told(
    aws: Aws, region: Region, machines: RecordingMachines
) -> None:
    answer = await aws.ec2(
        "run_instances",
        ImageId=IMAGE,
        MinCount=2,
        MaxCount=2,
        InstanceType="c6i.large",
        UserData="#cloud-config\n",
        IamInstanceProfile={"Name": "muster-node"},
        MetadataOptions={
            "HttpTokens": "required",
            "HttpEndpoint": "enabled",
            "InstanceMetadataTags": "enabled",
            "HttpPutResponseHopLimit": 3,
        },
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "muster:cluster", "Value": "web"}]},
            {"ResourceType": "network-interface", "Tags": [{"Key": "owner", "Value": "web"}]},
        ],
    )
    assert [one["State"]["Name"] for one in answer["Instances"]] == ["pending", "pending"]
    ids = [one["InstanceId"] for one in answer["Instances"]]
    for instance_id in ids:
        await region.settled(instance_id)
    first, second = instances(await aws.ec2("describe_instances", InstanceIds=ids))
    assert [first["State"]["Name"], second["State"]["Name"]] == ["running", "running"]
    assert (first["PrivateIpAddress"], second["PrivateIpAddress"]) == ("127.10.0.11", "127.10.0.12")
    assert first["PrivateDnsName"] == "ip-127-10-0-11.eu-west-1.compute.internal"
    assert first["MetadataOptions"]["InstanceMetadataTags"] == "enabled"
    assert first["MetadataOptions"]["HttpPutResponseHopLimit"] == 3
    assert first["IamInstanceProfile"]["Arn"].endswith(":instance-profile/muster-node")
    assert first["Tags"] == [{"Key": "muster:cluster", "Value": "web"}]
    assert first["AmiLaunchIndex"] == 0
    assert second["AmiLaunchIndex"] == 1
    assert machines.booted[ids[0]].hostname == "ip-127-10-0-11"
    assert machines.booted[ids[0]].mac == first["NetworkInterfaces"][0]["MacAddress"]
    assert region.estate.instance(ids[0]).user_data == b"#cloud-config\n"


async def test_the_stock_image_boots_a_stock_machine(
    running: Running, machines: RecordingMachines
) -> None:
    (plain,) = await running()
    (stock,) = await running(image_id=IMAGES[1].image_id)
    assert not machines.booted[plain].stock
    assert machines.booted[stock].stock


async def test_a_client_token_launches_once(aws: Aws) -> None:
    wanted = {"ImageId": IMAGE, "MinCount": 1, "MaxCount": 1, "ClientToken": "once"}
    first = await aws.ec2("run_instances", **wanted)
    again = await aws.ec2("run_instances", **wanted)
    assert again["Instances"][0]["InstanceId"] == first["Instances"][0]["InstanceId"]
    assert len(instances(await aws.ec2("describe_instances"))) == 1
    with pytest.raises(ClientError) as refused:
        await aws.ec2("run_instances", **{**wanted, "InstanceType": "c6i.large"})
    assert code(refused) == ("IdempotentParameterMismatch", 400)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"ImageId": "ami-0ffffffffffffffff"}, "InvalidAMIID.NotFound"),
        ({"ImageId": "image"}, "InvalidAMIID.Malformed"),
        ({"SubnetId": "subnet-0"}, "InvalidSubnetID.NotFound"),
        ({"PrivateIpAddress": "127.11.0.9"}, "InvalidParameterValue"),
        ({"PrivateIpAddress": "127.10.0.3"}, "InvalidParameterValue"),
        ({"PrivateIpAddress": "127.10.0.11"}, "InvalidIPAddress.InUse"),
        (
            {
                "MetadataOptions": {"InstanceMetadataTags": "enabled"},
                "TagSpecifications": [
                    {"ResourceType": "instance", "Tags": [{"Key": "a/b", "Value": ""}]}
                ],
            },
            "InvalidParameterValue",
        ),
    ],
)
async def test_a_launch_that_ec2_refuses_makes_nothing(
    aws: Aws, running: Running, wanted: dict[str, Any], expected: str
) -> None:
    await running()
    with pytest.raises(ClientError) as refused:
        await aws.ec2("run_instances", **{"ImageId": IMAGE, "MinCount": 1, "MaxCount": 1, **wanted})
    assert code(refused) == (expected, 400)
    assert len(instances(await aws.ec2("describe_instances"))) == 1


async def test_launch_time_moves_at_every_start_and_attach_time_never(
    aws: Aws, region: Region, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    (instance_id,) = await running()
    before = instances(await aws.ec2("describe_instances"))[0]
    await aws.ec2("stop_instances", InstanceIds=[instance_id])
    await region.settled(instance_id)
    later = region.estate.clock()
    monkeypatch.setattr(region.estate, "clock", lambda: later.replace(year=later.year + 1))
    await aws.ec2("start_instances", InstanceIds=[instance_id])
    await region.settled(instance_id)
    after = instances(await aws.ec2("describe_instances"))[0]
    assert after["LaunchTime"].year == before["LaunchTime"].year + 1
    attached = [one["NetworkInterfaces"][0]["Attachment"]["AttachTime"] for one in (before, after)]
    assert attached[0] == attached[1] == before["LaunchTime"]


async def test_a_stop_is_stopping_until_the_machine_is_gone(
    aws: Aws, region: Region, running: Running, machines: RecordingMachines
) -> None:
    (instance_id,) = await running()
    machines.gate.clear()
    answer = await aws.ec2("stop_instances", InstanceIds=[instance_id])
    change = answer["StoppingInstances"][0]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == (
        "running",
        "stopping",
    )
    with pytest.raises(ClientError) as refused:
        await aws.ec2("start_instances", InstanceIds=[instance_id])
    assert code(refused) == ("IncorrectInstanceState", 400)
    machines.gate.set()
    await region.settled(instance_id)
    assert await state(aws, instance_id) == "stopped"
    assert machines.asked[-1] == ("power_off", instance_id)


async def test_force_crashes_the_machine_and_hurries_a_stop_under_way(
    aws: Aws, region: Region, running: Running, machines: RecordingMachines
) -> None:
    first, second = await running(2)
    await aws.ec2("stop_instances", InstanceIds=[first], Force=True)
    await region.settled(first)
    assert machines.asked[-1] == ("crash", first)
    machines.gate.clear()
    await aws.ec2("stop_instances", InstanceIds=[second])
    await aws.ec2("stop_instances", InstanceIds=[second], Force=True, SkipOsShutdown=True)
    machines.gate.set()
    await region.settled(second)
    assert ("crash", second) in machines.asked
    assert await state(aws, second) == "stopped"


async def test_states_that_do_not_allow_a_change_refuse_it_for_all_named(
    aws: Aws, region: Region, running: Running, machines: RecordingMachines
) -> None:
    alive, gone = await running(2)
    await aws.ec2("terminate_instances", InstanceIds=[gone])
    await region.settled(gone)
    for action in ("start_instances", "stop_instances", "reboot_instances"):
        with pytest.raises(ClientError) as refused:
            await aws.ec2(action, InstanceIds=[alive, gone])
        assert code(refused) == ("IncorrectInstanceState", 400)
    await region.stop_instance(alive)
    await region.settled(alive)
    asked = len(machines.asked)
    with pytest.raises(ClientError) as refused:
        await aws.ec2("reboot_instances", InstanceIds=[alive])
    assert code(refused) == ("IncorrectInstanceState", 400)
    assert machines.asked[asked:] == []


async def test_a_terminated_instance_stays_listed_without_its_network(
    aws: Aws, region: Region, running: Running, machines: RecordingMachines
) -> None:
    (instance_id,) = await running()
    await aws.ec2("terminate_instances", InstanceIds=[instance_id])
    await region.settled(instance_id)
    gone = instances(await aws.ec2("describe_instances", InstanceIds=[instance_id]))[0]
    assert gone["State"] == {"Code": 48, "Name": "terminated"}
    assert gone["NetworkInterfaces"] == []
    assert "PrivateIpAddress" not in gone
    assert gone["Tags"] == [{"Key": "muster:cluster", "Value": "web"}]
    assert machines.asked[-1] == ("discard", instance_id)


async def test_a_reboot_keeps_running_and_boots_again(
    aws: Aws, region: Region, running: Running, machines: RecordingMachines
) -> None:
    (instance_id,) = await running()
    await aws.ec2("reboot_instances", InstanceIds=[instance_id])
    assert await state(aws, instance_id) == "running"
    await region.settled(instance_id)
    assert machines.asked[-2:] == [("power_off", instance_id), ("boot", instance_id)]


async def test_a_forced_stop_does_not_wait_for_a_slow_reboot(
    aws: Aws, region: Region, running: Running, machines: RecordingMachines
) -> None:
    (instance_id,) = await running()
    machines.gate.clear()
    await aws.ec2("reboot_instances", InstanceIds=[instance_id])
    await aws.ec2("stop_instances", InstanceIds=[instance_id], Force=True)
    assert machines.asked[1:] == [("power_off", instance_id), ("crash", instance_id)]
    machines.gate.set()
    await region.settled(instance_id)
    assert await state(aws, instance_id) == "stopped"
    assert machines.booted == {}


async def test_what_guests_do_by_themselves(
    aws: Aws, region: Region, running: Running, machines: RecordingMachines
) -> None:
    off, again, dead = await running(3)
    machines.guest_ends(off, ExitKind.POWERED_OFF)
    machines.guest_ends(again, ExitKind.REBOOT)
    machines.guest_ends(dead, ExitKind.DIED)
    for instance_id in (off, again, dead):
        await region.settled(instance_id)
    assert [await state(aws, i) for i in (off, again, dead)] == ["stopped", "running", "running"]
    assert machines.asked.count(("boot", again)) == 2
    stopped = instances(await aws.ec2("describe_instances", InstanceIds=[off]))[0]
    assert stopped["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


async def test_a_launch_whose_machine_fails_ends_terminated_with_a_reason(
    aws: Aws, running: Running, machines: RecordingMachines
) -> None:
    machines.refuse = True
    (instance_id,) = await running()
    gone = instances(await aws.ec2("describe_instances", InstanceIds=[instance_id]))[0]
    assert gone["State"]["Name"] == "terminated"
    assert gone["StateReason"]["Code"] == "Server.InternalError"


async def test_terminating_during_the_boot_leaves_no_machine(
    region: Region, machines: RecordingMachines
) -> None:
    machines.gate.clear()
    (made,) = await region.run_instances()
    await machines.booting.wait()
    await region.terminate_instance(made.instance_id)
    machines.gate.set()
    await region.settled(made.instance_id)
    assert made.state == "terminated"
    assert machines.booted == {}


async def test_a_dry_run_tells_and_does_nothing(
    aws: Aws, running: Running, machines: RecordingMachines
) -> None:
    (instance_id,) = await running()
    with pytest.raises(ClientError) as told:
        await aws.ec2("stop_instances", InstanceIds=[instance_id], DryRun=True)
    assert code(told) == ("DryRunOperation", 412)
    with pytest.raises(ClientError) as unknown:
        await aws.ec2("stop_instances", InstanceIds=["i-0123456789abcdef0"], DryRun=True)
    assert code(unknown) == ("InvalidInstanceID.NotFound", 400)
    assert await state(aws, instance_id) == "running"
    assert machines.asked == [("boot", instance_id)]


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("tag:muster:cluster", "web", [0, 1]),
        ("tag:muster:cluster", "w*", [0, 1]),
        ("tag:muster:cluster", "data", [2]),
        ("tag-key", "extra", [2]),
        ("instance-state-name", "running", [0, 1, 2]),
        ("instance-state-name", "stopped", []),
        ("private-ip-address", "127.10.0.12", [1]),
        ("network-interface.addresses.private-ip-address", "127.10.0.40", [2]),
        ("private-ip-address", "127.10.0.40", []),
        ("vpc-id", "vpc-*", [0, 1, 2]),
        ("vpc-id", "vpc-nothing", []),
        ("subnet-id", "subnet-?*", [0, 1, 2]),
    ],
)
async def test_filters(
    aws: Aws, region: Region, running: Running, name: str, value: str, found: list[int]
) -> None:
    ids = await running(2) + await running(tags={"muster:cluster": "data", "extra": ""})
    interface = region.estate.instance(ids[2]).interface
    assert interface is not None
    interface.secondaries.append(type(interface.primary)("127.10.0.40"))
    answer = await aws.ec2("describe_instances", Filters=[{"Name": name, "Values": [value]}])
    assert [one["InstanceId"] for one in instances(answer)] == [ids[i] for i in found]


async def test_an_unknown_filter_and_an_unknown_instance_are_errors(aws: Aws) -> None:
    with pytest.raises(ClientError) as refused:
        await aws.ec2("describe_instances", Filters=[{"Name": "colour", "Values": ["red"]}])
    assert code(refused) == ("InvalidParameterValue", 400)
    with pytest.raises(ClientError) as refused:
        await aws.ec2("describe_instances", InstanceIds=["i-0123456789abcdef0"])
    assert code(refused) == ("InvalidInstanceID.NotFound", 400)
    with pytest.raises(ClientError) as refused:
        await aws.ec2("describe_instances", InstanceIds=["node-1"])
    assert code(refused) == ("InvalidInstanceID.Malformed", 400)


async def test_pages_hold_every_instance_once(aws: Aws, running: Running) -> None:
    ids = [(await running())[0] for _ in range(7)]

    def pages() -> list[list[str]]:
        client = aws.client("ec2")
        found = client.get_paginator("describe_instances").paginate(
            PaginationConfig={"PageSize": 5}
        )
        listed = [[one["InstanceId"] for one in instances(page)] for page in found]
        client.close()
        return listed

    assert await asyncio.to_thread(pages) == [ids[:5], ids[5:]]


async def test_status_shows_running_instances_unless_all_are_asked_for(
    aws: Aws, region: Region, running: Running
) -> None:
    up, down = await running(2)
    await region.stop_instance(down)
    await region.settled(down)
    shown = await aws.ec2("describe_instance_status")
    assert [one["InstanceId"] for one in shown["InstanceStatuses"]] == [up]
    everything = await aws.ec2("describe_instance_status", IncludeAllInstances=True)
    assert [one["InstanceState"]["Name"] for one in everything["InstanceStatuses"]] == [
        "running",
        "stopped",
    ]


async def test_user_data_that_is_no_base64_is_refused(region: Region, aws: Aws) -> None:
    form = {"Action": "RunInstances", "ImageId": IMAGE, "MinCount": "1", "MaxCount": "1"}
    status, body = await aws.raw({**form, "UserData": "%%%"})
    assert (status, "<Code>InvalidUserData.Malformed</Code>" in body) == (400, True)
    assert region.describe() == []
