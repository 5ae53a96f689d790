"""From three blank instances to one running cluster, by user data alone; and that it lasts.

One lab, founded once. The tests run in the order of the file: first what founding left behind,
then what is done to the cluster, the gentle before the rough.
"""

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import pytest

from muster_lab.client import Lab
from muster_lab.views import Node
from musterd.discovery import READ_EVERY
from observe import (
    boot_id,
    configuration,
    digests,
    epoch,
    ids,
    moments,
    own_lab,
    said,
    spec_as_user_data,
    status,
    until,
    wait_for,
)

pytestmark = [pytest.mark.lab, pytest.mark.timeout(900)]

ADDRESS = "10.0.0.100"
FENCED_LATER = 30.0  # seconds: token + consensus, 22 s at the default, are over by then
KEPT = ("/etc/corosync/corosync.conf", "/etc/corosync/authkey", "/etc/pacemaker/authkey")


@dataclass(frozen=True)
class Founded:
    """The lab with its cluster.

    Attributes:
        nodes: as launched; instance ids name them.
        elastic_ip: of the address group.
    """

    lab: Lab
    nodes: tuple[Node, ...]
    elastic_ip: str

    @property
    def ids(self) -> list[str]:
        """Instance ids."""
        return ids(self.nodes)


@pytest.fixture(scope="module")
def web() -> Iterator[Founded]:
    """Three blank instances with user data and nothing else, until each says formed."""
    with own_lab("founding") as lab:
        elastic = json.loads(lab.aws("ec2", "allocate-address", "--domain", "vpc").stdout)
        spec = f"""
[cluster]
name = "web"
size = 3

[[address]]
private_ip = "{ADDRESS}"
elastic_ip = "{elastic["PublicIp"]}"
"""
        tag = {"muster:cluster": "web"}
        nodes = lab.launch(3, tags=tag, user_data=spec_as_user_data(spec))
        wait_for(lab, "formed", ids(nodes))
        yield Founded(lab, tuple(nodes), elastic["PublicIp"])


def test_every_node_says_formed_and_the_same_cluster(web: Founded) -> None:
    told = [status(web.lab, node) for node in web.ids]
    assert {each["phase"] for each in told} == {"formed"}
    assert len({each["cluster"]["uuid"] for each in told}) == 1
    assert all(re.fullmatch("[0-9a-f]{32}", each["cluster"]["uuid"]) for each in told)
    for each in told:
        assert {node["instance_id"] for node in each["nodes"]} == set(web.ids)
        assert all(node["online"] for node in each["nodes"])


def test_nodes_are_named_as_ec2_names_them(web: Founded) -> None:
    names = [said(web.lab, node, "hostname") for node in web.ids]
    assert names == [f"ip-{str(node.address).replace('.', '-')}" for node in web.nodes]
    assert {node["name"] for node in status(web.lab, web.ids[0])["nodes"]} == set(names)


def test_pcs_sees_a_clean_cluster_from_every_node(web: Founded) -> None:
    for node in web.ids:
        told = said(web.lab, node, "pcs", "status")
        assert "partition with quorum" in told
        assert f"Online: [ {' '.join(sorted(each.hostname for each in web.nodes))} ]" in told
        assert re.findall(r"(?i)warning|failed|stopped|offline|unclean", told) == []
        for daemon in ("corosync", "pacemaker", "pcsd"):
            assert f"{daemon}: active/enabled" in told


def test_pcsd_knows_every_node_from_every_node(web: Founded) -> None:
    for node in web.ids:
        told = said(web.lab, node, "pcs", "status", "pcsd").splitlines()
        assert sorted(line.strip() for line in told) == [
            f"{each.hostname}: Online" for each in sorted(web.nodes, key=lambda n: n.hostname)
        ]


def test_pacemaker_finds_nothing_wrong_with_the_configuration(web: Founded) -> None:
    for node in web.ids:
        done = web.lab.run(node, "crm_verify", "--live-check")
        assert (done.stdout, done.stderr) == ("", "")


def test_the_cluster_files_are_the_same_everywhere_and_closed(web: Founded) -> None:
    sums = {said(web.lab, node, "sha256sum", *KEPT) for node in web.ids}
    assert len(sums) == 1
    uuid = status(web.lab, web.ids[0])["cluster"]["uuid"]
    for node in web.ids:
        conf = said(web.lab, node, "cat", KEPT[0])
        assert re.findall(r"cluster_uuid: (\w+)", conf) == [uuid]
        modes = said(web.lab, node, "stat", "--format=%U %a", *KEPT).splitlines()
        assert modes == ["root 644", "root 400", "hacluster 400"]


def test_no_password_of_hacluster_exists(web: Founded) -> None:
    for node in web.ids:
        assert said(web.lab, node, "passwd", "--status", "hacluster").split()[1] == "L"


def test_the_fence_device_knows_which_instance_each_node_is(web: Founded) -> None:
    wanted = {node.hostname: node.instance_id for node in web.nodes}
    assert status(web.lab, web.ids[0])["fencing"]["map"] == wanted
    config = said(web.lab, web.ids[0], "pcs", "stonith", "config")
    [told] = re.findall(r"pcmk_host_map=(\S+)", config)
    assert dict(pair.split(":") for pair in told.split(";")) == wanted


