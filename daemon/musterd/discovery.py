"""What EC2 answers -> candidates and the roster, and whether that view can be trusted yet.

Three answers are three things: an error (keep what was known, say so), an empty list (EC2 knows
no such instance, not even this one: it lags), a list. None of them shrinks the roster; only an
instance that EC2 explicitly calls terminated leaves it.
"""

from collections.abc import Iterable, Mapping

from musterd.model import Candidates, Instance, InstanceState, Read
from musterd.spec import Spec, StaticPeer

CONFIRM_AFTER = 2.0  # seconds two equal reads must lie apart
STAGGER = 2.2  # seconds by which later instances of one launch delay their first read
READ_EVERY = 10.0  # seconds between a node's own reads while forming
STALE_AFTER = 60.0  # seconds after which a read confirms nothing any more

_NOTHING = Candidates()


def candidates(
    instances: Iterable[Instance], spec: Spec, own_id: str, before: Candidates = _NOTHING
) -> Candidates:
    """Order the tagged instances and name the founders.

    Args:
        instances: everything EC2 lists with the tag, terminated ones included.
        spec: the wanted cluster.
        own_id: this node; a list without it is a lagging answer.
        before: what was known: an answer that leaves an instance out does not take it away, and
            one that lags does not bring a terminated instance back.
    """
    listed = {item.instance_id: item for item in (*before.instances, *instances)}
    gone = before.gone | {
        item.instance_id for item in listed.values() if item.state is InstanceState.TERMINATED
    }
    alive = sorted(
        (item for item in listed.values() if item.instance_id not in gone),
        key=lambda item: (item.created, item.instance_id),
    )
    if own_id not in {item.instance_id for item in alive}:
        return Candidates(
            tuple(alive),
            gone=gone,
            trouble=f"EC2 does not list this instance with tag {spec.discovery.tag}="
            f"{spec.cluster.name}",
            cure=f"check that this instance carries the tag {spec.discovery.tag}="
            f"{spec.cluster.name}; a new tag can take a minute to show",
        )
    size = spec.cluster.size
    if len(alive) < size:
        lost = f"; terminated: {', '.join(sorted(gone))}" if gone else ""
        return Candidates(
            tuple(alive),
            gone=gone,
            trouble=f"{len(alive)} of {size} instances carry the tag {spec.discovery.tag}="
            f"{spec.cluster.name}{lost}",
            cure=f"launch {size - len(alive)} more with that tag, or correct [cluster] size",
        )
    roster = tuple(item.instance_id for item in alive[:size])
    return Candidates(tuple(alive), roster, gone)


def unlisted(
    listed: Iterable[Instance], before: Candidates, members: Iterable[str], own_id: str
) -> tuple[str, ...]:
    """Return the ids of the other instances that are known and that EC2's list leaves out.

    Whoever lost its tag before it was terminated is in no list; only by its id does EC2 say so.
    """
    known = {*members, *(item.instance_id for item in before.instances)}
    return tuple(sorted(known - {item.instance_id for item in listed} - before.gone - {own_id}))


def ended(described: Iterable[Instance]) -> tuple[Instance, ...]:
    """Return those that EC2 calls terminated: of who has no tag, only that counts."""
    return tuple(item for item in described if item.state is InstanceState.TERMINATED)


def from_static(peers: Iterable[StaticPeer], own: Instance) -> tuple[Instance, ...]:
    """Return the statically listed peers in the order they are listed, as EC2 would list them."""
    return tuple(
        Instance(
            instance_id=peer.instance_id,
            state=InstanceState.RUNNING,
            created=float(position),
            address=str(peer.address),
            addresses=(str(peer.address),),
            zone=own.zone if peer.instance_id == own.instance_id else "",
            subnet_id="",
            vpc_id=own.vpc_id,
        )
        for position, peer in enumerate(peers)
    )


def confirmed(
    own: Iterable[Read], peers: Mapping[str, Read], roster: tuple[str, ...], now: float
) -> bool:
    """Tell whether the roster was seen in two reads some seconds apart.

    The second read may be a fellow founder's: nodes pay for DescribeInstances once per
    `READ_EVERY` each and still agree within seconds.
    """
    if not roster:
        return False
    mine = [read.at for read in own if read.roster == roster and now - read.at <= STALE_AFTER]
    if not mine:
        return False
    others = [
        read.at
        for peer, read in peers.items()
        if peer in roster and read.roster == roster and now - read.at <= STALE_AFTER
    ]
    times = sorted([*mine, *others])
    return times[-1] - times[0] >= CONFIRM_AFTER
