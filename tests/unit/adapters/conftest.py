"""The lab's fake region, for adapters that speak to AWS; its machines do nothing."""

from collections.abc import AsyncIterator, Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from unittest.mock import create_autospec

import pytest

from muster_lab.ports import Machines
from muster_lab.region import ADMIN_KEY, ADMIN_SECRET, Layout, Region, Timing
from musterd.adapters.aws import Aws

LAYOUT = Layout(
    vpc=IPv4Network("127.20.0.0/16"),
    subnets=(("a", IPv4Network("127.20.0.0/24")), ("b", IPv4Network("127.20.1.0/24"))),
    api=IPv4Address("127.20.0.2"),
    api_port=0,
    dns_port=0,
    imds=IPv4Address("127.20.0.1"),
    imds_port=0,
)


@pytest.fixture(scope="session")
def ca_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authority") / "ca"


@pytest.fixture
async def region(
    tmp_path: Path, ca_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Region]:
    """A region that the standard AWS variables point to, with an administrator's keys."""
    region = Region(
        create_autospec(Machines, instance=True),
        state_dir=tmp_path,
        ca_directory=ca_directory,
        layout=LAYOUT,
        timing=Timing(start=0.0, stop=0.0),
    )
    await region.start()
    layout = region.layout
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://{layout.api}:{layout.api_port}")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(region.ca_certificate))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ADMIN_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", ADMIN_SECRET)
    yield region
    await region.stop()


@pytest.fixture
def aws(region: Region) -> Iterator[Aws]:
    """The adapters' session in that region."""
    session = Aws(region.estate.region, deadline=10.0)
    yield session
    session.close()
