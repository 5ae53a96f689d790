"""What a person is told: the status follows from what the node knows, and nothing is made up."""

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from muster_sim import samples
from musterd.election import machine
from musterd.election.types import Durable
from musterd.helper_wire import Tags
from musterd.knowledge import Heard, Knowledge, Trouble
from musterd.model import (
    ClusterResource,
    ClusterState,
    Decree,
    Member,
    Phase,
    ResourceState,
)
from musterd.peer_wire import Hello
from musterd.settings import load
from musterd.spec import Address
from musterd.status import hello_of, status_of

OWN, PEER = "i-00000000000000001", "i-00000000000000002"
NOW, WALL = 100.0, 1_767_225_600.0
NODE = samples.node()
DECREE = Decree(
    uuid="ab" * 16,
    members=(Member(OWN, "ip-10-0-0-11", "10.0.0.11"), Member(PEER, "ip-10-0-0-12", "10.0.0.12")),
    spec_digest="d",
    seed="00" * 32,
)


@pytest.fixture
def known(tmp_path: Path) -> Knowledge:
    """A founder that knows its decree and its peer, with one floating address wanted."""
    spec = tmp_path / "muster.toml"
    spec.write_text('[[address]]\nprivate_ip = "10.0.0.100"\n')
    settings = load(Tags(cluster="web", size=2), tmp_path / "absent", spec)
    assert settings.spec.address == (Address(private_ip=IPv4Address("10.0.0.100")),)
    return Knowledge(
        election=machine.start(OWN, Durable(term=3, decided=DECREE)), node=NODE, settings=settings
    )


def cluster(holder: str) -> ClusterState:
    return ClusterState(
        dc="ip-10-0-0-12",
        quorate=True,
        online=("ip-10-0-0-11", "ip-10-0-0-12"),
        offline=(),
        resources=(
            ClusterResource(
                "vip-10-0-0-100", "ocf:heartbeat:IPaddr2", "g", ResourceState.STARTED, holder
            ),
        ),
        failures=(),
    )


def peer_hello(
    k: Knowledge,
    *,
    holds: tuple[str, ...] = (),
    proofs: dict[str, tuple[str, float]] | None = None,
) -> Hello:
    own = hello_of(k, NOW)
    assert own is not None
    return replace(
        own,
        instance_id=PEER,
        name="ip-10-0-0-12",
        address="10.0.0.12",
        holds=holds,
        proofs=proofs or {},
    )


def test_a_node_that_knows_nothing_says_so_and_invents_nothing() -> None:
    blank = Knowledge(election=machine.start("", Durable()))
    status = status_of(blank, NOW, WALL)
    assert (status.phase, status.cluster.name, status.nodes) == (Phase.STARTING, "", ())
    assert hello_of(blank, NOW) is None


def test_an_address_agrees_only_when_pacemaker_ec2_and_the_kernel_say_the_same(
    known: Knowledge,
) -> None:
    known.cluster = cluster("ip-10-0-0-12")
    known.heard[PEER] = Heard(peer_hello(known, holds=("10.0.0.100",)), NOW)
    known.holders = {"10.0.0.100": PEER}
    [address] = status_of(known, NOW, WALL).addresses
    assert (address.node, address.agrees) == ("ip-10-0-0-12", True)

    known.holders = {"10.0.0.100": OWN}
    [address] = status_of(known, NOW, WALL).addresses
    assert not address.agrees
    assert address.views["ec2"] == "ip-10-0-0-11"


def test_views_that_differ_are_a_finding_that_names_each(known: Knowledge) -> None:
    known.cluster, known.formed = cluster("ip-10-0-0-12"), True
    known.heard[PEER] = Heard(peer_hello(known, holds=()), NOW)
    known.holders = {"10.0.0.100": OWN}
    told = [each.what for each in status_of(known, NOW, WALL).findings]
    assert any("pacemaker ip-10-0-0-12, kernel nobody, ec2 ip-10-0-0-11" in what for what in told)
    known.heard[PEER] = Heard(peer_hello(known, holds=("10.0.0.100",)), NOW)
    known.holders = {"10.0.0.100": PEER}
    told = [each.what for each in status_of(known, NOW, WALL).findings]
    assert not any("do not say the same" in what for what in told)


def test_having_reached_an_address_once_hides_no_later_loss(known: Knowledge) -> None:
    known.cluster, known.reaches = cluster("ip-10-0-0-12"), ("10.0.0.100",)
    known.heard[PEER] = Heard(peer_hello(known, holds=()), NOW)
    [address] = status_of(known, NOW, WALL).addresses
    assert address.views["kernel"] == ""
    assert not address.agrees


def test_an_address_in_two_kernels_names_both(known: Knowledge) -> None:
    known.cluster = cluster("ip-10-0-0-12")
    known.holds = ("10.0.0.100",)
    known.heard[PEER] = Heard(peer_hello(known, holds=("10.0.0.100",)), NOW)
    [address] = status_of(known, NOW, WALL).addresses
    assert address.views["kernel"] == "ip-10-0-0-11, ip-10-0-0-12"
    assert not address.agrees


