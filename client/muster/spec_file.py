"""Writes `/etc/muster/muster.toml` from options, once: a file that says otherwise is left alone."""

import grp
import json
import os
import tempfile
import tomllib
from pathlib import Path

from muster.errors import ClientError, SpecConflictError

GROUP = "musterd"  # the daemon reads the file through its group
MODE = 0o640  # it may hold an inline token

Table = dict[str, object]


def wanted(
    cluster: str | None, size: int | None, address: str | None, elastic_ip: str | None
) -> Table:
    """Return what the options say, as the spec's tables; empty when there were none."""
    table: Table = {}
    named = {"name": cluster, "size": size}
    given = {key: value for key, value in named.items() if value is not None}
    if given:
        table["cluster"] = given
    if address is not None:
        entry = {"private_ip": address, "elastic_ip": elastic_ip}
        table["address"] = [{key: value for key, value in entry.items() if value is not None}]
    return table


def contradictions(existing: Table, asked: Table) -> list[str]:
    """Return where the file does not say what was asked, as sentences. No other value is shown.

    Args:
        existing: the file's tables.
        asked: what `wanted` returned. A key that the file leaves out contradicts too: it would have
            to be added.
    """
    found = []
    cluster, ours = existing.get("cluster"), asked.get("cluster")
    if isinstance(ours, dict):
        theirs = cluster if isinstance(cluster, dict) else {}
        for key, value in ours.items():
            if theirs.get(key) != value:
                says = json.dumps(theirs[key]) if key in theirs else "nothing"
                found.append(f"cluster.{key}: the file says {says}, asked for {json.dumps(value)}")
    addresses, asked_for = existing.get("address"), asked.get("address")
    if isinstance(asked_for, list):
        listed = addresses if isinstance(addresses, list) else []
        for entry in asked_for:
            if not any(isinstance(item, dict) and entry.items() <= item.items() for item in listed):
                found.append(f"address: the file does not list {_inline(entry)}")
    return found


def _inline(entry: Table) -> str:
    return ", ".join(f"{key} = {json.dumps(value)}" for key, value in entry.items())


def content(asked: Table) -> str:
    """Return the file's text; JSON's strings and numbers are TOML's too."""
    lines = ["# Written by `muster join`; see docs/configuration.md for every key."]
    cluster, addresses = asked.get("cluster"), asked.get("address")
    if isinstance(cluster, dict):
        lines += ["", "[cluster]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in cluster.items()]
    for entry in addresses if isinstance(addresses, list) else []:
        lines += ["", "[[address]]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in entry.items()]
    return "\n".join(lines) + "\n"


def ensure(path: Path, asked: Table) -> bool:
    """Make the file say what was asked; tell whether it had to be written.

    Raises:
        SpecConflictError: the file exists and does not say it.
        ClientError: the file cannot be read or written.
    """
    try:
        existing = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        _write(path, content(asked))
        return True
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as broken:
        raise SpecConflictError(
            f"{path} exists and is not TOML",
            why=str(broken),
            cure=f"sudoedit {path}, then: sudo muster join",
        ) from None
    except OSError as error:
        raise _unwritten(path, error) from error
    different = contradictions(existing, asked)
    if different:
        raise SpecConflictError(
            f"{path} exists and says otherwise; it is not overwritten",
            why="; ".join(different),
            cure=f"sudoedit {path}, then: sudo muster join"
            f" (or, to begin anew: sudo mv {path} {path}.old, and the same command again)",
        )
    return False


def _write(path: Path, words: str) -> None:
    """Write the file so that a reader or a power cut meets the whole of it or none.

    An existing file is never replaced, even if it came into being a moment ago (link, not rename).
    """
    group = _group_id()
    temporary = ""
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".muster.toml.")
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(words)
            file.flush()
            os.fchown(descriptor, 0, group)
            os.fchmod(descriptor, MODE)
            os.fsync(descriptor)
        os.link(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise _unwritten(path, error) from error
    finally:
        if temporary:
            os.unlink(temporary)


def _group_id() -> int:
    try:
        return grp.getgrnam(GROUP).gr_gid
    except KeyError:
        raise ClientError(
            f"there is no group {GROUP}",
            why="the package's accounts were not created",
            cure="sudo systemd-sysusers, or install the package muster again",
        ) from None


def _unwritten(path: Path, error: OSError) -> ClientError:
    return ClientError(
        f"cannot read or write {path}",
        why=error.strerror or str(error),
        cure=f"ls -ld {path.parent} {path}; df {path.parent}",
    )
