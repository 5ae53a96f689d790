"""What the engine does to the world, one action at a time, over the ports.

An action reads knowledge, awaits one port, and returns its outcome: a function that the loop then
applies to knowledge. It raises MusterError where it did not work; the loop keeps that and retries.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from muster.api import Plan
from musterd import (
    agreement,
    applied,
    assembly,
    course,
    day_two,
    discovery,
    floating,
    identity,
    known,
    making,
    membership,
    trust,
)
from musterd.course import Action
from musterd.errors import (
    HelperError,
    MetadataError,
    MusterError,
    NoClusterError,
    SettingsError,
    TagsOffError,
)
from musterd.examination import Examiner
from musterd.fences import Fences
from musterd.helper_wire import (
    AdmitParams,
    ConfigureParams,
    ExpelParams,
    LayParams,
    OfferParams,
    Params,
    PrepareParams,
    StartParams,
    SurveyParams,
    Tags,
    TrustParams,
    WithdrawParams,
)
from musterd.knowledge import Knowledge
from musterd.model import (
    Candidates,
    ClusterState,
    Comparison,
    Decree,
    Instance,
    InstanceState,
    Node,
    Read,
    Step,
    Verb,
)
from musterd.planner import Planner, public
from musterd.ports import (
    Clock,
    Cloud,
    Cluster,
    Disks,
    Helper,
    Metadata,
    Network,
    Peers,
    Provision,
    Random,
    Secrets,
)
from musterd.provisioning import Provisioner
from musterd.settings import DEFAULT, Settings, tags_of
from musterd.spec import AddressKind, DiscoverySource, Spec
from musterd.status import hello_of

Outcome = Callable[[Knowledge], bool | None]  # False: nothing can follow from it
KEPT_READS = 8


@dataclass(frozen=True)
class Reach:
    """The ports actions use. AWS clients are made once the region is known."""

    clock: Clock
    metadata: Metadata
    cloud: Callable[[Node], Cloud]
    provision: Callable[[Node], Provision]
    disks: Disks
    secrets: Callable[[Spec, Node], Secrets]
    peers: Peers
    helper: Helper
    cluster: Cluster
    network: Network
    random: Random
    load: Callable[[Tags], Settings]
    host_name: Callable[[], str]


class Actions:
    """Performs what `course.due` asks for. Holds the token, in memory only."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._cloud: Cloud | None = None
        self._token = ""
        self._fences = Fences(reach.clock, reach.helper, self._cloud_of)
        self._provisioner = Provisioner(reach.clock, self._cloud_of, reach.provision, reach.disks)
        self.examiner = Examiner(
            clock=reach.clock,
            random=reach.random,
            peers=reach.peers,
            network=reach.network,
            cloud=self._cloud_of,
            secrets=reach.secrets,
        )

        self.planner = Planner(reach.helper, self._cloud_of, reach.load)
        self._beside = {
            "apply": self._apply,
            "fence": self._fences.fence,
            "fenced": self._fences.confirm,
            "preflight": self._preflight,
            "elastics": self._provisioner.elastics,
            "disks": self._provisioner.disks,
        }

    async def perform(
        self, action: Action, k: Knowledge, progress: Callable[[str], None]
    ) -> Outcome:
        """Do it. Raises MusterError with what, why and cure."""
        if action.kind in self._beside:
            return await self._beside[action.kind](k, progress)
        match action.kind:
            case "identity":
                return await self._identity()
            case "spec":
                return await self._spec()
            case "survey":
                return await self._survey(k)
            case "token":
                return await self._take_token(k)
            case "instances":
                return await self._instances(k)
            case "greet":
                return await self._greet(k, action.target, course.peers(k)[action.target])
            case "allocation":
                return await self._allocation(k, action.target)
            case "holders":
                return await self._holders(k)
            case "reach":
                return await self._reach_address(k, action.target)
            case "step":
                return await self._step(k, progress)
        raise AssertionError(f"no such action: {action.key}")

    @staticmethod
    def is_fatal(error: MusterError) -> bool:
        """Tell whether only a person can help: the spec is wrong, or the helper refused."""
        wrong = isinstance(error, SettingsError) and not isinstance(error, NoClusterError)
        return wrong or (isinstance(error, HelperError) and error.refused)

    # --- who and what -----------------------------------------------------------------------

    async def _identity(self) -> Outcome:
        documents = await self._reach.metadata.documents(identity.PATHS)
        node = identity.node_from(documents, self._reach.host_name())
        self._cloud = self._reach.cloud(node)
        return lambda k: setattr(k, "node", node)

    async def _spec(self) -> Outcome:
        """Read the sources; tags that are not read matter only if nothing else says the same."""
        off: MetadataError | None = None
        tags = Tags()
        try:
            tags = tags_of(await self._reach.metadata.tags())
        except MetadataError as error:
            off = error
        try:
            settings = self._reach.load(tags)
        except NoClusterError as nameless:
            if off is None:
                raise
            raise NoClusterError(nameless.what, why=off.sentence, cure=off.cure) from off
        unsaid = settings.origins["cluster.size"] == DEFAULT
        if off is not None and unsaid and not isinstance(off, TagsOffError):
            raise off  # a silent service is no answer: the tag may say another size
        return lambda k: self._go_by(k, tags, settings)

    def _go_by(self, k: Knowledge, tags: Tags, settings: Settings) -> None:
        """Go by this spec from now on."""
        if k.settings is not None and not _same_candidates(k.settings.spec, settings.spec):
            # Listed under another name; only what EC2 called terminated stays known.
            k.candidates, k.reads = Candidates(gone=k.candidates.gone), ()
        making.forget(k, settings.spec)
        k.tags, k.settings, k.spec_stale = tags, settings, False
        k.refusal = agreement.refusal(settings.spec, known.node(k))
        self._see_kernel(k)  # the cluster may have been seen before, and may stay as it is

    async def _survey(self, k: Knowledge) -> Outcome:
        decree = course.decree_of(k)
        about = known.identity(k) if decree is not None else None
        # What changes from here on is for the next survey.
        k.facts_stale = k.facts_assumed = False
        facts = await self._reach.helper.survey(SurveyParams(about, k.tags or Tags()))
        # An offer from before this daemon's start may be by a token that is exchanged since.
        return lambda k: setattr(
            k,
            "facts",
            replace(facts, instance_id=k.own_id, offered=facts.offered and k.offered),
        )

    async def _take_token(self, k: Knowledge) -> Outcome:
        node = known.node(k)
        spec = course.spec_of(k)
        token = await self._reach.secrets(spec, node).token()
        await self._reach.peers.open(token, spec.cluster.name, node.instance_id)

        def outcome(k: Knowledge) -> None:
            if not (self._token and course.laying(k)):
                if token != self._token and k.facts is not None:
                    # What was offered is derived from it.
                    k.offered, k.facts = False, replace(k.facts, offered=False)
                self._token = token
            k.trusted, k.trusted_at, k.doubted = True, self._reach.clock.monotonic(), False

        return outcome

    # --- who else ---------------------------------------------------------------------------

    async def _instances(self, k: Knowledge) -> Outcome:
        spec, node = course.spec_of(k), known.node(k)
        if spec.discovery.source is DiscoverySource.STATIC:
            listed = discovery.from_static(spec.discovery.peers, _as_instance(node))
        else:
            cloud = self._cloud_of(node)
            listed = await cloud.instances(spec.discovery.tag, spec.cluster.name)
            decree = course.decree_of(k)
            members = decree.roster if decree is not None else ()
            unlisted = discovery.unlisted(listed, k.candidates, members, node.instance_id)
            if unlisted:
                listed = (*listed, *discovery.ended(await cloud.described(unlisted)))
        at = self._reach.clock.monotonic()
        mine = tuple(item for item in listed if item.vpc_id in {"", node.vpc_id})

        def outcome(k: Knowledge) -> None:
            if k.settings is None or k.settings.spec != spec:
                return  # asked for a spec that is no longer wanted
            k.candidates = discovery.candidates(mine, spec, node.instance_id, k.candidates)
            k.reads = (*k.reads, Read(k.candidates.roster, at))[-KEPT_READS:]

        return outcome

    async def _greet(self, k: Knowledge, peer: str, address: str) -> Outcome:
        own = hello_of(k, self._reach.clock.monotonic())
        if own is None:
            raise MusterError("this node does not know itself yet")
        hello = await self._reach.peers.hello(peer, address, own)
        now = self._reach.clock.monotonic()
        return lambda k: k.hear(peer, hello, now)

    async def _preflight(self, k: Knowledge, _progress: Callable[[str], None]) -> Outcome:
        checks = await self.examiner.checks(k)
        return lambda k: setattr(k, "preflight", checks)

    # --- floating addresses -----------------------------------------------------------------

    async def _allocation(self, k: Knowledge, elastic_ip: str) -> Outcome:
        allocation = await self._cloud_of(known.node(k)).allocation(elastic_ip)
        return lambda k: k.allocations.__setitem__(elastic_ip, allocation)

    async def _holders(self, k: Knowledge) -> Outcome:
        """Read anew who has each floating address: in EC2, and in this node's kernel."""
        wanted, cloud = course.spec_of(k).address, self._cloud_of(known.node(k))
        secondary = tuple(str(a.private_ip) for a in wanted if a.kind is AddressKind.SECONDARY_IP)
        overlay = [a for a in wanted if a.kind is AddressKind.OVERLAY]
        tables = tuple(sorted({table for a in overlay for table in a.route_tables}))
        interfaces = await cloud.holders(secondary)
        routes = await cloud.routed(tables, tuple(str(a.private_ip) for a in overlay))
        public = tuple(elastic for a in wanted if (elastic := making.elastic_of(k, a)))
        led = await cloud.elastic_holders(public)
        holders = {address: interfaces.get(address, "") for address in secondary}
        for each in overlay:
            text = str(each.private_ip)
            targets = {table: routes.get((table, text), "") for table in each.route_tables}
            holders[text] = floating.routed_to(targets)

        def outcome(k: Knowledge) -> None:
            k.holders = holders
            k.elastics = {address: led.get(address, "") for address in public}
            k.holds = tuple(a for a in holders if self._reach.cluster.holds(a))

        return outcome

    async def _reach_address(self, k: Knowledge, address: str) -> Outcome:
        """Call the holder at its floating address; its certificate says who answered."""
        name = course.floating_node(k, address)
        decree = course.decree_of(k)
        members = decree.members if decree is not None else ()
        holder = next((m.instance_id for m in members if m.name == name), "")
        await self._greet(k, holder, address)

        def outcome(k: Knowledge) -> None:
            if course.floating_node(k, address) == name:
                k.reaches = tuple(sorted({*k.reaches, address}))

        return outcome

    def saw_cluster(self, k: Knowledge, state: ClusterState | None) -> None:
        """Take in what the watch unit's file now says."""
        before = {str(a.private_ip): "" for a in (k.settings.spec.address if k.settings else ())}
        for address in before:
            before[address] = course.floating_node(k, address)
        k.cluster = state
        names = {*state.online, *state.offline} if state is not None else set()
        if k.formed and k.decree is not None and names != {m.name for m in k.decree.members}:
            k.facts_stale = True  # members came or went, or the cluster stopped: look who is who
        quorate = state is not None and state.quorate and bool(state.dc)
        if not quorate:
            k.quorate_since = None
        elif k.quorate_since is None:
            k.quorate_since = self._reach.clock.monotonic()
        moved = {a for a, node in before.items() if course.floating_node(k, a) != node}
        k.reaches = tuple(a for a in k.reaches if a not in moved)
        k.holders = {a: holder for a, holder in k.holders.items() if a not in moved}
        self._see_kernel(k)

    def _see_kernel(self, k: Knowledge) -> None:
        wanted = [str(a.private_ip) for a in (k.settings.spec.address if k.settings else ())]
        k.holds = tuple(a for a in wanted if self._reach.cluster.holds(a))

    # --- steps ------------------------------------------------------------------------------

    async def _step(self, k: Knowledge, progress: Callable[[str], None]) -> Outcome:
        step = k.step
        if step is None:
            return lambda _: None
        progress(step.why)
        if step.verb is Verb.PROBE_FENCING:
            return await self._fences.prove(k)
        if step.verb is Verb.START:
            self._reach.network.close()
        await self._reach.helper.change(step.verb, self._params(k, step), progress)
        pushed = self._reach.clock.monotonic() if step.verb is Verb.CONFIGURE else None

        def outcome(k: Knowledge) -> None:
            if k.facts is not None:
                k.facts = assembly.after(step.verb, k.facts)
                if step.verb in {Verb.ADMIT, Verb.EXPEL}:
                    members = _after_change(k, step).members
                    k.facts = replace(k.facts, members=members, lingering=())
            k.facts_assumed, k.odd_since = True, None
            k.offered |= step.verb is Verb.OFFER
            k.progress = ""
            k.pushed = pushed if pushed is not None else k.pushed

        return outcome

    async def _apply(self, k: Knowledge, progress: Callable[[str], None]) -> Outcome:
        """Carry a plan out, once: what fails is told to who asked, and not tried again."""
        asked = k.applying
        if asked is None:
            return lambda _: None
        try:
            settings, left = await self.planner.apply(k, asked.plan, asked.restart, progress)
        except MusterError as error:
            failed = replace(asked, state="failed", detail=f"{error.sentence}; {error.cure}")
            return lambda k: setattr(k, "applying", failed)

        def outcome(k: Knowledge) -> None:
            k.applying = replace(asked, state="done", detail=f"applied plan {asked.plan[:12]}")
            self._compared(k, settings, left)

        return outcome

    async def plan(self, k: Knowledge) -> tuple[Plan, Outcome]:
        """Compare the running cluster with the spec on disk. Raises MusterError."""
        settings, found = await self.planner.plan(k)
        return public(found), lambda k: self._compared(k, settings, found)

    def _compared(self, k: Knowledge, settings: Settings, found: Comparison) -> None:
        """Go by the spec that was read, and know what of it the cluster follows."""
        self._go_by(k, k.tags or Tags(), settings)
        applied.saw(k, settings, found.unfollowed)

    def _params(self, k: Knowledge, step: Step) -> Params:
        node = known.node(k)
        if step.verb is Verb.PREPARE:
            return PrepareParams(node.region)
        decree = known.decree(k)
        about = known.identity(k)
        if step.verb is Verb.START:
            return StartParams(about)
        if step.verb in {Verb.BUILD, Verb.CONFIGURE}:
            return ConfigureParams(
                identity=about,
                tags=k.tags or Tags(),
                spec_digest=decree.spec_digest,
                region=node.region,
                subnet=IPv4Network(node.subnet_cidr),
                allocations={IPv4Address(ip): found for ip, found in k.allocations.items()},
                allocated=making.allocated(k),
                disks=making.volumes_by_name(k, course.spec_of(k)),
            )
        if step.verb is Verb.WITHDRAW:
            return WithdrawParams(about)
        if step.verb is Verb.TRUST and not decree.seed:
            return TrustParams(about)
        if step.verb is Verb.EXPEL:
            return ExpelParams(
                identity=about,
                leaving=step.target,
                asked=step.target not in k.candidates.gone,
                tags=k.tags or Tags(),
                spec_digest=course.digest_of(k),
                region=node.region,
            )
        token = trust.parse_token(self._token)
        if step.verb is Verb.OFFER:
            offered = trust.offer_token(token, decree.uuid, node.instance_id)
            return OfferParams(about, offered)
        if step.verb is Verb.ADMIT:
            return AdmitParams(
                identity=known.identity(k, _after_change(k, step)),
                newcomer=step.target,
                pcsd_token=trust.offer_token(token, decree.uuid, step.target),
                tags=k.tags or Tags(),
                spec_digest=course.digest_of(k),
                region=node.region,
            )
        keys = trust.cluster_keys(token, decree.seed, decree.uuid)
        if step.verb is Verb.LAY:
            return LayParams(about, keys.corosync, keys.pacemaker)
        if step.verb is Verb.TRUST:
            return TrustParams(about, keys.pcsd_token)
        raise AssertionError(f"no parameters known for {step.verb}")

    def _cloud_of(self, node: Node) -> Cloud:
        if self._cloud is None:
            self._cloud = self._reach.cloud(node)
        return self._cloud


def _same_candidates(before: Spec, after: Spec) -> bool:
    return (before.discovery, before.cluster.name) == (after.discovery, after.cluster.name)


def _after_change(k: Knowledge, step: Step) -> Decree:
    """Return the members as an admission or a departure leaves them."""
    decree = known.decree(k)
    if step.verb is Verb.EXPEL:
        return membership.changed(decree, None, step.target)
    newcomer = day_two.target(k, step.target)
    if newcomer is None:
        raise MusterError(f"{step.target} has not said hello", why="it may have gone again")
    return membership.changed(decree, newcomer, "")


def _as_instance(node: Node) -> Instance:
    return Instance(
        instance_id=node.instance_id,
        state=InstanceState.RUNNING,
        created=0.0,
        address=node.address,
        addresses=(node.address,),
        zone=node.zone,
        subnet_id=node.subnet_id,
        vpc_id=node.vpc_id,
    )
