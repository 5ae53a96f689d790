"""What muster makes and attaches: shared disks behind every guard, an elastic address, once.

One lab: three nodes get a wrong spec for each guard, then a right one with a volume that an
administrator made and formatted, another one that is made on request, and an elastic address that
is allocated.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from muster_lab.client import CHECKOUT, Lab
from muster_lab.region.model import ACCOUNT
from muster_lab.region.policy import fill
from muster_lab.views import Node
from observe import Document, ids, own_lab, said, status, until, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(900)]

SOON = 90.0
POLICY = CHECKOUT / "packaging/aws/node-policy.json"
FLOATING = "10.0.0.100"
INSTALL = (
    *("install", "-D", "-o", "root", "-g", "musterd", "-m", "0640"),
    *("/dev/stdin", "/etc/muster/muster.toml"),
)
ZONE = "eu-west-1a"
TAGS = {"muster:cluster": "disks", "muster:size": "16"}  # no spec yet that could found one
TAG = "ResourceType=volume,Tags=[{Key=muster:cluster,Value=disks}]"
LINK = "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_"
RIGHT = """
[[address]]
private_ip = "10.0.0.100"
elastic_ip = "allocate"
group = "files"
[[shared_disk]]
volume = "{volume}"
name = "data"
[[shared_disk]]
name = "quorum"
create = { size = 4, iops = 100 }
[[resource]]
id = "srv"
agent = "ocf:heartbeat:Filesystem"
group = "files"
options = { device = "{disk:data}", directory = "/srv", fstype = "ext4" }
[[resource]]
id = "reader"
agent = "ocf:heartbeat:anything"
clone = true
[resource.options]
binfile = "/bin/sh"
cmdline_options = "-c 'exec sleep infinity < {disk:quorum}'"
"""


GFS2 = """
[[resource]]
id = "locks"
agent = "ocf:pacemaker:controld"
group = "shared"
[[resource]]
id = "srv"
agent = "ocf:heartbeat:Filesystem"
group = "shared"
options = { device = "{disk:data}", directory = "/srv", fstype = "gfs2" }
[[group]]
id = "shared"
clone = { interleave = true }
"""


@dataclass
class Disks:
    """The lab, its three nodes, and the volume the administrator made."""

    lab: Lab
    nodes: list[Node]
    volume: str

    @property
    def ids(self) -> list[str]:
        """Instance ids."""
        return ids(self.nodes)

    def give(self, rest: str, *nodes: str) -> None:
        """Put a spec on these nodes (on every one) as an administrator would, and have it read."""
        for node in nodes or self.ids:
            spec = f'[cluster]\nname = "disks"\nsize = 3\n{rest}'
            self.lab.run(node, *INSTALL, stdin=spec)
            self.lab.run(node, "muster", "join")

    def complain(self, *words: str) -> None:
        """Wait until every node says why it does not found the cluster."""

        def wanted(now: Document) -> bool:
            told = f"{now['reason']} {now['next']}"
            return now["cluster"]["uuid"] == "" and all(word in told for word in words)

        for node in self.ids:
            until(self.lab, node, wanted, SOON)


def aws(lab: Lab, *command: str) -> Any:
    """What the administrator's aws command answers."""
    told = lab.aws("ec2", *command).stdout
    return json.loads(told) if told.strip() else {}


def make(lab: Lab, *options: str, zone: str = ZONE) -> str:
    """Make a volume as an administrator would, tagged for the cluster."""
    made = aws(lab, "create-volume", "--availability-zone", zone, "--size", "4",
               "--tag-specifications", TAG, *options)  # fmt: skip
    volume: str = made["VolumeId"]
    return volume


IO2 = ("--volume-type", "io2", "--iops", "100")
MULTI = (*IO2, "--multi-attach-enabled")


def attach(lab: Lab, volume: str, node: str) -> None:
    aws(lab, "attach-volume", "--volume-id", volume, "--instance-id", node, "--device", "/dev/sdf")


@pytest.fixture(scope="module")
def world() -> Iterator[Disks]:
    """Three nodes with the cluster's tag, no spec yet that could found one, and an ext4 volume."""
    with own_lab("disks") as lab:
        nodes = lab.launch(3, tags=TAGS)
        lab.wait_boot()
        for node in ids(nodes):
            # The agent wants to load ext4; the kernel is the machine's and has it.
            lab.run(node, "ln", "-s", "/bin/true", "/usr/sbin/modprobe")
        volume = make(lab, *MULTI)
        attach(lab, volume, nodes[0].instance_id)
        lab.run(nodes[0].instance_id, "mkfs.ext4", "-q", link(volume))
        yield Disks(lab, nodes, volume)


