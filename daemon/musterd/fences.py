"""Fencing, proven: by what EC2 and the agent say, and by real fences that `drill` decides."""

from collections.abc import Callable

from musterd import course, drill, fencing, known, proofs
from musterd.errors import MusterError
from musterd.helper_wire import FenceParams, ProbeParams, Tags
from musterd.knowledge import Fenced, Knowledge
from musterd.model import Decree, Instance, Node, Verb
from musterd.ports import Clock, Cloud, Helper
from musterd.spec import DiscoverySource

Outcome = Callable[[Knowledge], bool | None]


class Fences:
    """Performs what concerns fencing, over the ports.

    Args:
        clock: dates proofs.
        helper: asks the agent, and has Pacemaker fence.
        cloud: EC2 in a node's region.
    """

    def __init__(self, clock: Clock, helper: Helper, cloud: Callable[[Node], Cloud]) -> None:
        self._clock = clock
        self._helper = helper
        self._cloud = cloud

    async def prove(self, k: Knowledge) -> Outcome:
        """Prove by EC2's DryRun and the agent's own status that this node can fence the others.

        An instance that is terminated stays off without being fenced.
        """
        decree, node = known.decree(k), known.node(k)
        spared = {node.instance_id, *k.candidates.gone}
        others = [m for m in decree.members if m.instance_id not in spared]
        listed = k.candidates.instances
        static = course.spec_of(k).discovery.source is DiscoverySource.STATIC
        missing = {m.instance_id for m in others} - {item.instance_id for item in listed}
        if static or missing:  # the list is the spec's, not EC2's; or a member lost its tag
            listed = await self._described(k, decree.roster)
        _recognise(k, decree, listed)
        if course.spec_of(k).fencing.agent == fencing.AWS_AGENT:
            for member in others:
                await self._cloud(node).may_fence(member.instance_id)
        params = ProbeParams(known.identity(k), k.tags or Tags(), node.region)
        probed = await self._helper.probe(params)
        if probed.map_faults:
            raise MusterError(
                "the stonith device would fence wrongly",
                why="; ".join(probed.map_faults),
                cure="put pcmk_host_map right with `pcs stonith update`; musterd looks again by"
                " itself",
            )
        statuses = probed.statuses
        dark = [m.name for m in others if statuses.get(m.name) not in {"on", "off"}]
        if dark:
            told = "; ".join(f"{name}: {statuses.get(name, 'no answer')}" for name in dark)
            raise MusterError(
                f"the fencing agent cannot tell the power state of {', '.join(dark)}",
                why=told,
                cure="check that the instance profile allows ec2:DescribeInstances and that EC2"
                " is reachable; musterd tries again by itself",
            )
        at = self._clock.wall()

        def outcome(k: Knowledge) -> None:
            # A new dictionary: hellos share it, and the next one is to differ from the last.
            k.proofs = k.proofs | {m.instance_id: ("permissions", at) for m in others}

        return outcome

    async def fence(self, k: Knowledge, progress: Callable[[str], None]) -> Outcome:
        """Fence the member whose turn it is; that it came back is seen later."""
        decree, now = known.decree(k), self._clock.monotonic()
        target = drill.target(k, now)
        if not target:
            return lambda _: None
        facts = k.heard[target].hello.facts if target in k.heard else None
        listed = await self._described(k, decree.roster)
        _recognise(k, decree, listed)
        started = next((one.started for one in listed if one.instance_id == target), 0.0)
        params = FenceParams(known.identity(k), target)
        await self._helper.change(Verb.FENCE, params, progress)
        fenced = Fenced(facts.boot_id if facts else "", started, self._clock.monotonic())
        return lambda k: k.fenced.__setitem__(target, fenced)

    async def confirm(self, k: Knowledge, _progress: Callable[[str], None]) -> Outcome:
        """Take a new boot for a proof only when EC2 started the instance anew as well."""
        target = drill.returned(k)
        if not target:
            return lambda _: None
        before = k.fenced[target].started
        listed = await self._described(k, (target,))
        asked = course.spec_of(k).fencing.agent == fencing.AWS_AGENT
        if asked and not any(one.started > before for one in listed):
            return lambda k: drill.deny(k, target)
        at = self._clock.wall()

        def outcome(k: Knowledge) -> None:
            k.fenced.pop(target, None)
            proofs.prove(k, target, at)

        return outcome

    async def _described(self, k: Knowledge, instance_ids: tuple[str, ...]) -> tuple[Instance, ...]:
        """Return what EC2 says of members; nothing where another agent does the fencing."""
        if course.spec_of(k).fencing.agent != fencing.AWS_AGENT:
            return ()
        return await self._cloud(known.node(k)).described(instance_ids)


def _recognise(k: Knowledge, decree: Decree, listed: tuple[Instance, ...]) -> None:
    """Make sure that each member is the instance that would be fenced in its name.

    Raises:
        MusterError: EC2 knows one of them otherwise.
    """
    if course.spec_of(k).fencing.agent != fencing.AWS_AGENT:
        return
    members = [m for m in decree.members if m.instance_id not in k.candidates.gone]
    mistaken = tuple(fencing.mistaken(members, listed))
    if mistaken:
        raise MusterError(
            "fencing would stop the wrong instance",
            why="; ".join(mistaken),
            cure="correct [discovery] peers, or the addresses, so that they are as EC2 has them;"
            " musterd looks again by itself",
        )
