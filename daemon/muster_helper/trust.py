"""`trust`: pcs usable from any node, by one token that all members accept and present."""

import hashlib
import json
from base64 import b64decode

from muster_helper import files, hosts_file, offer, pcs_tokens
from muster_helper.host import Host
from muster_helper.look import look
from muster_helper.refusals import refuse, unless_ours
from musterd.errors import HelperError
from musterd.helper_wire import Done, Identity, TrustParams

_NOTE = "founding-token.json"


def trust(host: Host, params: TrustParams) -> Done:
    """Have pcsd accept the members' token, and root's pcs present it to each of them."""
    members = params.identity.members
    unless_ours(host, look(host, params.identity), params.identity)
    if params.pcsd_token:
        token = params.pcsd_token.encode()
        _only_once(host, params.identity, token)
    else:
        token = _shared(host, params.identity)
    changed = []
    if pcs_tokens.accept(host, token):
        host.reach("trust:middle")
        changed.append("pcsd accepts the members' token")
    if pcs_tokens.meet(host, members, token):
        changed.append(f"pcs knows {', '.join(member.name for member in members)}")
    changed += hosts_file.name_members(host, params.identity)
    if offer.take_back(host):
        changed.append("pcsd no longer accepts the token this node joined with")
    return Done(tuple(changed))


def trusted(host: Host, identity: Identity) -> bool:
    """Tell whether pcs knows every member, by one token that the own pcsd accepts.

    The token that a node offers to be admitted is not that one.
    """
    return any(
        pcs_tokens.knows(host, identity.members, token) and not offer.is_offered(host, token)
        for token in pcs_tokens.accepted(host)
    )


def _only_once(host: Host, identity: Identity, token: bytes) -> None:
    """Take one token for a cluster, ever: pcsd lets whoever presents it do everything.

    The founding's is given until the cluster is formed, and is the same each time.

    Raises:
        HelperError: another one was given for this cluster before.
    """
    path, before = host.paths.state / _NOTE, host.note(_NOTE)
    said = {"uuid": identity.uuid, "token": hashlib.sha256(token).hexdigest()}
    if before == said:
        return
    if before.get("uuid") == identity.uuid:
        refuse(
            "pcsd takes no second token for this cluster",
            f"{path} has the digest of the one it took",
            f"type `pcs host auth` with all members on this node, or remove {path}",
        )
    files.replace(path, json.dumps(said).encode(), 0o600)


def _shared(host: Host, identity: Identity) -> bytes:
    """Return the token that members of a cluster formed earlier share.

    A member accepts it already. A node that is joining has been given it by the conductor's pcs
    with the list of hosts, and accepts nothing yet but what it offered itself.

    Raises:
        HelperError: pcs presents no token to any member.
    """
    listed = pcs_tokens.presented(host)
    found = {listed[m.name] for m in identity.members if m.name in listed}
    shared = {token for token in found if not offer.is_offered(host, token)}
    if not shared:
        raise HelperError(
            "pcs on this node knows no token of the members",
            refused=False,
            why=f"{host.paths.known_hosts} names none of them",
            cure="type `pcs host auth` with all members on this node",
        )
    mine = shared & pcs_tokens.accepted(host)
    return b64decode(min(mine or shared))