def link(volume: str) -> str:
    """The link by serial number."""
    return LINK + volume.replace("-", "", 1)


# --- the guards -------------------------------------------------------------------------------


def given(volume: str, more: str = "") -> str:
    return f'[[shared_disk]]\nvolume = "{volume}"\nname = "data"\n{more}'


def test_a_volume_of_another_kind_is_refused(world: Disks) -> None:
    world.give(given(make(world.lab, "--volume-type", "gp3")))
    world.complain("of kind gp3", "--multi-attach-enabled")


def test_a_volume_without_multi_attach_is_refused(world: Disks) -> None:
    world.give(given(make(world.lab, *IO2)))
    world.complain("made without Multi-Attach", "modify-volume")


def test_a_volume_of_another_zone_is_refused(world: Disks) -> None:
    world.give(given(make(world.lab, *MULTI, zone="eu-west-1b")))
    world.complain("is in eu-west-1b", "a volume is in one zone")


def test_a_volume_that_is_not_there_is_refused(world: Disks) -> None:
    world.give(given("vol-0000000000000000f"))
    world.complain("EC2 has no volume vol-0000000000000000f", "correct it")


def test_a_volume_that_a_stranger_has_attached_is_refused(world: Disks) -> None:
    [stranger] = world.lab.launch(1)
    volume = make(world.lab, *MULTI)
    attach(world.lab, volume, stranger.instance_id)
    world.give(given(volume))
    world.complain(f"attached to {stranger.instance_id} as well", "detach-volume")
    world.lab.terminate(stranger.instance_id)


def test_unproven_fencing_is_refused(world: Disks) -> None:
    world.give(given(world.volume, '[fencing]\nprove = "none"\n'))
    world.complain('[[shared_disk]] is wanted with [fencing] prove = "none"', "prove =")


def test_a_file_system_of_one_machine_on_two_is_refused(world: Disks) -> None:
    mount = RIGHT.partition("[[resource]]")[2].partition("[[resource]]")[0]
    cloned = mount.replace('group = "files"', "clone = true")
    world.give(given(world.volume, f"[[resource]]{cloned}"))
    world.complain("srv would mount ext4 of a shared disk on every node", "leave out clone")


def test_gfs2_is_refused_where_the_kernel_has_none(world: Disks) -> None:
    world.give(given(world.volume, GFS2))
    world.complain("module dlm of [[resource]] locks is not in this kernel", "dlm-controld")
    found = world.lab.run(world.nodes[0].instance_id, "muster", "doctor", "--json", check=False)
    told = [check["what"] for check in json.loads(found.stdout)["checks"]]
    assert any(what.startswith("module gfs2 of [[resource]] srv") for what in told)


def test_instances_from_before_nitro_are_refused(world: Disks) -> None:
    tags = {"muster:cluster": "old", "muster:size": "16"}  # founds nothing without a spec
    [node, other] = ids(world.lab.launch(2, tags=tags, instance_type="m4.large"))
    world.lab.wait_boot(node, other)
    spec = f'[cluster]\nname = "old"\nsize = 2\n{given(world.volume)}'
    for each in (node, other):
        world.lab.run(each, *INSTALL, stdin=spec)
        world.lab.run(each, "muster", "join")
    until(world.lab, node, lambda now: "not built on Nitro" in now["reason"], SOON)
    for each in (node, other):
        world.lab.terminate(each)


# --- attached, and seen -----------------------------------------------------------------------


def test_a_disk_with_another_serial_is_not_taken_for_the_volume(world: Disks) -> None:
    """From here on the nodes' role is under the policy that the project ships."""
    text = POLICY.read_text(encoding="utf-8")
    world.lab.enforce(fill(text, region="eu-west-1", account=ACCOUNT, cluster="disks"))
    first, serial = world.ids[0], "/run/lab-volumes/nvme/nvme1/serial"
    world.lab.run(first, "sh", "-c", f"echo vol0somethingelse > {serial}")
    world.give(RIGHT.replace("{volume}", world.volume))
    words = f"no NVMe disk with serial {world.volume.replace('-', '', 1)}"

    def told(now: Document) -> bool:
        return words in now["reason"]

    leader = until(world.lab, first, lambda now: bool(now["cluster"]["uuid"]), 120.0)
    assert leader["phase"] != "formed"
    conductor = first
    for node in world.ids:
        conductor = node if status(world.lab, node)["self"]["conductor"] else conductor
    until(world.lab, conductor, told, SOON)
    own = world.volume.replace("-", "", 1)
    world.lab.run(first, "sh", "-c", f"echo {own} > {serial}")


