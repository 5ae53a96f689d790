"""Strays: nodes that Pacemaker's controllers still know, and corosync.conf lists no more.

The next node that is added gets the lowest free Corosync id. Controllers that have another name for
that id write the old one into the CIB again and never let the new one in ("share the same cluster
nodeid", Pacemaker 2.1.5, in the lab).
"""

from collections.abc import Iterator

from muster_helper import change
from muster_helper.children import must
from muster_helper.host import Host
from musterd.errors import HelperError

_TIMEOUT = 30.0  # seconds; 50 ms at rest
_ATTEMPTS = 5


def forget(host: Host) -> Iterator[str]:
    """Have Pacemaker forget every stray; yield whom it forgot.

    crm_node hangs up as soon as it has asked, and a controller that has not read the request by
    then never does: of ten requests in an idle cluster on a busy machine, three were lost. So it is
    asked again, as long as its list tells that it did not hear. What it hears it tells the
    controllers of all members.

    Raises:
        HelperError: a controller still knows one, as it does while it counts it as a member.
    """
    before = left = _known(host)
    for _ in range(_ATTEMPTS):
        if not left:
            break
        for name in left:
            must(
                host.run(["crm_node", "--force", "--remove", name], timeout=_TIMEOUT),
                f"Pacemaker did not forget {name}",
                f"type `crm_node --force --remove {name}` on this node; the step is tried again",
            )
        left = _known(host)
    if left:
        raise HelperError(
            f"Pacemaker still knows {', '.join(left)}",
            refused=False,
            why="its controller counts it as a member, or did not hear that it is none",
            cure="it is tried again; if it stays so, type `systemctl restart pacemaker` on each"
            " member in turn",
        )
    for name in before:
        yield f"Pacemaker no longer knows {name}"


def _known(host: Host) -> tuple[str, ...]:
    """Return the strays in the controller's cache.

    Source: crm_node(8), --list: a line is id, name, state; nodes of Pacemaker Remote are not in it.
    """
    ran = must(
        host.run(["crm_node", "--list"], timeout=_TIMEOUT),
        "crm_node did not list the nodes that Pacemaker knows",
        "type `systemctl status pacemaker` on this node",
    )
    names = {words[1] for line in ran.out.splitlines() if len(words := line.split()) > 1}
    return tuple(sorted(names - change.nodes(host)))
