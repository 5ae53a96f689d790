"""Ready-made values of the model, for tests of the pure stages."""

from pathlib import Path

from musterd import discovery
from musterd.election import machine
from musterd.election.types import Durable
from musterd.helper_wire import Tags
from musterd.knowledge import Heard, Knowledge
from musterd.model import (
    ClusterResource,
    ClusterState,
    CorosyncConfig,
    Decree,
    Instance,
    InstanceState,
    Member,
    Node,
    NodeFacts,
    Phase,
    Read,
    ResourceState,
)
from musterd.peer_wire import Hello
from musterd.settings import Settings, load

IDS = tuple(f"i-0000000000000000{number}" for number in range(1, 5))
NAMES = tuple(f"ip-10-0-0-1{number}" for number in range(1, 5))
ADDRESSES = tuple(f"10.0.0.1{number}" for number in range(1, 5))
ROSTER = IDS[:3]
MEMBERS = tuple(Member(*named) for named in zip(ROSTER, NAMES[:3], ADDRESSES[:3], strict=True))
NOWHERE = Path("/nonexistent")
NOW = 100.0


def settings() -> Settings:
    """Return the spec that two tags give."""
    return load(Tags(cluster="web", size=3), NOWHERE, NOWHERE)


def node() -> Node:
    """Return the first founder."""
    return Node(
        IDS[0], NAMES[0], ADDRESSES[0], "eu-west-1a", "eu-west-1", "vpc-1", "s-1", "10.0.0.0/24", 0
    )


def instances() -> tuple[Instance, ...]:
    """Return four tagged instances, the first three of which are the founders."""
    return tuple(
        Instance(own, InstanceState.RUNNING, float(at), address, (address,), "", "s-1", "vpc-1")
        for at, (own, address) in enumerate(zip(IDS, ADDRESSES, strict=True))
    )


def decree() -> Decree:
    """Return the founding of the three."""
    return Decree("ab" * 16, MEMBERS, settings().digest, "cd" * 32)


def facts(number: int = 1, *, laid: bool = False, running: bool = False) -> NodeFacts:
    """Return a prepared node's look at itself, as far as said."""
    return NodeFacts(
        instance_id=IDS[number - 1],
        name=NAMES[number - 1],
        versions={},
        missing=(),
        corosync=CorosyncConfig.OURS if laid else CorosyncConfig.ABSENT,
        corosync_detail="",
        corosync_digest="",
        keys_digest="",
        cib=False,
        prepared=True,
        laid=laid,
        trusted=False,
        enabled=running,
        running=running,
        built=False,
    )


def hello(number: int, phase: Phase = Phase.WAITING, uuid: str = "") -> Hello:
    """Return what a fellow founder says that agrees with us."""
    return Hello(
        instance_id=IDS[number - 1],
        name=NAMES[number - 1],
        address=ADDRESSES[number - 1],
        zone="eu-west-1a",
        phase=phase,
        reason="",
        roster=ROSTER,
        roster_age=5.0,
        spec_digest=settings().digest,
        spec_keys=settings().keys,
        uuid=uuid,
        facts=facts(number),
        online=(),
        proofs={},
        holds=(),
        reaches=(),
    )


def cluster(*online: str, started: bool = True) -> ClusterState:
    """Return a quorate cluster of these members with one fencing device."""
    state = ResourceState.STARTED if started else ResourceState.STOPPED
    return ClusterState(
        dc=online[0],
        quorate=True,
        online=online,
        offline=tuple(name for name in NAMES[:3] if name not in online),
        resources=(ClusterResource("fence-web", "stonith:fence_aws", "", state, online[0]),),
        failures=(),
    )


def founder(durable: Durable = Durable()) -> Knowledge:  # noqa: B008 -- frozen
    """Return the first founder's knowledge when all three agree."""
    found = settings()
    return Knowledge(
        election=machine.start(IDS[0], durable),
        node=node(),
        settings=found,
        trusted=True,
        candidates=discovery.candidates(instances(), found.spec, IDS[0]),
        reads=(Read(ROSTER, NOW - 5.0), Read(ROSTER, NOW)),
        confirmed=ROSTER,
        heard={IDS[n - 1]: Heard(hello(n), NOW) for n in (2, 3)},
        facts=facts(),
        facts_stale=False,
    )
