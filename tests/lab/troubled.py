"""One founding in trouble: launched, hurt, asked what it waits for, and its end checked.

With `pytest -s` it prints what each node said and when, as docs/founding-troubles.md tells it.
"""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from muster_kills.proof import equal_files, one_cluster
from muster_lab.client import Lab
from observe import (
    PATIENCE,
    Document,
    decisions,
    ids,
    said,
    status,
    tags,
    until,
    wait_for,
)


@dataclass
class Case:
    """A cluster to be founded from instances with two tags, and what becomes of it.

    Attributes:
        cluster: its name, the tag's value.
        nodes: every instance launched for it so far.
        began: when the first was launched (monotonic seconds).
    """

    lab: Lab
    cluster: str
    size: int
    nodes: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def launch(self, count: int, user_data: bytes | None = None) -> list[str]:
        """Launch instances at once; returns when their first processes run."""
        tagged = tags(self.cluster, self.size)
        launched = ids(self.lab.launch(count, tags=tagged, user_data=user_data))
        self.nodes += launched
        return launched

    def says(self, node: str, phase: str, *words: str, cure: str) -> Document:
        """Wait until the node says so, by `muster status --json` and on the screen alike.

        Args:
            node: who is asked.
            phase: the phase it must be in.
            words: what its reason must hold, all of it.
            cure: what it must say comes next.
        """

        def wanted(now: Document) -> bool:
            told = all(word in now["reason"] for word in words) and cure in now["next"]
            return now["phase"] == phase and told and self._shows(node, now)

        now = until(self.lab, node, wanted)
        self.tell(f"{now['self']['name']} {now['phase']}: {now['reason']} -> {now['next']}")
        return now

    def _shows(self, node: str, now: Document) -> bool:
        """Whether a person is told the same as a program."""
        screen = said(self.lab, node, "muster", "status")
        return all(now[key] in screen for key in ("phase", "reason", "next"))

    def founds(self, members: Sequence[str], goal: str = "healthy") -> str:
        """Wait until the members run one cluster, and nobody ever knew of another; its uuid."""
        wait_for(self.lab, goal, members, timeout=2 * PATIENCE)
        uuid = one_cluster(self.lab, members)
        up = {each.instance_id for each in self.lab.nodes() if each.machine == "up"}
        alive = [node for node in self.nodes if node in up]
        if set(alive) == set(members):  # otherwise the files may change, as others join
            equal_files(self.lab, members)
        assert set().union(*(decisions(self.lab, node) for node in alive)) == {uuid}
        for node in members:
            told = status(self.lab, node)["nodes"]
            assert {each["instance_id"] for each in told} >= set(members)
        self.tell(f"{len(members)} nodes {goal}, one cluster {uuid[:8]}")
        return uuid

    def never_founded(self, node: str, uuid: str) -> None:
        """Check that a node took no part in any founding; it may have joined what was founded."""
        assert decisions(self.lab, node) == set()
        assert self.phases(node) <= {"starting", "waiting", "joining", "formed"}
        now = status(self.lab, node)
        assert now["cluster"]["uuid"] in {"", uuid}
        self.tell(f"{now['self']['name']} {now['phase']}: {now['reason']} -> {now['next']}")

    def phases(self, node: str) -> set[str]:
        """Every phase the node was in since its daemon started."""
        told = said(self.lab, node, "muster", "events", "--json").splitlines()
        return {json.loads(line)["phase"] for line in told}

    def tell(self, sentence: str) -> None:
        """Print it with the seconds since the launch."""
        print(f"{self.cluster} {time.monotonic() - self.began:6.1f} s  {sentence}", flush=True)


@contextmanager
def case(lab: Lab, cluster: str, size: int = 3) -> Iterator[Case]:
    """One case in a lab; its instances are terminated and faults and cuts ended behind it."""
    one = Case(lab, cluster, size)
    try:
        yield one
    finally:
        lab.heal()
        lab.clear_faults()
        for node in one.nodes:
            lab.terminate(node, wait=False)
