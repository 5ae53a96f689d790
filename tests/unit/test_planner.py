"""Plans are asked of the helper with what of the spec has changed since it was applied."""

from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import cast

import pytest
from tests.unit.test_membership import A, B, C, cluster
from tests.unit.test_memory import Disk, member

from musterd.errors import MusterError
from musterd.helper_wire import ApplyParams, CompareParams, Done, Params, Tags
from musterd.knowledge import Knowledge
from musterd.model import Comparison, Verb
from musterd.planner import Planner
from musterd.ports import Cloud, Helper
from musterd.settings import Settings, load

NOWHERE = Path("/nonexistent")
PLAN = "ab" * 32
ELASTIC = IPv4Address("203.0.113.9")


def written(folder: Path, more: str = "") -> Settings:
    file = folder / "muster.toml"
    file.write_text(f'[cluster]\nname = "web"\nsize = 3\n{more}\n')
    return load(Tags(), NOWHERE, file)


class Asked:
    """A helper that notes what it is asked."""

    def __init__(self) -> None:
        self.params: list[Params] = []

    async def compare(self, params: Params) -> Comparison:
        self.params.append(params)
        return Comparison(PLAN)

    async def change(self, verb: Verb, params: Params, progress: object) -> Done:
        del progress
        assert verb is Verb.APPLY
        self.params.append(params)
        return Done()


class Addresses:
    """EC2, as far as elastic addresses go."""

    async def allocation(self, elastic_ip: str) -> str:
        assert elastic_ip == str(ELASTIC)
        return "eipalloc-1"


def formed(settings: Settings) -> Knowledge:
    _, k = member(Disk())
    k.settings, k.applied, k.cluster = settings, dict(settings.keys), cluster(A, B, C)
    assert k.node is not None
    k.node = replace(k.node, subnet_cidr="10.0.0.0/24", region="eu-west-1")
    return k


def planner(helper: Asked, now: Settings) -> Planner:
    cloud = cast("Cloud", Addresses())  # it plays what plans need of them
    return Planner(cast("Helper", helper), lambda _node: cloud, lambda _tags: now)


async def test_the_helper_learns_which_keys_have_changed_since_they_were_applied(
    tmp_path: Path,
) -> None:
    k, helper = formed(written(tmp_path)), Asked()
    public = f'elastic_ip = "{ELASTIC}"'
    now = written(
        tmp_path, f'[[address]]\ngroup = "g"\nprivate_ip = "10.0.0.99"\n{public}\n'
        "[corosync]\ntoken_ms = 20000"
    )  # fmt: skip
    assert await planner(helper, now).plan(k) == (now, Comparison(PLAN))
    [asked] = helper.params
    assert isinstance(asked, CompareParams)
    assert asked.changed == ("address", "corosync.token_ms")
    assert asked.configure.spec_digest == now.digest
    assert asked.configure.allocations == {ELASTIC: "eipalloc-1"}


async def test_exactly_the_named_plan_is_applied(tmp_path: Path) -> None:
    k, helper = formed(written(tmp_path)), Asked()
    now = written(tmp_path, "[corosync]\ntoken_ms = 20000")
    done = await planner(helper, now).apply(k, PLAN, restart=True, progress=lambda _: None)
    assert done == (now, Comparison(PLAN)), "what the cluster lacks is looked at afterwards"
    asked, looked = helper.params
    assert isinstance(asked, ApplyParams)
    assert (asked.plan, asked.restart) == (PLAN, True)
    assert looked == asked.compare


async def test_without_quorum_or_under_another_name_there_is_nothing_to_compare(
    tmp_path: Path,
) -> None:
    k = formed(written(tmp_path))
    other = written(tmp_path)
    renamed = replace(
        other, spec=replace(other.spec, cluster=replace(other.spec.cluster, name="db"))
    )
    with pytest.raises(MusterError, match="cannot be changed"):
        await planner(Asked(), renamed).plan(k)
    assert k.cluster is not None
    k.cluster = replace(k.cluster, quorate=False)
    with pytest.raises(MusterError, match="no running cluster"):
        await planner(Asked(), other).plan(k)
