"""Fencing that is proven: by real fences before `formed` is said, and again when somebody asks.

One founding with `prove = "real"`, then what is done to its device; beside it, clusters that must
not come to `formed` because their fencing would not work.
"""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from muster_lab.client import Lab
from muster_lab.ports import MachineError
from muster_lab.views import Node
from observe import (
    Document,
    boot_id,
    ids,
    own_lab,
    said,
    spec_as_user_data,
    status,
    stops,
    until,
    wait_for,
)
from outages import watched

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(900)]

ADDRESS = "10.0.0.100"
FAILOVER = 75.0
"""Seconds that an address may be away while its node is fenced; twenty at rest."""

LONG = 420.0
"""Seconds for a founding with a fence of each node; one and a half minutes at rest."""

REAL = f"""
[cluster]
name = "web"
size = 3
[fencing]
prove = "real"
[[address]]
private_ip = "{ADDRESS}"
"""


@dataclass(frozen=True)
class Proven:
    """The lab, its cluster, and the boots before any fence."""

    lab: Lab
    nodes: tuple[Node, ...]
    boots: dict[str, str]

    @property
    def ids(self) -> list[str]:
        """Instance ids."""
        return ids(self.nodes)


@pytest.fixture(scope="module")
def web() -> Iterator[Proven]:
    """Three nodes that fence each other while they found their cluster."""
    with own_lab("fencing") as lab:
        tag = {"muster:cluster": "web"}
        nodes = lab.launch(3, tags=tag, user_data=spec_as_user_data(REAL))
        boots = {node: boot_id(lab, node) for node in ids(nodes)}
        everywhere(lab, ids(nodes), lambda now: now["phase"] == "formed")
        yield Proven(lab, tuple(nodes), boots)


def look(lab: Lab, node: str) -> Document:
    """A node's status, empty while it is down."""
    try:
        return status(lab, node)
    except (MachineError, OSError):
        return {}


def everywhere(lab: Lab, nodes: list[str], wanted: object, timeout: float = LONG) -> None:
    """Wait until each node's status is as wanted; nodes may be fenced meanwhile."""
    assert callable(wanted)
    deadline = time.monotonic() + timeout
    left = list(nodes)
    while left:
        found = {node: look(lab, node) for node in left}
        left = [node for node, now in found.items() if not (now and wanted(now))]
        if time.monotonic() > deadline:
            raise AssertionError(json.dumps(found, indent=1))
        time.sleep(2.0 if left else 0.0)


def real(now: Document) -> dict[str, str]:
    """Node -> when it was really fenced."""
    proved = now.get("fencing", {}).get("proved", [])
    return {proof["node"]: proof["at"] for proof in proved if proof["how"] == "real"}


def test_each_node_was_fenced_once_before_formed_was_said(web: Proven) -> None:
    for node in web.ids:
        assert stops(web.lab, node) == ["StopInstances", "StartInstances"]
        assert boot_id(web.lab, node) != web.boots[node]


def test_every_node_shows_when_each_was_proven(web: Proven) -> None:
    names = {node.hostname for node in web.nodes}
    everywhere(web.lab, web.ids, lambda now: real(now).keys() == names, 90.0)
    told = [real(status(web.lab, node)) for node in web.ids]
    assert told[0] == told[1] == told[2]


def test_the_address_works_and_the_cluster_is_one(web: Proven) -> None:
    wait_for(web.lab, "healthy", web.ids)
    web.lab.outside("ping", "-c", "1", "-W", "2", ADDRESS)
    assert len({status(web.lab, node)["cluster"]["uuid"] for node in web.ids}) == 1


def test_agent_parameters_are_those_that_this_release_has(web: Proven) -> None:
    config = said(web.lab, web.ids[0], "pcs", "stonith", "config")
    metadata = said(web.lab, web.ids[0], "fence_aws", "-o", "metadata")
    assert "region=eu-west-1" in config
    assert ("skip_os_shutdown" in config) == ('name="skip_os_shutdown"' in metadata)


def test_a_fence_test_fences_one_node_and_dates_the_proof(web: Proven) -> None:
    lab, asker, target = web.lab, web.ids[0], web.nodes[2]
    before = real(status(lab, asker))[target.hostname]
    boot = boot_id(lab, target.instance_id)
    done = lab.run(asker, "muster", "fence-test", target.hostname, timeout=240)
    assert f"fenced and back: {target.hostname}" in done.stdout
    assert boot_id(lab, target.instance_id) != boot
    assert real(status(lab, asker))[target.hostname] > before
    wait_for(lab, "healthy", web.ids)


def test_all_are_fenced_in_turn_and_the_address_is_down_for_one_failover_at_a_time(
    web: Proven,
) -> None:
    lab, asker = web.lab, web.ids[0]
    before = {node: (boot_id(lab, node), stops(lab, node)) for node in web.ids}
    since = max(real(status(lab, asker)).values())
    began = time.monotonic()
    with watched(lab, ADDRESS) as outages:
        # The last one is the node it was typed on: the command goes down with it.
        lab.run(asker, "muster", "fence-test", "--all", timeout=600, check=False)
        everywhere(lab, web.ids, lambda now: len(newer(real(now), since)) == 3, 180.0)
        wait_for(lab, "healthy", web.ids)
        took = time.monotonic() - began
    print(f"fence-test --all of three nodes: {took:.0f} s; {ADDRESS}: {outages.told()}")
    for node, (boot, calls) in before.items():
        assert boot_id(lab, node) != boot
        assert stops(lab, node) == [*calls, "StopInstances", "StartInstances"]
    assert len(outages.seconds) <= 3
    assert max(outages.seconds, default=0.0) < FAILOVER


