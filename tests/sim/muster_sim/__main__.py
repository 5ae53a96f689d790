"""`python -m muster_sim`: run many seeds, replay one, or explore the large spaces."""

import argparse
import sys
import time
from statistics import median, quantiles

import structlog

from muster_sim import spaces
from muster_sim.explore import Explorer
from muster_sim.run import run


def main(argv: list[str] | None = None) -> int:
    """Run what is asked; the exit status is 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="muster_sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="how many seeds (default 300)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default 0)")
    parser.add_argument("--seed", type=int, help="run this seed alone")
    parser.add_argument("--transcript", action="store_true", help="with --seed: tell what happens")
    parser.add_argument("--explore", action="store_true", help="explore the large spaces instead")
    asked = parser.parse_args(argv)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    if asked.explore:
        return _explore()
    if asked.seed is not None:
        verdict = run(asked.seed, transcript=asked.transcript)
        for line in verdict.transcript:
            print(line)
        print(f"seed {asked.seed}: {verdict.problem or 'every promise was kept'}")
        return int(bool(verdict.problem))
    return _many(range(asked.first, asked.first + asked.seeds))


def _many(seeds: range) -> int:
    began, broken, formed, messages, virtual = time.monotonic(), 0, [], 0, 0.0
    for seed in seeds:
        verdict = run(seed)
        messages += verdict.counts.messages
        virtual += verdict.seconds
        if verdict.problem:
            broken += 1
            print(f"seed {seed}: {verdict.problem}", flush=True)
        elif verdict.formed_at is not None:
            formed.append(verdict.formed_at)
    took = time.monotonic() - began
    print(f"{len(seeds)} seeds, {broken} broken, {virtual:.0f} virtual s in {took:.1f} s")
    if len(formed) > 1:
        tenths = quantiles(formed, n=10)
        print(
            f"{len(formed)} formed, {len(seeds) - broken - len(formed)} rightly wait; formed after"
            f" {min(formed):.0f} to {max(formed):.0f} virtual s, median {median(formed):.0f},"
            f" nine tenths within {tenths[-1]:.0f}; {messages} messages"
        )
    return int(broken > 0)


def _explore() -> int:
    broken = 0
    for scenario in (*spaces.QUICK, *spaces.LARGE):
        began = time.monotonic()
        found = Explorer(scenario).run()
        took = time.monotonic() - began
        bounds = spaces.Bounds(scenario)
        print(f"{found.states:9} states {took:6.1f} s  {scenario.name} ({bounds})", flush=True)
        if found.broken:
            broken += 1
            print("\n".join((found.broken, *found.transcript)))
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
