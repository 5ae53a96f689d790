"""`offer` and `withdraw`: how a node gets ready to be admitted, and out of it again.

To admit a node, the conductor's pcs must be let in by its pcsd. The newcomer offers a token of its
own for that, which ends when the members' shared one has taken its place.
"""

import hashlib
import json
from base64 import b64encode

from muster_helper import files, pcs_tokens
from muster_helper.host import Host
from muster_helper.look import look
from muster_helper.refusals import (
    refuse,
    unless_free,
    unless_member,
    unless_of_cluster,
    unless_wanted,
)
from musterd.helper_wire import Done, Identity, OfferParams, WithdrawParams
from musterd.model import CorosyncConfig

_NOTE = "offer.json"


def offer(host: Host, params: OfferParams) -> Done:
    """Let the conductor of the cluster in; a node that is in a cluster has nothing to offer."""
    unless_member(host, params.identity)
    unless_wanted(host, params.identity)
    found = look(host, params.identity)
    unless_free(found)
    if found.kind is CorosyncConfig.OURS:
        return Done()
    token = params.pcsd_token.encode()
    note = {"uuid": params.identity.uuid, "token": _digest(b64encode(token).decode())}
    if host.note(_NOTE).get("token") not in {None, note["token"]}:
        take_back(host)  # the members' token was exchanged meanwhile: nobody comes by the old one
    # The note first: a token without it could never be told from a member's.
    files.replace(host.paths.state / _NOTE, json.dumps(note).encode(), 0o600)
    host.reach("offer:middle")
    pcs_tokens.accept(host, token)
    return Done((f"pcsd lets the conductor of cluster {params.identity.name} in",))


def withdraw(host: Host, params: WithdrawParams) -> Done:
    """Remove the files of an admission that was cut off before the members knew of it."""
    unless_member(host, params.identity)
    found = look(host, params.identity)
    if found.kind is CorosyncConfig.ABSENT:
        return Done()
    unless_of_cluster(host, found, params.identity)
    if found.active or found.foreign_cib:
        refuse(
            "this node has been part of the cluster already",
            "corosync or pacemaker is active, or has left its configuration",
            f"type `pcs cluster node remove {host.name}` on a member, then `muster join` here",
        )
    files.remove(host.paths.corosync_conf)  # first: it is what makes the keys matter
    host.reach("withdraw:middle")
    for path in (host.paths.corosync_key, host.paths.pacemaker_key):
        files.remove(path)
    return Done(("the files of an admission that was cut off are gone",))


def offered(host: Host, identity: Identity) -> bool:
    """Tell whether the conductor of this cluster is let in."""
    note = host.note(_NOTE)
    return note.get("uuid") == identity.uuid and any(
        is_offered(host, token) for token in pcs_tokens.accepted(host)
    )


def is_offered(host: Host, encoded: str) -> bool:
    """Tell whether a token (base64) is the one this node offered, not one of the members'."""
    return _digest(encoded) == host.note(_NOTE).get("token")


def take_back(host: Host) -> bool:
    """Let nobody in by what was offered; tell whether it still could."""
    if not host.note(_NOTE):
        return False
    kept = [token for token in pcs_tokens.accepted(host) if is_offered(host, token)]
    for token in kept:
        pcs_tokens.take_back(host, token)
    files.remove(host.paths.state / _NOTE)
    return bool(kept)


def _digest(encoded: str) -> str:
    return hashlib.sha256(encoded.encode()).hexdigest()
