"""Makes what the spec wants of EC2, once, and ties disks to this node: `making` says when."""

import hashlib
from collections.abc import Callable, Mapping

from musterd import course, day_two, known, making, storage
from musterd.errors import MusterError
from musterd.knowledge import Knowledge
from musterd.model import Decree, Instance, Node, Volume
from musterd.ports import Clock, Cloud, Disks, Provision
from musterd.spec import Address, Spec

Outcome = Callable[[Knowledge], bool | None]


class Provisioner:
    """Performs what concerns elastic addresses to allocate and shared disks, over the ports.

    Args:
        clock: between two looks.
        cloud: EC2 in a node's region.
        provision: what is made there.
        disks: of this node's kernel.
    """

    def __init__(
        self,
        clock: Clock,
        cloud: Callable[[Node], Cloud],
        provision: Callable[[Node], Provision],
        disks: Disks,
    ) -> None:
        self._clock = clock
        self._cloud = cloud
        self._provision = provision
        self._disks = disks
        self._nitro: dict[str, bool] = {}  # instance type -> whether it is; that never changes

    async def elastics(self, k: Knowledge, progress: Callable[[str], None]) -> Outcome:
        """Find the elastic addresses by their tags, or allocate those that are not there.

        EC2 takes no token for this, so that asked twice it makes two. Only the conductor asks, and
        only after two looks, some seconds apart, found none: what an earlier conductor asked for
        at its end has shown by then.
        """
        spec, port = course.spec_of(k), self._provision(known.node(k))
        found: dict[str, tuple[str, str]] = {}
        missed: dict[str, float] = {}
        for address in making.unallocated(k, spec):
            private = str(address.private_ip)
            made = await self._elastic(k, port, spec, address, progress)
            if made is not None:
                found[private] = made
            else:
                missed[private] = k.missed.get(private, self._clock.monotonic())

        def outcome(k: Knowledge) -> None:
            if course.spec_of(k) != spec:
                return  # asked for a spec that is no longer wanted; its tags are there all the same
            k.missed = missed if course.conductor(k) else {}
            for private, (public, allocation) in found.items():
                k.allocated[private] = public
                k.allocations[public] = allocation

        return outcome

    async def _elastic(
        self,
        k: Knowledge,
        port: Provision,
        spec: Spec,
        address: Address,
        progress: Callable[[str], None],
    ) -> tuple[str, str] | None:
        tags = making.elastic_tags(spec, address)
        there = await port.elastics(tags)
        if len(there) > 1:
            several = ", ".join(public for public, _ in there)
            raise MusterError(
                f"several elastic addresses are tagged for {address.private_ip}: {several}",
                why="muster allocates one, and cannot know which of them is meant",
                cure="release the others:"
                f" `aws ec2 release-address --allocation-id {there[-1][1]}`",
            )
        if there:
            return there[0]
        private = str(address.private_ip)
        first = k.missed.get(private)
        if not course.conductor(k) or first is None:
            return None
        if self._clock.monotonic() - first < making.SETTLED:
            return None
        progress(f"an elastic address is allocated for {private}")
        return await port.allocate(tags)

    async def disks(self, k: Knowledge, progress: Callable[[str], None]) -> Outcome:
        """Look at the volumes; once that is safe, make what lacks and attach it to this node.

        Raises:
            MusterError: EC2 did not answer, or refused.
        """
        spec, node, decree = course.spec_of(k), known.node(k), course.decree_of(k)
        port = self._provision(node)
        roster = decree.roster if decree is not None else k.candidates.roster
        alive = tuple(each for each in roster if each not in k.candidates.gone)
        members = await self._cloud(node).described(alive)
        volumes = await self._volumes(port, spec)
        faults = storage.hindrances(spec, volumes, members, await self._old(port, members))
        if decree is not None and not faults and day_two.may_attach(k, self._clock.monotonic()):
            if course.conductor(k) and not k.formed:
                volumes |= await self._made(port, spec, node, decree, volumes)
            await self._attached(port, spec, node, volumes, progress)
        serials = self._disks.serials()
        shown = tuple(
            sorted(v.volume_id for v in volumes.values() if storage.serial(v.volume_id) in serials)
        )

        def outcome(k: Knowledge) -> None:
            if course.spec_of(k).shared_disk != spec.shared_disk:
                return  # looked at for a spec that is no longer wanted
            k.volumes, k.disk_faults, k.shown, k.volumes_read = volumes, faults, shown, True

        return outcome

    async def _volumes(self, port: Provision, spec: Spec) -> dict[str, Volume]:
        """Return what a disk is called -> its volume, for those that EC2 has.

        Raises:
            MusterError: two volumes carry one disk's tags.
        """
        named = {disk.volume: storage.key(disk) for disk in spec.shared_disk if disk.volume}
        listed = await port.volumes(tuple(named))
        found = {named[volume.volume_id]: volume for volume in listed}
        for disk in spec.shared_disk:
            if disk.create is None:
                continue
            tagged = [
                volume
                for volume in await port.tagged_volumes(storage.tags(spec, disk))
                if volume.state not in {"deleting", "deleted"}
            ]
            if len(tagged) > 1:
                several = ", ".join(volume.volume_id for volume in tagged)
                raise MusterError(
                    f"several volumes are tagged for disk {disk.name}: {several}",
                    why="muster makes one, and cannot know which of them is meant",
                    cure="take the tag muster:disk off the others, or name one with volume",
                )
            if tagged:
                found[storage.key(disk)] = tagged[0]
        return found

    async def _made(
        self,
        port: Provision,
        spec: Spec,
        node: Node,
        decree: Decree,
        volumes: Mapping[str, Volume],
    ) -> dict[str, Volume]:
        """Create what is wanted and not there. The token makes EC2 answer with the same one."""
        return {
            storage.key(disk): await port.create_volume(
                disk.create,
                node.zone,
                storage.tags(spec, disk),
                hashlib.sha256(f"{decree.uuid}/{disk.name}".encode()).hexdigest(),
            )
            for disk in spec.shared_disk
            if disk.create is not None and storage.key(disk) not in volumes
        }

    async def _attached(
        self,
        port: Provision,
        spec: Spec,
        node: Node,
        volumes: Mapping[str, Volume],
        progress: Callable[[str], None],
    ) -> None:
        for index, disk in enumerate(spec.shared_disk):
            volume = volumes.get(storage.key(disk))
            if volume is None or volume.state not in {"available", "in-use"}:
                continue
            if node.instance_id not in volume.attachments:
                progress(f"{volume.volume_id} is attached to this node")
                await port.attach(volume.volume_id, node.instance_id, storage.device(index))

    async def _old(self, port: Provision, members: tuple[Instance, ...]) -> frozenset[str]:
        kinds = {one.kind for one in members if one.kind}
        unknown = tuple(sorted(kinds - self._nitro.keys()))
        if unknown:
            old = await port.not_nitro(unknown)
            self._nitro |= {kind: kind not in old for kind in unknown}
        return frozenset(kind for kind in kinds if not self._nitro[kind])
