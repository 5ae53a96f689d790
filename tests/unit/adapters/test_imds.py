"""Metadata as an instance meets it: in the lab's region, and with every setting that can be off."""

from collections.abc import AsyncIterator, Callable
from functools import partial

import aiohttp
import pytest
from aiohttp import web

from muster_lab.region import MetadataOptions, Region
from musterd.adapters.imds import Imds
from musterd.errors import MetadataError

PATHS = {"instance_id": "instance-id", "vpc_id": "network/interfaces/macs/{mac}/vpc-id"}


class VirtualClock:
    """Time that passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)


class FixedRandom:
    """No chance at all."""

    def fraction(self) -> float:
        return 0.5

    def hexadecimal(self, length: int) -> str:
        return "0" * length


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
async def from_instance(region: Region, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Imds]:
    """Make an adapter whose requests come from an instance's address."""

    def make(instance_id: str) -> Imds:
        interface = region.estate.instance(instance_id).interface
        assert interface is not None
        session, address = aiohttp.ClientSession, (str(interface.primary), 0)

        def bound(**options: object) -> aiohttp.ClientSession:
            connector = aiohttp.TCPConnector(local_addr=address)
            return partial(session, connector=connector)(**options)  # type: ignore[arg-type]

        monkeypatch.setattr("musterd.adapters.imds.aiohttp.ClientSession", bound)
        layout = region.layout
        endpoint = f"http://{layout.imds}:{layout.imds_port}"
        return Imds(VirtualClock(), FixedRandom(), endpoint=endpoint)

    return make


async def launch(region: Region, *, tags_shown: bool) -> str:
    (made,) = await region.run_instances(
        1,
        tags={"muster:cluster": "web", "Name": "a b"},
        metadata=MetadataOptions(tags=tags_shown),
    )
    await region.settled(made.instance_id)
    return made.instance_id


async def test_documents_and_tags_of_an_instance(
    region: Region, from_instance: Callable[[str], Imds]
) -> None:
    instance_id = await launch(region, tags_shown=True)
    imds = from_instance(instance_id)
    documents = await imds.documents({**PATHS, "none": "spot/instance-action"})
    assert documents == {"instance_id": instance_id, "vpc_id": region.estate.vpc_id}
    assert dict(await imds.tags()) == {"muster:cluster": "web", "Name": "a b"}


async def test_tags_not_enabled_name_the_setting(
    region: Region, from_instance: Callable[[str], Imds]
) -> None:
    imds = from_instance(await launch(region, tags_shown=False))
    with pytest.raises(MetadataError) as caught:
        await imds.tags()
    assert "--instance-metadata-tags enabled" in caught.value.cure


class Service:
    """A metadata service whose answers are (status, text) from a script, then "ok" for ever."""

    def __init__(self) -> None:
        self.script: list[tuple[str, int]] = []  # (method, status) of answers that are not "ok"
        self.tokens = 0
        self.endpoint = ""

    async def handle(self, request: web.Request) -> web.Response:
        if self.script and self.script[0][0] == request.method:
            return web.Response(status=self.script.pop(0)[1])
        if request.method == "PUT":
            self.tokens += 1
            assert 1 <= int(request.headers["X-aws-ec2-metadata-token-ttl-seconds"]) <= 21600
            return web.Response(text=f"token-{self.tokens}")
        if request.headers.get("X-aws-ec2-metadata-token") != f"token-{self.tokens}":
            return web.Response(status=401)
        return web.Response(text="ok")


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    application = web.Application()
    application.router.add_route("*", "/latest/{path:.*}", service.handle)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    service.endpoint = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield service
    await runner.cleanup()


@pytest.mark.parametrize(
    "script",
    [
        [("GET", 401)],
        [("PUT", 503), ("PUT", 500), ("GET", 503)],
        [("GET", 429)],
    ],
    ids=["token expired", "early boot", "too many"],
)
async def test_what_passes_is_tried_again(
    service: Service, clock: VirtualClock, script: list[tuple[str, int]]
) -> None:
    service.script = list(script)
    imds = Imds(clock, FixedRandom(), endpoint=service.endpoint)
    assert await imds.documents({"instance_id": "instance-id"}) == {"instance_id": "ok"}
    assert len(clock.slept) == len(script)
    assert clock.slept == sorted(clock.slept)


@pytest.mark.parametrize(
    ("status", "said"),
    [(403, "--http-endpoint enabled"), (400, "curl")],
    ids=["switched off", "not a metadata service"],
)
async def test_what_does_not_pass_is_told_at_once(
    service: Service, clock: VirtualClock, status: int, said: str
) -> None:
    service.script = [("PUT", status)]
    with pytest.raises(MetadataError) as caught:
        await Imds(clock, FixedRandom(), endpoint=service.endpoint).documents(PATHS)
    assert said in caught.value.cure
    assert clock.slept == []


async def test_silence_ends_with_the_budget(clock: VirtualClock) -> None:
    nobody = "http://127.0.0.1:9"
    with pytest.raises(MetadataError) as caught:
        await Imds(clock, FixedRandom(), endpoint=nobody, budget=20.0).documents(PATHS)
    assert "hop-limit" in caught.value.cure
    assert 10 < clock.now <= 20
    assert max(clock.slept) <= 6.0


async def test_no_proxy_is_asked(
    service: Service, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    imds = Imds(clock, FixedRandom(), endpoint=service.endpoint)
    assert await imds.documents({"a": "instance-id"}) == {"a": "ok"}
