"""The trimmed service models: all that the daemon calls is in them, and clients work from them."""

import ast
import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import xform_name
from botocore.loaders import Loader
from moto.server import ThreadedMotoServer

from muster_packages import aws_models
from muster_packages.aws_models import Service
from muster_packages.errors import PackagingError
from muster_packages.unpacked import Unpacked

DAEMON = Path(__file__).resolve().parents[2] / "daemon"
SERVICES = aws_models.wanted()


def full(service: str) -> dict[str, Any]:
    """The model as botocore ships it."""
    model = Loader().load_service_model(service, "service-2")
    assert isinstance(model, dict)
    return model


def called(sources: Iterator[str]) -> set[str]:
    """Every operation of our services that code names, as a method or for a paginator."""
    known = {xform_name(name): name for each in SERVICES for name in full(each.name)["operations"]}
    words = set()
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Attribute):
                words.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)
    return {known[word] for word in words if word in known}


def test_the_list_is_what_the_daemon_calls() -> None:
    code = called(path.read_text(encoding="utf-8") for path in DAEMON.rglob("*.py"))
    assert code == {name for each in SERVICES for name in each.operations}


def test_both_ways_to_call_are_found() -> None:
    code = 'def f(c):\n    c.get_paginator("describe_subnets")\n    return c.reboot_instances\n'
    assert called(iter([code])) == {"DescribeSubnets", "RebootInstances"}


def read(path: Path) -> Any:
    content = path.read_bytes()
    return json.loads(gzip.decompress(content) if path.suffix == ".gz" else content)


def packed(unpacked: Unpacked, service: Service, name: str) -> Any:
    data = unpacked.libraries / "botocore" / "data"
    return read(data / service.name / service.model / f"{name}.json")


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_what_is_kept_is_botocores_own(unpacked: Unpacked, service: Service) -> None:
    trimmed, whole = packed(unpacked, service, "service-2"), full(service.name)
    assert trimmed["metadata"] == whole["metadata"]
    assert set(trimmed["operations"]) == set(service.operations)
    for name, operation in trimmed["operations"].items():
        assert operation["input"] == whole["operations"][name]["input"]
    for name, shape in trimmed["shapes"].items():
        assert set(shape.get("members", {})) == set(whole["shapes"][name].get("members", {}))
    assert len(trimmed["shapes"]) < len(whole["shapes"]) / 2


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_no_other_service_is_left(unpacked: Unpacked, service: Service) -> None:
    data = unpacked.libraries / "botocore" / "data"
    assert {path.name for path in data.iterdir() if path.is_dir()} == {
        each.name for each in SERVICES
    }
    for partition in read(data / "endpoints.json")["partitions"]:
        assert set(partition["services"]) <= {each.name for each in SERVICES}
    assert packed(unpacked, service, "paginators-1").keys() == {"pagination"}


def test_an_operation_that_botocore_lacks_is_refused(tmp_path: Path) -> None:
    data = Path(boto3.__file__).parents[1] / "botocore" / "data"
    wrong = Service("ec2", "2016-11-15", ("DescribeInstance",))
    with pytest.raises(PackagingError, match="ec2 has no operation DescribeInstance"):
        aws_models.trim(data, tmp_path / "one", (wrong,))
    old = Service("ec2", "2016-01-01", ("DescribeInstances",))
    with pytest.raises(PackagingError, match="no ec2 model 2016-01-01"):
        aws_models.trim(data, tmp_path / "two", (old,))


CALLS = """
import json, sys
sys.path.insert(0, sys.argv[1])
import botocore.session
from botocore.exceptions import ClientError
session = botocore.session.Session()
session.set_credentials("testing", "testing")
def client(name):
    return session.create_client(name, region_name="eu-west-1", endpoint_url=sys.argv[2])
ec2, secrets = client("ec2"), client("secretsmanager")
pages = ec2.get_paginator("describe_instances").paginate(
    Filters=[{"Name": "tag:muster:cluster", "Values": ["web"]}])
found = [i for page in pages for r in page["Reservations"] for i in r["Instances"]]
interfaces = [i["NetworkInterfaceId"]
    for page in ec2.get_paginator("describe_network_interfaces").paginate()
    for i in page["NetworkInterfaces"]]
try:
    ec2.stop_instances(InstanceIds=[found[0]["InstanceId"]], DryRun=True)
except ClientError as error:
    dry = error.response["Error"]["Code"]
secrets.create_secret(Name="muster/web", SecretString="token")
try:
    secrets.create_secret(Name="muster/web", SecretString="other")
except secrets.exceptions.ResourceExistsException as error:
    again = error.response["Error"]["Code"]
json.dump({
    "ids": [i["InstanceId"] for i in found],
    "attached": [i["NetworkInterfaces"][0]["Attachment"]["AttachTime"].timestamp() for i in found],
    "interfaces": len(interfaces),
    "addresses": ec2.describe_addresses()["Addresses"],
    "stopped": ec2.stop_instances(InstanceIds=[found[0]["InstanceId"]], Force=True)
        ["StoppingInstances"][0]["InstanceId"],
    "dry": dry, "again": again,
    "secret": secrets.get_secret_value(SecretId="muster/web")["SecretString"],
    "from": botocore.__file__,
}, sys.stdout)
"""


@pytest.fixture
def endpoint() -> Iterator[str]:
    """A region on loopback."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def test_clients_work_from_the_packaged_models(unpacked: Unpacked, endpoint: str) -> None:
    whole = boto3.client(
        "ec2",
        region_name="eu-west-1",
        endpoint_url=endpoint,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    run = whole.run_instances(
        ImageId="ami-12345678",
        MinCount=2,
        MaxCount=2,
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": "muster:cluster", "Value": "web"}]}
        ],
    )
    ids = [instance["InstanceId"] for instance in run["Instances"]]
    told = subprocess.run(
        [sys.executable, "-I", "-S", "-c", CALLS, str(unpacked.libraries), endpoint],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.stderr == ""
    answer = json.loads(told.stdout)
    assert answer["from"].startswith(str(unpacked.libraries))
    assert sorted(answer["ids"]) == sorted(ids)
    assert answer["stopped"] in ids
    assert all(seconds > 0 for seconds in answer["attached"])
    assert (answer["interfaces"], answer["addresses"]) == (2, [])
    assert (answer["dry"], answer["again"]) == ("DryRunOperation", "ResourceExistsException")
    assert answer["secret"] == "token"
