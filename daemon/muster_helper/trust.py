"""`trust`: pcs usable from any node, by one token that all members accept and present.

No password of hacluster exists. Both pcs commands only touch local files; neither repeats well
(accept_token adds an entry each time), so the files are read first. Formats: pcs's known-hosts
(format_version 1) and pcs_users.conf, both JSON.
"""

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

from muster_helper.children import must
from muster_helper.host import Host
from muster_helper.look import look
from muster_helper.refusals import unless_ours
from musterd.helper_wire import Done, Identity, TrustParams

_PCSD_PORT = 2224
_TIMEOUT = 60.0  # seconds; about one at rest, pcs starts a Ruby helper for the second command


def trust(host: Host, params: TrustParams) -> Done:
    """Have pcsd accept the members' token, and root's pcs present it to each of them."""
    unless_ours(host, look(host, params.identity), params.identity)
    token = params.pcsd_token.encode()
    encoded = b64encode(token).decode()
    changed = []
    if encoded not in _accepted(host):
        host.say("pcsd learns the members' token")
        must(
            host.run(["pcs", "pcsd", "accept_token", "/dev/stdin"], timeout=_TIMEOUT, stdin=token),
            "pcsd did not take the members' token",
            "type `pcs pcsd status` on this node",
        )
        host.reach("trust:middle")
        changed.append("pcsd accepts the members' token")
    if not _knows(host, params.identity, encoded):
        host.say("pcs learns the members")
        hosts = [
            word
            for member in params.identity.members
            for word in (member.name, f"addr={member.address}:{_PCSD_PORT}")
        ]
        must(
            host.run(
                ["pcs", "host", "auth", *hosts, "--token", "/dev/stdin"],
                timeout=_TIMEOUT,
                stdin=token,
            ),
            "pcs did not take the list of members",
            "type `pcs pcsd status` on this node",
        )
        changed.append(f"pcs knows {', '.join(member.name for member in params.identity.members)}")
    return Done(tuple(changed))


def trusted(host: Host, identity: Identity) -> bool:
    """Tell whether pcs knows every member, by one token that the own pcsd accepts."""
    return any(_knows(host, identity, token) for token in _accepted(host))


def _accepted(host: Host) -> frozenset[str]:
    """Return the tokens pcsd accepts; a torn file accepts none, as pcsd reads it."""
    entries = _json(host, host.paths.pcs_users)
    if not isinstance(entries, list):
        return frozenset()
    return frozenset(
        entry["token"]
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("token"), str)
    )


def _knows(host: Host, identity: Identity, token: str) -> bool:
    """Tell whether known-hosts has every member with its address and this token."""
    content = _json(host, host.paths.known_hosts)
    known = content.get("known_hosts") if isinstance(content, dict) else None
    if not isinstance(known, dict):
        return False
    for member in identity.members:
        entry = known.get(member.name)
        if not isinstance(entry, dict) or entry.get("token") != token:
            return False
        wanted = {"addr": str(member.address), "port": _PCSD_PORT}
        destinations = entry.get("dest_list")
        # pcs uses the first only
        if not isinstance(destinations, list) or destinations[:1] != [wanted]:
            return False
    return True


def _json(host: Host, path: Path) -> Any:
    text = host.read(path)
    if text is None:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None
