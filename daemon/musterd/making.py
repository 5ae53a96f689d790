"""What is to be made in EC2 for the spec, and what of it is still missing.

Elastic addresses and volumes are made once the founding is decided, by its conductor alone, and
found by everybody else by their tags. A node attaches disks to itself and to no other.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address

from musterd import storage
from musterd.knowledge import Knowledge
from musterd.model import Decree, Member, Node
from musterd.spec import ALLOCATE, Address, Spec

LOOK_BEFORE = 15.0  # seconds between looks at the volumes before founding
LOOK_MAKING = 3.0  # while something is still to be made, attached or seen
LOOK_AFTER = 60.0
SETTLED = 2.5  # seconds between two looks at EC2 that found no address, before one is allocated


def elastic_of(k: Knowledge, address: Address) -> str:
    """Return an address's elastic one, "" where it has none, or none yet."""
    if address.elastic_ip == ALLOCATE:
        return k.allocated.get(str(address.private_ip), "")
    return str(address.elastic_ip or "")


def unallocated(k: Knowledge, spec: Spec) -> tuple[Address, ...]:
    """Return the addresses for which no elastic one is known to be allocated."""
    return tuple(
        address
        for address in spec.address
        if address.elastic_ip == ALLOCATE and str(address.private_ip) not in k.allocated
    )


def elastic_tags(spec: Spec, address: Address) -> dict[str, str]:
    """Return what an elastic address that muster allocates is found again by."""
    return {
        spec.discovery.tag: spec.cluster.name,
        "muster:address": str(address.private_ip),
    }


def agenda(k: Knowledge, decree: Decree | None) -> Iterator[tuple[str, float]]:
    """Yield the kinds of action there are to do, with the seconds between two attempts."""
    if k.settings is None or not k.trusted:
        return
    spec = k.settings.spec
    if decree is not None and unallocated(k, spec):
        yield "elastics", LOOK_MAKING
    if spec.shared_disk and decree is None and k.candidates.roster:
        yield "disks", LOOK_BEFORE
    elif spec.shared_disk and decree is not None:
        yield "disks", LOOK_MAKING if unattached(k) else LOOK_AFTER


def forget(k: Knowledge, spec: Spec) -> None:
    """Drop what was learned of addresses and disks that this spec does not want.

    A mistake that is cured is not to be told any longer, and a disk that was never looked at must
    not pass for one that was.
    """
    wanted = {f"allocation:{address.elastic_ip}" for address in spec.address}
    before = k.settings.spec if k.settings is not None else None
    if before is None or before.shared_disk != spec.shared_disk:
        k.volumes, k.volumes_read, k.disk_faults, k.shown = {}, False, (), ()
        k.troubles.pop("disks", None)
    if before is None or before.address != spec.address:
        k.troubles.pop("elastics", None)
    for topic in [each for each in k.troubles if each.startswith("allocation:")]:
        if topic not in wanted:
            del k.troubles[topic]


def unmade(k: Knowledge) -> str:
    """Return what must be known before the configuration can be built, "" when all is."""
    if k.settings is None:
        return ""
    spec = k.settings.spec
    for address in unallocated(k, spec):
        return _with_trouble(k, "elastics", f"an elastic address for {address.private_ip}")
    for disk in spec.shared_disk:
        if storage.key(disk) not in k.volumes:
            return _with_trouble(k, "disks", f"disk {storage.key(disk)} to be made")
    return ""


def unseen(k: Knowledge, decree: Decree) -> str:
    """Return which online member does not show a shared disk yet, "" when every one shows all.

    The configuration is pushed only then: a resource that needs a disk would fail to start. A
    member that is not online in Pacemaker is waited for as long as any founder, and then no more.
    """
    if k.settings is None or not k.settings.spec.shared_disk:
        return ""
    online = k.cluster.online if k.cluster is not None else ()
    members = (member for member in decree.members if member.name in online)
    return next((told for member in members if (told := _unshown_by(k, member))), "")


def unattached(k: Knowledge) -> str:
    """Return which shared disk this node does not show yet, "" when it shows all.

    Who joins starts Pacemaker only then: a clone would begin at once where its disk lacks.
    """
    return _unshown_by(k, k.node) if k.node is not None else ""


def barred(k: Knowledge) -> str:
    """Return why this node could not have the shared disks, "" when nothing is against it."""
    if k.settings is None or not k.settings.spec.shared_disk:
        return ""
    if not k.volumes_read:
        return _with_trouble(k, "disks", "the first look at the shared disks")
    return k.disk_faults[0].what if k.disk_faults else ""


def allocated(k: Knowledge) -> dict[IPv4Address, IPv4Address]:
    """Return floating address -> elastic address that was allocated for it."""
    return {IPv4Address(one): IPv4Address(other) for one, other in k.allocated.items()}


def volumes_by_name(k: Knowledge, spec: Spec) -> dict[str, str]:
    """Return name of a disk -> its volume, for disks with a name."""
    known = {disk.name: k.volumes.get(storage.key(disk)) for disk in spec.shared_disk if disk.name}
    return {name: volume.volume_id for name, volume in known.items() if volume is not None}


def _unshown_by(k: Knowledge, node: Member | Node) -> str:
    """Return which shared disk a node's kernel does not show, "" when it shows all."""
    heard = k.heard.get(node.instance_id)
    own = node.instance_id == k.own_id
    shown = k.shown if own else heard.hello.disks if heard is not None else ()
    for disk in k.settings.spec.shared_disk if k.settings is not None else ():
        volume = k.volumes.get(storage.key(disk))
        if volume is not None and volume.volume_id in shown:
            continue
        told = f"{node.name} to show disk {storage.key(disk)}"
        if volume is not None and node.instance_id in volume.attachments:
            told += (
                f" ({volume.volume_id} is attached, but the kernel there has no NVMe disk with"
                f" serial {storage.serial(volume.volume_id)})"
            )
        return _with_trouble(k, "disks", told)
    return ""


def _with_trouble(k: Knowledge, topic: str, waiting: str) -> str:
    """Say beside what is waited for why it may not come."""
    if k.disk_faults and topic == "disks":
        return f"{waiting}: {k.disk_faults[0].what}"
    trouble = k.troubles.get(topic)
    return f"{waiting}: {trouble.sentence}" if trouble is not None else waiting
