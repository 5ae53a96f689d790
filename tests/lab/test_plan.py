"""On real nodes: a plan only looks, `apply` runs exactly it, and what a person changed stays."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from muster_kills.points import POINTS_FOLDER
from muster_lab.client import Lab
from muster_lab.views import Node
from observe import (
    configuration,
    epoch,
    ids,
    own_lab,
    said,
    spec_as_user_data,
    status,
    tags,
    until,
    wait_for,
)

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(900)]

SPEC = """[cluster]
name = "web"
size = 2

[[resource]]
id = "idle"
agent = "ocf:pacemaker:Dummy"
options = {{ fake = "{fake}" }}

[corosync]
token_ms = {token}
"""
BEFORE = SPEC.format(fake="a", token=10000)

CONF = "/etc/corosync/corosync.conf"
ADDED = """
[[resource]]
id = "more"
agent = "ocf:pacemaker:Dummy"
group = "aside"
[[group]]
id = "aside"
meta = { priority = 5 }
"""


@dataclass
class Pair:
    """A founded cluster of two, and which of them acts."""

    lab: Lab
    nodes: list[Node]

    @property
    def conductor(self) -> str:
        """The instance id of Pacemaker's DC."""
        told = {n.instance_id: status(self.lab, n.instance_id) for n in self.nodes}
        return next(node for node, found in told.items() if found["self"]["conductor"])

    def write(self, spec: str) -> None:
        """Have an administrator put this spec on every node."""
        for node in self.nodes:
            command = f"cat > /etc/muster/muster.toml <<'END'\n{spec}\nEND"
            said(self.lab, node.instance_id, "sh", "-c", command)

    def token(self) -> list[str]:
        """Corosync's token timeout (milliseconds) in each node's file."""
        files = (said(self.lab, n.instance_id, "cat", CONF) for n in self.nodes)
        return [found[1] for text in files if (found := re.search(r"token: (\d+)", text))]

    def plan(self, node: str, code: int) -> dict[str, Any]:
        """`muster plan --json`, which must end with that exit code."""
        done = self.lab.run(node, "muster", "plan", "--json", check=False)
        assert done.returncode == code, done.stderr + done.stdout
        found: dict[str, Any] = json.loads(done.stdout)
        return found


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with own_lab("plan") as lab:
        nodes = lab.launch(2, tags=tags("web", 2), user_data=spec_as_user_data(BEFORE))
        wait_for(lab, "healthy", ids(nodes))
        yield Pair(lab, list(nodes))


def test_a_cluster_just_founded_has_no_difference(pair: Pair) -> None:
    for node in pair.nodes:
        assert pair.plan(node.instance_id, 0)["differences"] == []


def test_what_was_changed_by_hand_is_drift_and_stays(pair: Pair) -> None:
    said(pair.lab, pair.conductor, "pcs", "property", "set", "maintenance-mode=true")
    said(pair.lab, pair.conductor, "pcs", "resource", "update", "idle", "fake=by-hand")
    before = configuration(pair.lab, pair.conductor), epoch(pair.lab, pair.conductor)
    found = pair.plan(pair.conductor, 2)
    assert found["commands"] == []
    assert {(d["what"], d["live"], d["drift"]) for d in found["differences"]} == {
        ("property maintenance-mode", "true", True),
        ("resource idle option fake", "by-hand", True),
    }
    said(pair.lab, pair.conductor, "muster", "apply")
    assert (configuration(pair.lab, pair.conductor), epoch(pair.lab, pair.conductor)) == before
    said(pair.lab, pair.conductor, "pcs", "property", "set", "maintenance-mode=")
    said(pair.lab, pair.conductor, "pcs", "resource", "update", "idle", "fake=a")
    pair.plan(pair.conductor, 0)


