"""What `muster plan` and `muster apply` have the helper do, and what of the spec is applied."""

import shlex
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

from muster.api import Plan, PlanCommand, PlanDifference
from musterd import course, known, making
from musterd.errors import MusterError
from musterd.helper_wire import ApplyParams, CompareParams, ConfigureParams, Tags
from musterd.knowledge import Knowledge
from musterd.model import Comparison, Node, Verb
from musterd.ports import Cloud, Helper
from musterd.settings import Settings, differing


class Planner:
    """Compares the running cluster with the spec as it stands on disk now, and applies a plan.

    Args:
        helper: looks, and runs pcs.
        cloud: EC2 in a node's region.
        load: reads the spec.
    """

    def __init__(
        self,
        helper: Helper,
        cloud: Callable[[Node], Cloud],
        load: Callable[[Tags], Settings],
    ) -> None:
        self._helper = helper
        self._cloud = cloud
        self._load = load

    async def plan(self, k: Knowledge) -> tuple[Settings, Comparison]:
        """Look; return the spec on disk, and how the cluster differs from it.

        Raises:
            MusterError: there is no cluster to look at, or the spec cannot be used.
        """
        settings = self._settings(k)
        return settings, await self._helper.compare(await self._params(k, settings))

    async def apply(
        self, k: Knowledge, plan: str, restart: bool, progress: Callable[[str], None]
    ) -> tuple[Settings, Comparison]:
        """Run exactly this plan; return the spec, and how the cluster differs from it then.

        Raises:
            MusterError: it was not run; or broke off, with what is left in the next plan.
        """
        settings = self._settings(k)
        params = await self._params(k, settings)
        await self._helper.change(Verb.APPLY, ApplyParams(params, plan, restart), progress)
        return settings, await self._helper.compare(params)

    def _settings(self, k: Knowledge) -> Settings:
        """Return the spec as it stands on disk: whoever plans has just written it."""
        if not k.formed or k.left or k.cluster is None or not k.cluster.quorate:
            raise MusterError(
                "there is no running cluster to compare the spec with",
                why=k.outlook.reason,
                cure="type `muster wait`, then `muster plan` again",
            )
        settings = self._load(k.tags or Tags())
        if settings.spec.cluster.name != course.spec_of(k).cluster.name:
            raise MusterError(
                "the name of a cluster cannot be changed",
                why=f"the spec says {settings.spec.cluster.name}, and the cluster is"
                f" {course.spec_of(k).cluster.name}",
                cure="put the name back; another cluster is founded by new instances",
            )
        return settings

    async def _params(self, k: Knowledge, settings: Settings) -> CompareParams:
        node = known.node(k)
        allocations = {IPv4Address(ip): found for ip, found in k.allocations.items()}
        for address in settings.spec.address:
            elastic = address.elastic_ip
            if isinstance(elastic, IPv4Address) and elastic not in allocations:
                allocations[elastic] = await self._cloud(node).allocation(str(elastic))
        configure = ConfigureParams(
            identity=known.identity(k),
            tags=k.tags or Tags(),
            spec_digest=settings.digest,
            region=node.region,
            subnet=IPv4Network(node.subnet_cidr),
            allocations=allocations,
            allocated=making.allocated(k),
            disks=making.volumes_by_name(k, settings.spec),
        )
        return CompareParams(configure, differing(k.applied or settings.keys, settings.keys))


def public(found: Comparison) -> Plan:
    """Return the plan as it is shown."""
    commands = tuple(
        PlanCommand(shlex.join(("pcs", *each.argv)), each.why, each.restart)
        for each in found.commands
    )
    differences = tuple(
        PlanDifference(each.what, each.live, each.wanted, each.drift, each.cure)
        for each in found.differences
    )
    return Plan(found.digest, commands, differences)
