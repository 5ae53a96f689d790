"""What pcs knows of other nodes, and which tokens this node's pcsd accepts.

No password of hacluster exists. Both pcs commands only touch local files; neither repeats well
(accept_token adds an entry each time), so the files are read first. Formats: pcs's known-hosts
(format_version 1) and pcs_users.conf, both JSON, tokens in base64.
"""

import json
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from muster_helper import files
from muster_helper.children import must
from muster_helper.host import Host
from musterd.helper_wire import WireMember

_PCSD_PORT = 2224
_TIMEOUT = 60.0  # seconds; about one at rest, pcs starts a Ruby helper for `host auth`


def accept(host: Host, token: bytes) -> bool:
    """Have pcsd accept a token; tell whether it did not before."""
    if b64encode(token).decode() in accepted(host):
        return False
    host.say("pcsd learns a token")
    must(
        host.run(["pcs", "pcsd", "accept_token", "/dev/stdin"], timeout=_TIMEOUT, stdin=token),
        "pcsd did not take the members' token",
        "type `pcs pcsd status` on this node",
    )
    return True


def take_back(host: Host, encoded: str) -> bool:
    """Have pcsd accept a token no longer; tell whether it did.

    By the file: `pcs pcsd deauth` wants the token on its command line, for everybody to read.
    """
    entries = _json(host, host.paths.pcs_users)
    kept = [entry for entry in entries or () if not _is(entry, encoded)]
    if not isinstance(entries, list) or kept == entries:
        return False
    files.replace(host.paths.pcs_users, json.dumps(kept, indent=2).encode(), 0o600)
    return True


def meet(host: Host, members: Iterable[WireMember], token: bytes) -> bool:
    """Have root's pcs present a token to these nodes; tell whether it did not before."""
    listed = tuple(members)
    if knows(host, listed, b64encode(token).decode()):
        return False
    host.say("pcs learns the members")
    words = [w for m in listed for w in (m.name, f"addr={m.address}:{_PCSD_PORT}")]
    must(
        host.run(
            ["pcs", "host", "auth", *words, "--token", "/dev/stdin"], timeout=_TIMEOUT, stdin=token
        ),
        "pcs did not take the list of members",
        "type `pcs pcsd status` on this node",
    )
    return True


def forget(host: Host, name: str) -> bool:
    """Have root's pcs forget a node; tell whether it knew it.

    By the file, whose greater `data_version` pcsd brings to the other members: `pcs host deauth`
    wants to reach every node it knows, the one to be forgotten among them.
    """
    content = _json(host, host.paths.known_hosts)
    if name not in _known(host):
        return False
    content["known_hosts"].pop(name)
    content["data_version"] = int(content.get("data_version", 0)) + 1
    files.replace(host.paths.known_hosts, json.dumps(content, indent=2).encode(), 0o600)
    return True


def accepted(host: Host) -> frozenset[str]:
    """Return the tokens pcsd accepts; a torn file accepts none, as pcsd reads it."""
    entries = _json(host, host.paths.pcs_users)
    if not isinstance(entries, list):
        return frozenset()
    return frozenset(
        entry["token"]
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("token"), str)
    )


def presented(host: Host) -> dict[str, str]:
    """Return host name -> the token that root's pcs presents to it."""
    return {
        name: entry["token"]
        for name, entry in _known(host).items()
        if isinstance(entry.get("token"), str)
    }


def knows(host: Host, members: Iterable[WireMember], encoded: str) -> bool:
    """Tell whether known-hosts has each member with its address and this token."""
    known = _known(host)
    for member in members:
        entry = known.get(member.name, {})
        if entry.get("token") != encoded:
            return False
        wanted = {"addr": str(member.address), "port": _PCSD_PORT}
        destinations = entry.get("dest_list")
        # pcs uses the first only
        if not isinstance(destinations, list) or destinations[:1] != [wanted]:
            return False
    return True


def _is(entry: object, encoded: str) -> bool:
    return isinstance(entry, dict) and entry.get("token") == encoded


def _known(host: Host) -> dict[str, dict[str, Any]]:
    content = _json(host, host.paths.known_hosts)
    known = content.get("known_hosts") if isinstance(content, dict) else None
    if not isinstance(known, dict):
        return {}
    return {name: entry for name, entry in known.items() if isinstance(entry, dict)}


def _json(host: Host, path: Path) -> Any:
    text = host.read(path)
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None
