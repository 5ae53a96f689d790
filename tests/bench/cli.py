"""`make bench-cli`: how long an answer takes, beside pcs and crm_mon, in a node of a cluster.

All commands run in turn, round after round, on one node of a formed cluster, so that each meets the
same load. Held to the promise: `muster status` answers in 60 ms (median), cold start included.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from ipaddress import IPv4Address

from muster_bench import answers, options, tables
from muster_bench.rounds import LIMIT, NAME, PRIVATE, SIZE, load
from muster_lab.client import CHECKOUT, Lab
from muster_lab.cloud_config import user_data
from muster_lab.image import newest_package
from muster_lab.ports import MachineError

PROMISED = 60.0
"""Milliseconds, median."""

HELD = ("muster status", "muster status --json")

ROUND = 60.0
"""Seconds that one round of all commands may take; `pcs status` alone takes several when busy."""

# Runs in the node; prints milliseconds of each command, by its place in the list.
PROGRAM = """
import json, subprocess, sys, time
rounds, commands = json.load(sys.stdin)
taken = [[] for _ in commands]
for number in range(rounds + 1):
    for place, command in enumerate(commands):
        begun = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        if number:  # the first round warms the page cache
            taken[place].append((time.perf_counter() - begun) * 1000)
json.dump(taken, sys.stdout)
"""


def main() -> int:
    """Form a cluster, measure, print, and hold the figures against the promise."""
    parser = options.parser("cli", __doc__, "benchcli")
    parser.add_argument("--rounds", type=int, default=15, help="(default 15)")
    asked = parser.parse_args()
    lab = Lab(asked.name)
    lab.down()
    try:
        _form(lab, asked.deb or newest_package(CHECKOUT))
        taken = measure(lab, "1", asked.rounds)
    except MachineError as wrong:
        print(f"cli: {wrong}", file=sys.stderr)
        return 1
    finally:
        lab.down()
    text = answers.table(taken, load())
    print(text)
    if asked.write:
        tables.write("cli", text)
    over = [name for name in HELD if tables.middle(taken[name]) > PROMISED]
    for name in over:
        print(f"cli: {name} took longer than {PROMISED:.0f} ms", file=sys.stderr)
    return 1 if over else 0


def _form(lab: Lab, package: Path) -> None:
    """Have a cluster, healthy and at rest."""
    lab.start(lab.prepare(package=package))
    given = user_data(NAME, SIZE, [IPv4Address(PRIVATE)])
    lab.launch(SIZE, tags={"muster:cluster": NAME}, user_data=given)
    lab.wait_boot()
    for each in lab.nodes():
        waiting = ("muster", "wait", "--for", "healthy", "--timeout", str(LIMIT))
        lab.run(each.instance_id, *waiting, timeout=LIMIT + 10)


def measure(lab: Lab, node: str, rounds: int) -> dict[str, list[float]]:
    """Return the milliseconds of each round, by command."""
    asked = json.dumps([rounds, list(answers.COMMANDS.values())])
    done = lab.run(node, "python3", "-c", PROGRAM, stdin=asked, timeout=rounds * ROUND)
    return dict(zip(answers.COMMANDS, json.loads(done.stdout), strict=True))


if __name__ == "__main__":
    sys.exit(main())
