"""`start`: corosync and pacemaker, now and at every boot; of all members, where that is owed."""

from collections.abc import Iterator

from muster_helper import restart, systemd
from muster_helper.host import Host
from muster_helper.look import look
from muster_helper.refusals import refuse, unless_ours
from musterd.helper_wire import Done, StartParams

_SERVICES = (systemd.COROSYNC, systemd.PACEMAKER)
_TIMEOUT = 120.0  # seconds; corosync's own start limit is 90, both take about two at rest


def start(host: Host, params: StartParams) -> Done:
    """Enable and start both; return when both are active."""
    found = look(host, params.identity)
    unless_ours(host, found, params.identity)
    if not found.keys_digest:
        refuse(
            "an authkey of this node is missing or torn",
            f"{host.paths.corosync_key} and {host.paths.pacemaker_key} must both be whole",
            "wait: musterd writes them again before it starts the cluster",
        )
    for name in _SERVICES:
        if found.units[name].masked:
            refuse(
                f"{name} is masked on this node",
                "somebody forbade it to start",
                f"type `systemctl unmask {name}`, then `muster join`",
            )
    done = tuple(_steps(host, enabled=found.enabled, running=found.running))
    if restart.owed(host):
        restart.pay(host)
        done += ("the whole cluster runs again",)
    return Done(done)


def _steps(host: Host, *, enabled: bool, running: bool) -> Iterator[str]:
    if not enabled:
        systemd.enable(host.run, _SERVICES)
        host.reach("start:middle")
        yield "corosync and pacemaker start at boot"
    if not running:
        host.say("corosync and pacemaker start")
        systemd.start(host.run, _SERVICES, _TIMEOUT)
        yield "corosync and pacemaker run"
