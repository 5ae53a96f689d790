"""A shared disk is attached only when every condition holds; each is broken once."""

from dataclasses import replace

import pytest

from musterd import storage
from musterd.model import Instance, InstanceState, Volume
from musterd.spec import Cluster, Fencing, Group, NewVolume, Proof, Resource, SharedDisk, Spec

VOLUME = "vol-0123456789abcdef0"
DISK = SharedDisk(VOLUME, name="data")
NEW = SharedDisk(name="data", create=NewVolume(size=10, iops=100))
ON_DISK = {"device": "{disk:data}", "directory": "/srv", "fstype": "xfs"}
MOUNT = Resource("mount", "ocf:heartbeat:Filesystem", options=dict(ON_DISK))


def spec(
    *disks: SharedDisk,
    resource: tuple[Resource, ...] = (),
    group: tuple[Group, ...] = (),
    prove: Proof = Proof.PERMISSIONS,
) -> Spec:
    return Spec(
        Cluster("web", 3),
        fencing=Fencing(prove=prove),
        resource=resource,
        group=group,
        shared_disk=disks,
    )


def member(number: int, zone: str = "eu-west-1a", kind: str = "m6i.large") -> Instance:
    address = f"10.0.0.{10 + number}"
    return Instance(
        f"i-{number:017x}",
        InstanceState.RUNNING,
        0.0,
        address,
        (address,),
        zone,
        "subnet-1",
        "vpc-1",
        kind=kind,
    )


MEMBERS = [member(number) for number in (1, 2, 3)]
SOUND = Volume(VOLUME, "io2", "eu-west-1a", "available", True)


def test_a_sound_volume_and_one_still_to_be_made_have_no_hindrance() -> None:
    assert storage.hindrances(spec(DISK), {"data": SOUND}, MEMBERS, ()) == ()
    assert storage.hindrances(spec(NEW), {}, MEMBERS, ()) == ()
    attached = replace(SOUND, attachments={one.instance_id: "attached" for one in MEMBERS})
    assert storage.hindrances(spec(DISK), {"data": attached}, MEMBERS, ()) == ()


@pytest.mark.parametrize(
    ("volume", "members", "told"),
    [
        (replace(SOUND, kind="gp3"), MEMBERS, "of kind gp3, and only io1 and io2"),
        (replace(SOUND, multi_attach=False), MEMBERS, "made without Multi-Attach"),
        (replace(SOUND, zone="eu-west-1b"), MEMBERS, "in eu-west-1b, and not every node is"),
        (SOUND, [*MEMBERS, member(4, zone="eu-west-1c")], f"{member(4).instance_id} in eu-west-1c"),
        (SOUND, [*MEMBERS, member(4, kind="m4.large")], "not built on Nitro"),
        (replace(SOUND, attachments={"i-stranger": "attached"}), MEMBERS, "i-stranger as well"),
        (replace(SOUND, state="error"), MEMBERS, "is error"),
        (None, MEMBERS, f"EC2 has no volume {VOLUME}"),
    ],
)
def test_each_guard_refuses_alone(
    volume: Volume | None, members: list[Instance], told: str
) -> None:
    volumes = {"data": volume} if volume is not None else {}
    [finding] = storage.hindrances(spec(DISK), volumes, members, ("m4.large",))
    assert told in finding.what
    assert finding.cure


def test_a_volume_cannot_be_made_for_nodes_in_two_zones() -> None:
    members = [*MEMBERS, member(4, zone="eu-west-1b")]
    [finding] = storage.hindrances(spec(NEW), {}, members, ())
    assert "can only be in one zone" in finding.what


@pytest.mark.parametrize(
    "wanted",
    [
        spec(DISK),
        spec(NEW),
        spec(DISK, resource=(MOUNT,)),
        spec(DISK, resource=(replace(MOUNT, clone=True, options={**ON_DISK, "fstype": "ocfs2"}),)),
        spec(DISK, resource=(replace(MOUNT, clone=True, options={**ON_DISK, "device": "/dev/x"}),)),
        spec(DISK, resource=(replace(MOUNT, group="one"), replace(MOUNT, id="again", group="one"))),
    ],
)
def test_what_is_safe_is_let_through(wanted: Spec) -> None:
    assert storage.refusals(wanted) == ()


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (spec(DISK, prove=Proof.NONE), 'prove = "none"'),
        (spec(SharedDisk(name="data")), "needs either volume or create"),
        (spec(replace(NEW, volume=VOLUME)), "needs either volume or create"),
        (spec(replace(NEW, name=None)), "has no name"),
        (spec(DISK, SharedDisk(VOLUME)), f"{VOLUME} is there 2 times"),
        (spec(DISK, replace(NEW)), "data is there 2 times"),
        (spec(*(SharedDisk(f"vol-{n:08x}") for n in range(12))), "is there 12 times"),
        (spec(resource=(MOUNT,)), "mount names disk data, and no [[shared_disk]] does"),
        (spec(DISK, resource=(replace(MOUNT, clone=True),)), "xfs of a shared disk on every node"),
        (
            spec(
                DISK,
                resource=(replace(MOUNT, group="all"),),
                group=(Group("all", clone={"interleave": True}),),
            ),
            "xfs of a shared disk on every node",
        ),
        (
            spec(
                SharedDisk(VOLUME),
                resource=(
                    replace(MOUNT, clone=True, options={**ON_DISK, "device": storage.path(VOLUME)}),
                ),
            ),
            "xfs of a shared disk on every node",
        ),
        (spec(DISK, resource=(MOUNT, replace(MOUNT, id="again"))), "mount and again would mount"),
    ],
)
def test_what_would_destroy_a_disk_is_refused_by_the_spec_alone(wanted: Spec, told: str) -> None:
    [finding] = storage.refusals(wanted)
    assert told in finding.what
    assert finding.cure


def test_serial_path_and_device_are_those_of_ec2() -> None:
    assert storage.serial(VOLUME) == "vol0123456789abcdef0"
    assert storage.path(VOLUME).endswith("/nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0")
    assert [storage.device(0), storage.device(10)] == ["/dev/sdf", "/dev/sdp"]


LOCKS = Resource("locks", "ocf:pacemaker:controld", group="shared")
CLUSTERED = replace(MOUNT, group="shared", options={**ON_DISK, "fstype": "gfs2"})
EVERYWHERE = Group("shared", clone={"interleave": True})


def test_gfs2_on_every_node_behind_its_locks_is_not_refused() -> None:
    wanted = spec(DISK, resource=(LOCKS, CLUSTERED), group=(EVERYWHERE,))
    assert storage.refusals(wanted) == ()


@pytest.mark.parametrize(
    ("resources", "groups"),
    [
        ((CLUSTERED,), (EVERYWHERE,)),
        ((CLUSTERED, LOCKS), (EVERYWHERE,)),
        ((replace(LOCKS, group="other"), CLUSTERED), (EVERYWHERE,)),
        ((LOCKS, CLUSTERED), ()),
    ],
    ids=["no locks", "locks after it", "locks elsewhere", "on one node"],
)
def test_gfs2_without_locks_before_it_on_every_node_is_refused(
    resources: tuple[Resource, ...], groups: tuple[Group, ...]
) -> None:
    [found] = storage.refusals(spec(DISK, resource=resources, group=groups))
    assert "would mount GFS2 without DLM" in found.what
