"""Shared disks: what must be so before one Multi-Attach volume may be at every node.

Two machines that write to one disk without knowing of each other destroy what is on it. So every
condition under which that is known to be safe is held against what EC2 tells, and a volume is
attached only when all of them hold.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

from musterd.model import Finding, Instance, Severity, Volume
from musterd.pcs_words import DISK, scalar
from musterd.spec import Proof, Resource, SharedDisk, Spec

# Multi-Attach is these kinds' alone, and for 16 instances of one zone, all of them Nitro (EBS user
# guide, "Attach an EBS volume to multiple instances"); a cluster has 16 nodes at most.
MULTI_ATTACH = ("io1", "io2")
# File systems that one machine alone may mount. What is not here (gfs2, ocfs2) minds the others.
LOCAL = frozenset({"btrfs", "ext2", "ext3", "ext4", "f2fs", "jfs", "vfat", "xfs"})
DLM = "ocf:pacemaker:controld"
_SOUND = {"creating", "available", "in-use"}
# Names that EC2 recommends for data volumes (EC2 user guide, "Device names for volumes").
_LETTERS = "fghijklmnop"


def key(disk: SharedDisk) -> str:
    """Return what a disk is called in sentences, and in options of resources."""
    return disk.name or disk.volume or "without a name"


def serial(volume_id: str) -> str:
    """Return the serial number that the volume's NVMe disk has on every instance."""
    return volume_id.replace("-", "", 1)


def path(volume_id: str) -> str:
    """Return the link that udev makes for the volume on every instance."""
    return f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{serial(volume_id)}"


def device(index: int) -> str:
    """Return the name under which the spec's disk of this number is attached."""
    return f"/dev/sd{_LETTERS[index]}"


def tags(spec: Spec, disk: SharedDisk) -> dict[str, str]:
    """Return what a volume that muster makes is found again by."""
    return {spec.discovery.tag: spec.cluster.name, "muster:disk": key(disk)}


def refusals(spec: Spec) -> tuple[Finding, ...]:
    """Return what the spec alone makes impossible or unsafe."""
    return tuple(_refused(spec))


def _refused(spec: Spec) -> Iterator[Finding]:
    disks = spec.shared_disk
    names = {disk.name for disk in disks if disk.name}
    for resource in spec.resource:
        for value in resource.options.values():
            for wanted in set(DISK.findall(scalar(value))) - names:
                yield _error(
                    f"[[resource]] {resource.id} names disk {wanted}, and no [[shared_disk]] does",
                    f'add name = "{wanted}" to a [[shared_disk]], or correct the resource',
                )
    if not disks:
        return
    if spec.fencing.prove is Proof.NONE:
        yield _error(
            '[[shared_disk]] is wanted with [fencing] prove = "none"',
            "only proven fencing keeps a node that is given up from writing to the disk: set"
            ' prove = "permissions" or "real"',
        )
    if len(disks) > len(_LETTERS):
        yield _error(f"[[shared_disk]] is there {len(disks)} times", f"at most {len(_LETTERS)}")
    for disk in disks:
        if (disk.volume is None) == (disk.create is None):
            yield _error(
                f"[[shared_disk]] {key(disk)} needs either volume or create",
                "name the volume that is there, or say what to make, not both",
            )
        elif disk.create is not None and disk.name is None:
            yield _error(
                "[[shared_disk]] with create has no name",
                'give it one, such as name = "data": the volume is found again by it',
            )
    for what, times in Counter(
        [each for disk in disks for each in (disk.name, disk.volume) if each]
    ).items():
        if times > 1:
            yield _error(f"[[shared_disk]] {what} is there {times} times", "write it once")
    yield from _on_two_nodes(spec)
    yield from _without_locks(spec)


def _without_locks(spec: Spec) -> Iterator[Finding]:
    """Refuse GFS2 where nothing starts its locks before it, on every node (dlm_controld(8))."""
    cloned = {group.id for group in spec.group if group.clone is not False}
    locking = set()
    for resource in spec.resource:
        if resource.agent == DLM:
            locking.add(resource.group)
        elif resource.mounts_gfs2 and (
            resource.group not in locking or resource.group not in cloned
        ):
            yield _error(
                f"[[resource]] {resource.id} would mount GFS2 without DLM",
                f'put a [[resource]] with agent = "{DLM}" before it into its group, and have the'
                " group run everywhere: [[group]] with clone = { interleave = true }",
            )