def newer(proofs: dict[str, str], since: str) -> list[str]:
    """Names proven later than that."""
    return [name for name, at in proofs.items() if at > since]


def test_what_cannot_be_tested_is_refused(web: Proven) -> None:
    own = web.lab.run(web.ids[0], "muster", "fence-test", web.nodes[0].hostname, check=False)
    assert own.returncode == 1
    assert "does not fence itself" in own.stderr
    stranger = web.lab.run(web.ids[0], "muster", "fence-test", "nobody", check=False)
    assert "no member" in stranger.stderr
    assert len(stops(web.lab, web.ids[0])) == 4


def test_a_map_that_somebody_swaps_voids_the_proof_and_is_named(web: Proven) -> None:
    lab, first = web.lab, web.ids[0]
    config = said(lab, first, "pcs", "stonith", "config")
    [good] = re.findall(r"pcmk_host_map=(\S+)", config)
    one, other, third = good.split(";")
    names, instances = zip(*(pair.split(":") for pair in (one, other)), strict=True)
    swapped = f"{names[0]}:{instances[1]};{names[1]}:{instances[0]};{third}"
    lab.run(first, "pcs", "stonith", "update", "fence-web", f"pcmk_host_map={swapped}")
    lab.run(first, "systemctl", "restart", "musterd")  # it looks by itself every five minutes

    def named(now: Document) -> bool:
        found = [each["what"] for each in now["findings"] if each["severity"] == "error"]
        return any(f"says {names[0]} is {instances[1]}" in what for what in found)

    now = until(lab, first, named, 90.0)
    assert real(now) == {}
    lab.run(first, "pcs", "stonith", "update", "fence-web", f"pcmk_host_map={good}")
    lab.run(first, "systemctl", "restart", "musterd")
    until(lab, first, lambda now: bool(real(now)) and not now["findings"], 90.0)


def test_a_member_that_joins_is_fenced_once_before_it_is_formed(web: Proven) -> None:
    lab = web.lab
    before = {node: stops(lab, node) for node in web.ids}
    [newcomer] = lab.launch(1, tags={"muster:cluster": "web"}, user_data=spec_as_user_data(REAL))
    here = newcomer.instance_id
    everywhere(lab, [here], lambda now: now["phase"] == "formed")
    assert stops(lab, here) == ["StopInstances", "StartInstances"]
    assert real(status(lab, here)).keys() == {newcomer.hostname}
    assert {node: stops(lab, node) for node in web.ids} == before
    wait_for(lab, "healthy", [*web.ids, here])
    lab.terminate(here)


# --- what must not come to `formed` -----------------------------------------------------------

BAD: dict[str, tuple[str, dict[str, object], str]] = {
    "StopInstances refused": (
        "",
        {"action": "StopInstances", "code": "UnauthorizedOperation", "status": 403},
        "may not call ec2:StopInstances",
    ),
    "throttled": (
        "",
        {"action": "StopInstances", "code": "RequestLimitExceeded", "status": 503},
        "throttles ec2:StopInstances",
    ),
    "a line break in the map": (
        '[fencing.options]\npcmk_host_map = "a:i-1\\nb:i-2"\n',
        {},
        "line break",
    ),
    "swapped ids in the map": (
        '[fencing.options]\npcmk_host_map = "{swapped}"\n',
        {},
        "would fence wrongly",
    ),
    "an option that the agent does not take": (
        "[fencing.options]\npwer_timeout = 9\n",
        {},
        "fence_aws on this node does not take",
    ),
}


@pytest.fixture(scope="module")
def pairs(web: Proven) -> Lab:
    """The same lab once its cluster is gone."""
    for node in web.ids:
        web.lab.terminate(node)
    return web.lab


@pytest.mark.parametrize("case", BAD)
def test_fencing_that_would_not_work_is_never_called_formed(pairs: Lab, case: str) -> None:
    options, fault, words = BAD[case]
    lab = pairs
    name = f"pair{list(BAD).index(case)}"
    if fault:
        lab.fault(**fault)  # type: ignore[arg-type]
    nodes = lab.launch(2, tags={"muster:cluster": name, "muster:size": "2"})
    hosts, machines = [n.hostname for n in nodes], ids(nodes)
    swapped = f"{hosts[0]}:{machines[1]};{hosts[1]}:{machines[0]}"
    spec = f'[cluster]\nname = "{name}"\nsize = 2\n{options.replace("{swapped}", swapped)}'
    if options:
        lab.wait_boot(*machines)
    for node in machines if options else []:
        install = ["install", "-D", "-o", "root", "-g", "musterd", "-m", "0640", "/dev/stdin"]
        lab.run(node, *install, "/etc/muster/muster.toml", stdin=spec)
        lab.run(node, "muster", "join")

    def told(now: Document) -> bool:
        return words in now["reason"] or any(words in each["what"] for each in now["findings"])

    found: set[str] = set()
    deadline = time.monotonic() + 180.0
    while not found and time.monotonic() < deadline:
        found = {node for node in machines if (now := look(lab, node)) and told(now)}
        time.sleep(0.0 if found else 2.0)
    assert found, [look(lab, node) for node in machines]
    assert {look(lab, node)["phase"] for node in machines}.isdisjoint({"formed"})
    if fault:
        lab.clear_faults()
        wait_for(lab, "healthy", machines)
    for node in machines:
        lab.terminate(node, wait=False)