def test_cured_every_node_has_the_same_disks(world: Disks) -> None:
    wait_for(world.lab, "healthy", world.ids)
    volumes = aws(world.lab, "describe-volumes", "--filters", "Name=tag:muster:disk,Values=*")
    [made] = volumes["Volumes"]
    tags = {tag["Key"]: tag["Value"] for tag in made["Tags"]}
    assert tags == {"muster:cluster": "disks", "muster:disk": "quorum"}
    for volume in (world.volume, made["VolumeId"]):
        for node in world.ids:
            name = said(world.lab, node, "readlink", "-f", link(volume)).removeprefix("/dev/")
            shown = f"/sys/class/nvme/{name.removesuffix('n1')}/serial"
            assert said(world.lab, node, "cat", shown) == volume.replace("-", "", 1)
    disk = link(made["VolumeId"])
    world.lab.run(world.ids[0], "dd", f"of={disk}", "conv=fsync", stdin="one disk for all")
    for node in world.ids[1:]:
        read = said(world.lab, node, "dd", f"if={disk}", "bs=16", "count=1", "status=none")
        assert read == "one disk for all"


def test_everything_was_made_once(world: Disks) -> None:
    [elastic] = aws(world.lab, "describe-addresses")["Addresses"]
    tags = {tag["Key"]: tag["Value"] for tag in elastic["Tags"]}
    assert tags == {"muster:cluster": "disks", "muster:address": FLOATING}
    shown = {status(world.lab, node)["addresses"][0]["elastic_ip"] for node in world.ids}
    assert shown == {elastic["PublicIp"]}
    world.lab.outside("ping", "-c", "1", "-W", "2", elastic["PublicIp"], place="internet")
    done = [call.action for call in world.lab.calls(service="ec2") if call.outcome == "ok"]
    by_nodes = {"AllocateAddress": 1, "CreateVolume": 1 + 5, "AttachVolume": 5 + 2}
    assert {action: done.count(action) for action in by_nodes} == by_nodes
    assert not [call for call in world.lab.calls() if call.outcome == "UnauthorizedOperation"]


def test_the_file_system_moves_with_its_group_and_keeps_what_is_on_it(world: Disks) -> None:
    before = holder(world)
    world.lab.run(before, "sh", "-c", "echo kept > /srv/note && sync")
    world.lab.kill(before)
    asker = next(node for node in world.ids if node != before)

    def moved(now: Document) -> bool:
        [srv] = [each for each in now["resources"] if each["id"] == "srv"]
        return srv["state"] == "Started" and srv["node"] not in {"", name_of(world, before)}

    until(world.lab, asker, moved, 180.0)
    after = holder(world, asker)
    assert said(world.lab, after, "cat", "/srv/note") == "kept"
    wait_for(world.lab, "healthy", world.ids)
    mounts = [said(world.lab, node, "sh", "-c", "grep -c ' /srv ' /proc/mounts || true")
              for node in world.ids]  # fmt: skip
    assert sorted(mounts) == ["0", "0", "1"]


def test_who_joins_has_its_disks_before_a_clone_that_needs_them_starts_there(
    world: Disks,
) -> None:
    [newcomer] = world.lab.launch(1, tags=TAGS)
    world.lab.wait_boot()
    world.give(RIGHT.replace("{volume}", world.volume), newcomer.instance_id)
    world.nodes.append(newcomer)
    wait_for(world.lab, "healthy", world.ids)
    running = ("pgrep", "-f", "sleep infinity")
    assert all(said(world.lab, node, *running) for node in world.ids)
    failed = said(world.lab, newcomer.instance_id, "crm_mon", "--one-shot", "--failcounts")
    assert "Failed Resource Actions" not in failed


def name_of(world: Disks, node: str) -> str:
    return next(each.hostname for each in world.nodes if each.instance_id == node)


def holder(world: Disks, asker: str = "") -> str:
    """The node on which Pacemaker has the file system."""
    resources = status(world.lab, asker or world.ids[0])["resources"]
    [name] = [each["node"] for each in resources if each["id"] == "srv"]
    return next(each.instance_id for each in world.nodes if each.hostname == name)