def test_exactly_the_plan_is_applied_and_a_second_one_is_empty(pair: Pair) -> None:
    pair.write(SPEC.format(fake="b", token=10000) + ADDED)
    here = pair.conductor
    found = pair.plan(here, 2)
    assert [command["command"] for command in found["commands"]] == [
        "pcs resource update idle fake=b",
        "pcs resource create more ocf:pacemaker:Dummy --group aside",
        "pcs resource meta aside priority=5",
    ]
    other = next(n.instance_id for n in pair.nodes if n.instance_id != here)
    elsewhere = pair.lab.run(other, "muster", "apply", found["plan"], check=False)
    assert elsewhere.returncode != 0
    assert "another node acts" in elsewhere.stderr
    said(pair.lab, here, "muster", "apply", found["plan"])
    for node in pair.nodes:
        until(
            pair.lab,
            node.instance_id,
            lambda told: {r["id"]: r["state"] for r in told["resources"]}.get("more") == "Started",
        )
    assert "fake=b" in said(pair.lab, here, "pcs", "resource", "config", "idle")
    assert pair.plan(here, 0)["differences"] == []
    stale = pair.lab.run(here, "muster", "apply", found["plan"], check=False)
    assert stale.returncode != 0
    assert "the world moved on" in stale.stderr


def test_the_other_node_knows_what_was_applied(pair: Pair) -> None:
    other = next(n.instance_id for n in pair.nodes if n.instance_id != pair.conductor)
    digest = status(pair.lab, pair.conductor)["cluster"]["spec_digest"]
    until(pair.lab, other, lambda told: told["cluster"]["spec_digest"] == digest)
    assert pair.plan(other, 0)["commands"] == []


def test_what_needs_a_restart_waits_until_it_is_allowed(pair: Pair) -> None:
    pair.write(SPEC.format(fake="b", token=12000) + ADDED)
    here = pair.conductor
    assert all(command["restart"] for command in pair.plan(here, 2)["commands"])
    held = pair.lab.run(here, "muster", "apply", check=False)
    assert held.returncode == 1
    assert "--allow-restart" in held.stderr
    said(pair.lab, here, "muster", "apply", "--allow-restart")
    wait_for(pair.lab, "healthy", ids(pair.nodes))
    assert pair.token() == ["12000", "12000"]
    pair.plan(pair.conductor, 0)


def test_a_restart_that_is_cut_off_is_made_good_and_the_rest_is_left_in_the_plan(
    pair: Pair,
) -> None:
    """The helper is killed when every member is stopped: nobody conducts then."""
    pair.write(SPEC.format(fake="b", token=14000) + ADDED)
    here = pair.conductor
    order = f"mkdir -p {POINTS_FOLDER} && printf kill > {POINTS_FOLDER}/apply:middle"
    said(pair.lab, here, "sh", "-c", order)
    cut_off = pair.lab.run(here, "muster", "apply", "--allow-restart", check=False)
    assert cut_off.returncode != 0
    wait_for(pair.lab, "healthy", ids(pair.nodes))
    assert pair.token() == ["12000", "12000"]
    said(pair.lab, pair.conductor, "muster", "apply", "--allow-restart")
    wait_for(pair.lab, "healthy", ids(pair.nodes))
    assert pair.token() == ["14000", "14000"]
    pair.plan(pair.conductor, 0)


def test_a_member_that_is_away_keeps_the_cluster_from_being_stopped(pair: Pair) -> None:
    pair.write(SPEC.format(fake="b", token=16000) + ADDED)
    here = pair.conductor
    other = next(n.instance_id for n in pair.nodes if n.instance_id != here)
    said(pair.lab, other, "pcs", "cluster", "stop", "--force")
    until(pair.lab, here, lambda told: "offline" in told["reason"])
    refused = pair.lab.run(here, "muster", "apply", "--allow-restart", check=False)
    assert "while a member is away" in refused.stderr
    assert status(pair.lab, here)["cluster"]["quorate"]
    said(pair.lab, other, "pcs", "cluster", "start")
    pair.write(SPEC.format(fake="b", token=14000) + ADDED)
    wait_for(pair.lab, "healthy", ids(pair.nodes))


def test_a_larger_size_lets_instances_with_the_same_spec_join(pair: Pair) -> None:
    """There is nothing to apply: who conducts reads its spec when somebody has another."""
    larger = SPEC.format(fake="b", token=14000).replace("size = 2", "size = 3") + ADDED
    pair.write(larger)
    [third] = pair.lab.launch(1, tags=tags("web", 3), user_data=spec_as_user_data(larger))
    pair.nodes.append(third)
    wait_for(pair.lab, "healthy", ids(pair.nodes))
    found = pair.plan(pair.conductor, 0)
    assert found["commands"] == []
