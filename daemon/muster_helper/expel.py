"""`expel`: the conductor takes one member out of the running cluster.

A member that did not ask for it goes only when EC2 itself, asked from here as root, calls its
instance terminated: neither its silence nor the daemon's word is enough. Nor does one whose fence
is not over: it may run still, whoever asked. The fencing map forgets it last: a name there that
corosync.conf has not any more shows a departure that was cut off.
"""

from collections.abc import Iterator, Mapping

from muster_helper import change, cib, live, pcs_tokens, strays
from muster_helper.children import must
from muster_helper.host import Host
from muster_helper.probe import members_of
from muster_helper.refusals import refuse
from musterd.errors import HelperError
from musterd.helper_wire import Done, ExpelParams, WireMember
from musterd.model import Member
from musterd.pcs_words import fence_device
from musterd.spec import Spec

_MON_TIMEOUT = 30.0  # seconds; 20 ms at rest
_MOVED_TIMEOUT = 600.0  # seconds for resources to stop and start elsewhere
_TERMINATED = "terminated"


def expel(host: Host, params: ExpelParams) -> Done:
    """Take the member out; what is done already is not done again."""
    spec = change.acting(host, params.identity, params.tags, params.spec_digest)
    change.unless_listed(host, params.identity, spec, but=params.leaving)
    leaving = [m for m in params.identity.members if m.instance_id == params.leaving]
    if not leaving:
        return Done(tuple(_finish(host, params, spec)))
    if leaving[0].name == host.name:
        refuse(
            "a node cannot take itself out of the cluster",
            f"{params.leaving} is this node",
            f"type `pcs cluster stop` here, then `muster leave {host.name}` on another member",
        )
    return Done(tuple(_steps(host, params, spec, leaving[0])))


def _steps(host: Host, params: ExpelParams, spec: Spec, member: WireMember) -> Iterator[str]:
    before = members_of(params.identity)
    after = tuple(m for m in before if m.instance_id != params.leaving)
    nodes = change.states(change.shown(host))
    state = nodes.get(member.name, "")
    _unless_quorate_without(nodes, member.name, len(after))
    if params.asked and state == "online":
        yield from _move_away(host, member)
    elif not params.asked or state == "unclean":
        _unless_terminated(host, params, state)
    if state == "unclean":
        # fence_aws cannot stop what is terminated, so a fence of it never ends by itself.
        must(
            host.run(["stonith_admin", "--confirm", member.name], timeout=_MON_TIMEOUT),
            f"Pacemaker did not take that {member.name} is off",
            f"type `pcs stonith confirm {member.name}`",
        )
        yield f"{member.name} is confirmed to be off: EC2 calls {params.leaving} terminated"
    host.reach("expel:middle-confirmed")
    _unless_fenced_now(host, member.name)
    if state != "online" and pcs_tokens.forget(host, member.name):
        # Its name and address may be another instance's by now, which pcs must not talk to:
        # the first thing it tells a node that leaves is to destroy its cluster.
        yield f"pcs no longer knows {member.name}"
    if member.name in change.nodes(host):
        host.say(f"{member.name} is removed from corosync.conf on every member")
        change.cluster(host, "node", "remove", member.name, *_unasked(state))
        yield f"{member.name} is no node of cluster {params.identity.name} any more"
    host.reach("expel:middle-removed")
    yield from strays.forget(host)
    yield from _forget(host, params, spec, before, after)


def _finish(host: Host, params: ExpelParams, spec: Spec) -> Iterator[str]:
    """Do what is left to do of a change that was cut off, for one who is no node (any more)."""
    nodes = change.nodes(host)
    known = live.host_map(cib.live(host), fence_device(spec))
    names = [name for name, instance_id in known.items() if instance_id == params.leaving]
    if not names or names[0] in nodes:
        return
    after = tuple(member for member in members_of(params.identity) if member.name in nodes)
    before = (*after, Member(params.leaving, names[0], ""))
    yield from strays.forget(host)
    yield from _forget(host, params, spec, before, after)


def _forget(
    host: Host,
    params: ExpelParams,
    spec: Spec,
    before: tuple[Member, ...],
    after: tuple[Member, ...],
) -> Iterator[str]:
    """Set what follows from the size, and have pcs and, last, the fencing device forget it."""
    [name] = [member.name for member in before if member not in after]
    yield from live.follow_size(host, spec, before, after, params.region)
    if pcs_tokens.forget(host, name):
        yield f"pcs no longer knows {name}"
    if live.map_hosts(host, spec, after, params.region):
        yield f"the fencing device no longer knows {name}"


def _unasked(state: str) -> tuple[str, ...]:
    """Return the options for a member that pcs cannot reach.

    pcs asks the leaving node itself whether the others keep their quorum (remove_nodes, pcs 0.11),
    and stops when that one does not answer. `_unless_quorate_without` has asked the others.
    """
    return () if state == "online" else ("--skip-offline", "--force")


def _unless_terminated(host: Host, params: ExpelParams, state: str) -> None:
    if state == "online":
        refuse(
            f"{params.leaving} is online in Pacemaker",
            "a member that runs does not leave unasked",
            "type `muster leave` with its name if it is to go",
        )
    told = host.instance(params.leaving, params.region).state
    if told == _TERMINATED:
        return
    cure = "wait, or type `muster leave` with its name"
    if params.asked:
        cure = "wait until Pacemaker has fenced it: it is tried again"
        if not told:  # EC2 forgets an instance about an hour after its end; no fence will succeed
            cure = "type `pcs stonith confirm` with its name if you know that it is gone for good"
    refuse(
        f"EC2 does not call {params.leaving} terminated",
        f"it says {told or 'nothing of it'}",
        cure,
    )


def _move_away(host: Host, member: WireMember) -> Iterator[str]:
    host.say(f"resources leave {member.name}")
    must(
        host.run(["pcs", "node", "standby", member.name], timeout=_MOVED_TIMEOUT),
        f"{member.name} could not be put on standby",
        "type `pcs status` on this node",
    )
    must(
        host.run(
            ["crm_resource", "--wait", f"--timeout={_MOVED_TIMEOUT:.0f}"],
            timeout=_MOVED_TIMEOUT + 30,
        ),
        f"resources did not leave {member.name}",
        "type `pcs status` on this node",
    )
    yield f"{member.name} runs nothing any more"


def _unless_quorate_without(nodes: Mapping[str, str], name: str, left: int) -> None:
    online = [node for node, state in nodes.items() if state == "online" and node != name]
    if len(online) * 2 <= left:
        refuse(
            f"without {name} the cluster would have no quorum",
            f"of {left} members left, {len(online)} are online",
            "bring the members back that are offline; it is tried again",
        )


def _unless_fenced_now(host: Host, name: str) -> None:
    """Refuse while a fence of the node is under way, though it has been confirmed to be off.

    Its end makes Pacemaker's controller remember the node, and write it into the CIB again with the
    next change of membership: an offline node that nobody lists (Pacemaker 2.1.5, in the lab).
    """
    if name in change.being_fenced(change.shown(host)):
        raise HelperError(
            f"a fence of {name} is under way still",
            refused=False,
            why="it fails by itself, since nothing can stop what is terminated",
            cure="nothing to do: it is tried again",
        )
