"""The lab's own promises: hosts and a region that behave as on EC2, and nothing left behind."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from muster_lab import cleanup
from muster_lab.client import Lab
from muster_lab.views import Node
from observe import boot_id, ids, own_lab, said

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

Pair = tuple[Lab, list[Node]]
METADATA = "http://169.254.169.254/latest"
FLOATING = "10.0.0.77"


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Two booted nodes without muster."""
    with own_lab("hosts", with_muster=False) as lab:
        nodes = lab.launch(2)
        lab.wait_boot()
        yield lab, nodes


def _metadata(lab: Lab, node: str, path: str) -> str:
    ttl = "X-aws-ec2-metadata-token-ttl-seconds: 60"
    token = said(lab, node, "curl", "-sf", "-X", "PUT", "-H", ttl, f"{METADATA}/api/token")
    header = f"X-aws-ec2-metadata-token: {token}"
    return said(lab, node, "curl", "-sf", "-H", header, f"{METADATA}/{path}")


def _reaches(lab: Lab, node: str, address: str | None, seconds: int = 5) -> bool:
    """Whether any answer comes to a ping a second; silence needs less time to be believed.

    Not `-w`: it gives up at the first "host unreachable", which a neighbour that was silent before
    still earns for a second or two.
    """
    ping = lab.run(node, "ping", "-c", str(seconds), "-W", "1", str(address), check=False)
    return ping.returncode == 0


def _silent(lab: Lab, node: str, address: str | None) -> bool:
    return not _reaches(lab, node, address, seconds=1)


def test_nodes_are_booted_hosts_named_after_their_address(pair: Pair) -> None:
    lab, nodes = pair
    for node in nodes:
        assert said(lab, node.instance_id, "systemctl", "is-system-running") == "running"
        assert said(lab, node.instance_id, "hostname") == node.hostname
        assert node.hostname == f"ip-{str(node.address).replace('.', '-')}"


def test_metadata_is_that_of_whoever_asks(pair: Pair) -> None:
    lab, nodes = pair
    for node in nodes:
        assert _metadata(lab, node.instance_id, "meta-data/instance-id") == node.instance_id
        assert _metadata(lab, node.instance_id, "meta-data/local-ipv4") == node.address


def test_metadata_without_a_session_token_is_refused(pair: Pair) -> None:
    lab, nodes = pair
    asked = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}"]
    assert said(lab, nodes[0].instance_id, *asked, f"{METADATA}/meta-data/instance-id") == "401"


def test_the_unmodified_aws_command_works_in_a_node(pair: Pair) -> None:
    lab, nodes = pair
    answer = said(
        lab, nodes[0].instance_id, "aws", "--region", "eu-west-1", "ec2", "describe-instances"
    )
    told = [one for each in json.loads(answer)["Reservations"] for one in each["Instances"]]
    assert {each["InstanceId"] for each in told} == set(ids(nodes))


def test_an_address_that_ec2_does_not_know_reaches_nobody(pair: Pair) -> None:
    """IPaddr2 without awsvip: the kernel has the address, the VPC drops it."""
    lab, nodes = pair
    holder, other = ids(nodes)
    lab.run(holder, "ip", "address", "add", f"{FLOATING}/24", "dev", "eth0")
    assert _silent(lab, other, FLOATING)
    answer = lab.aws("ec2", "describe-network-interfaces", "--filters",
                     f"Name=attachment.instance-id,Values={holder}")  # fmt: skip
    [interface] = json.loads(answer.stdout)["NetworkInterfaces"]
    eni = ["--network-interface-id", interface["NetworkInterfaceId"]]
    lab.aws("ec2", "assign-private-ip-addresses", *eni, "--private-ip-addresses", FLOATING)
    assert _reaches(lab, other, FLOATING)


def test_an_elastic_address_leads_in_from_the_internet(pair: Pair) -> None:
    lab, nodes = pair
    made = json.loads(lab.aws("ec2", "allocate-address", "--domain", "vpc").stdout)
    public = made["PublicIp"]
    ping = ["ping", "-c", "1", "-W", "1", public]
    assert lab.outside(*ping, place="internet", check=False).returncode != 0
    wanted = ["--allocation-id", made["AllocationId"], "--instance-id", nodes[1].instance_id]
    lab.aws("ec2", "associate-address", *wanted)
    lab.outside(*ping, place="internet")


def test_a_partition_cuts_and_heals(pair: Pair) -> None:
    lab, nodes = pair
    (one, other), address = ids(nodes), nodes[1].address
    lab.partition(one)
    assert _silent(lab, one, address)
    assert _metadata(lab, one, "meta-data/instance-id") == one  # peers only
    lab.heal()
    assert _reaches(lab, one, address)
    assert _reaches(lab, other, nodes[0].address)


def test_a_crash_is_silent(pair: Pair) -> None:
    """The peer of an open connection hears nothing, neither FIN nor reset; EC2 says running."""
    lab, nodes = pair
    one, other = ids(nodes)
    listen = ["sh", "-c", "nc -lk -p 7000 >/dev/null & echo $!; wait"]
    with subprocess.Popen(lab.node_command(other, listen), stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        server.stdout.readline()
        connect = ["sh", "-c", f"sleep 60 | nc {nodes[1].address} 7000"]
        with subprocess.Popen(lab.node_command(one, connect)) as client:
            established = ["ss", "-Htn", "state", "established", "dport", "7000"]
            until_connected = f"until {' '.join(established)} | grep -q .; do sleep 0.1; done"
            lab.run(one, "sh", "-c", until_connected, timeout=20)
            lab.kill(other)
            assert said(lab, one, *established) != ""
            assert _silent(lab, one, nodes[1].address)
            assert lab.node(other).state == "running"
            client.kill()
    lab.boot(other)
    lab.wait_boot(other)
    assert _reaches(lab, one, nodes[1].address)


def test_a_reboot_is_a_new_boot_on_the_same_disk(pair: Pair) -> None:
    lab, nodes = pair
    node = nodes[0].instance_id
    before = boot_id(lab, node)
    lab.run(node, "touch", "/var/lib/kept")
    lab.reboot(node)
    assert boot_id(lab, node) != before
    lab.run(node, "test", "-e", "/var/lib/kept")


def test_a_second_lab_with_the_same_addresses_is_another_world(pair: Pair) -> None:
    lab, nodes = pair
    with own_lab("second", with_muster=False) as second:
        [node] = second.launch(1)
        assert node.address == nodes[0].address
        assert node.instance_id not in ids(lab.nodes())
        assert _silent(second, node.instance_id, nodes[1].address)
        layout = second.layout
    assert cleanup.leftovers(layout) == []
    assert _reaches(lab, nodes[0].instance_id, nodes[1].address)


def test_nothing_is_left_after_a_killed_server() -> None:
    with own_lab("ended", with_muster=False) as lab:
        lab.launch(1)
        assert cleanup.leftovers(lab.layout) != []
        os.kill(int(lab.layout.pid_file.read_text(encoding="ascii")), signal.SIGKILL)
        lab.down()
        assert cleanup.leftovers(lab.layout) == []
