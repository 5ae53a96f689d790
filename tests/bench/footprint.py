"""`make bench-footprint`: what muster's daemons use in a formed cluster, and what they ask EC2.

Two of three founders boot and wait for the third; then it comes, they form, and rest.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from ipaddress import IPv4Address

from muster_bench import options, tables
from muster_bench.rest import SERVICES, Usage
from muster_bench.rounds import LIMIT, NAME, PRIVATE, SIZE
from muster_lab.client import CHECKOUT, Lab
from muster_lab.cloud_config import user_data
from muster_lab.image import newest_package
from muster_lab.ports import MachineError

WAITING = 60.0
"""Seconds for which two founders wait for the third, and their calls are counted."""


@dataclass
class Limits:
    """What the run is held to."""

    rss: float = 70e6 / 2**20  # MiB of musterd, 70 MB: two thirds are the libraries it imports
    cpu: float = 0.3  # per cent of one core, at rest
    reads: float = 1.0  # DescribeInstances in ten seconds a node, while forming


def main() -> int:
    """Measure, print, and hold the figures against the limits."""
    parser = options.parser("footprint", __doc__, "benchrest")
    parser.add_argument("--seconds", type=float, default=120.0, help="of rest (default 120)")
    asked = parser.parse_args()
    lab = Lab(asked.name)
    lab.down()
    try:
        reads = _form(lab, asked.deb or newest_package(CHECKOUT))
        usage = _rest(lab, asked.seconds)
    except MachineError as wrong:
        print(f"footprint: {wrong}", file=sys.stderr)
        return 1
    finally:
        lab.down()
    text = _table(usage, reads, asked.seconds)
    print(text)
    if asked.write:
        tables.write("footprint", text)
    over = _over(usage["musterd.service"], reads)
    for each in over:
        print(f"footprint: {each}", file=sys.stderr)
    return 1 if over else 0


def _form(lab: Lab, package: Path) -> list[float]:
    """Form a cluster; return DescribeInstances in ten seconds of each node that had to wait."""
    lab.start(lab.prepare(package=package))
    given = user_data(NAME, SIZE, [IPv4Address(PRIVATE)])
    tags = {"muster:cluster": NAME}
    nodes = lab.launch(SIZE - 1, tags=tags, user_data=given)
    lab.wait_boot()
    before = {each.instance_id: _reads(lab, each.instance_id) for each in nodes}
    time.sleep(WAITING)
    rates = [(_reads(lab, name) - count) / WAITING * 10 for name, count in before.items()]
    lab.launch(1, tags=tags, user_data=given)
    for each in lab.nodes():
        waiting = ("muster", "wait", "--for", "healthy", "--timeout", str(LIMIT))
        lab.run(each.instance_id, *waiting, timeout=LIMIT + 10)
    return rates


def _reads(lab: Lab, caller: str) -> int:
    return len(lab.calls(action="DescribeInstances", caller=caller))


def _rest(lab: Lab, seconds: float) -> dict[str, list[Usage]]:
    """The daemons' use at rest; `cpu` is in per cent of a core."""
    settled = 10.0
    time.sleep(settled)
    names = [each.instance_id for each in lab.nodes()]
    keys = [(service, name) for service in SERVICES for name in names]
    first = {key: Usage.of(lab.layout, key[1], key[0]) for key in keys}
    begun = time.monotonic()
    time.sleep(seconds)
    found: dict[str, list[Usage]] = {service: [] for service in SERVICES}
    for key in keys:
        last = Usage.of(lab.layout, key[1], key[0])
        share = (last.cpu - first[key].cpu) / (time.monotonic() - begun) * 100
        found[key[0]].append(Usage(last.rss, last.pss, last.private, share))
    return found


def _table(usage: dict[str, list[Usage]], reads: list[float], seconds: float) -> str:
    lines = [
        f"{SIZE} nodes at rest for {seconds:.0f} s; the median, and the least and the most.",
        "",
        "| | resident, MiB | proportional, MiB | private, MiB | % of one core |",
        "|---|---|---|---|---|",
    ]
    for service, nodes in usage.items():
        columns = (
            tables.spread([each.rss for each in nodes]),
            tables.spread([each.pss for each in nodes]),
            tables.spread([each.private for each in nodes]),
            tables.spread([each.cpu for each in nodes], 2),
        )
        lines.append(f"| {service} | {' | '.join(columns)} |")
    lines += [
        "",
        f"While {SIZE - 1} founders waited {WAITING:.0f} s for the last one, each called"
        f" DescribeInstances {tables.spread(reads, 2)} times in ten seconds.",
    ]
    return "\n".join(lines)


def _over(nodes: list[Usage], reads: list[float]) -> list[str]:
    limits = Limits()
    rss, cpu = max(each.rss for each in nodes), max(each.cpu for each in nodes)
    return [
        f"{what} is {value:.2f}, promised is at most {limit}"
        for what, value, limit in (
            ("musterd's resident memory in MiB", rss, limits.rss),
            ("musterd's share of a core in per cent", cpu, limits.cpu),
            ("DescribeInstances in ten seconds", max(reads), limits.reads),
        )
        if value > limit
    ]


if __name__ == "__main__":
    sys.exit(main())
