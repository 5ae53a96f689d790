"""`muster image launch`: the cluster has as many instances as asked for, however often it is."""

from pathlib import Path
from typing import Any

import pytest
from tests.unit.lab.conftest import Aws

from muster.image.aws import Aws as Caller
from muster_lab.region import Fault, Region, State

IMAGE = "ami-00000000000000001"
WEB = ["launch", "--image", IMAGE, "--cluster", "web", "--profile", "muster-node"]


async def instances(aws: Aws) -> list[dict[str, Any]]:
    found = await aws.ec2("describe_instances")
    return [one for each in found["Reservations"] for one in each["Instances"]]


async def test_three_nodes_with_all_that_they_need(muster: Any, aws: Aws, region: Region) -> None:
    group = region.estate.group_id
    said = await muster(*WEB, "--count", "3", "--security-group", group, "--placement", "spread")
    assert (said.code, said.err) == (0, "")
    found = await instances(aws)
    assert len(found) == 3
    for one in found:
        assert one["State"]["Name"] == "running"
        assert one["InstanceId"] in said.out
        assert {(t["Key"], t["Value"]) for t in one["Tags"]} == {
            ("muster:cluster", "web"),
            ("muster:size", "3"),
        }
        options = one["MetadataOptions"]
        assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 1)
        assert options["InstanceMetadataTags"] == "enabled"
        assert one["IamInstanceProfile"]["Arn"].endswith("/muster-node")
        assert one["Placement"]["GroupName"] == "muster-web-spread"
        [interface] = one["NetworkInterfaces"]
        described = await aws.ec2(
            "describe_network_interfaces", NetworkInterfaceIds=[interface["NetworkInterfaceId"]]
        )
        [tag] = described["NetworkInterfaces"][0]["TagSet"]
        assert (tag["Key"], tag["Value"]) == ("muster:cluster", "web")


async def test_the_same_command_again_launches_nobody(muster: Any, aws: Aws) -> None:
    await muster(*WEB, "--count", "2")
    said = await muster(*WEB, "--count", "2")
    assert said.code == 0
    assert "cluster web has 2 instances" in said.out
    assert len(await instances(aws)) == 2


async def test_a_terminated_node_is_replaced_and_knows_the_founders_size(
    muster: Any, aws: Aws, region: Region
) -> None:
    await muster(*WEB, "--count", "3")
    gone = next(iter(region.estate.instances))
    await region.terminate_instance(gone)
    await region.settled(gone)
    assert (await muster(*WEB, "--count", "4")).code == 0
    alive = [one for one in await instances(aws) if one["State"]["Name"] == "running"]
    assert len(alive) == 4
    sizes = {t["Value"] for one in alive for t in one["Tags"] if t["Key"] == "muster:size"}
    assert sizes == {"3"}


async def test_a_stopped_node_still_counts(muster: Any, aws: Aws, region: Region) -> None:
    await muster(*WEB, "--count", "2")
    first = next(iter(region.estate.instances))
    await region.stop_instance(first)
    await region.settled(first)
    assert (await muster(*WEB, "--count", "2")).code == 0
    assert len(await instances(aws)) == 2
    assert region.estate.instance(first).state is State.STOPPED


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", ["create_placement_group", "run_instances"])
async def test_killed_at_a_change_the_next_run_makes_no_more_than_asked(
    at: str, after: bool, muster: Any, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the list of instances is still that of before the launch."""
    real = Caller.call

    def call(self: Caller, service: str, operation: str, **params: Any) -> Any:
        if operation == at and not after:
            raise Killed
        answer = real(self, service, operation, **params)
        if operation == at:
            raise Killed
        return answer

    monkeypatch.setattr(Caller, "call", call)
    words = [*WEB, "--count", "3", "--placement", "cluster"]
    with pytest.raises(Killed):
        await muster(*words)
    monkeypatch.setattr(Caller, "call", real)
    aws.region.faults.add(Fault(action="DescribeInstances", omit=frozenset({"*"}), count=1))
    assert (await muster(*words)).code == 0
    assert len(await instances(aws)) == 3


async def test_a_dry_run_launches_nobody(muster: Any, aws: Aws) -> None:
    said = await muster(*WEB, "--count", "3", "--placement", "spread", "--dry-run")
    assert said.code == 0
    assert "would launch 3 of 3 instances for cluster web" in said.out
    assert await instances(aws) == []


async def test_user_data_reaches_the_nodes(muster: Any, region: Region, tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text("#cloud-config\nmuster:\n  cluster: {name: web, size: 2}\n")
    assert (await muster(*WEB, "--count", "2", "--user-data", file)).code == 0
    for one in region.estate.instances.values():
        assert one.user_data == file.read_bytes()


async def test_user_data_that_ec2_would_not_take(muster: Any, tmp_path: Path) -> None:
    file = tmp_path / "web.yaml"
    file.write_text("#" * 16_385)
    said = await muster(*WEB, "--count", "2", "--user-data", file)
    assert said.code == 1
    assert "16384 bytes" in said.err


async def test_no_room_says_what_to_change(muster: Any, region: Region) -> None:
    region.faults.add(Fault(action="RunInstances", code="InsufficientInstanceCapacity"))
    said = await muster(*WEB, "--count", "3")
    assert said.code == 1
    assert "no room for 3 instances of type t3.small" in said.err
    assert "--instance-type ANOTHER" in said.err


async def test_a_group_that_is_not_there(muster: Any) -> None:
    said = await muster(*WEB, "--count", "3", "--security-group", "sg-0")
    assert said.code == 1
    assert "InvalidGroup.NotFound" in said.err
