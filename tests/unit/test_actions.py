"""What actions take in, where no other test meets it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from musterd.actions import Actions, Reach
from musterd.course import Action
from musterd.election import machine
from musterd.election.types import Durable
from musterd.knowledge import Knowledge
from musterd.model import Node
from musterd.settings import load

ADDRESS = "10.0.0.100"
NODE = Node(
    instance_id="i-00000000000000001",
    name="ip-10-0-0-11",
    address="10.0.0.11",
    zone="eu-west-1a",
    region="eu-west-1",
    vpc_id="vpc-1",
    subnet_id="subnet-1",
    subnet_cidr="10.0.0.0/24",
    launch_index=0,
)


class TagsOff:
    async def tags(self) -> dict[str, str]:
        return {}


async def test_a_restarted_daemon_knows_the_address_its_kernel_has(tmp_path: Path) -> None:
    """The cluster's state comes first, once, and then nothing changes: the spec comes later."""
    spec = tmp_path / "muster.toml"
    spec.write_text(f'[cluster]\nname = "web"\n[[address]]\nprivate_ip = "{ADDRESS}"\n')
    reach: Any = SimpleNamespace(
        **dict.fromkeys(("random", "peers", "network", "secrets", "clock", "helper")),
        metadata=TagsOff(),
        cluster=SimpleNamespace(holds=lambda address: address == ADDRESS),
        load=lambda tags: load(tags, tmp_path / "none", spec),
    )
    actions = Actions(cast("Reach", reach))
    known = Knowledge(election=machine.start(NODE.instance_id, Durable()), node=NODE)
    actions.saw_cluster(known, None)
    (await actions.perform(Action("spec"), known, lambda _: None))(known)
    assert known.holds == (ADDRESS,)
