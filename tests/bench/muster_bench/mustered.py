"""muster's side of a round.

musterd starts on all nodes at once; the time runs until each of them calls the cluster formed,
which it does once fencing is proven.
"""

import json
import time
from typing import Any

from muster_bench.rounds import (
    LIMIT,
    NAME,
    PRIVATE,
    SIZE,
    Round,
    cpu,
    everywhere,
    fresh,
    load,
    must_answer,
)
from muster_lab.client import Lab
from muster_lab.image import Image
from muster_lab.ports import MachineError

# The daemon is held back until all nodes have booted, so that both sides begin the same way.
USER_DATA = f"""#cloud-config
bootcmd:
  - [systemctl, mask, --runtime, --now, musterd.service]
write_files:
  - path: /etc/muster/muster.toml
    owner: root:musterd
    permissions: "0640"
    content: |
      [cluster]
      name = "{NAME}"
      size = {SIZE}
      [[address]]
      group = "networking-group"
      private_ip = "{PRIVATE}"
      elastic_ip = "{{elastic}}"
"""

FOUND = f"""
systemctl unmask --runtime musterd.service
systemctl start musterd.service
muster wait --timeout {LIMIT}
"""

# A part ends with the first event (kind, field, value) that the conductor tells.
_ENDS = (
    ("discovery", "phase", "phase", "electing"),
    ("election", "election", "message", "decided"),
    ("files", "step", "message", "corosync and pacemaker start"),
    ("start and build", "step", "message", "members are online"),
    ("configure", "step", "message", "the configuration is pushed"),
    ("resources, trust and proof", "phase", "phase", "formed"),
)


def run(lab: Lab, built: Image) -> Round:
    """Found a cluster on fresh nodes.

    Raises:
        MachineError: a node did not call the cluster formed in time.
    """
    with fresh(lab, built, USER_DATA) as (nodes, elastic):
        used, busy, begun = cpu(lab), load(), time.monotonic()
        everywhere(lab, nodes, FOUND)
        seconds = time.monotonic() - begun
        spent = cpu(lab) - used
        must_answer(lab, elastic)
        told = [_events(lab, each.instance_id) for each in nodes]
        conductor = next((each for each in told if _at(each, *_ENDS[4][1:]) is not None), None)
        if conductor is None:
            raise MachineError("no node pushed the configuration")
        return Round(seconds, spent, parts(conductor, seconds), busy)


def _events(lab: Lab, node: str) -> list[dict[str, Any]]:
    lines = lab.run(node, "muster", "events", "--json").stdout.splitlines()
    return [json.loads(line) for line in lines]


def _at(events: list[dict[str, Any]], kind: str, field: str, begins: str) -> float | None:
    """Seconds, since its musterd started, of the first event that fits."""
    for each in events:
        if each["kind"] == kind and str(each[field]).startswith(begins):
            return float(each["seconds"])
    return None


def parts(events: list[dict[str, Any]], total: float) -> dict[str, float]:
    """The conductor's parts; what it does not tell apart is in the next one.

    What is left of the whole is the start of the daemon and the wait for the last node.
    """
    found: dict[str, float] = {}
    last = 0.0
    for name, *end in _ENDS:
        moment = _at(events, *end)
        if moment is not None and moment >= last:
            found[name] = moment - last
            last = moment
    found["start of musterd, last node"] = total - last
    return found