@pytest.mark.parametrize("offline", [("ip-10-0-0-12",), ()], ids=["offline", "taken out"])
def test_a_dead_nodes_last_word_does_not_hold_an_address_for_ever(
    known: Knowledge, offline: tuple[str, ...]
) -> None:
    found = replace(cluster("ip-10-0-0-11"), online=("ip-10-0-0-11",), offline=offline)
    known.cluster = found
    known.holds = ("10.0.0.100",)
    known.heard[PEER] = Heard(peer_hello(known, holds=("10.0.0.100",)), NOW)
    for later, told in ((NOW + 10, "ip-10-0-0-11, ip-10-0-0-12"), (NOW + 60, "ip-10-0-0-11")):
        [address] = status_of(known, later, WALL).addresses
        assert address.views["kernel"] == told


def test_the_latest_proof_by_anybody_is_shown_for_each_member(known: Knowledge) -> None:
    known.proofs = {PEER: ("permissions", WALL - 60)}
    known.heard[PEER] = Heard(peer_hello(known, proofs={OWN: ("permissions", WALL - 30)}), NOW)
    proved = {proof.node: proof.at for proof in status_of(known, NOW, WALL).fencing.proved}
    assert proved == {
        "ip-10-0-0-11": "2025-12-31T23:59:30Z",
        "ip-10-0-0-12": "2025-12-31T23:59:00Z",
    }


def test_a_peer_that_fell_silent_is_shown_with_the_reason_and_when_it_was_heard(
    known: Knowledge,
) -> None:
    known.heard[PEER] = Heard(peer_hello(known), NOW - 40)
    known.troubles[f"greet:{PEER}"] = Trouble("10.0.0.12 does not answer", "timeout")
    peer = status_of(known, NOW, WALL).nodes[1]
    assert peer.reason == "10.0.0.12 does not answer: timeout"
    assert peer.last_heard == "2025-12-31T23:59:20Z"


def test_a_lost_member_is_not_said_to_be_what_it_was_before(known: Knowledge) -> None:
    """Its last words are older than its loss, unless they tell of it."""
    lost = replace(cluster(""), online=("ip-10-0-0-11",), offline=("ip-10-0-0-12",))
    known.cluster = cluster("ip-10-0-0-12")
    before = replace(peer_hello(known), reason="every member is online")
    known.heard[PEER] = Heard(before, NOW)
    assert status_of(known, NOW, WALL).nodes[1].reason == "every member is online"
    known.cluster = lost
    assert status_of(known, NOW, WALL).nodes[1].reason == "not heard since it was lost"
    after = replace(before, online=(), reason="Pacemaker does not answer on this node")
    known.heard[PEER] = Heard(after, NOW)
    assert status_of(known, NOW, WALL).nodes[1].reason == after.reason


def test_a_terminated_member_is_shown_as_such_whatever_it_said_last(known: Knowledge) -> None:
    known.heard[PEER] = Heard(peer_hello(known), NOW)
    known.candidates = replace(known.candidates, gone=frozenset({PEER}))
    peer = status_of(known, NOW, WALL).nodes[1]
    assert (peer.instance_id, peer.phase, peer.reason) == (PEER, "", "terminated, by EC2's word")


def test_the_hello_tells_the_seed_to_nobody(known: Knowledge) -> None:
    assert DECREE.seed not in repr(hello_of(known, NOW))


def findings(k: Knowledge) -> dict[str, str]:
    """What was found -> how grave it is."""
    return {found.what: found.severity for found in status_of(k, NOW, WALL).findings}


def test_what_pacemaker_no_longer_looks_after_is_a_finding(known: Knowledge) -> None:
    """Fencing that was proven once, and is gone, is not proven."""
    known.formed, known.cluster = True, cluster("ip-10-0-0-11")
    device = ClusterResource("fence-web", "stonith:fence_aws", "", ResourceState.STARTED, "x")
    vip = replace(device, id="vip-10-0-0-100"), replace(device, id="privip-10-0-0-100")
    known.cluster = replace(known.cluster, resources=(device, *vip))
    assert findings(known) == {}
    known.cluster = replace(known.cluster, unfenced=True, maintained=True, resources=vip[:1])
    found = findings(known)
    assert found == {
        "nobody is fenced: Pacemaker's property stonith-enabled is false": "error",
        "nobody is fenced: Pacemaker has no stonith device fence-web": "error",
        "nothing is moved or started: Pacemaker's property maintenance-mode is true": "warning",
        "Pacemaker has no resource privip-10-0-0-100, which the spec asks for": "warning",
    }
    known.cluster = replace(known.cluster, quorate=False)
    assert findings(known) == {}, "without quorum nothing of it is Pacemaker's fault"
