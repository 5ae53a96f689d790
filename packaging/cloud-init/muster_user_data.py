#!/usr/bin/python3 -I
"""Turns the `muster:` mapping of the instance's user data into /run/muster/user-data.toml.

Started by muster-user-data.service before musterd. Reads IMDSv2 itself, so it needs nothing of
cloud-init but the YAML library that cloud-init depends on. User data without the mapping, or none
at all, removes the file. Standard library and python3-yaml only.
"""

import argparse
import gzip
import http.client
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from email import message_from_bytes, policy
from io import BytesIO
from pathlib import Path
from typing import Any

ENDPOINT = "169.254.169.254"
DEADLINE = 10.0  # seconds, all attempts together: the boot waits for this
ANSWER_TIMEOUT = 2.0  # seconds for one answer; a wrong hop limit shows as silence
USER_DATA_LIMIT = 16_384  # bytes that EC2 takes (user guide, "Run commands at launch")
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")  # TOML 1.0, "Keys"
UNPACKED_LIMIT = 1_048_576  # bytes after gzip


class UserDataError(Exception):
    """The user data cannot be used; the message says why and what to do."""


def read(endpoint: str = ENDPOINT, deadline: float = DEADLINE) -> bytes:
    """Return the user data, b"" when the instance has none.

    Raises:
        UserDataError: the metadata service gave no answer in time, or refused.
    """
    end = time.monotonic() + deadline
    while True:
        try:
            return _read_once(endpoint)
        except (OSError, http.client.HTTPException) as error:
            if time.monotonic() + 1.0 > end:
                raise UserDataError(
                    f"cannot read user data from {endpoint}: {error}; check that the instance's"
                    " metadata service is enabled with IMDSv2"
                ) from error
            time.sleep(0.5)


def _read_once(endpoint: str) -> bytes:
    token = _ask(
        endpoint, "PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    )
    if token is None:
        raise UserDataError(f"{endpoint} gives no IMDSv2 token (404)")
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
    """Yield each cloud-config text: plain, gzipped, or a part of a MIME archive."""
    if user_data.startswith(b"\x1f\x8b"):
        user_data = _unzip(user_data)
    if user_data.lstrip().startswith((b"MIME-Version:", b"Content-Type:")):
        message = message_from_bytes(user_data, policy=policy.default)
        for part in message.walk():
            if not part.is_multipart():
                body = part.get_payload(decode=True)
                if isinstance(body, bytes):
                    yield from cloud_configs(body)
    elif user_data.lstrip().startswith(b"#cloud-config\n") or user_data.startswith(
        b"#cloud-config\r\n"
    ):
        yield user_data.decode("utf-8")


def _unzip(content: bytes) -> bytes:
    with gzip.GzipFile(fileobj=BytesIO(content)) as stream:
        unpacked = stream.read(UNPACKED_LIMIT + 1)
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
        if "muster:" not in text:
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
            "user data has a `muster:` mapping, and python3-yaml, which reads it, is missing:"
            " install it (cloud-init brings it), or write /etc/muster/muster.toml"
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
        raise UserDataError(f"the key {name!r} in user data must be text: put it in quotes")
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


def main(arguments: list[str]) -> int:
    """Read, translate, write; say in one line what was done."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, metavar="FILE")
    parser.add_argument("--endpoint", default=ENDPOINT, metavar="HOST[:PORT]")
    options = parser.parse_args(arguments)
    try:
        found = mapping(read(options.endpoint))
        if found is None:
            options.output.unlink(missing_ok=True)
            print("user data has no muster mapping")
            return 0
        replace(options.output, toml(found))
    except (UserDataError, OSError, UnicodeDecodeError, EOFError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"wrote {options.output} from user data")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
