"""What actions take in, where no other test meets it."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from muster_sim import samples
from musterd import course
from musterd.actions import Actions, Reach
from musterd.course import Action
from musterd.election import machine
from musterd.election.types import Durable
from musterd.errors import MetadataError, TagsOffError
from musterd.helper_wire import Tags
from musterd.knowledge import Knowledge, Trouble
from musterd.model import Finding, Severity
from musterd.settings import load

ADDRESS = "10.0.0.100"
NODE = samples.node()


class TagsOff:
    async def tags(self) -> dict[str, str]:
        return {}


def reach(spec: Path) -> Any:
    """Only the ports that reading this spec asks."""
    return SimpleNamespace(
        **dict.fromkeys(
            ("random", "peers", "network", "secrets", "clock", "helper", "provision", "disks")
        ),
        metadata=TagsOff(),
        cluster=SimpleNamespace(holds=lambda address: address == ADDRESS),
        load=lambda tags: load(tags, spec.parent / "none", spec),
    )


async def test_what_was_known_for_another_spec_is_forgotten_with_it(tmp_path: Path) -> None:
    """A cured mistake must not go on being told; a disk must be looked at before it counts."""
    spec = tmp_path / "muster.toml"
    spec.write_text('[cluster]\nname = "web"\n[[shared_disk]]\nvolume = "vol-00000001"\n')
    actions = Actions(cast("Reach", reach(spec)))
    k = Knowledge(election=machine.start(NODE.instance_id, Durable()), node=NODE)
    k.settings = load(Tags(), tmp_path / "none", spec)
    gone = Trouble("this account has no elastic address 203.0.113.200")
    k.troubles = {"allocation:203.0.113.200": gone, "disks": gone, "greet:i-1": gone}
    k.volumes_read, k.disk_faults = True, (Finding(Severity.ERROR, "no", "such"),)

    (await actions.perform(Action("spec"), k, lambda _: None))(k)
    assert (set(k.troubles), k.volumes_read) == ({"disks", "greet:i-1"}, True)
    spec.write_text(spec.read_text().replace("vol-00000001", "vol-00000002"))
    (await actions.perform(Action("spec"), k, lambda _: None))(k)
    assert (set(k.troubles), k.volumes_read) == ({"greet:i-1"}, False)
    assert not k.disk_faults


async def test_a_restarted_daemon_knows_the_address_its_kernel_has(tmp_path: Path) -> None:
    """The cluster's state comes first, once, and then nothing changes: the spec comes later."""
    spec = tmp_path / "muster.toml"
    spec.write_text(f'[cluster]\nname = "web"\n[[address]]\nprivate_ip = "{ADDRESS}"\n')
    actions = Actions(cast("Reach", reach(spec)))
    known = Knowledge(election=machine.start(NODE.instance_id, Durable()), node=NODE)
    actions.saw_cluster(known, None)
    (await actions.perform(Action("spec"), known, lambda _: None))(known)
    assert known.holds == (ADDRESS,)


class Silent:
    """A metadata service that does not answer."""

    async def tags(self) -> dict[str, str]:
        raise MetadataError("the metadata service does not answer", cure="wait")


class Off:
    """One that has no tags of this instance."""

    async def tags(self) -> dict[str, str]:
        raise TagsOffError("tags are off", cure="enable them")


async def test_tags_that_cannot_be_read_are_not_taken_for_none(tmp_path: Path) -> None:
    """The file names the cluster, a tag its size: the default would be another founding."""
    spec = tmp_path / "muster.toml"
    spec.write_text('[cluster]\nname = "web"\n')
    k = Knowledge(election=machine.start(NODE.instance_id, Durable()), node=NODE)
    ports = reach(spec)
    ports.metadata = Silent()
    actions = Actions(cast("Reach", ports))
    with pytest.raises(MetadataError, match="does not answer"):
        await actions.perform(Action("spec"), k, lambda _: None)
    spec.write_text('[cluster]\nname = "web"\nsize = 5\n')
    (await actions.perform(Action("spec"), k, lambda _: None))(k)
    assert k.settings is not None
    assert k.settings.spec.cluster.size == 5

    spec.write_text('[cluster]\nname = "web"\n')
    ports.metadata = Off()
    (await actions.perform(Action("spec"), k, lambda _: None))(k)
    assert k.settings.spec.cluster.size == 3


class Token:
    """A secret that can be exchanged, and a door that opens with whatever there is."""

    def __init__(self) -> None:
        self.now = "first"

    async def token(self) -> str:
        return self.now

    async def open(self, *_: str) -> None:
        return


async def test_who_asks_to_join_takes_an_exchanged_token_up_and_offers_anew(tmp_path: Path) -> None:
    """What it offered is derived from the old one: the conductor could never use it."""
    spec = tmp_path / "muster.toml"
    spec.write_text('[cluster]\nname = "web"\n')
    ports, token = reach(spec), Token()
    ports.secrets, ports.peers = (lambda _spec, _node: token), token
    ports.clock = SimpleNamespace(monotonic=lambda: samples.NOW)
    actions = Actions(cast("Reach", ports))
    k = samples.founder()
    k.node, k.settings = NODE, load(Tags(), tmp_path / "none", spec)
    k.joining = replace(samples.decree(), seed="")
    (await actions.perform(Action("token"), k, lambda _: None))(k)
    k.offered, k.facts = True, replace(samples.facts(), offered=True)
    (await actions.perform(Action("token"), k, lambda _: None))(k)
    assert k.facts is not None
    assert k.facts.offered, "the token is the same"
    k.doubted, token.now = True, "second"
    assert Action("token") in [action for action, _ in course.agenda(k, samples.NOW)]
    (await actions.perform(Action("token"), k, lambda _: None))(k)
    assert (k.offered, k.facts.offered) == (False, False)
