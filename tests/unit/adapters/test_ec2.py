"""EC2 as the daemon asks it: against the lab's region, and answers that no region gives."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import (
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError

from muster_lab.region import Fault, Region
from musterd.adapters.aws import Aws, cloud_error
from musterd.adapters.ec2 import Ec2, parse_instance
from musterd.errors import CloudError, CloudErrorKind
from musterd.model import GroupRule, InstanceState

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import InstanceTypeDef

TAGS = {"muster:cluster": "web"}


@pytest.fixture
def ec2(aws: Aws, region: Region) -> Ec2:
    return Ec2(aws, vpc_id=region.estate.vpc_id)


async def launch(region: Region, count: int, **wanted: Any) -> list[str]:
    made = await region.run_instances(count, **{"tags": TAGS, **wanted})
    for instance in made:
        await region.settled(instance.instance_id)
    return [instance.instance_id for instance in made]


async def test_instances_are_told_with_state_age_and_addresses(ec2: Ec2, region: Region) -> None:
    ids = await launch(region, 3)
    await launch(region, 1, tags={"muster:cluster": "other"})
    await region.terminate_instance(ids[1])
    await region.settled(ids[1])
    found = {each.instance_id: each for each in await ec2.instances("muster:cluster", "web")}
    assert set(found) == set(ids)
    assert found[ids[1]].state is InstanceState.TERMINATED
    first = found[ids[0]]
    interface = region.estate.instance(ids[0]).interface
    assert interface is not None
    assert first.state is InstanceState.RUNNING
    assert first.address == str(interface.primary)
    assert first.addresses == (first.address,)
    assert first.zone == "eu-west-1a"
    assert first.vpc_id == found[ids[2]].vpc_id != ""
    assert abs(first.created - datetime.now(UTC).timestamp()) < 60


async def test_no_instance_is_an_answer(ec2: Ec2) -> None:
    assert await ec2.instances("muster:cluster", "web") == ()


async def test_every_page_is_read(
    ec2: Ec2, region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("musterd.adapters.ec2._PAGE", 5)
    for _ in range(3):
        await launch(region, 4)
    assert len(await ec2.instances("muster:cluster", "web")) == 12


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault(code="UnauthorizedOperation"), CloudErrorKind.REFUSED),
        (Fault(code="RequestLimitExceeded"), CloudErrorKind.THROTTLED),
        (Fault(status=500), CloudErrorKind.UNREACHABLE),
        (Fault(code="AuthFailure"), CloudErrorKind.REFUSED),
        (Fault(code="InvalidParameterValue", status=400), CloudErrorKind.WRONG),
    ],
)
async def test_a_refusal_is_never_an_empty_list(
    ec2: Ec2, region: Region, fault: Fault, kind: CloudErrorKind
) -> None:
    await launch(region, 1)
    region.faults.add(fault)
    with pytest.raises(CloudError) as caught:
        await ec2.instances("muster:cluster", "web")
    assert caught.value.kind is kind
    assert "ec2:DescribeInstances" in caught.value.what
    assert caught.value.cure


async def test_an_error_of_ec2s_own_is_not_taken_for_a_missing_way_to_it(
    ec2: Ec2, region: Region
) -> None:
    region.faults.add(Fault(code="Unavailable", status=503))
    with pytest.raises(CloudError) as caught:
        await ec2.instances("muster:cluster", "web")
    assert caught.value.kind is CloudErrorKind.UNREACHABLE
    assert caught.value.what == "EC2 cannot answer ec2:DescribeInstances now"
    assert "Unavailable" in caught.value.why
    assert "subnet" not in caught.value.cure


async def test_silence_ends_at_the_deadline() -> None:
    aws, answer = Aws("eu-west-1", deadline=0.05), threading.Event()
    with pytest.raises(CloudError) as caught:
        await aws.run(answer.wait, "ec2:DescribeInstances")
    answer.set()
    aws.close()
    assert caught.value.kind is CloudErrorKind.UNREACHABLE
    assert "ec2:DescribeInstances" in caught.value.what


async def test_an_elastic_address_has_its_allocation(ec2: Ec2, aws: Aws) -> None:
    made = await aws.run(lambda: aws.ec2().allocate_address(Domain="vpc"), "ec2:AllocateAddress")
    assert await ec2.allocation(made["PublicIp"]) == made["AllocationId"]


async def test_an_elastic_address_of_nobody_is_named(ec2: Ec2) -> None:
    with pytest.raises(CloudError) as caught:
        await ec2.allocation("203.0.113.200")
    assert caught.value.kind is CloudErrorKind.WRONG
    assert "203.0.113.200" in caught.value.what


async def test_holders_are_those_whose_interface_has_the_address(
    ec2: Ec2, aws: Aws, region: Region
) -> None:
    ids = await launch(region, 2)
    instances = await ec2.instances("muster:cluster", "web")
    primary = {each.instance_id: each.address for each in instances}
    interface = region.estate.instance(ids[1]).interface
    assert interface is not None
    await aws.run(
        lambda: aws.ec2().assign_private_ip_addresses(
            NetworkInterfaceId=interface.interface_id, PrivateIpAddresses=["127.20.0.99"]
        ),
        "ec2:AssignPrivateIpAddresses",
    )
    wanted = (primary[ids[0]], "127.20.0.99", "127.20.0.98")
    assert await ec2.holders(wanted) == {primary[ids[0]]: ids[0], "127.20.0.99": ids[1]}
    assert await ec2.holders(()) == {}


async def test_fencing_is_tried_dry(ec2: Ec2, region: Region) -> None:
    (instance_id,) = await launch(region, 1)
    await ec2.may_fence(instance_id)
    assert region.estate.instance(instance_id).state == "running"


@pytest.mark.parametrize("action", ["StopInstances", "StartInstances"])
async def test_a_missing_permission_to_fence_is_named(
    ec2: Ec2, region: Region, action: str
) -> None:
    (instance_id,) = await launch(region, 1)
    region.faults.add(Fault(action=action, code="UnauthorizedOperation"))
    with pytest.raises(CloudError) as caught:
        await ec2.may_fence(instance_id)
    assert caught.value.kind is CloudErrorKind.REFUSED
    assert f"ec2:{action}" in caught.value.cure


ATTACHED = datetime(2026, 1, 2, tzinfo=UTC)
LAUNCHED = datetime(2026, 6, 1, tzinfo=UTC)


def described(state: str, **more: object) -> "InstanceTypeDef":
    entry = {"InstanceId": "i-1", "State": {"Name": state}, "LaunchTime": LAUNCHED, **more}
    return cast("InstanceTypeDef", entry)


def test_age_is_the_primary_interfaces_whatever_starts_came_after() -> None:
    interfaces = [
        {"Attachment": {"DeviceIndex": 1, "AttachTime": LAUNCHED}},
        {"Attachment": {"DeviceIndex": 0, "AttachTime": ATTACHED}},
    ]
    entry = described("running", NetworkInterfaces=interfaces)
    assert parse_instance(entry).created == ATTACHED.timestamp()


@pytest.mark.parametrize("state", ["pending", "running", "stopping", "stopped"])
def test_a_living_instance_without_interface_is_no_answer(state: str) -> None:
    with pytest.raises(CloudError) as caught:
        parse_instance(described(state))
    assert caught.value.kind is CloudErrorKind.WRONG


@pytest.mark.parametrize("state", ["shutting-down", "terminated"])
def test_a_gone_instance_needs_no_interface(state: str) -> None:
    instance = parse_instance(described(state))
    assert instance.state == state
    assert instance.address == ""


@pytest.mark.parametrize(
    ("make", "kind", "said"),
    [
        (lambda: NoCredentialsError(), CloudErrorKind.REFUSED, "instance profile"),
        (
            lambda: EndpointConnectionError(endpoint_url="https://ec2"),
            CloudErrorKind.UNREACHABLE,
            "endpoint",
        ),
        (
            lambda: ConnectTimeoutError(endpoint_url="https://ec2"),
            CloudErrorKind.UNREACHABLE,
            "endpoint",
        ),
        (
            lambda: ReadTimeoutError(endpoint_url="https://ec2"),
            CloudErrorKind.UNREACHABLE,
            "endpoint",
        ),
        (lambda: ResponseParserError("<html>"), CloudErrorKind.WRONG, "proxy"),
    ],
)
def test_failures_without_an_answer_have_a_kind_and_a_cure(
    make: Callable[[], NoCredentialsError], kind: CloudErrorKind, said: str
) -> None:
    error = cloud_error(make(), "ec2:DescribeInstances")
    assert error.kind is kind
    assert said in error.cure


async def test_instances_are_described_by_id_whatever_their_tags(ec2: Ec2, region: Region) -> None:
    [one] = await launch(region, 1, tags={"muster:cluster": "other"}, profile="muster")
    [found] = await ec2.described((one, "i-0000000000000dead"))
    instance = region.estate.instance(one)
    assert found.instance_id == one
    assert found.started == instance.launch_time.timestamp()
    assert found.profile.endswith("instance-profile/muster")
    assert found.groups == (region.estate.group_id,)
    assert (found.source_dest_check, found.tokens_required, found.hop_limit) == (True, True, 2)


async def test_the_rules_of_a_security_group_are_told(ec2: Ec2, region: Region) -> None:
    group = region.estate.group_id
    rules = (await ec2.group_rules((group,)))[group]
    everything = {"protocol": "-1", "ports": (0, 65_535), "ranges": ("0.0.0.0/0",)}
    assert rules == (
        GroupRule(egress=False, **everything),  # type: ignore[arg-type]
        GroupRule(egress=True, **everything),  # type: ignore[arg-type]
    )
    assert await ec2.group_rules(()) == {}


async def test_rehearsing_does_nothing_and_tells_what_is_not_allowed(
    ec2: Ec2, region: Region
) -> None:
    [one] = await launch(region, 1)
    await ec2.rehearse("ec2:StopInstances", one)
    assert region.estate.instance(one).state.value == "running"
    region.faults.add(Fault(action="ReplaceRoute", code="UnauthorizedOperation", status=403))
    with pytest.raises(CloudError) as refused:
        await ec2.rehearse("ec2:ReplaceRoute", "rtb-1", one)
    assert refused.value.kind is CloudErrorKind.REFUSED
    assert "ec2:ReplaceRoute" in refused.value.what


async def test_only_known_actions_can_be_rehearsed(ec2: Ec2) -> None:
    with pytest.raises(ValueError, match="TerminateInstances"):
        await ec2.rehearse("ec2:TerminateInstances", "i-1")


async def test_credentials_that_come_later_are_taken_up(
    ec2: Ec2, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The instance profile may be attached while the daemon runs; a client without stays so."""
    role = aws._session.get_credentials()
    monkeypatch.setattr(aws._session, "get_credentials", lambda: None)
    with pytest.raises(CloudError, match="no credentials") as caught:
        await ec2.instances("muster:cluster", "web")
    assert caught.value.kind is CloudErrorKind.REFUSED
    monkeypatch.setattr(aws._session, "get_credentials", lambda: role)
    assert await ec2.instances("muster:cluster", "web") == ()
