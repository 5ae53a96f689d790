"""Faults and the call log, as a caller meets them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from muster_lab.region import Fault, Region
from muster_lab.region.faults import Faults

from .conftest import Aws, RecordingMachines

Running = Callable[..., Awaitable[list[str]]]


def names(answer: Any) -> list[tuple[str, str]]:
    return [
        (one["InstanceId"], one["State"]["Name"])
        for reservation in answer["Reservations"]
        for one in reservation["Instances"]
    ]


@pytest.mark.parametrize(
    ("fault", "code", "status"),
    [
        (Fault(code="RequestLimitExceeded"), "RequestLimitExceeded", 503),
        (Fault(code="UnauthorizedOperation"), "UnauthorizedOperation", 403),
        (Fault(status=500), "InternalError", 500),
        (
            Fault(code="InsufficientInstanceCapacity", status=500),
            "InsufficientInstanceCapacity",
            500,
        ),
    ],
)
async def test_a_refusal_has_code_and_status_and_no_effect(
    aws: Aws,
    region: Region,
    running: Running,
    machines: RecordingMachines,
    fault: Fault,
    code: str,
    status: int,
) -> None:
    (instance_id,) = await running()
    region.faults.add(replace(fault, action="StopInstances"))
    with pytest.raises(ClientError) as refused:
        await aws.ec2("stop_instances", InstanceIds=[instance_id], DryRun=True)
    response = refused.value.response
    assert response["Error"]["Code"] == code
    assert response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert machines.asked == [("boot", instance_id)]
    assert names(await aws.ec2("describe_instances")) == [(instance_id, "running")]


async def test_a_lost_answer_leaves_its_effect(aws: Aws, region: Region, running: Running) -> None:
    (instance_id,) = await running()
    region.faults.add(Fault(action="StopInstances", status=500, after=True))
    with pytest.raises(ClientError):
        await aws.ec2("stop_instances", InstanceIds=[instance_id])
    await region.settled(instance_id)
    assert names(await aws.ec2("describe_instances")) == [(instance_id, "stopped")]


async def test_a_fault_is_for_its_caller_and_so_many_times(aws: Aws, region: Region) -> None:
    region.faults.add(Fault(code="Unavailable", caller="i-*"))
    region.faults.add(Fault(code="Unavailable", action="DescribeI*", count=2))
    outcomes = []
    for _ in range(4):
        try:
            await aws.ec2("describe_instances")
            outcomes.append("ok")
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])
    assert outcomes == ["Unavailable", "Unavailable", "ok", "ok"]
    assert [call.outcome for call in region.calls.list(service="ec2")] == outcomes


def test_chance_repeats_with_its_seed() -> None:
    def drawn(seed: int) -> list[bool]:
        faults = Faults(seed=seed)
        faults.add(Fault(code="Unavailable", probability=0.5))
        return [faults.draw("ec2", "StopInstances", "admin").refuses for _ in range(64)]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert 10 < sum(drawn(1)) < 54


async def test_a_delay_delays_and_a_hang_never_answers(aws: Aws, region: Region) -> None:
    region.faults.add(Fault(action="DescribeVpcs", delay=0.3))
    region.faults.add(Fault(action="DescribeSubnets", hang=True))
    loop = asyncio.get_running_loop()
    started = loop.time()
    await aws.ec2("describe_vpcs")
    assert loop.time() - started >= 0.3
    silent = asyncio.create_task(aws.ec2("describe_subnets"))
    done, _ = await asyncio.wait([silent], timeout=0.5)
    assert not done
    region.faults.clear()
    with pytest.raises(BotoCoreError):
        await silent
    assert region.calls.list(action="DescribeSubnets")[-1].outcome == "hang"


async def test_reads_can_lag_while_changes_do_not(
    aws: Aws, region: Region, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    (instance_id,) = await running()
    settled = region.estate.clock()
    monkeypatch.setattr(region.estate, "clock", lambda: settled + timedelta(seconds=60))
    await aws.ec2("stop_instances", InstanceIds=[instance_id])
    await region.settled(instance_id)
    number = region.faults.add(Fault(action="Describe*", lag=30))
    assert names(await aws.ec2("describe_instances")) == [(instance_id, "running")]
    await aws.ec2("start_instances", InstanceIds=[instance_id])
    await region.settled(instance_id)
    region.faults.clear(number)
    assert names(await aws.ec2("describe_instances")) == [(instance_id, "running")]


async def test_reads_can_leave_instances_out(aws: Aws, region: Region, running: Running) -> None:
    first, second = await running(2)
    region.faults.add(Fault(action="DescribeInstances", omit=frozenset({first})))
    assert names(await aws.ec2("describe_instances")) == [(second, "running")]
    number = region.faults.add(Fault(omit=frozenset({"*"})))
    assert names(await aws.ec2("describe_instances")) == []
    region.faults.clear(number)
    with pytest.raises(ClientError) as refused:
        await aws.ec2("describe_instances", InstanceIds=[first])
    assert refused.value.response["Error"]["Code"] == "InvalidInstanceID.NotFound"


@pytest.mark.parametrize(
    "wrong",
    [{"probability": 1.5}, {"delay": -1.0}, {"lag": -1.0}, {"count": 0}, {"status": 200}],
)
def test_a_fault_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Fault(**wrong)


async def test_the_log_says_who_asked_for_what_and_never_tells_user_data(
    aws: Aws, region: Region, running: Running
) -> None:
    (instance_id,) = await running()
    await aws.ec2("stop_instances", InstanceIds=[instance_id], Force=True)
    (call,) = region.calls.list(service="ec2", caller="admin")
    assert (call.action, call.outcome) == ("StopInstances", "ok")
    assert call.detail == f"InstanceId.1={instance_id} Force=true"
    await aws.ec2(
        "run_instances",
        ImageId="ami-00000000000000001",
        MinCount=1,
        MaxCount=1,
        UserData="password",
    )
    launched = region.calls.list(action="RunInstances")[0]
    assert launched.detail == "ImageId=ami-00000000000000001"
