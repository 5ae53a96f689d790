"""What `admit` and `expel` share: who may act, on which spec, pcs and Pacemaker's own view."""

from xml.etree import ElementTree

from muster_helper import cib, corosync_conf, live
from muster_helper.children import must
from muster_helper.corosync_conf import BrokenConfigError, Section
from muster_helper.host import Host
from muster_helper.look import look
from muster_helper.refusals import if_found, refuse, unless_of_cluster
from musterd import fencing
from musterd.errors import HelperError
from musterd.helper_wire import Identity, Tags
from musterd.pcs_words import fence_device
from musterd.spec import Spec

_TIMEOUT = 180.0  # seconds; four at rest, most of it pcs talking to each member
_MON_TIMEOUT = 30.0  # seconds; 20 ms at rest


def acting(host: Host, identity: Identity, tags: Tags, spec_digest: str) -> Spec:
    """Return the root-owned spec, once this node may change the running cluster's members.

    Raises:
        HelperError: the cluster does not run here, is another, or the spec is another.
    """
    found = look(host, identity)
    unless_of_cluster(host, found, identity)
    if not found.running:
        refuse(
            "the cluster does not run on this node",
            "corosync or pacemaker is not active",
            "type `systemctl status corosync pacemaker`",
        )
    settings = host.settings(tags)
    if settings.digest != spec_digest:
        refuse(
            "the spec on disk is not the one musterd acts for",
            f"{host.paths.spec} or the user data changed since musterd read them",
            "type `muster join`, then compare `muster config` on all nodes",
        )
    if_found(fencing.refusals(settings.spec))
    return settings.spec


def unless_listed(host: Host, identity: Identity, spec: Spec, but: str) -> None:
    """Let only the DC go on, and only with the members that the running cluster has.

    The names, addresses and instances of a request go into the fencing device's map.

    Args:
        host: the node.
        identity: as the request has it.
        spec: of this cluster.
        but: the instance id of who comes or goes.

    Raises:
        HelperError: another node is the DC, or the request has other members.
    """
    dc = shown(host).find("summary/current_dc")
    if dc is None or dc.get("name") != host.name:
        raise HelperError(
            "another node acts for the cluster",
            refused=False,
            why=f"Pacemaker's DC is {dc.get('name') if dc is not None else 'not elected yet'}",
            cure="wait: musterd there takes it up",
        )
    mapped = live.host_map(cib.live(host), fence_device(spec))
    stay = [member for member in identity.members if member.instance_id != but]
    names = {m.name for m in identity.members if m.instance_id == but} | {
        name for name, instance_id in mapped.items() if instance_id == but
    }
    listed = {name: at for name, at in corosync_conf.nodes(conf(host)) if name not in names}
    if listed != {member.name: str(member.address) for member in stay} or any(
        mapped.get(member.name, member.instance_id) != member.instance_id for member in stay
    ):
        raise HelperError(
            "the members are not those that musterd asks for",
            refused=False,
            why=f"corosync.conf and the fencing device list {', '.join(sorted(listed))}",
            cure="wait: musterd looks at the node again",
        )


def nodes(host: Host) -> frozenset[str]:
    """Return the names that corosync.conf lists on this node."""
    return frozenset(name for name, _ in corosync_conf.nodes(conf(host)))


def cluster(host: Host, *words: str) -> None:
    """Run `pcs cluster` with these words."""
    must(
        host.run(["pcs", "cluster", *words], timeout=_TIMEOUT),
        f"`pcs cluster {' '.join(words[:3])}` failed",
        "type `pcs status --full` on this node; the step is tried again",
    )


def conf(host: Host) -> Section:
    """Return corosync.conf of this node. Raises HelperError."""
    try:
        return corosync_conf.parse(host.read(host.paths.corosync_conf) or "")
    except BrokenConfigError as broken:
        raise HelperError(
            "corosync.conf on this node is broken", refused=True, why=str(broken)
        ) from None


def shown(host: Host) -> ElementTree.Element:
    """Return what Pacemaker shows: crm_mon's XML."""
    ran = must(
        host.run(["crm_mon", "--output-as=xml", "-1"], timeout=_MON_TIMEOUT),
        "crm_mon did not tell the state of the cluster",
        "type `pcs status` on this node",
    )
    try:
        return ElementTree.fromstring(ran.out)  # noqa: S314 - printed by Pacemaker's own program
    except ElementTree.ParseError as broken:
        raise HelperError("crm_mon printed no XML", refused=False, why=str(broken)) from None


def quorate(shown: ElementTree.Element) -> bool:
    """Tell whether Pacemaker has quorum. Source: crm_mon's XML, summary/current_dc."""
    return shown.find("summary/current_dc[@with_quorum='true']") is not None


def being_fenced(shown: ElementTree.Element) -> frozenset[str]:
    """Return the nodes of which a fence is under way. Source: crm_mon's XML, fence_history."""
    events = shown.iterfind("fence_history/fence_event[@status='pending']")
    return frozenset(event.get("target", "") for event in events)


def states(shown: ElementTree.Element) -> dict[str, str]:
    """Return each node's state as Pacemaker sees it: "online", "unclean" or "offline".

    Source: crm_mon's XML, nodes/node, attributes `online` and `unclean`.
    """
    return {node.get("name", ""): _state(node) for node in shown.iterfind("nodes/node")}


def _state(node: ElementTree.Element) -> str:
    if node.get("unclean") == "true":
        return "unclean"
    return "online" if node.get("online") == "true" else "offline"
