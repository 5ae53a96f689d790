"""Names as instances resolve them, over both protocols."""

from collections.abc import Awaitable, Callable

import dns.asyncquery
import dns.message
import dns.rcode
import pytest

from muster_lab.region import Region

Running = Callable[..., Awaitable[list[str]]]
Ask = Callable[..., Awaitable[dns.message.Message]]


@pytest.fixture
def ask(region: Region) -> Ask:
    async def query(name: str, kind: str = "A", *, tcp: bool = False) -> dns.message.Message:
        send = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
        return await send(
            dns.message.make_query(name, kind),
            str(region.layout.api),
            port=region.layout.dns_port,
            timeout=5,
        )

    return query


def answers(message: dns.message.Message) -> list[str]:
    return [item.to_text() for rrset in message.answer for item in rrset]


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize(
    "name",
    ["ec2.eu-west-1.amazonaws.com", "bucket.s3.eu-west-1.amazonaws.com", "STS.amazonaws.com"],
)
async def test_every_aws_name_is_the_api(ask: Ask, name: str, tcp: bool) -> None:
    assert answers(await ask(name, tcp=tcp)) == ["127.10.0.2"]


async def test_an_aws_name_has_no_ipv6_address_but_exists(ask: Ask) -> None:
    message = await ask("ec2.eu-west-1.amazonaws.com", "AAAA")
    assert (message.rcode(), answers(message)) == (dns.rcode.NOERROR, [])


async def test_instances_are_found_by_name_and_by_address(ask: Ask, running: Running) -> None:
    await running()
    name = "ip-127-10-0-11.eu-west-1.compute.internal"
    assert answers(await ask(name)) == ["127.10.0.11"]
    assert answers(await ask("11.0.10.127.in-addr.arpa", "PTR")) == [name + "."]


async def test_a_terminated_instance_has_no_name(
    ask: Ask, region: Region, running: Running
) -> None:
    (instance_id,) = await running()
    await region.terminate_instance(instance_id)
    await region.settled(instance_id)
    message = await ask("ip-127-10-0-11.eu-west-1.compute.internal")
    assert message.rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("debian.org", "A"),
        ("notamazonaws.com", "A"),
        ("ip-127-10-0-99.eu-west-1.compute.internal", "A"),
        ("99.0.10.127.in-addr.arpa", "PTR"),
        ("x.in-addr.arpa", "PTR"),
    ],
)
async def test_nothing_else_exists(ask: Ask, name: str, kind: str) -> None:
    assert (await ask(name, kind)).rcode() == dns.rcode.NXDOMAIN


async def test_what_is_no_query_is_not_answered(region: Region) -> None:
    answer = dns.message.make_response(dns.message.make_query("a.amazonaws.com", "A"))
    assert region.resolver.reply(b"nonsense") is None
    assert region.resolver.reply(answer.to_wire()) is None
