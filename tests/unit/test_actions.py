"""What actions take in, where no other test meets it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from muster_sim import samples
from musterd.actions import Actions, Reach
from musterd.course import Action
from musterd.election import machine
from musterd.election.types import Durable
from musterd.knowledge import Knowledge
from musterd.settings import load

ADDRESS = "10.0.0.100"
NODE = samples.node()


class TagsOff:
    async def tags(self) -> dict[str, str]:
        return {}


async def test_a_restarted_daemon_knows_the_address_its_kernel_has(tmp_path: Path) -> None:
    """The cluster's state comes first, once, and then nothing changes: the spec comes later."""
    spec = tmp_path / "muster.toml"
    spec.write_text(f'[cluster]\nname = "web"\n[[address]]\nprivate_ip = "{ADDRESS}"\n')
    reach: Any = SimpleNamespace(
        **dict.fromkeys(
            ("random", "peers", "network", "secrets", "clock", "helper", "provision", "disks")
        ),
        metadata=TagsOff(),
        cluster=SimpleNamespace(holds=lambda address: address == ADDRESS),
        load=lambda tags: load(tags, tmp_path / "none", spec),
    )
    actions = Actions(cast("Reach", reach))
    known = Knowledge(election=machine.start(NODE.instance_id, Durable()), node=NODE)
    actions.saw_cluster(known, None)
    (await actions.perform(Action("spec"), known, lambda _: None))(known)
    assert known.holds == (ADDRESS,)
