"""`trust`: pcs usable from any node, by one token that all members accept and present."""

from base64 import b64decode

from muster_helper import hosts_file, offer, pcs_tokens
from muster_helper.host import Host
from muster_helper.look import look
from muster_helper.refusals import unless_ours
from musterd.errors import HelperError
from musterd.helper_wire import Done, Identity, TrustParams


def trust(host: Host, params: TrustParams) -> Done:
    """Have pcsd accept the members' token, and root's pcs present it to each of them."""
    members = params.identity.members
    unless_ours(host, look(host, params.identity), params.identity)
    token = params.pcsd_token.encode() if params.pcsd_token else _shared(host, params.identity)
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
