"""What must hold after a kill: one cluster, equal files, and a second run that changes nothing."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from muster_lab.client import Lab
from observe import epoch, said, status, wait_for

CONF = "/etc/corosync/corosync.conf"
SHARED = (CONF, "/etc/corosync/authkey", "/etc/pacemaker/authkey")
"""The same bytes on every node."""

# Whatever muster writes on a node, its own record and a built configuration included.
_WRITTEN = (
    *SHARED,
    *("/etc/hosts", "/root/.aws/config", "/var/lib/musterd/record.json"),
    *("/var/lib/pcsd/known-hosts", "/var/lib/pcsd/pcs_users.conf", "/var/lib/muster-helper"),
)
_LOOK = """
find "$@" -type f -exec stat --format='%n %U:%G %a %i %.9Y' {} + -exec sha256sum {} + | sort
"""


def one_cluster(lab: Lab, nodes: Sequence[str]) -> str:
    """Return the uuid that musterd, corosync.conf and the running Corosync of all nodes share."""
    uuids: set[str] = set()
    for node in nodes:
        uuids.add(status(lab, node)["cluster"]["uuid"])
        uuids.add(said(lab, node, "sed", "-n", "s/.*cluster_uuid: //p", CONF))
        key = said(lab, node, "corosync-cmapctl", "-g", "totem.cluster_uuid")
        uuids.add(key.rpartition(" ")[2])
    assert len(uuids) == 1, f"more than one cluster: {', '.join(sorted(uuids))}"
    return uuids.pop()


def equal_files(lab: Lab, nodes: Sequence[str]) -> None:
    """Assert that corosync.conf and both keys are the same everywhere."""
    sums = {said(lab, node, "sha256sum", *SHARED) for node in nodes}
    assert len(sums) == 1, "corosync.conf or an authkey differs between nodes"


def enabled(lab: Lab, nodes: Sequence[str]) -> None:
    """Assert that the cluster starts at boot, by the links on disk."""
    for node in nodes:
        told = lab.run(node, "systemctl", "is-enabled", "corosync", "pacemaker", check=False)
        assert told.stdout.split() == ["enabled", "enabled"], f"the cluster of {node} stays off"


def second_run(lab: Lab, nodes: Sequence[str]) -> None:
    """Restart every daemon; assert that no file, no inode and no configuration changed."""
    before = {node: (_files(lab, node), epoch(lab, node)) for node in nodes}
    with ThreadPoolExecutor() as at_once:
        list(at_once.map(lambda node: lab.run(node, "systemctl", "restart", "musterd"), nodes))
    wait_for(lab, "healthy", nodes)
    for node in nodes:
        files, configuration = before[node]
        changed = set(files) ^ set(_files(lab, node))
        assert not changed, f"a second run changed {', '.join(sorted(changed))}"
        assert epoch(lab, node) == configuration, "a second run changed the CIB"
        assert _steps(lab, node) == [], f"a second run did {_steps(lab, node)}"


def _files(lab: Lab, node: str) -> list[str]:
    """Name, owner, mode, inode, time of change and digest of each file, a line each."""
    return said(lab, node, "sh", "-c", _LOOK, "look", *_WRITTEN).splitlines()


def _steps(lab: Lab, node: str) -> list[str]:
    """What the helper was asked to do since the daemon started."""
    told = [json.loads(line) for line in said(lab, node, "muster", "events", "--json").splitlines()]
    return [event["message"] for event in told if event["kind"] == "step"]
