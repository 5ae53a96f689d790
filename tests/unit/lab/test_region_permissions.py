"""What a node may do: the policy that the project ships, evaluated against a region."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from muster_lab.region import Policy, PolicyError, Region
from muster_lab.region.policy import Resource, fill

from .conftest import Aws

Running = Callable[..., Awaitable[list[str]]]

ROLE = "muster-node"
SHIPPED = Path(__file__).parents[3] / "packaging" / "aws" / "node-policy.json"


@pytest.fixture
def policy() -> Policy:
    text = SHIPPED.read_text(encoding="utf-8")
    return Policy(fill(text, region="eu-west-1", account="123456789012", cluster="web"))


@pytest.fixture
async def cluster(running: Running) -> list[str]:
    """Two instances of the cluster `web`, and one of `data`."""
    web = await running(2, tags={"muster:cluster": "web"}, profile=ROLE)
    return web + await running(tags={"muster:cluster": "data"}, profile=ROLE)


@pytest.fixture
def node(region: Region, policy: Policy, cluster: list[str]) -> Aws:
    """The first instance, under the shipped policy."""
    region.permissions.set(ROLE, policy)
    keys = region.credentials.of_instance(cluster[0], ROLE)
    return Aws(region, keys.access_key, keys.secret_key, keys.token)


async def refused(call: Awaitable[Any]) -> str:
    with pytest.raises(ClientError) as error:
        await call
    return str(error.value.response["Error"]["Code"])


async def test_a_node_may_fence_its_peers_and_nobody_else(node: Aws, cluster: list[str]) -> None:
    assert await refused(node.ec2("stop_instances", InstanceIds=[cluster[1]], DryRun=True)) == (
        "DryRunOperation"
    )
    for wanted in ([cluster[2]], [cluster[1], cluster[2]]):
        for dry in (True, False):
            call = node.ec2("stop_instances", InstanceIds=wanted, DryRun=dry)
            assert await refused(call) == "UnauthorizedOperation"
    assert await refused(node.ec2("terminate_instances", InstanceIds=[cluster[1]])) == (
        "UnauthorizedOperation"
    )


async def test_a_node_may_move_addresses_only_to_tagged_interfaces(
    node: Aws, aws: Aws, region: Region, cluster: list[str]
) -> None:
    interfaces = [region.estate.instance(i).interface for i in cluster]
    own, other = (i.interface_id for i in (interfaces[0], interfaces[2]) if i is not None)
    wanted = {"PrivateIpAddresses": ["127.10.0.100"], "AllowReassignment": True}
    await node.ec2("assign_private_ip_addresses", NetworkInterfaceId=own, **wanted)
    taking = node.ec2("assign_private_ip_addresses", NetworkInterfaceId=other, **wanted)
    assert await refused(taking) == "UnauthorizedOperation"
    elastic = (await aws.ec2("allocate_address"))["AllocationId"]
    associate = {"AllocationId": elastic, "InstanceId": cluster[0]}
    assert await refused(node.ec2("associate_address", **associate)) == "UnauthorizedOperation"
    await aws.ec2(
        "create_tags", Resources=[elastic], Tags=[{"Key": "muster:cluster", "Value": "web"}]
    )
    association = await node.ec2("associate_address", **associate)
    await node.ec2("disassociate_address", AssociationId=association["AssociationId"])


async def test_a_node_may_look_but_not_tag_or_launch(node: Aws, cluster: list[str]) -> None:
    await node.ec2("describe_instances")
    await node.ec2("describe_addresses")
    tags = [{"Key": "muster:cluster", "Value": "web"}]
    assert await refused(node.ec2("create_tags", Resources=[cluster[2]], Tags=tags)) == (
        "UnauthorizedOperation"
    )
    launch = node.ec2("run_instances", ImageId="ami-00000000000000001", MinCount=1, MaxCount=1)
    assert await refused(launch) == "UnauthorizedOperation"


async def test_a_node_makes_addresses_and_volumes_for_its_own_cluster_alone(node: Aws) -> None:
    volume = {"AvailabilityZone": "eu-west-1a", "Size": 4, "VolumeType": "io2", "Iops": 100}
    for action, kind, params in (
        ("allocate_address", "elastic-ip", {}),
        ("create_volume", "volume", volume),
    ):
        for cluster, code in (("web", ""), ("data", "UnauthorizedOperation")):
            tags = [{"Key": "muster:cluster", "Value": cluster}]
            tagged = [{"ResourceType": kind, "Tags": tags}]
            call = node.ec2(action, **params, TagSpecifications=tagged)
            if code:
                assert await refused(call) == code
            else:
                await call
        assert await refused(node.ec2(action, **params)) == "UnauthorizedOperation"


async def test_a_node_reads_its_own_clusters_secret(node: Aws) -> None:
    def call(action: str, **params: Any) -> Awaitable[Any]:
        return node.call("secretsmanager", action, **params)

    made = await call("create_secret", Name="musterd/web", SecretBinary=b"token")
    for secret in ("musterd/web", made["ARN"]):
        assert (await call("get_secret_value", SecretId=secret))["SecretBinary"] == b"token"
    for denied in (
        call("get_secret_value", SecretId="musterd/data"),
        call("create_secret", Name="musterd/data", SecretBinary=b"token"),
        call("delete_secret", SecretId="musterd/web"),
    ):
        assert await refused(denied) == "AccessDeniedException"


async def test_keys_read_without_a_token_may_do_nothing(
    region: Region, node: Aws, cluster: list[str]
) -> None:
    keys = region.credentials.of_instance(cluster[0], ROLE, "1.0")
    old = Aws(node.region, keys.access_key, keys.secret_key, keys.token)
    assert await refused(old.ec2("describe_instances")) == "UnauthorizedOperation"


@pytest.mark.parametrize(
    ("condition", "context", "allowed"),
    [
        ({"StringEquals": {"aws:ResourceTag/t": ["a", "b"]}}, {}, True),
        ({"StringEquals": {"aws:ResourceTag/t": "a*"}}, {}, False),
        ({"StringLike": {"aws:ResourceTag/t": "?"}}, {}, True),
        ({"StringNotEquals": {"aws:ResourceTag/t": ["a", "b"]}}, {}, False),
        ({"StringNotEquals": {"aws:ResourceTag/none": "a"}}, {}, True),
        ({"StringEquals": {"aws:ResourceTag/none": "a"}}, {}, False),
        ({"NumericLessThan": {"key": "2.0"}}, {"key": "1.0"}, True),
        ({"NumericLessThan": {"key": "2.0"}}, {"key": "2.0"}, False),
        ({"Bool": {"key": "true"}}, {"key": "True"}, True),
    ],
)
def test_conditions(condition: dict[str, Any], context: dict[str, str], allowed: bool) -> None:
    statement = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*", "Condition": condition}
    policy = Policy({"Statement": statement})
    resource = Resource("arn:aws:ec2:eu-west-1:123456789012:instance/i-1", {"t": "b"})
    assert policy.allows("ec2:StopInstances", [resource], context) is allowed


@pytest.mark.parametrize(
    "statement",
    [
        {"Effect": "Allow", "NotAction": "*", "Resource": "*"},
        {"Effect": "Maybe", "Action": "*", "Resource": "*"},
        {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"IpAddress": {"a": "b"}}},
    ],
)
def test_what_is_not_understood_is_refused(statement: dict[str, Any]) -> None:
    with pytest.raises(PolicyError):
        Policy({"Statement": [statement]})
