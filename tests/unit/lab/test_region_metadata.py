"""IMDSv2 as an instance meets it: by its own source address, with its own token."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from yarl import URL

from muster_lab.region import Fault, MetadataOptions, Region

from .conftest import Aws

Running = Callable[..., Awaitable[list[str]]]

TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"


class Node:
    """An instance's requests to its metadata service."""

    def __init__(self, region: Region, instance_id: str) -> None:
        interface = region.estate.instance(instance_id).interface
        assert interface is not None
        self.address, self.mac = str(interface.primary), interface.mac
        self._base = f"http://{region.layout.imds}:{region.layout.imds_port}"

    async def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        connector = aiohttp.TCPConnector(local_addr=(self.address, 0))
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.request(
                method, URL(self._base + path, encoded=True), headers=headers
            ) as answer,
        ):
            return answer.status, await answer.text()

    async def token(self, ttl: str = "60") -> str:
        status, token = await self.ask("PUT", "/latest/api/token", {TTL: ttl})
        assert status == 200
        return token

    async def get(self, path: str) -> tuple[int, str]:
        """Read with a fresh token; the path is sent as it is written."""
        return await self.ask("GET", path, {TOKEN: await self.token()})


@pytest.fixture
async def node(region: Region, running: Running) -> Node:
    (instance_id,) = await running(
        metadata=MetadataOptions(tags=True), profile="muster-node", user_data=b"#cloud-config\n"
    )
    return Node(region, instance_id)


@pytest.mark.parametrize("ttl", ["0", "21601", "", "soon", "-1", "٣"])
async def test_a_token_wants_a_lifetime_within_bounds(node: Node, ttl: str) -> None:
    headers = {TTL: ttl} if ttl.isascii() else {TTL: ttl.encode().decode("latin-1")}
    assert (await node.ask("PUT", "/latest/api/token", headers))[0] == 400


async def test_a_token_is_asked_for_with_put_and_never_through_a_proxy(node: Node) -> None:
    assert (await node.ask("GET", "/latest/api/token"))[0] == 405
    forwarded = {TTL: "60", "X-Forwarded-For": "10.0.0.9"}
    assert (await node.ask("PUT", "/latest/api/token", forwarded))[0] == 403


