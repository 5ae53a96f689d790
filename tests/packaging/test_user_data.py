"""muster-user-data, run as the unit runs it, against a metadata service on loopback."""

import gzip
import importlib.util
import json
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from email.encoders import encode_base64
from email.mime.application import MIMEApplication
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from types import ModuleType
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types
from hypothesis import given, settings
from hypothesis import strategies as st

from musterd.errors import NoClusterError, SettingsError
from musterd.helper_wire import Tags
from musterd.settings import load as load_settings

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
    silent: bool = False  # takes the question and says nothing
    heard: Event = field(default_factory=Event)

    def answer(self, method: str, path: str, token: str | None) -> tuple[int, bytes]:
        self.asked.append(f"{method} {path}")
        self.heard.set()
        if self.silent:
            time.sleep(1.0)
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
            with suppress(BrokenPipeError, ConnectionResetError):  # a reader that was killed
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


def command(imds: Imds, output: Path) -> list[str]:
    return [
        *(sys.executable, "-I", str(PROGRAM)),
        *("--endpoint", imds.address, "--output", str(output)),
    ]


def run(imds: Imds, output: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(imds, output), capture_output=True, text=True, check=False)


def refusal(output: Path) -> SettingsError:
    """Return what musterd says of the file, on an instance whose tags name a cluster."""
    with pytest.raises(SettingsError) as raised:
        load_settings(Tags(cluster="web", size=3), output, output.with_name("absent"))
    return raised.value


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


def declared(text: str) -> bytes:
    """As Terraform's cloudinit_config makes it with yamlencode: quoted keys, no first line."""
    return mime(json.dumps(yaml.safe_load(text)))


def declared_in_capitals(text: str) -> bytes:
    return declared(text).replace(b"text/cloud-config", b"Text/Cloud-Config")


def zipped_part(text: str) -> bytes:
    archive = MIMEMultipart()
    archive.attach(MIMEApplication(gzip.compress(text.encode()), "gzip"))
    return archive.as_bytes()


def zipped_declared(text: str) -> bytes:
    archive = MIMEMultipart()
    part = MIMEText("", "cloud-config")
    part.set_payload(gzip.compress(text.partition("\n")[2].encode()))
    encode_base64(part)
    del part["Content-Transfer-Encoding"]
    part["Content-Transfer-Encoding"] = "base64"
    archive.attach(part)
    return archive.as_bytes()


def blanks(text: str) -> bytes:
    return plain(text.replace("#cloud-config", "\n#cloud-config \t", 1))


def capitals(text: str) -> bytes:
    return plain(text.replace("#cloud-config", "#Cloud-Config", 1))


def another_header_first(text: str) -> bytes:
    return b"From: somebody\nSubject: nodes\n" + mime(text)


def headers_in_small_letters(text: str) -> bytes:
    return mime(text).replace(b"MIME-Version:", b"mime-version:")


def the_word_in_a_comment(text: str) -> bytes:
    """cloud-init takes this for MIME without headers, and then for what its start says."""
    return plain(text.replace("runcmd", "# MIME-Version: 1.0\nruncmd", 1))


FORMS = [
    *(plain, zipped, mime, zipped_mime, declared, declared_in_capitals, zipped_part),
    *(zipped_declared, blanks, capitals, another_header_first, headers_in_small_letters),
    the_word_in_a_comment,
]


@pytest.mark.parametrize("pack", FORMS)
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
    [
        *(None, b"", b"#!/bin/sh\nmuster: no\n", b"#cloud-config\nruncmd: []\n", b"\x00\xff\x1f"),
        *(b"#cloud-config-archive\n- muster: no\n", mime("#cloud-config\nruncmd: [muster]\n")),
    ],
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
        ("muster: &all {cluster: *all}", "cannot be understood (RecursionError)"),
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
    output.unlink()
    run(imds, output)
    refused = refusal(output)
    assert sentence in refused.sentence
    assert "modify-instance-attribute" in refused.cure
    assert output.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "wrong", ["a: [", "7777: x}", "2026-01-01: x}", "a: !!python/name:os.x 1}"]
)
def test_no_error_repeats_the_user_data(imds: Imds, tmp_path: Path, wrong: str) -> None:
    imds.user_data = f"#cloud-config\nmuster:\n  secret: {{token: canary, {wrong}\n".encode()
    output = tmp_path / "user-data.toml"
    told = run(imds, output)
    assert told.returncode == 1
    said = told.stderr + told.stdout + output.read_text(encoding="utf-8")
    assert not any(word in said for word in ("canary", "7777", "2026", "os.x"))


