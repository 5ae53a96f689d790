"""`admit`: the conductor takes one node into the running cluster.

corosync.conf is the commit point again: `pcs cluster node add` writes it on every member and on the
newcomer, keys first. What the fencing device and the size's rules are to be is set before: it can
be fenced from its first moment, and nothing is left to do when the last command has run. An
admission that is cut off leaves a name in the map that corosync.conf has not, which shows it.
"""

from collections.abc import Iterator

from muster_helper import change, live, pcs_tokens, strays
from muster_helper.host import Host
from muster_helper.probe import members_of
from muster_helper.refusals import refuse
from musterd.helper_wire import AdmitParams, Done, WireMember
from musterd.spec import DiscoverySource, Spec

_ALIVE = {"pending", "running"}


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
    newcomer = found[0]
    change.unless_listed(host, params.identity, spec, but=newcomer.instance_id)
    if newcomer.name not in change.nodes(host):
        _unless_called_for(host, params, spec, newcomer)
    return Done(tuple(_steps(host, params, spec, newcomer)))


def _unless_called_for(host: Host, params: AdmitParams, spec: Spec, newcomer: WireMember) -> None:
    """Refuse whom the account does not count among this cluster's instances.

    It is given the cluster's keys: the daemon's word that it said hello is not enough.
    """
    if spec.discovery.source is DiscoverySource.STATIC:
        peers = {(str(p.instance_id), str(p.address)) for p in spec.discovery.peers}
        if (newcomer.instance_id, str(newcomer.address)) not in peers:
            refuse(
                f"{newcomer.instance_id} at {newcomer.address} is none of the spec's peers",
                "[discovery] source is static",
                "write it into [discovery] peers on every node",
            )
        return
    told = host.instance(newcomer.instance_id, params.region)
    tagged = told.tags.get(spec.discovery.tag) == spec.cluster.name
    here = str(newcomer.address) in told.addresses
    if not (tagged and here and told.state in _ALIVE):
        refuse(
            f"{newcomer.name} ({newcomer.instance_id}) is not an instance of this cluster",
            f"EC2 calls it {told.state or 'unknown'}; it "
            f"{'carries' if tagged else 'does not carry'} the tag {spec.discovery.tag}="
            f"{spec.cluster.name}, and {'has' if here else 'has not'} address {newcomer.address}",
            "look at the instance in EC2; what is wrong there is asked again",
        )


def _steps(host: Host, params: AdmitParams, spec: Spec, newcomer: WireMember) -> Iterator[str]:
    after = members_of(params.identity)
    before = tuple(m for m in after if m.instance_id != params.newcomer)
    if live.map_hosts(host, spec, after, params.region):
        yield f"the fencing device knows {newcomer.name}"
    host.reach("admit:middle-mapped")
    yield from live.follow_size(host, spec, before, after, params.region)
    if newcomer.name not in change.nodes(host):
        yield from strays.forget(host)  # the newcomer gets the id of somebody who left
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