async def test_reading_needs_a_token_that_is_good_and_ones_own(
    node: Node, region: Region, running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "/latest/meta-data/instance-id"
    other = Node(region, (await running())[0])
    assert (await node.ask("GET", path))[0] == 401
    assert (await node.ask("GET", path, {TOKEN: "made-up"}))[0] == 401
    assert (await node.ask("GET", path, {TOKEN: await other.token()}))[0] == 401
    token = await node.token("1")
    assert (await node.ask("GET", path, {TOKEN: token}))[0] == 200
    now = asyncio.get_running_loop().time()
    monkeypatch.setattr(region.metadata, "_monotonic", lambda: now + 3600)
    assert (await node.ask("GET", path, {TOKEN: token}))[0] == 401


async def test_without_tokens_required_version_one_works_but_a_bad_token_does_not(
    region: Region, running: Running
) -> None:
    (instance_id,) = await running(metadata=MetadataOptions(tokens_required=False))
    node = Node(region, instance_id)
    path = "/latest/meta-data/instance-id"
    assert await node.ask("GET", path) == (200, instance_id)
    assert (await node.ask("GET", path, {TOKEN: "made-up"}))[0] == 401


async def test_a_disabled_endpoint_forbids_everything(region: Region, running: Running) -> None:
    (instance_id,) = await running(metadata=MetadataOptions(enabled=False))
    node = Node(region, instance_id)
    assert (await node.ask("PUT", "/latest/api/token", {TTL: "60"}))[0] == 403
    assert (await node.ask("GET", "/latest/meta-data/"))[0] == 403


async def test_the_paths_that_agents_ask_for(node: Node, region: Region) -> None:
    one = region.describe()[0]
    assert one.interface is not None
    mac = f"/latest/meta-data/network/interfaces/macs/{node.mac}"
    expected = {
        "/latest/meta-data/instance-id": one.instance_id,
        "/latest/meta-data/mac": node.mac,
        "/latest/meta-data/network/interfaces/macs/": node.mac + "/",
        f"{mac}/interface-id": one.interface.interface_id,
        f"{mac}//local-ipv4s": node.address,
        f"{mac}/subnet-ipv4-cidr-block": "127.10.0.0/24",
        "/latest/meta-data/placement/availability-zone/": "eu-west-1a",
        "/latest/meta-data/placement/availability-zone-id": "euw1-az1",
        "/latest/meta-data/placement/region": "eu-west-1",
        "/latest/meta-data/services/domain": "amazonaws.com",
        "/latest/meta-data/tags/instance": "muster:cluster",
        "/latest/meta-data/tags/instance/muster:cluster": "web",
        "/latest/meta-data/tags/instance/muster%3Acluster": "web",
        "/latest/meta-data/iam/security-credentials/": "muster-node",
        "/latest/user-data": "#cloud-config\n",
        "/2021-03-23/meta-data/local-hostname": one.private_dns,
    }
    found = {path: await node.get(path) for path in expected}
    assert found == {path: (200, text) for path, text in expected.items()}
    assert "placement/" in (await node.get("/latest/meta-data/"))[1].split("\n")
    assert (await node.get("/latest"))[1].split("\n") == ["meta-data", "dynamic", "user-data"]


async def test_the_identity_document_names_the_instance(node: Node, region: Region) -> None:
    status, text = await node.get("/latest/dynamic/instance-identity/document")
    document = json.loads(text)
    assert status == 200
    assert document["instanceId"] == region.describe()[0].instance_id
    assert (document["privateIp"], document["region"]) == (node.address, "eu-west-1")


@pytest.mark.parametrize(
    "path",
    [
        "/latest/meta-data/spot/instance-action",
        "/latest/meta-data/public-ipv4",
        "/latest/meta-data/tags/instance",
        "/latest/meta-data/iam/info",
        "/latest/user-data",
        "/latest/nothing",
        "/elsewhere",
    ],
)
async def test_what_an_instance_does_not_have_is_absent(
    region: Region, running: Running, path: str
) -> None:
    (instance_id,) = await running(metadata=MetadataOptions(tags=False))
    assert (await Node(region, instance_id).get(path))[0] == 404


async def test_an_address_that_is_no_instance_gets_nothing(node: Node) -> None:
    node.address = "127.10.0.200"
    assert (await node.ask("PUT", "/latest/api/token", {TTL: "60"}))[0] == 404


async def test_keys_taken_from_it_name_the_instance(node: Node, region: Region) -> None:
    _, text = await node.get("/latest/meta-data/iam/security-credentials/muster-node")
    keys = json.loads(text)
    instance = Aws(region, keys["AccessKeyId"], keys["SecretAccessKey"], keys["Token"])
    identity = await instance.call("sts", "get_caller_identity")
    instance_id = region.describe()[0].instance_id
    assert identity["Arn"] == f"arn:aws:sts::123456789012:assumed-role/muster-node/{instance_id}"
    await instance.ec2("describe_instances")
    assert region.calls.list(action="DescribeInstances")[-1].caller == instance_id


async def test_keys_are_renewed_before_they_end(
    node: Node, region: Region, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = "/latest/meta-data/iam/security-credentials/muster-node"
    first = json.loads((await node.get(path))[1])
    assert json.loads((await node.get(path))[1]) == first
    now = region.estate.clock()
    later = now.replace(year=now.year + 1)
    monkeypatch.setattr(region.credentials, "_clock", lambda: later)
    assert json.loads((await node.get(path))[1])["AccessKeyId"] != first["AccessKeyId"]


async def test_a_fault_can_make_it_fail_or_never_answer(node: Node, region: Region) -> None:
    region.faults.add(Fault(service="imds", action="/latest/meta-data/mac", status=503, count=1))
    assert (await node.get("/latest/meta-data/mac"))[0] == 503
    assert (await node.get("/latest/meta-data/mac"))[0] == 200
    number = region.faults.add(Fault(service="imds", action="/latest/api/token", hang=True))
    silent = asyncio.create_task(node.token())
    done, _ = await asyncio.wait([silent], timeout=0.2)
    assert not done
    region.faults.clear(number)
    await silent  # the connection was cut, and aiohttp's client tries a PUT once more
    tokens = region.calls.list(action="PUT /latest/api/token")
    assert [call.outcome for call in tokens[-2:]] == ["hang", "ok"]


async def test_calls_are_recorded_with_their_caller(node: Node, region: Region) -> None:
    await node.get("/latest/meta-data/mac")
    recorded: list[Any] = [
        (call.caller, call.action, call.outcome) for call in region.calls.list(service="imds")
    ]
    instance_id = region.describe()[0].instance_id
    assert recorded == [
        (instance_id, "PUT /latest/api/token", "ok"),
        (instance_id, "GET /latest/meta-data/mac", "ok"),
    ]
