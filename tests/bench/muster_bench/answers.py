"""How long commands take to answer: which ones, and their figures as Markdown."""

from muster_bench import tables
from muster_bench.rounds import SIZE

COMMANDS = {
    "python3 -c pass": ["python3", "-c", "pass"],
    "python3 -I -c pass": ["python3", "-I", "-c", "pass"],
    "muster status": ["muster", "status"],
    "muster status --json": ["muster", "status", "--json"],
    "crm_mon -1": ["crm_mon", "-1"],
    "pcs status": ["pcs", "status"],
}


def table(taken: dict[str, list[float]], load: float) -> str:
    """Return the figures as Markdown.

    Args:
        taken: milliseconds of each round, by command.
        load: the machine's load average meanwhile.
    """
    rounds = len(next(iter(taken.values())))
    lines = [
        f"A node of {SIZE} at rest, {rounds} rounds of all commands in turn; milliseconds from"
        f" start to exit, median (least to most); load average {load:.1f} on two processors.",
        "",
        "| command | ms | beside `pcs status` |",
        "|---|---|---|",
    ]
    slowest = tables.middle(taken["pcs status"])
    for name, times in taken.items():
        share = tables.middle(times) / slowest
        lines.append(f"| `{name}` | {tables.spread(times, 0)} | {share:.2f} |")
    return "\n".join(lines)
