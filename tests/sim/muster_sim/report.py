"""What many seeds came to, as tables: the program's output, and a section of docs/simulation.md."""

from collections import Counter
from collections.abc import Iterable, Sequence

from muster_sim.cost import Cost
from muster_sim.explore import Found
from muster_sim.many import Result
from muster_sim.run import Verdict

PARTS = {"min": 0.0, "median": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}


def percentile(sorted_values: Sequence[float], part: float) -> float:
    """Return the least value that at least this part of the values does not exceed."""
    count = len(sorted_values)
    place = min(count - 1, max(0, int(-(-part * count // 1)) - 1))
    return sorted_values[place]


def summary(found: Sequence[Result], commits: Iterable[str]) -> str:
    """Return the whole report as Markdown."""
    broken = [result for result in found if result.problem]
    formed = [result for result in found if result.formed_at is not None and not result.problem]
    waiting = len(found) - len(broken) - len(formed)
    virtual = sum(result.seconds for result in found)
    messages = sum(result.hellos + result.messages for result in found)
    return "\n".join(
        (
            f"{len(found):,} seeds, commit {', '.join(commits)}: **{len(broken)} violations**,"
            f" {len(formed):,} formed one cluster, {waiting:,} rightly wait, all for the same"
            f" instance; {virtual / 3600:,.0f} virtual hours, {messages:,} hellos and messages.",
            "",
            *_sizes(found),
            "",
            *_times(formed),
        )
    )


def lives(found: Sequence[Result], commits: Iterable[str]) -> str:
    """Return what became of many lives, in two sentences."""
    broken = sum(1 for result in found if result.problem)
    virtual = sum(result.seconds for result in found)
    calm = sorted(r.formed_at - r.calm_at for r in found if r.formed_at is not None)
    told = ", ".join(f"{name} {percentile(calm, part):.1f}" for name, part in PARTS.items() if calm)
    return (
        f"{len(found):,} lives, commit {', '.join(commits)}: **{broken} violations**;"
        f" {sum(r.nodes for r in found):,} instances, {virtual / 3600:,.0f} virtual hours."
        f" Seconds from the last event until every living instance was a member: {told}."
    )


def _sizes(found: Sequence[Result]) -> list[str]:
    sizes = Counter(result.size for result in found)
    return [
        "| founders | " + " | ".join(str(size) for size in sorted(sizes)) + " |",
        "|---|" + "---|" * len(sizes),
        "| seeds | " + " | ".join(f"{sizes[size]:,}" for size in sorted(sizes)) + " |",
    ]


def _times(formed: Sequence[Result]) -> list[str]:
    """Tell how long founding took, undisturbed, and how soon after the troubles all was well."""
    calm = [r for r in formed if not r.troubled]
    lasting = [r for r in formed if r.troubled and r.seconds - r.calm_at > 1.0]
    rows = {
        "without trouble: from the last instance's boot until all say formed": [
            max(0.0, r.formed_at - r.calm_at) for r in calm if r.formed_at is not None
        ],
        "with trouble: from the first boot until all first say formed": [
            r.formed_at for r in formed if r.troubled and r.formed_at is not None
        ],
        "with trouble that outlasts the founding: from its end until all say formed": [
            r.seconds - r.calm_at for r in lasting
        ],
    }
    lines = [
        "| virtual seconds | seeds | " + " | ".join(PARTS) + " |",
        "|---|---|" + "---|" * len(PARTS),
    ]
    for name, values in rows.items():
        ordered = sorted(values)
        told = [f"{percentile(ordered, part):.1f}" if ordered else "" for part in PARTS.values()]
        lines.append(f"| {name} | {len(ordered):,} | " + " | ".join(told) + " |")
    return lines


EXPLORED = ("| scenario | bounds | states |", "|---|---|---|")


def explored(name: str, bounds: str, found: Found) -> str:
    """Return a scenario's row of the table that `EXPLORED` begins."""
    return f"| {name} | {bounds} | {found.states:,}{' up to a violation' * bool(found.broken)} |"


WRONG = (
    "| what is wrong | found by exploration, after states | in steps | found by seeds, after |",
    "|---|---|---|---|",
)


def wrong(name: str, found: Found, verdict: Verdict | None, seeds: int) -> str:
    """Return a wrong election's row of the table that `WRONG` begins."""
    told = f"{found.states:,} | {len(found.transcript)}" if found.broken else "not found | "
    after = f"not among {seeds:,}"
    if verdict is not None:
        after = f"{verdict.seed + 1:,}: {verdict.problem.partition(';')[0]}"
    return f"| {name} | {told} | {after} |"


COST = (
    "| nodes | decided after | formed after | hellos a node | hellos a node and peer"
    " | election messages: the leader | a peer and second | any other node |",
    "|---|---|---|---|---|---|---|---|",
)


def cost(found: Cost) -> str:
    """Return a founding's row of the table that `COST` begins."""
    peers = found.nodes - 1
    return (
        f"| {found.nodes} | {found.decided:.1f} s | {found.formed:.1f} s"
        f" | {found.hellos / found.nodes:.0f} | {found.hellos / found.nodes / peers:.1f}"
        f" | {found.leader} | {found.leader / peers / found.formed:.2f} | {found.others} |"
    )