def test_both_addresses_answer_from_outside(web: Founded) -> None:
    web.lab.outside("ping", "-c", "1", "-W", "2", ADDRESS)
    web.lab.outside("ping", "-c", "1", "-W", "2", web.elastic_ip, place="internet")
    # EC2's view is read again within ten seconds of the address's arrival.
    agreed = until(web.lab, web.ids[0], lambda now: now["addresses"][0]["agrees"], timeout=30)
    [address] = agreed["addresses"]
    holder = address["node"]
    [node] = [each for each in web.lab.nodes() if ADDRESS in each.addresses]
    assert node.hostname == holder
    filters = f"Name=public-ip,Values={web.elastic_ip}"
    answer = web.lab.aws("ec2", "describe-addresses", "--filters", filters)
    assert json.loads(answer.stdout)["Addresses"][0]["PrivateIpAddress"] == ADDRESS


def test_a_node_reads_ec2_at_most_every_ten_seconds(web: Founded) -> None:
    """Counted until the cluster is configured: from then on its agents read instances too."""
    everything = web.lab.calls(service="ec2")
    agents = {"AssignPrivateIpAddresses", "StopInstances"}
    configured = next(n for n, call in enumerate(everything) if call.action in agents)
    for node in web.ids:
        reads = [
            call
            for call in everything[:configured]
            if (call.caller, call.action) == (node, "DescribeInstances")
        ]
        times = moments(reads)
        gaps = [after - before for before, after in pairwise(times)]
        assert reads
        assert all(gap > READ_EVERY - 1 for gap in gaps), gaps


def test_pcs_stonith_fence_really_kills_and_the_node_comes_back(web: Founded) -> None:
    """A stop on EC2 takes longer than Corosync's token; ADR 7 tells what a quicker one can do."""
    lab, (asker, target, _) = web.lab, web.ids
    lab.fault("StartInstances", delay=FENCED_LATER, count=1)
    name = web.nodes[1].hostname
    before = boot_id(lab, target)
    asked = len(lab.calls(service="ec2"))
    lab.run(asker, "pcs", "stonith", "fence", name, timeout=240)
    wait_for(lab, "healthy", [asker, target])
    assert boot_id(lab, target) != before
    made = [
        call.action
        for call in lab.calls(service="ec2")[asked:]
        if call.outcome == "ok" and f"InstanceId.1={target}" in call.detail
    ]
    assert [each for each in made if each.endswith(("StopInstances", "StartInstances"))] == [
        "StopInstances",
        "StartInstances",
    ]


def test_the_holder_of_the_address_dies_and_the_address_moves(web: Founded) -> None:
    lab = web.lab
    wait_for(lab, "healthy", web.ids)  # the node fenced before may still give resources back
    [address] = until(lab, web.ids[0], lambda now: _moved(now, "nobody"))["addresses"]
    holder = next(node for node in web.nodes if node.hostname == address["node"])
    others = [each for each in web.ids if each != holder.instance_id]
    uuid, before = status(lab, others[0])["cluster"]["uuid"], boot_id(lab, holder.instance_id)
    lab.kill(holder.instance_id)
    until(lab, others[0], lambda now: holder.hostname not in _online(now))
    until(lab, others[0], lambda now: _moved(now, holder.hostname))
    lab.outside("ping", "-c", "1", "-W", "2", ADDRESS)
    lab.outside("ping", "-c", "1", "-W", "2", web.elastic_ip, place="internet")
    until(lab, others[0], lambda now: holder.hostname in _online(now))
    wait_for(lab, "healthy", web.ids)
    assert boot_id(lab, holder.instance_id) != before  # Pacemaker booted it, nobody else
    assert {status(lab, node)["cluster"]["uuid"] for node in web.ids} == {uuid}


def _online(now: dict[str, list[dict[str, str]]]) -> set[str]:
    return {node["name"] for node in now["nodes"] if node["online"]}


def _moved(now: dict[str, list[dict[str, str]]], away_from: str) -> bool:
    started = {
        resource["node"]
        for resource in now["resources"]
        if resource["group"] and resource["state"] == "Started"
    }
    stopped = [each for each in now["resources"] if each["state"] != "Started"]
    return not stopped and len(started) == 1 and away_from not in started


def test_a_restarted_daemon_finds_everything_done(web: Founded) -> None:
    lab, node = web.lab, web.ids[0]
    before = _remembered(lab, node), epoch(lab, node)
    lab.run(node, "systemctl", "restart", "musterd")
    wait_for(lab, "healthy", [node])
    assert (_remembered(lab, node), epoch(lab, node)) == before
    assert _steps(lab, node) == []


def test_a_rebooted_node_finds_everything_done(web: Founded) -> None:
    lab, node = web.lab, web.ids[1]
    before = _remembered(lab, node)
    lab.reboot(node)
    wait_for(lab, "healthy", [node, web.ids[0]])
    assert _remembered(lab, node) == before
    assert _steps(lab, node) == []


def test_all_nodes_rebooted_at_once_are_the_same_cluster_again(web: Founded) -> None:
    lab = web.lab
    before = [_remembered(lab, node) for node in web.ids]
    with ThreadPoolExecutor() as at_once:
        list(at_once.map(lab.reboot, web.ids))
    wait_for(lab, "healthy", web.ids)
    assert [_remembered(lab, node) for node in web.ids] == before
    assert [_steps(lab, node) for node in web.ids] == [[], [], []]


def _remembered(lab: Lab, node: str) -> tuple[str, str, str]:
    uuid = status(lab, node)["cluster"]["uuid"]
    return uuid, digests(lab, node, *KEPT), configuration(lab, node)


def _steps(lab: Lab, node: str) -> list[str]:
    """What the helper was asked to do since the daemon started."""
    told = [json.loads(line) for line in said(lab, node, "muster", "events", "--json").splitlines()]
    return [event["message"] for event in told if event["kind"] == "step"]
