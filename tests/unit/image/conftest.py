"""`muster image` against the fake region: real HTTPS, boto3 itself as the caller."""

import asyncio
import io
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.unit.client.conftest import Output
from tests.unit.lab.conftest import LAYOUT, Aws, RecordingMachines

from muster import cli
from muster.context import Context
from muster.image import importing, launching, upload
from muster_lab.region import ADMIN_KEY, ADMIN_SECRET, Region, Timing

ACCOUNT = "123456789012"
BUCKET = f"muster-image-{ACCOUNT}-eu-west-1"
PART = 5 * 1024**2  # bytes; S3 takes no smaller part but the last


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def ca_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("authority") / "ca"


@pytest.fixture
def machines() -> RecordingMachines:
    return RecordingMachines()


@pytest.fixture
async def region(
    machines: RecordingMachines, tmp_path: Path, ca_directory: Path
) -> AsyncIterator[Region]:
    timing = Timing(start=0.02, stop=0.04, imports=0.2)
    region = Region(
        machines,
        state_dir=tmp_path / "region",
        ca_directory=ca_directory,
        layout=LAYOUT,
        timing=timing,
    )
    await region.start()
    yield region
    await region.stop()


@pytest.fixture
def aws(region: Region) -> Aws:
    """The administrator, as the tests look at the account."""
    return Aws(region)


@pytest.fixture
def environment(region: Region, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What makes boto3 call the fake region, and nothing wait for long."""
    layout = region.layout
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    values = {
        "AWS_ENDPOINT_URL": f"https://{layout.api}:{layout.api_port}",
        "AWS_CA_BUNDLE": str(region.ca_certificate),
        "AWS_ACCESS_KEY_ID": ADMIN_KEY,
        "AWS_SECRET_ACCESS_KEY": ADMIN_SECRET,
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "HOME": str(tmp_path / "home"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(importing, "POLL", 0.05)
    monkeypatch.setattr(launching, "POLL", 0.02)
    monkeypatch.setattr(upload, "SMALLEST_PART", PART)
    return values


@pytest.fixture
def muster(environment: dict[str, str]) -> Any:
    """Run `muster image WORDS`; it blocks, so in a thread beside the region's loop."""

    async def run(*words: object) -> Said:
        out, err = io.StringIO(), io.StringIO()
        context = Context(out=out, err=err)
        code = await asyncio.to_thread(cli.main, ["image", *map(str, words)], context)
        said = Said(code, out.getvalue(), err.getvalue())
        assert environment["AWS_SECRET_ACCESS_KEY"] not in said.out + said.err
        return said

    return run


def raw_disk(path: Path, size: int, fill: bytes = b"disk") -> Path:
    """Write a disk that could boot, by its first sector."""
    content = bytearray((fill * (size // len(fill) + 1))[:size])
    content[510:512] = b"\x55\xaa"
    path.write_bytes(content)
    return path


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A raw disk of three parts."""
    return raw_disk(tmp_path / "node.raw", 2 * PART + 1024**2)


def vmdk_header(flags: int, sectors: int) -> bytes:
    """The start of a sparse VMDK extent."""
    return b"KDMV" + struct.pack("<IIQ", 3, flags, sectors) + bytes(4096)


@pytest.fixture
def context() -> Context:
    """A context that writes to memory."""
    return Context(out=Output(), err=Output())
