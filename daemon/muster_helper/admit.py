"""`admit`: the conductor takes one node into the running cluster.

corosync.conf is the commit point again: `pcs cluster node add` writes it on every member and on the
newcomer, keys first. What the fencing device and the size's rules are to be is set before: it can
be fenced from its first moment, and nothing is left to do when the last command has run. An
admission that is cut off leaves a name in the map that corosync.conf has not, which shows it.
"""

from collections.abc import Iterator

from muster_helper import change, live, pcs_tokens
from muster_helper.host import Host
from muster_helper.probe import members_of
from muster_helper.refusals import refuse
from musterd.helper_wire import AdmitParams, Done, WireMember
from musterd.spec import Spec


def admit(host: Host, params: AdmitParams) -> Done:
    """Take the newcomer in; what is done already is not done again."""
    spec = change.acting(host, params.identity, params.tags, params.spec_digest)
    found = [m for m in params.identity.members if m.instance_id == params.newcomer]
    if not found or found[0].name == host.name:
        refuse(
            "the node to be admitted is not among the members to be",
            f"{params.newcomer} is missing, or is this node",
            "type `systemctl restart musterd`",
        )
    return Done(tuple(_steps(host, params, spec, found[0])))


def _steps(host: Host, params: AdmitParams, spec: Spec, newcomer: WireMember) -> Iterator[str]:
    after = members_of(params.identity)
    before = tuple(m for m in after if m.instance_id != params.newcomer)
    if live.map_hosts(host, spec, after, params.region):
        yield f"the fencing device knows {newcomer.name}"
    host.reach("admit:middle-mapped")
    yield from live.follow_size(host, spec, before, after, params.region)
    if newcomer.name not in change.nodes(host):
        pcs_tokens.meet(host, (newcomer,), params.pcsd_token.encode())
        host.say(f"{newcomer.name} is added to corosync.conf on every member")
        change.cluster(host, "node", "add", newcomer.name, f"addr={newcomer.address}")
        yield f"{newcomer.name} is a node of cluster {params.identity.name}"
    else:
        # Added before, by a conductor that did not come to the end: some may have the old file.
        change.cluster(host, "sync")
        if change.states(change.shown(host)).get(newcomer.name) == "offline":
            # Or it is itself the one that missed a change. Its Corosync hears nobody whom its old
            # file does not list, and keeps the others from a stable ring, which a reload needs.
            change.cluster(host, "stop", newcomer.name, "--force")
            change.cluster(host, "start", newcomer.name)
            yield f"{newcomer.name} starts with the present list of members"
        change.cluster(host, "reload", "corosync")
    host.reach("admit:middle-added")
