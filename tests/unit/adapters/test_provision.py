"""What muster makes in EC2, against the lab's region; and the disks a kernel shows."""

from pathlib import Path

import pytest

from muster_lab.region import Region
from musterd.adapters.aws import Aws
from musterd.adapters.disks import SysfsDisks
from musterd.adapters.ec2 import Ec2
from musterd.adapters.ec2_provision import Ec2Provision
from musterd.errors import CloudError
from musterd.spec import NewVolume

TAGS = {"muster:cluster": "web", "muster:address": "10.0.0.100"}
WANTED = NewVolume(size=4, iops=100)


@pytest.fixture
def provision(aws: Aws) -> Ec2Provision:
    return Ec2Provision(aws)


async def launched(region: Region, count: int) -> list[str]:
    made = await region.run_instances(count)
    for instance in made:
        await region.settled(instance.instance_id)
    return [instance.instance_id for instance in made]


async def test_an_allocated_address_is_found_by_all_its_tags(provision: Ec2Provision) -> None:
    assert await provision.elastics(TAGS) == ()
    made = await provision.allocate(TAGS)
    assert await provision.elastics(TAGS) == (made,)
    assert await provision.elastics(TAGS | {"muster:address": "10.0.0.101"}) == ()
    assert made[1].startswith("eipalloc-")


async def test_a_volume_is_made_once_for_a_token_and_found_by_its_tags(
    provision: Ec2Provision,
) -> None:
    tags = {"muster:cluster": "web", "muster:disk": "data"}
    made = await provision.create_volume(WANTED, "eu-west-1a", tags, "token")
    assert (made.kind, made.zone, made.multi_attach) == ("io2", "eu-west-1a", True)
    again = await provision.create_volume(WANTED, "eu-west-1a", tags, "token")
    assert again.volume_id == made.volume_id
    assert [v.volume_id for v in await provision.tagged_volumes(tags)] == [made.volume_id]
    told = await provision.volumes((made.volume_id, "vol-0000000000000000f"))
    assert [v.volume_id for v in told] == [made.volume_id]


async def test_attaching_again_is_nothing_and_a_stranger_is_refused(
    provision: Ec2Provision, region: Region
) -> None:
    first, second = await launched(region, 2)
    made = await provision.create_volume(WANTED, "eu-west-1a", {}, "token")
    for instance in (first, second, first):
        await provision.attach(made.volume_id, instance, "/dev/sdf")
    [volume] = await provision.volumes((made.volume_id,))
    assert volume.attachments == {first: "attached", second: "attached"}
    region.estate.volumes[made.volume_id].multi_attach = False
    region.estate.volumes[made.volume_id].attachments.pop(second)
    with pytest.raises(CloudError, match="VolumeInUse"):
        await provision.attach(made.volume_id, second, "/dev/sdf")


async def test_types_from_before_nitro_are_named(provision: Ec2Provision) -> None:
    assert await provision.not_nitro(("m4.large", "m6i.large", "i3.metal")) == {"m4.large"}


async def test_making_an_address_can_be_rehearsed(aws: Aws, region: Region) -> None:
    await Ec2(aws, vpc_id="vpc-1").rehearse("ec2:AllocateAddress", "muster:cluster=web")
    assert not region.estate.elastic


async def test_making_a_volume_can_be_rehearsed(aws: Aws, region: Region) -> None:
    rehearsed = Ec2(aws, vpc_id="vpc-1")
    await rehearsed.rehearse("ec2:CreateVolume", "muster:cluster=web", "eu-west-1a")
    assert not region.estate.volumes


def test_disks_are_told_by_their_serial_numbers(tmp_path: Path) -> None:
    for name, serial in (("nvme0", "vol0aaa  \n"), ("nvme1", "AWS1 \n"), ("nvme10", "vol0bbb\n")):
        (tmp_path / name / f"{name}n1").mkdir(parents=True)
        (tmp_path / name / "serial").write_text(serial)
    (tmp_path / "nvme2").mkdir()  # on its way out
    (tmp_path / "nvme3").mkdir()
    (tmp_path / "nvme3" / "serial").write_text("vol0ccc")  # no disk behind it (yet)
    assert SysfsDisks(tmp_path).serials() == {
        "vol0aaa": "nvme0n1",
        "AWS1": "nvme1n1",
        "vol0bbb": "nvme10n1",
    }
    assert SysfsDisks(tmp_path / "none").serials() == {}
