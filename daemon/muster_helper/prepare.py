"""`prepare`: make the node ready for a cluster, whatever cluster it will be.

The one thing it removes is Debian's own one-node cluster, which the packages start at install:
recognised exactly, and with corosync.conf going last, so that a run killed anywhere is recognised
again by the next.
"""

from collections.abc import Iterator
from itertools import chain

from muster_helper import aws_profile, firewall, systemd
from muster_helper.files import remove
from muster_helper.host import Host
from muster_helper.look import Look, look
from muster_helper.refusals import refuse
from musterd.helper_wire import Done, PrepareParams
from musterd.model import CorosyncConfig

_START_PCSD = 90.0  # seconds; about two at rest
_STOP_STUB = 150.0  # seconds; less than one at rest


def prepare(host: Host, params: PrepareParams) -> Done:
    """Do what is left to do; a second run changes nothing."""
    found = look(host, None)
    steps = chain(
        _clear_stub(host, found),
        _pcsd(host, found),
        _profile(host, params.region),
        _cloud_setup(host, found),
        _firewall(host, found),
    )
    return Done(tuple(steps))


def _clear_stub(host: Host, found: Look) -> Iterator[str]:
    """Stop and remove the distribution's stub, and nothing else."""
    if found.kind is not CorosyncConfig.STUB:
        return
    if found.foreign_cib:
        refuse(
            "this node runs a one-node cluster named debian that somebody has configured",
            "its CIB, or a backup of it, holds resources, constraints or other nodes",
            "if it can go, type `pcs cluster destroy` on this node, then `muster join`",
        )
    services = (systemd.PACEMAKER, systemd.COROSYNC)
    if any(found.units[name].enabled for name in services):
        systemd.disable(host.run, services)
    if found.active:
        host.say("the distribution's one-node cluster stops")
        # Pacemaker does not stop before it has a DC, which takes the stub its first 20 seconds;
        # it runs no resource, and its CIB goes next, so nothing is lost by not waiting.
        systemd.end(host.run, systemd.PACEMAKER)
        systemd.stop(host.run, services, _STOP_STUB)
    host.reach("prepare:middle-stopped")
    paths = host.paths
    for folder, pattern in (
        (paths.cib_folder, "cib*"),
        (paths.cib_folder.parent / "pengine", "pe-*"),
        (paths.corosync_state, "ringid_*"),
    ):
        for path in sorted(folder.glob(pattern)):
            remove(path)
    host.reach("prepare:middle-files")
    remove(paths.corosync_conf)
    host.reach("prepare:middle-cleared")
    yield "the distribution's one-node cluster is cleared"


def _pcsd(host: Host, found: Look) -> Iterator[str]:
    """Enable and start pcsd; never stop or restart it: it may ignore SIGTERM for 90 s."""
    names = [name for name in (systemd.PCSD, systemd.PCSD_RUBY) if found.units[name].present] or [
        systemd.PCSD
    ]
    forbidden = [name for name in names if found.units[name].masked]
    if forbidden:
        refuse(
            f"{forbidden[0]} is masked on this node",
            "somebody forbade it to start, and pcs cannot reach other nodes without it",
            f"type `systemctl unmask {forbidden[0]}`, then `muster join`",
        )
    if not found.units[systemd.PCSD].enabled:
        systemd.enable(host.run, names)
        yield "pcsd starts at boot"
    if not all(found.units[name].running for name in names):
        host.say("pcsd starts")
        systemd.start(host.run, names, _START_PCSD)
        yield "pcsd runs"


def _profile(host: Host, region: str) -> Iterator[str]:
    """Give root's AWS command line a default profile with a region."""
    if not aws_profile.region(host):
        aws_profile.add_region(host, region)
        yield f"{host.paths.aws_config} names the region {region}"


def _cloud_setup(host: Host, found: Look) -> Iterator[str]:
    """Keep nm-cloud-setup from removing floating addresses (Red Hat: RHEL 8.6 and later)."""
    names = [name for name in systemd.CLOUD_SETUP if found.units[name].present]
    if any(found.units[name].enabled for name in names):
        systemd.disable(host.run, names)
        yield "nm-cloud-setup no longer starts: it removes secondary addresses"
    if any(not found.units[name].stopped for name in names):
        systemd.stop(host.run, names, timeout=60)
        yield "nm-cloud-setup is stopped"


def _firewall(host: Host, found: Look) -> Iterator[str]:
    """Admit the cluster's traffic where firewalld runs."""
    if found.units[systemd.FIREWALLD].running and not firewall.ready(host):
        host.say("firewalld admits the cluster's traffic")
        firewall.admit(host)
        yield f"firewalld admits {firewall.SERVICE} and port {firewall.PEER_PORT}/tcp"
