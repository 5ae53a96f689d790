#!/usr/bin/python3 -I
"""Turns the `muster:` mapping of the instance's user data into /run/muster/user-data.toml.

Started by muster-user-data.service before musterd. Reads IMDSv2 itself, so it needs nothing of
cloud-init. User data without the mapping, or none at all, removes the file. What could not be read
is no empty answer: until there is one, the file holds a table `[unreadable]`, with which musterd
founds nothing and tells why. Standard library and PyYAML only.
"""

import argparse
import gzip
import http.client
import json
import os
import re
import socket
import sys
import time
import zlib
from collections.abc import Iterator, Mapping
from email import message_from_bytes, policy
from io import BytesIO
from pathlib import Path
from typing import Any

ENDPOINT = "169.254.169.254"
DEADLINE = 10.0  # seconds, all attempts together: the boot waits for this
PAUSE = 5.0  # seconds until the next look at a metadata service that gave no answer
ANSWER_TIMEOUT = 2.0  # seconds for one answer; a wrong hop limit shows as silence
USER_DATA_LIMIT = 16_384  # bytes that EC2 takes (user guide, "Run commands at launch")
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")  # TOML 1.0, "Keys"
UNPACKED_LIMIT = 1_048_576  # bytes after gzip
HEADERS = 4_096  # bytes at the start, in which cloud-init looks for a header
MIME = re.compile(rb"mime-version:|\Acontent-type:", re.IGNORECASE)
# Two formats of other kinds begin with the same words.
FIRST_LINE = re.compile(rb"\s*#cloud-config(?!-archive|-jsonp)", re.IGNORECASE)
MAPPING = re.compile(r"""muster["']?\s*:""")  # without it no YAML has to be read
UNREADABLE = "[unreadable]\n"  # how a file begins that tells why there is no mapping
AGAIN = "type `systemctl restart muster-user-data`, then `muster join`"
CORRECT = (
    "stop the instance, correct its user data (`aws ec2 modify-instance-attribute`), start it again"
)


class UserDataError(Exception):
    """The user data cannot be used.

    Attributes:
        why: without anything that the user data says: it may hold the cluster token.
        cure: what to do.
    """

    def __init__(self, why: str, cure: str = CORRECT) -> None:
        super().__init__(f"{why}; {cure}")
        self.why = why
        self.cure = cure


class SilentError(UserDataError):
    """The metadata service gave no answer, which may pass by itself."""


def read(endpoint: str = ENDPOINT, deadline: float = DEADLINE) -> bytes:
    """Return the user data, b"" when the instance has none.

    Raises:
        SilentError: the metadata service gave no answer in time, or refused.
    """
    end = time.monotonic() + deadline
    while True:
        try:
            return _read_once(endpoint)
        except (OSError, http.client.HTTPException) as error:
            if time.monotonic() + 1.0 > end:
                raise SilentError(
                    f"cannot read user data from {endpoint}: {error}",
                    "check that the instance's metadata service is enabled with IMDSv2;"
                    f" it is asked again by itself, and at once if you {AGAIN}",
                ) from error
            time.sleep(0.5)


