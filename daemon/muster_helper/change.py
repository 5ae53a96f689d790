"""What `admit` and `expel` share: who may act, on which spec, pcs and Pacemaker's own view."""

from xml.etree import ElementTree

from muster_helper import corosync_conf
from muster_helper.children import must
from muster_helper.corosync_conf import BrokenConfigError, Section
from muster_helper.host import Host
from muster_helper.look import look
from muster_helper.refusals import if_found, refuse, unless_of_cluster
from musterd import fencing
from musterd.errors import HelperError
from musterd.helper_wire import Identity, Tags
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


def states(shown: ElementTree.Element) -> dict[str, str]:
    """Return each node's state as Pacemaker sees it: "online", "unclean" or "offline".

    Source: crm_mon's XML, nodes/node, attributes `online` and `unclean`.
    """
    return {node.get("name", ""): _state(node) for node in shown.iterfind("nodes/node")}


def _state(node: ElementTree.Element) -> str:
    if node.get("unclean") == "true":
        return "unclean"
    return "online" if node.get("online") == "true" else "offline"
