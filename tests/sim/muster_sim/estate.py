"""What EC2 makes on request: elastic addresses and volumes, and the disks kernels then show."""

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from musterd.errors import CloudError, CloudErrorKind
from musterd.model import Volume
from musterd.spec import NewVolume


@dataclass
class Estate:
    """One region's, for every node of it.

    Attributes:
        chance: how long calls take.
        lag: seconds until what was made shows in reads.
        allocations: allocation id -> public address, tags, when it was made.
        made: volumes by id.
        tokens: client token -> volume id, as EC2 remembers them.
        denied: calls that are refused.
        odd: volumes whose disks have another serial on every instance.
        old_types: instance types that are not built on Nitro.
    """

    chance: random.Random
    lag: float = 0.0
    allocations: dict[str, tuple[str, dict[str, str], float]] = field(default_factory=dict)
    made: dict[str, Volume] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    odd: set[str] = field(default_factory=set)
    old_types: frozenset[str] = frozenset()

    def at(self, instance_id: str) -> "Disks":
        """Return what an instance's kernel shows."""
        return Disks(self, instance_id)

    def put(self, volume: Volume) -> None:
        """Have a volume that somebody made."""
        self.made[volume.volume_id] = volume

    async def elastics(self, tags: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        """Return those with the tags that show already."""
        now = await self._called("DescribeAddresses")
        return tuple(
            (public, allocation)
            for allocation, (public, carried, made) in self.allocations.items()
            if tags.items() <= carried.items() and now - made >= self.lag
        )

    async def allocate(self, tags: Mapping[str, str]) -> tuple[str, str]:
        """Make one each time it is asked."""
        now = await self._called("AllocateAddress")
        number = len(self.allocations) + 1
        public, allocation = f"203.0.113.{number}", f"eipalloc-{number:08x}"
        self.allocations[allocation] = (public, dict(tags), now)
        return public, allocation

    async def volumes(self, volume_ids: tuple[str, ...]) -> tuple[Volume, ...]:
        """Return those that there are."""
        await self._called("DescribeVolumes")
        return tuple(self.made[each] for each in volume_ids if each in self.made)

    async def tagged_volumes(self, tags: Mapping[str, str]) -> tuple[Volume, ...]:
        """Return those with the tags."""
        await self._called("DescribeVolumes")
        found = (each for each, carried in self.tags.items() if tags.items() <= carried.items())
        return tuple(self.made[each] for each in found)

    async def create_volume(
        self, wanted: NewVolume, zone: str, tags: Mapping[str, str], token: str
    ) -> Volume:
        """Make one for a token."""
        await self._called("CreateVolume")
        if token not in self.tokens:
            volume_id = f"vol-{len(self.made) + 1:017x}"
            self.tokens[token] = volume_id
            self.made[volume_id] = Volume(volume_id, wanted.kind, zone, "available", True)
            self.tags[volume_id] = dict(tags)
        return self.made[self.tokens[token]]

    async def attach(self, volume_id: str, instance_id: str, device: str) -> None:
        """Attach it."""
        assert device.startswith("/dev/sd")
        await self._called("AttachVolume")
        volume = self.made[volume_id]
        attached = {**volume.attachments, instance_id: "attached"}
        self.made[volume_id] = replace(volume, state="in-use", attachments=attached)

    async def not_nitro(self, instance_types: tuple[str, ...]) -> frozenset[str]:
        """Return the old ones among them."""
        await self._called("DescribeInstanceTypes")
        return self.old_types & set(instance_types)

    async def _called(self, action: str) -> float:
        await asyncio.sleep(self.chance.uniform(0.05, 0.3))
        if action in self.denied:
            raise CloudError(CloudErrorKind.REFUSED, f"the role may not call ec2:{action}")
        return asyncio.get_running_loop().time()


@dataclass(frozen=True)
class Disks:
    """One kernel's."""

    estate: Estate
    instance_id: str

    def serials(self) -> Mapping[str, str]:
        """Return those of the volumes that are attached here."""
        return {
            f"other{volume_id}" if volume_id in self.estate.odd else volume_id.replace("-", ""): "n"
            for volume_id, volume in self.estate.made.items()
            if self.instance_id in volume.attachments
        }
