"""Clusters founded one after another from blank instances, as a Markdown table.

`launch` counts from RunInstances until the last node says formed; `daemon` is the longest that one
node's musterd took from its own start. `reads` is the most DescribeInstances of one node, those of
its fence agent and resource agents included.
"""

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass

from muster_lab.client import Lab
from muster_lab.ports import MachineError
from observe import ids, own_lab, said, spec_as_user_data, status, tags, wait_for

ADDRESS = "10.0.0.100"


@dataclass(frozen=True)
class Founding:
    """One run: the uuids its nodes name (one, if all is well), times in seconds, EC2 reads."""

    uuids: frozenset[str]
    launch: float
    daemon: float
    reads: int
    failure: str = ""

    @property
    def verdict(self) -> str:
        """What the table says of it."""
        if self.failure:
            return self.failure
        return "ok" if len(self.uuids) == 1 else f"{len(self.uuids)} clusters"


def main() -> int:
    """Found, print, tell by the exit code whether every founding made one cluster."""
    parser = argparse.ArgumentParser(prog="foundings", description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=10, help="how many (default 10)")
    parser.add_argument("--nodes", type=int, default=3, help="nodes of each (default 3)")
    options = parser.parse_args()
    print("| founding | uuid | launch | daemon | reads | |\n|---|---|---|---|---|---|")
    made = []
    with own_lab("row") as lab:
        for number in range(1, options.count + 1):
            one = found(lab, f"row{number}", options.nodes)
            made.append(one)
            uuid = ", ".join(sorted(uuid[:8] for uuid in one.uuids))
            times = f"{one.launch:.1f} s | {one.daemon:.1f} s | {one.reads}"
            print(f"| {number} | {uuid} | {times} | {one.verdict} |", flush=True)
    good = [one for one in made if one.verdict == "ok"]
    if good:
        launch = statistics.median(one.launch for one in good)
        daemon = statistics.median(one.daemon for one in good)
        print(f"| median | | {launch:.1f} s | {daemon:.1f} s | | {len(good)} of {len(made)} |")
    return 0 if len(good) == len(made) else 1


def found(lab: Lab, name: str, size: int) -> Founding:
    """Found one cluster with a floating address and terminate its nodes."""
    spec = f'[cluster]\nname = "{name}"\nsize = {size}\n[[address]]\nprivate_ip = "{ADDRESS}"\n'
    asked = len(lab.calls(action="DescribeInstances"))
    begun = time.monotonic()
    nodes = ids(lab.launch(size, tags=tags(name, size), user_data=spec_as_user_data(spec)))
    failure = ""
    try:
        wait_for(lab, "formed", nodes)
    except (AssertionError, MachineError) as error:
        failure = str(error).partition("\n")[0]
    launch = time.monotonic() - begun
    uuids = frozenset(status(lab, node).get("cluster", {}).get("uuid", "") for node in nodes)
    reads = Counter(call.caller for call in lab.calls(action="DescribeInstances")[asked:])
    daemon = max(formed_after(lab, node) for node in nodes)
    for node in nodes:
        lab.terminate(node, wait=False)
    return Founding(uuids, launch, daemon, max(reads.values(), default=0), failure)


def formed_after(lab: Lab, node: str) -> float:
    """Seconds from the daemon's start until it said formed; 0 if it has not."""
    told = [json.loads(line) for line in said(lab, node, "muster", "events", "--json").splitlines()]
    return next((float(event["seconds"]) for event in told if event["phase"] == "formed"), 0.0)


if __name__ == "__main__":
    sys.exit(main())
