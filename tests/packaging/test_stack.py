"""The CloudFormation template: correct by cfn-lint, and the nodes it makes are the ones we need."""

import base64
import json
import tomllib
from ast import literal_eval
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types
from cfnlint import lint_file
from moto import mock_aws

from muster_packages import stack
from muster_packages.errors import PackagingError
from musterd.helper_wire import Tags
from musterd.settings import load

# moto makes everything of the template but this.
pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse AWS..EC2..PlacementGroup")

AWS = Path(__file__).resolve().parents[2] / "packaging" / "aws"
TEMPLATE = AWS / "cluster.yaml"
POLICY = json.loads((AWS / "node-policy.json").read_text(encoding="utf-8"))
IMAGE = "ami-12c6146b"  # of moto's own list


def test_cfn_lint_finds_nothing() -> None:
    assert [str(match) for match in lint_file(TEMPLATE)] == []


def test_the_template_holds_the_nodes_policy() -> None:
    """After a change of node-policy.json: `make stack`."""
    text = TEMPLATE.read_text(encoding="utf-8")
    assert stack.filled(text, POLICY) == text


def test_a_template_without_the_marks_is_refused() -> None:
    with pytest.raises(PackagingError):
        stack.filled("Resources: {}", POLICY)


@pytest.fixture
def region(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Parameters for an empty account in moto's memory; its default VPC."""
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "true")
    with mock_aws():
        ec2 = boto3.client("ec2", "eu-west-1")
        [vpc] = ec2.describe_vpcs()["Vpcs"]
        subnets = ec2.describe_subnets()["Subnets"]
        yield {"ImageId": IMAGE, "VpcId": vpc["VpcId"], "SubnetId": subnets[0]["SubnetId"]}


def without_nodes() -> str:
    """The template but its instances: moto cannot make one from a launch template alone."""
    before, mark, rest = TEMPLATE.read_text(encoding="utf-8").partition("  # Version 1 for good")
    nodes, outputs, after = rest.partition("Outputs:\n")
    assert mark
    assert nodes.count("Type: AWS::EC2::Instance\n") == 3
    assert nodes.count('LaunchTemplate: {LaunchTemplateId: !Ref NodeTemplate, Version: "1"}') == 3
    return before + outputs + after[after.index("  SecurityGroup:") :]


def deployed(parameters: dict[str, str]) -> None:
    cloudformation = boto3.client("cloudformation", "eu-west-1")
    cloudformation.create_stack(
        StackName="web",
        TemplateBody=without_nodes(),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
        ],
    )
    [made] = cloudformation.describe_stacks(StackName="web")["Stacks"]
    assert made["StackStatus"] == "CREATE_COMPLETE"


def launch_data() -> Any:
    ec2 = boto3.client("ec2", "eu-west-1")
    [template] = ec2.describe_launch_templates()["LaunchTemplates"]
    [version] = ec2.describe_launch_template_versions(
        LaunchTemplateId=template["LaunchTemplateId"], Versions=["1"]
    )["LaunchTemplateVersions"]
    return version["LaunchTemplateData"]


def test_nodes_are_launched_with_what_they_need(region: dict[str, str]) -> None:
    deployed(region)
    data = launch_data()
    assert data["MetadataOptions"] == {
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 1,
        "InstanceMetadataTags": "enabled",
    }
    tags = {
        spec["ResourceType"]: {tag["Key"]: tag["Value"] for tag in spec["Tags"]}
        for spec in data["TagSpecifications"]
    }
    assert tags["instance"]["muster:size"] == "3"
    assert {kind for kind in tags if tags[kind]["muster:cluster"] == "web"} == {
        "instance",
        "network-interface",
        "volume",
    }
    assert "UserData" not in data


def test_the_nodes_reach_each_other_and_nobody_else_does(region: dict[str, str]) -> None:
    deployed(region)
    ec2 = boto3.client("ec2", "eu-west-1")
    named = {"Filters": [{"Name": "tag:Name", "Values": ["web"]}]}
    [group] = ec2.describe_security_groups(**named)["SecurityGroups"]  # type: ignore[arg-type]
    opened = {(rule["IpProtocol"], rule["FromPort"]) for rule in group["IpPermissions"]}
    assert opened == {("udp", 5405), ("tcp", 2224), ("tcp", 7224)}
    sources = {
        pair["GroupId"] for rule in group["IpPermissions"] for pair in rule["UserIdGroupPairs"]
    }
    assert sources == {group["GroupId"]}
    assert not [rule for rule in group["IpPermissions"] if rule["IpRanges"]]


def test_the_role_has_the_nodes_policy_filled_in(region: dict[str, str]) -> None:
    deployed(region)
    iam = boto3.client("iam", "eu-west-1")
    [role] = iam.list_roles()["Roles"]
    asked = {"RoleName": role["RoleName"], "PolicyName": "muster-node"}
    # moto hands out Python's form of what a template holds.
    document = literal_eval(str(iam.get_role_policy(**asked)["PolicyDocument"]))
    text = json.dumps(POLICY).replace("REGION", "eu-west-1").replace("ACCOUNT", "123456789012")
    assert document == json.loads(text.replace("NAME", "web"))


def test_an_address_comes_as_a_spec_that_musterd_reads(
    region: dict[str, str], tmp_path: Path
) -> None:
    deployed({**region, "FloatingAddress": "172.31.0.100", "ElasticIp": "yes"})
    ec2 = boto3.client("ec2", "eu-west-1")
    [elastic] = ec2.describe_addresses()["Addresses"]
    # moto leaves an address's tags out, without which the role may not move it.
    made = (
        TEMPLATE.read_text(encoding="utf-8").partition("  PublicAddress:")[2].partition("\n\n")[0]
    )
    assert '{Key: "muster:cluster", Value: !Ref ClusterName}' in made
    user_data: Any = launch_data()["UserData"]
    config = yaml.safe_load(base64.b64decode(user_data))
    [file] = config["write_files"]
    spec = tmp_path / "muster.toml"
    spec.write_text(file["content"], encoding="utf-8")
    settings = load(Tags(), tmp_path / "none", spec)
    assert settings.spec.cluster.size == 3
    [address] = settings.spec.address
    assert str(address.private_ip) == "172.31.0.100"
    assert str(address.elastic_ip) == elastic["PublicIp"]


def test_the_projects_list_of_operations_is_a_part_of_the_policy() -> None:
    """Besides, the policy has what the agents call, and what EC2 asks for beside a call."""
    listed = tomllib.loads(
        (AWS.parent / "muster_packages" / "operations.toml").read_text(encoding="utf-8")
    )
    ours = {f"{name}:{op}" for name, table in listed.items() for op in table["operations"]}
    allowed = {
        action
        for statement in POLICY["Statement"]
        if statement["Effect"] == "Allow"
        for action in (
            [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        )
    }
    assert allowed - ours == (AGENTS | BESIDE) - ours
    assert ours <= allowed


# Asked for when something is created with tags (EC2 user guide, "Grant permission to tag EC2
# resources during creation").
BESIDE = {"ec2:CreateTags"}
# fence_aws, awsvip, awseip of Debian 12 (fence-agents 4.12, resource-agents 4.12), read there.
AGENTS = {
    "ec2:DescribeInstances",
    "ec2:StopInstances",
    "ec2:StartInstances",
    "ec2:AssignPrivateIpAddresses",
    "ec2:UnassignPrivateIpAddresses",
    "ec2:DescribeAddresses",
    "ec2:AssociateAddress",
    "ec2:DisassociateAddress",
}
