"""The bare script: what a careful administrator automates with pcs and nothing else.

It does the work of chapter 4 of Red Hat's guide as fast as pcs allows without tricks: a token
instead of a password, side by side where nodes do not depend on each other, pcs usable from each
node, everything enabled, and it waits until everything runs. It does not prove fencing.
"""

import secrets
import time
from collections.abc import Sequence
from xml.etree import ElementTree

from muster_bench.rounds import (
    LIMIT,
    NAME,
    PRIVATE,
    REGION,
    SIZE,
    Round,
    Stopwatch,
    cpu,
    everywhere,
    fresh,
    load,
    must_answer,
)
from muster_lab.client import Lab
from muster_lab.image import Image
from muster_lab.ports import MachineError
from muster_lab.views import Node

# The distribution's package leaves the configuration of a stub cluster, which does not run here;
# `pcs cluster destroy` would take 20 s for it. The AWS agents run `aws --profile default` as root.
_TOKEN = f"""
umask 077
cat > /root/token
mkdir -p /root/.aws
printf '[default]\\nregion = {REGION}\\n' > /root/.aws/config
rm -f /etc/corosync/corosync.conf
systemctl start pcsd
pcs pcsd accept_token /root/token
"""

_RESOURCES = f"""
pcs resource create privip awsvip secondary_private_ip={PRIVATE} --group networking-group
pcs resource create vip IPaddr2 ip={PRIVATE} cidr_netmask=24 --group networking-group
pcs resource create elastic awseip elastic_ip="$1" allocation_id="$2" \
    private_ip_address={PRIVATE} --group networking-group
"""

_WANTED = {"fence", "privip", "vip", "elastic"}


def run(lab: Lab, built: Image) -> Round:
    """Found a cluster on fresh nodes.

    Raises:
        MachineError: a command failed, or not everything ran in time.
    """
    with fresh(lab, built, None) as (nodes, elastic):
        allocation = _allocation(lab)
        used, busy, watch = cpu(lab), load(), Stopwatch()
        first = nodes[0].instance_id
        members = " ".join(f"{each.hostname} addr={each.address}" for each in nodes)

        everywhere(lab, nodes, _TOKEN, secrets.token_urlsafe(32))
        watch.lap("token")
        everywhere(lab, nodes, f"pcs host auth {members} --token /root/token")
        watch.lap("host auth")
        setup = ("pcs", "cluster", "setup", NAME, *members.split(), "totem", "token=10000")
        lab.run(first, *setup, "--enable", "--start", f"--wait={LIMIT}", timeout=LIMIT)
        watch.lap("cluster setup")
        targets = ";".join(f"{each.hostname}:{each.instance_id}" for each in nodes)
        stonith = ("pcs", "stonith", "create", "fence", "fence_aws", f"region={REGION}")
        lab.run(first, *stonith, f"pcmk_host_map={targets}", "power_timeout=240")
        watch.lap("stonith")
        lab.run(first, "sh", "-euc", _RESOURCES, "sh", elastic, allocation)
        watch.lap("resources")
        _await_running(lab, nodes)
        watch.lap("running")
        seconds = time.monotonic() - watch.begun
        spent = cpu(lab) - used
        must_answer(lab, elastic)
        return Round(seconds, spent, watch.parts, busy)


def _allocation(lab: Lab) -> str:
    query = ("--query", "Addresses[0].AllocationId", "--output", "text")
    return lab.aws("ec2", "describe-addresses", *query).stdout.strip()


def _await_running(lab: Lab, nodes: Sequence[Node]) -> None:
    """Wait until every node is online and every resource started (crm_mon costs 20 ms)."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        said = lab.run(nodes[-1].instance_id, "crm_mon", "--one-shot", "--output-as=xml").stdout
        root = ElementTree.fromstring(said)
        online = root.findall("nodes/node[@online='true']")
        started = {each.get("id") for each in root.iterfind(".//resource[@role='Started']")}
        if len(online) == SIZE and started >= _WANTED:
            return
        time.sleep(0.2)
    raise MachineError(f"not everything runs after {LIMIT} s")