@pytest.mark.parametrize(
    "content", [gzip.compress(CONFIG.encode())[:-20], b"\x1f\x8b\x08\x00" + b"\xff" * 30]
)
def test_torn_archives_are_no_empty_answer(imds: Imds, tmp_path: Path, content: bytes) -> None:
    imds.user_data = content
    output = tmp_path / "user-data.toml"
    assert run(imds, output).returncode == 1
    assert "gzip" in refusal(output).sentence


def test_a_missing_library_is_told_with_the_package_that_has_it(
    imds: Imds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    imds.user_data = plain(CONFIG)
    monkeypatch.setitem(sys.modules, "yaml", None)
    output = tmp_path / "user-data.toml"
    assert program.main(["--endpoint", imds.address, "--output", str(output)]) == 1
    assert "python3.11-pyyaml" in capsys.readouterr().err
    refused = refusal(output)
    assert not isinstance(refused, NoClusterError), "a person is needed"
    assert "python3-yaml" in refused.cure
    assert "systemctl restart muster-user-data" in refused.cure


def test_a_reader_that_is_killed_leaves_no_empty_answer(imds: Imds, tmp_path: Path) -> None:
    """By the memory's limit, or by systemd's patience: there is no later moment to say so."""
    imds.user_data, imds.silent = plain(CONFIG), True
    output = tmp_path / "user-data.toml"
    with subprocess.Popen(command(imds, output), stdout=subprocess.DEVNULL) as reader:
        imds.heard.wait(timeout=30)
        reader.kill()
    assert isinstance(refusal(output), NoClusterError)


def test_a_cure_shows_at_the_next_run(imds: Imds, tmp_path: Path) -> None:
    imds.user_data = b"#cloud-config\nmuster: 1\n"
    output = tmp_path / "user-data.toml"
    assert run(imds, output).returncode == 1
    imds.user_data = plain(CONFIG)
    assert run(imds, output).returncode == 0
    assert tomllib.loads(output.read_text(encoding="utf-8")) == SPEC
    output.unlink()
    imds.user_data = b"#cloud-config\nmuster: 1\n"
    assert run(imds, output).returncode == 1
    imds.user_data = None
    assert run(imds, output).returncode == 0
    assert not output.exists()


def test_silence_holds_the_node_back_and_is_asked_again_until_it_ends(
    imds: Imds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The boot goes on meanwhile: systemd is told after the first patience."""
    imds.user_data, imds.failures = plain(CONFIG), [500] * 12
    output = tmp_path / "user-data.toml"
    waits: list[SettingsError] = []
    monkeypatch.setattr(program, "DEADLINE", 1.2)
    monkeypatch.setattr(program, "PAUSE", 0.2)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        ended: list[int] = []
        reader = Thread(
            target=lambda: ended.append(
                program.main(["--endpoint", imds.address, "--output", str(output)])
            )
        )
        reader.start()
        assert systemd.recv(100) == b"READY=1"
        for _ in range(10):
            waits.append(refusal(output))
            time.sleep(0.05)
        reader.join(timeout=30)
    assert ended == [0]
    assert tomllib.loads(output.read_text(encoding="utf-8")) == SPEC
    assert isinstance(waits[0], NoClusterError), "nobody has to do anything"
    assert {"answered 500" in each.sentence for each in waits} == {True}, "the reason stands"
    assert "metadata service" in waits[0].cure


def test_silence_keeps_what_was_read_before(
    imds: Imds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imds.failures = [500] * 100
    output = tmp_path / "user-data.toml"
    output.write_text("old", encoding="utf-8")
    monkeypatch.setattr(program, "DEADLINE", 1.2)
    assert program.main(["--endpoint", imds.address, "--output", str(output)]) == 1
    assert output.read_text(encoding="utf-8") == "old"


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
