"""muster-user-data, run as the unit runs it, against a metadata service on loopback."""

import gzip
import importlib.util
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

PROGRAM = Path(__file__).resolve().parents[2] / "packaging" / "cloud-init" / "muster_user_data.py"
CONFIG = """#cloud-config
runcmd: [true]
muster:
  cluster: {name: web, size: 3}
  address:
    - private_ip: 10.0.0.68
      elastic_ip: 35.169.153.122
"""
SPEC = {
    "cluster": {"name": "web", "size": 3},
    "address": [{"private_ip": "10.0.0.68", "elastic_ip": "35.169.153.122"}],
}


def load() -> ModuleType:
    described = importlib.util.spec_from_file_location("muster_user_data", PROGRAM)
    assert described is not None
    assert described.loader is not None
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    return module


program = load()


@dataclass
class Imds:
    """A metadata service that insists on IMDSv2."""

    user_data: bytes | None = None
    failures: list[int] = field(default_factory=list)  # statuses to answer first
    asked: list[str] = field(default_factory=list)
    address: str = ""

    def answer(self, method: str, path: str, token: str | None) -> tuple[int, bytes]:
        self.asked.append(f"{method} {path}")
        if self.failures:
            return self.failures.pop(0), b""
        if (method, path) == ("PUT", "/latest/api/token"):
            return 200, b"the-token"
        if token != "the-token":
            return 401, b""
        if path == "/latest/user-data" and self.user_data is not None:
            return 200, self.user_data
        return 404, b"<not found>"


@pytest.fixture
def imds() -> Iterator[Imds]:
    service = Imds()

    class Handler(BaseHTTPRequestHandler):
        def serve(self) -> None:
            status, body = service.answer(
                self.command, self.path, self.headers.get("X-aws-ec2-metadata-token")
            )
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_PUT = serve  # noqa: N815 (names of http.server)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        service.address = f"127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield service
        server.shutdown()
        thread.join()


def run(imds: Imds, output: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", str(PROGRAM), "--endpoint", imds.address, "--output", str(output)],
        capture_output=True,
        text=True,
        check=False,
    )


def plain(text: str) -> bytes:
    return text.encode()


def zipped(text: str) -> bytes:
    return gzip.compress(text.encode())


def mime(text: str) -> bytes:
    archive = MIMEMultipart()
    archive.attach(MIMEText("#!/bin/sh\necho muster: no\n", "x-shellscript"))
    archive.attach(MIMEText(text, "cloud-config"))
    return archive.as_bytes()


def zipped_mime(text: str) -> bytes:
    return gzip.compress(mime(text))


@pytest.mark.parametrize("pack", [plain, zipped, mime, zipped_mime])
def test_the_mapping_becomes_toml(imds: Imds, tmp_path: Path, pack: Callable[[str], bytes]) -> None:
    imds.user_data = pack(CONFIG)
    output = tmp_path / "user-data.toml"
    told = run(imds, output)
    assert (told.returncode, told.stderr) == (0, "")
    assert tomllib.loads(output.read_text(encoding="utf-8")) == SPEC
    assert output.stat().st_mode & 0o777 == 0o640
    assert imds.asked == ["PUT /latest/api/token", "GET /latest/user-data"]


@pytest.mark.parametrize(
    "user_data",
    [None, b"", b"#!/bin/sh\nmuster: no\n", b"#cloud-config\nruncmd: []\n", b"\x00\xff\x1f"],
)
def test_without_a_mapping_an_old_file_goes(
    imds: Imds, tmp_path: Path, user_data: bytes | None
) -> None:
    imds.user_data = user_data
    output = tmp_path / "user-data.toml"
    output.write_text("old", encoding="utf-8")
    told = run(imds, output)
    assert (told.returncode, told.stderr) == (0, "")
    assert not output.exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("muster: yes", "must be a mapping"),
        ("muster: {cluster: [", "no valid YAML at line"),
        ("muster: {cluster: {name: }}", "a key without a value"),
        ("muster: {cluster: {name: 2026-11-23}}", "a date under `muster:`"),
        ("muster: {cluster: {1: x}}", "must be text"),
    ],
)
def test_what_cannot_be_used_is_said_and_keeps_the_old_file(
    imds: Imds, tmp_path: Path, text: str, sentence: str
) -> None:
    imds.user_data = f"#cloud-config\n{text}\n".encode()
    output = tmp_path / "user-data.toml"
    output.write_text("old", encoding="utf-8")
    told = run(imds, output)
    assert told.returncode == 1
    assert sentence in told.stderr
    assert output.read_text(encoding="utf-8") == "old"


def test_no_error_repeats_the_user_data(imds: Imds, tmp_path: Path) -> None:
    imds.user_data = b"#cloud-config\nmuster:\n  secret: {token: canary, a: [\n"
    told = run(imds, tmp_path / "user-data.toml")
    assert told.returncode == 1
    assert "canary" not in told.stderr + told.stdout


def test_a_passing_failure_is_asked_again(imds: Imds, tmp_path: Path) -> None:
    imds.user_data = plain(CONFIG)
    imds.failures = [503, 200]  # the second: an empty token, which the service then refuses
    told = run(imds, tmp_path / "user-data.toml")
    assert (told.returncode, told.stderr) == (0, "")
    assert imds.asked.count("PUT /latest/api/token") == 3


def test_silence_ends(imds: Imds) -> None:
    imds.failures = [500] * 100
    with pytest.raises(program.UserDataError, match="metadata service is enabled with IMDSv2"):
        program.read(imds.address, deadline=1.5)
    assert 1 <= len(imds.asked) <= 4


def test_a_bomb_is_refused() -> None:
    with pytest.raises(program.UserDataError, match="unpacks to more than"):
        list(program.cloud_configs(gzip.compress(b"#cloud-config\n" + b" " * 2_000_000)))


NAMES = st.text(min_size=1, max_size=10)
SCALARS = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=20), st.floats()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)  # a loaded machine is no failure
@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_whatever_yaml_can_say_reads_back_from_toml(table: dict[str, Any]) -> None:
    # repr compares NaN too.
    assert repr(_sorted(tomllib.loads(program.toml(table)))) == repr(_sorted(table))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(entry) for entry in value] if isinstance(value, list) else value