def _read_once(endpoint: str) -> bytes:
    token = _ask(
        endpoint, "PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    )
    if token is None:
        raise http.client.HTTPException("it gives no IMDSv2 token (404)")
    answer = _ask(
        endpoint, "GET", "/latest/user-data", {"X-aws-ec2-metadata-token": token.decode("ascii")}
    )
    return answer or b""


def _ask(endpoint: str, method: str, path: str, headers: Mapping[str, str]) -> bytes | None:
    """Return the body, None for 404."""
    connection = http.client.HTTPConnection(endpoint, timeout=ANSWER_TIMEOUT)
    try:
        connection.request(method, path, headers=dict(headers))
        response = connection.getresponse()
        body = response.read(2 * USER_DATA_LIMIT)
    finally:
        connection.close()
    if response.status == http.client.NOT_FOUND:
        return None
    if response.status != http.client.OK:
        # 5xx and throttling pass; asking again costs little.
        raise http.client.HTTPException(f"{method} {path} answered {response.status}")
    return body


def cloud_configs(user_data: bytes) -> Iterator[str]:
    """Yield each cloud-config text: plain, gzipped, or a part of a MIME archive.

    What is which is told as cloud-init tells it (cloudinit/user_data.py, convert_string): a header
    anywhere near the start makes an archive, a part is what it is declared to be, and a text what
    its first line says.
    """
    content = _unzipped(user_data).lstrip()
    if not MIME.search(content[:HEADERS]):
        yield from _if_cloud_config(content, "")
        return
    for part in message_from_bytes(content, policy=policy.default).walk():
        body = None if part.is_multipart() else part.get_payload(decode=True)
        if isinstance(body, bytes):
            yield from _if_cloud_config(_unzipped(body), part.get_content_type())


def _if_cloud_config(content: bytes, declared: str) -> Iterator[str]:
    if declared == "text/cloud-config" or FIRST_LINE.match(content):
        yield content.decode("utf-8")


def _unzipped(content: bytes) -> bytes:
    return _unzip(content) if content.startswith(b"\x1f\x8b") else content


def _unzip(content: bytes) -> bytes:
    try:
        with gzip.GzipFile(fileobj=BytesIO(content)) as stream:
            unpacked = stream.read(UNPACKED_LIMIT + 1)
    except (OSError, EOFError, zlib.error):
        raise UserDataError("gzipped user data cannot be unpacked: it is torn") from None
    if len(unpacked) > UNPACKED_LIMIT:
        raise UserDataError(f"gzipped user data unpacks to more than {UNPACKED_LIMIT} bytes")
    return unpacked


def mapping(user_data: bytes) -> dict[str, Any] | None:
    """Return the top-level `muster:` mapping, None when there is none; a later part wins.

    Raises:
        UserDataError: no YAML library, not YAML, or `muster:` is no mapping.
    """
    found: dict[str, Any] | None = None
    for text in cloud_configs(user_data):
        if not MAPPING.search(text):
            continue
        document = _yaml(text)
        if isinstance(document, dict) and "muster" in document:
            value = document["muster"]
            if not isinstance(value, dict):
                raise UserDataError("`muster:` in user data must be a mapping of sections")
            found = value
    return found


def _yaml(text: str) -> Any:
    try:
        import yaml  # type: ignore[import-untyped] # it ships no types
    except ImportError:
        raise UserDataError(
            "the library that reads its `muster:` mapping is missing",
            "install python3-yaml (on Red Hat's systems python3.11-pyyaml: what cloud-init brings"
            f" is another Python's), {AGAIN}",
        ) from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        # Only the place: the text may hold the cluster token.
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise UserDataError(f"user data is no valid YAML{where}") from None


def toml(table: Mapping[str, Any]) -> str:
    """Return the mapping as TOML: a section a top-level table, everything below inline.

    Raises:
        UserDataError: a value has no counterpart in TOML.
    """
    lines: list[str] = []
    for name, value in table.items():
        if isinstance(value, Mapping):
            lines.append(f"[{_key(name)}]")
            lines.extend(f"{_key(key)} = {_value(below)}" for key, below in value.items())
    plain = [
        f"{_key(name)} = {_value(value)}"
        for name, value in table.items()
        if not isinstance(value, Mapping)
    ]
    return "\n".join([*plain, *lines, ""])


def _key(name: object) -> str:
    if not isinstance(name, str):
        kind = type(name).__name__
        raise UserDataError(f"a key in user data is a {kind} and must be text: put it in quotes")
    return name if BARE_KEY.fullmatch(name) else _value(name)


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            # A JSON string is a TOML basic string, but for DEL and escaped surrogate pairs.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case list():
            return f"[{', '.join(map(_value, value))}]"
        case dict():
            pairs = (f"{_key(key)} = {_value(below)}" for key, below in value.items())
            return f"{{{', '.join(pairs)}}}"
        case None:
            raise UserDataError("user data has a key without a value under `muster:`")
    raise UserDataError(
        f"user data has a {type(value).__name__} under `muster:`: put the value in quotes"
    )


def replace(path: Path, text: str) -> None:
    """Write the file as a whole, mode 0640."""
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    beside.rename(path)


def usable(path: Path) -> bool:
    """Tell whether an earlier run left a mapping there."""
    try:
        return not path.read_text(encoding="utf-8", errors="replace").startswith(UNREADABLE)
    except FileNotFoundError:
        return False


def refusal(error: UserDataError) -> str:
    """Return the file that keeps musterd from founding a cluster without its spec."""
    lines = [f"why = {_value(error.why)}", f"cure = {_value(error.cure)}"]
    if isinstance(error, SilentError):
        lines.append("again = true")
    return UNREADABLE + "\n".join([*lines, ""])


def put(output: Path, endpoint: str) -> str:
    """Have the file say what the user data says; return in words what was done.

    Raises:
        UserDataError: it cannot be used; with which, or why, is known to the file as well.
    """
    kept = usable(output)
    if not output.exists():
        # First of all: whoever kills this process leaves no moment to say so.
        replace(output, refusal(SilentError("its reader has not finished", AGAIN)))
    try:
        found = mapping(read(endpoint, DEADLINE))
        if found is not None:
            replace(output, toml(found))
            return f"wrote {output} from user data"
    except Exception as error:  # noqa: BLE001 - whatever it is, it is no empty answer
        # Of an error that nobody foresaw only the kind: its text may quote the cluster token.
        unforeseen = UserDataError(f"user data cannot be understood ({type(error).__name__})")
        known = error if isinstance(error, UserDataError) else unforeseen
        if not kept:
            replace(output, refusal(known))
        raise known from None
    output.unlink(missing_ok=True)
    return "user data has no muster mapping"


def ready() -> None:
    """Tell systemd that the boot may go on (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect(address.replace("@", "\0", 1) if address[0] == "@" else address)
            sender.sendall(b"READY=1")


def main(arguments: list[str]) -> int:
    """Read, translate, write; say in one line what was done.

    While the metadata service is silent and no earlier run left a mapping, it is asked for ever:
    musterd waits for the answer, the boot does not.
    """
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, metavar="FILE")
    parser.add_argument("--endpoint", default=ENDPOINT, metavar="HOST[:PORT]")
    options = parser.parse_args(arguments)
    said = ""
    while True:
        try:
            print(put(options.output, options.endpoint))
        except SilentError as error:
            if usable(options.output):
                print(f"error: {error}", file=sys.stderr)
                return 1
            if said != str(error):
                said = str(error)
                print(f"error: {said}", file=sys.stderr, flush=True)
            ready()
            time.sleep(PAUSE)
        except (UserDataError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        else:
            ready()
            return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
