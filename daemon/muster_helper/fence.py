"""`fence`: have Pacemaker fence another member for real, so that it is known that it can.

The daemon decides when that is safe for the resources. This refuses what would never be a proof
(this node itself, a stranger, a cluster that does not run here), and that two are away at once.
"""

from muster_helper import change
from muster_helper.children import must
from muster_helper.host import Host
from muster_helper.look import look
from muster_helper.refusals import refuse, unless_ours
from musterd.errors import HelperError
from musterd.helper_wire import Done, FenceParams

# Seconds; longer than pcmk_reboot_timeout, shorter than the daemon waits.
_PATIENCE = 540  # a plain number: stonith_admin 2.1 takes no unit
_GRACE = 20.0


def fence(host: Host, params: FenceParams) -> Done:
    """Fence the member and return once Pacemaker calls it done.

    Raises:
        HelperError: it is refused, or Pacemaker could not.
    """
    found = look(host, params.identity)
    unless_ours(host, found, params.identity)
    target = next((m for m in params.identity.members if m.instance_id == params.target), None)
    if target is None:
        refuse(
            f"{params.target} is no member of cluster {params.identity.name}",
            "only members are fenced",
            "compare `muster status`",
        )
    if target.name == host.name:
        refuse(
            "a node does not fence itself",
            "what it sees of itself proves nothing, and it could not tell",
            "ask for it on another node",
        )
    if not found.running:
        refuse(
            "the cluster does not run on this node",
            "corosync or pacemaker is not active",
            "type `systemctl start corosync pacemaker`",
        )
    _unless_somebody_is_away(host, target.name)
    host.say(f"Pacemaker fences {target.name}")
    host.reach("fence:middle")
    must(
        host.run(
            ["stonith_admin", "--reboot", target.name, f"--timeout={_PATIENCE}"],
            timeout=_PATIENCE + _GRACE,
        ),
        f"Pacemaker could not fence {target.name}",
        "type `pcs stonith history` and `journalctl -u pacemaker` on this node; `muster doctor`"
        " rehearses what EC2 must allow",
    )
    return Done((f"{target.name} is fenced",))


def _unless_somebody_is_away(host: Host, name: str) -> None:
    """Look once more, at the last moment: another member may have asked for another fence.

    Raises:
        HelperError: a member is not online, or a fence is under way.
    """
    shown = change.shown(host)
    away = [member for member, state in change.states(shown).items() if state != "online"]
    fenced = change.being_fenced(shown)
    if away or fenced or not change.quorate(shown):
        missing = ", ".join(sorted({*away, *fenced})) or "quorum"
        raise HelperError(
            f"{name} is not fenced while another member is away",
            refused=False,
            why=f"Pacemaker misses {missing}: the others could be left without quorum",
            cure="type `muster status`; ask again when all are online",
        )