def _on_two_nodes(spec: Spec) -> Iterator[Finding]:
    """Refuse what would mount a file system of one machine on two."""
    cloned = {group.id for group in spec.group if group.clone is not False}
    mounts: dict[str, list[Resource]] = {}
    for resource in spec.resource:
        place, kind = (scalar(resource.options.get(name, "")) for name in ("device", "fstype"))
        local = resource.agent.rpartition(":")[2] == "Filesystem" and kind in LOCAL
        if not local or not _is_shared(place, spec.shared_disk):
            continue
        mounts.setdefault(place, []).append(resource)
        if resource.clone is not False or resource.group in cloned:
            yield _error(
                f"[[resource]] {resource.id} would mount {kind} of a shared disk on every node",
                f"{kind} is destroyed by a second node: leave out clone, or use a file system"
                " for clusters",
            )
    for place, several in mounts.items():
        if len(several) > 1 and len({each.group or each.id for each in several}) > 1:
            names = " and ".join(each.id for each in several)
            yield _error(
                f"[[resource]] {names} would mount {place}, each on a node of its own choice",
                "mount it once, or put them into one group",
            )


def _is_shared(place: str, disks: Collection[SharedDisk]) -> bool:
    marks = {serial(disk.volume) for disk in disks if disk.volume}
    return bool(DISK.search(place)) or any(mark in place for mark in marks)


def hindrances(
    spec: Spec,
    volumes: Mapping[str, Volume],
    members: Collection[Instance],
    not_nitro: Collection[str],
) -> tuple[Finding, ...]:
    """Return why the wanted disks must not be attached to every member, as EC2 stands.

    Args:
        spec: the wanted cluster.
        volumes: what a disk is called -> its volume, for those that EC2 has.
        members: as EC2 tells of them.
        not_nitro: instance types that are not built on Nitro.
    """
    found: list[Finding] = []
    for disk in spec.shared_disk:
        volume = volumes.get(key(disk))
        if volume is not None:
            found.extend(_unfit(disk, volume, members))
        elif disk.volume is not None:
            found.append(
                _error(
                    f"[[shared_disk]] {key(disk)}: EC2 has no volume {disk.volume} in this region",
                    "correct it in /etc/muster/muster.toml on every node, or use create",
                )
            )
        elif len({one.zone for one in members}) > 1:
            found.append(
                _error(
                    f"[[shared_disk]] {key(disk)} can only be in one zone, and the nodes are in"
                    f" several: {_places(members)}",
                    "launch all nodes in one zone, or leave out [[shared_disk]]",
                )
            )
    old = [f"{one.instance_id} ({one.kind})" for one in members if one.kind in not_nitro]
    if spec.shared_disk and old:
        found.append(
            _error(
                f"[[shared_disk]] cannot be at {', '.join(old)}: not built on Nitro",
                "change the type (`aws ec2 modify-instance-attribute`): Multi-Attach needs Nitro",
            )
        )
    return tuple(found)


def _unfit(disk: SharedDisk, volume: Volume, members: Collection[Instance]) -> Iterator[Finding]:
    where = f"[[shared_disk]] {key(disk)}: {volume.volume_id}"
    if volume.kind not in MULTI_ATTACH:
        yield _error(
            f"{where} is of kind {volume.kind}, and only io1 and io2 attach to several",
            "make another of kind io2 with --multi-attach-enabled",
        )
    elif not volume.multi_attach:
        yield _error(
            f"{where} was made without Multi-Attach",
            f"`aws ec2 modify-volume --volume-id {volume.volume_id} --multi-attach-enabled` (io2"
            " only, while nothing has it attached), or make another",
        )
    if volume.state not in _SOUND:
        yield _error(f"{where} is {volume.state}", "make another, or wait until it can be used")
    away = [one for one in members if one.zone != volume.zone]
    if away:
        yield _error(
            f"{where} is in {volume.zone}, and not every node is: {_places(away)}",
            "a volume is in one zone: launch the nodes there, or make the volume where they are",
        )
    strangers = sorted(volume.attachments.keys() - {one.instance_id for one in members})
    if strangers:
        yield _error(
            f"{where} is attached to {', '.join(strangers)} as well, which is no member",
            f"nothing would fence it: `aws ec2 detach-volume --volume-id {volume.volume_id}"
            f" --instance-id {strangers[0]}`",
        )


def _places(members: Collection[Instance]) -> str:
    return ", ".join(f"{one.instance_id} in {one.zone}" for one in members)


def _error(what: str, cure: str) -> Finding:
    return Finding(Severity.ERROR, what, cure)
