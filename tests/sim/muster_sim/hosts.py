"""Simulated hosts: what muster-helper and Pacemaker do to a node, with half-done effects."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from musterd.errors import HelperError
from musterd.helper_wire import (
    AdmitParams,
    Done,
    ExpelParams,
    FenceParams,
    LayParams,
    OfferParams,
    Params,
    ProbeResult,
    SurveyParams,
    TrustParams,
)
from musterd.model import (
    ClusterResource,
    ClusterState,
    Comparison,
    CorosyncConfig,
    Member,
    NodeFacts,
    ResourceState,
    Verb,
)

DURATION = {
    Verb.PREPARE: 1.0,
    Verb.LAY: 1.5,
    Verb.START: 2.0,
    Verb.BUILD: 4.0,
    Verb.CONFIGURE: 0.8,
    Verb.TRUST: 1.5,
    Verb.FENCE: 6.0,
    Verb.OFFER: 1.0,
    Verb.ADMIT: 4.0,
    Verb.EXPEL: 4.0,
    Verb.WITHDRAW: 0.3,
}
MEMBERSHIP = 3.0  # seconds from corosync's start until others see it
CLEARED = 3.0  # seconds from the end of a leaving node's corosync until its files are gone
ELECTION = 2.0  # seconds from quorum until a DC
PAIR = 2  # members, for which Corosync has rules of their own (votequorum(5), two_node)
AGENTS = 6.0  # seconds until configured resources run


@dataclass
class Disk:
    """What survives a crash of the node: the cluster's files, as the helper leaves them."""

    uuid: str = ""
    members: tuple[str, ...] = ()  # the nodelist of corosync.conf, as instance ids
    keys: str = ""
    prepared: bool = False
    trusted: tuple[str, ...] = ()  # whom pcs knows, as instance ids
    offered: str = ""  # the uuid of the cluster whose conductor is let in
    enabled: bool = False
    built: bool = False
    cib: bool = False  # Pacemaker has written one of its own


@dataclass
class Host:
    """One node's operating system."""

    instance_id: str
    name: str
    cluster: "ClusterWorld"
    chance: random.Random
    disk: Disk = field(default_factory=Disk)
    foreign: str = ""
    lacks: tuple[str, ...] = ()  # what is not installed, in the helper's sentences
    started_at: float | None = None  # when corosync started, None while it does not run
    saw_other: bool = False  # of two members, since this one started
    starts: asyncio.Event = field(default_factory=asyncio.Event)
    verbs: list[str] = field(default_factory=list)
    boots: int = 1  # how often it has been booted
    fence: Callable[[str], None] = lambda _id: None  # power-cycles another instance
    began: Callable[[str], None] = lambda _verb: None
    reach: Callable[[str], None] = lambda _point: None  # called at VERB:before, :middle, :after
    at_work: list["asyncio.Task[None]"] = field(default_factory=list)

    async def survey(self, params: Params) -> NodeFacts:
        """Answer as the helper would."""
        assert isinstance(params, SurveyParams)
        self.reach("survey:before")
        await asyncio.sleep(0.15)
        self.reach("survey:middle")
        await asyncio.sleep(0.15)
        uuid = params.identity.uuid if params.identity is not None else ""
        config = CorosyncConfig.ABSENT
        if self.foreign or (self.disk.uuid and self.disk.uuid != uuid):
            config = CorosyncConfig.FOREIGN
        elif self.disk.uuid:
            config = CorosyncConfig.OURS
        self.reach("survey:after")
        return NodeFacts(
            instance_id=self.instance_id,
            name=self.name,
            versions={"corosync": "3.1.7"},
            missing=self.lacks,
            corosync=config,
            corosync_detail=self.foreign or self.disk.uuid,
            corosync_digest=self.disk.uuid,
            keys_digest=self.disk.keys,
            cib=self.disk.cib,
            prepared=self.disk.prepared,
            laid=config is CorosyncConfig.OURS and bool(self.disk.keys),
            trusted=bool(uuid) and self._knows(params),
            enabled=self.disk.enabled,
            running=self.started_at is not None,
            built=self.disk.built,
            boot_id=f"{self.instance_id}-{self.boots}",
            offered=bool(uuid) and self.disk.offered == uuid,
            members=self._members() if config is CorosyncConfig.OURS else (),
        )

    def _knows(self, params: SurveyParams) -> bool:
        listed = params.identity.members if params.identity is not None else ()
        return {member.instance_id for member in listed} <= set(self.disk.trusted)

    def _members(self) -> tuple[Member, ...]:
        """Return who the files of a running node list."""
        if self.started_at is None:
            return ()
        listed = (self.cluster.host(each) for each in self.disk.members)
        return tuple(Member(h.instance_id, h.name, h.address) for h in listed)

    @property
    def address(self) -> str:
        """Return the address that a name in EC2's style tells."""
        return self.name.removeprefix("ip-").replace("-", ".")

    async def change(self, verb: Verb, params: Params, progress: Callable[[str], None]) -> Done:
        """Do it beside the daemon: a helper that has begun goes on when the daemon is killed."""
        before = self.at_work[-1] if self.at_work else None
        task = asyncio.create_task(self._work(verb, params, before))
        self.at_work = [*(t for t in self.at_work if not t.done()), task]
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(task)
        progress(f"{verb} done")
        return Done((f"{verb} done",))

    async def _work(self, verb: Verb, params: Params, before: "asyncio.Task[None] | None") -> None:
        """Wait for the verb before, then work in two halves: a crash can fall between them."""
        if before is not None and not before.done():
            await asyncio.wait({before})
        self.verbs.append(verb)
        self.began(verb)
        self.reach(f"{verb}:before")
        await asyncio.sleep(DURATION[verb] * self.chance.uniform(0.3, 0.7))
        self._first_half(verb, params)
        self.reach(f"{verb}:middle")
        await asyncio.sleep(DURATION[verb] * self.chance.uniform(0.3, 0.7))
        self._second_half(verb, params)
        self.reach(f"{verb}:after")

    def power_off(self) -> None:
        """Stop everything that runs; the disk stays, but pcsd is to be waited for again."""
        self.disk.prepared = False
        for task in self.at_work:
            task.cancel()
        self.at_work = []
        self.started_at = None
        self.saw_other = False
        self.starts.clear()

    async def probe(self, params: Params) -> ProbeResult:
        """Every member is on."""
        self.verbs.append(Verb.PROBE_FENCING)
        self.reach("probe-fencing:before")
        await asyncio.sleep(0.5)
        self.reach("probe-fencing:middle")
        await asyncio.sleep(0.5)
        self.reach("probe-fencing:after")
        members = getattr(params, "identity").members  # noqa: B009 -- any params with an identity
        return ProbeResult({member.name: "on" for member in members})

    async def compare(self, params: Params) -> Comparison:
        """The cluster is as the spec says: nobody changes either in a simulation."""
        del params
        await asyncio.sleep(2.0)
        return Comparison("0" * 64)

    def _first_half(self, verb: Verb, params: Params) -> None:
        if verb is Verb.LAY:
            assert isinstance(params, LayParams)
            if self.disk.uuid and self.disk.uuid != params.identity.uuid:
                raise HelperError("corosync.conf is another cluster's", refused=True)
            self.disk.keys = params.corosync_key + params.pacemaker_key
        if verb is Verb.START:
            self.disk.enabled = True
        if verb is Verb.ADMIT and isinstance(params, AdmitParams):
            self.cluster.send_files(self, params)

    def _second_half(self, verb: Verb, params: Params) -> None:
        if verb is Verb.PREPARE:
            self.disk.prepared = True
        elif verb is Verb.LAY and isinstance(params, LayParams):
            self.disk.uuid = params.identity.uuid
            self.disk.members = tuple(m.instance_id for m in params.identity.members)
        elif verb is Verb.START:
            self.start_cluster()
        elif verb is Verb.BUILD:
            self.disk.built = True
        elif verb is Verb.CONFIGURE:
            self.cluster.configure(self)
        elif verb is Verb.FENCE and isinstance(params, FenceParams):
            shown = self.cluster.state_of(self)
            if shown is None or shown.offline:
                raise HelperError("another member is away", refused=False)
            self.fence(params.target)
        elif verb is Verb.TRUST and isinstance(params, TrustParams):
            self.disk.trusted = tuple(m.instance_id for m in params.identity.members)
            self.disk.offered = ""
        else:
            self._day_two(verb, params)

    def _day_two(self, verb: Verb, params: Params) -> None:
        if verb is Verb.OFFER and isinstance(params, OfferParams):
            if self.disk.uuid:
                raise HelperError("corosync.conf is here already", refused=True)
            self.disk.offered = params.identity.uuid
        elif verb is Verb.ADMIT and isinstance(params, AdmitParams):
            self.cluster.admit(self, params)
        elif verb is Verb.EXPEL and isinstance(params, ExpelParams):
            self.cluster.expel(self, params)
        elif verb is Verb.WITHDRAW:
            if self.started_at is not None:
                raise HelperError("this node is part of the cluster", refused=True)
            self.disk.uuid, self.disk.keys, self.disk.members = "", "", ()

    def start_cluster(self) -> None:
        """Corosync and Pacemaker come up, by the helper or because the node boots enabled."""
        if self.started_at is None:
            self.started_at = self.cluster.now()
            self.disk.cib = True
            self.starts.set()

    def leave_cluster(self) -> None:
        """Corosync and Pacemaker end at once, as pcs has them; their files go a little later."""
        self.started_at = None
        self.starts.clear()

        def cleared() -> None:
            self.started_at = None
            self.disk = replace(self.disk, uuid="", keys="", members=(), enabled=False, cib=False)

        asyncio.get_running_loop().call_later(CLEARED, cleared)


class ClusterWorld:
    """Corosync and Pacemaker of all hosts: who sees whom, the DC, the resources.

    A partition is quorate with more than half of its corosync.conf's members. Of two, one goes on
    alone once it has seen the other (wait_for_all) and the other is off. Fencing itself is not
    simulated: while the other one runs somewhere, neither is quorate alone.
    """

    def __init__(self, now: Callable[[], float], wanted: tuple[str, ...]) -> None:
        self.now = now
        self.wanted = wanted
        self.hosts: list[Host] = []
        self.configured_at: dict[str, float] = {}  # by uuid
        self.connected: Callable[[str, str], bool] = lambda _a, _b: True
        self.terminated: Callable[[str], bool] = lambda _instance: False

    def configure(self, host: Host) -> None:
        """Push the configuration; only a quorate partition takes it."""
        state = self.state_of(host)
        if state is None or not state.quorate:
            raise HelperError("the cluster is not quorate", refused=False)
        self.configured_at.setdefault(host.disk.uuid, self.now())

    def host(self, instance_id: str) -> Host:
        """Return the host of an instance."""
        return next(host for host in self.hosts if host.instance_id == instance_id)

    def send_files(self, host: Host, params: AdmitParams) -> None:
        """Give a newcomer the keys and corosync.conf, as `pcs cluster node add` does first."""
        newcomer = self._reachable(host, params.newcomer)
        if newcomer.instance_id in host.disk.members:
            return
        if newcomer.disk.uuid:
            raise HelperError("the newcomer has a corosync.conf already", refused=False)
        if newcomer.disk.offered != host.disk.uuid:
            raise HelperError("the newcomer's pcsd lets nobody in", refused=False)
        newcomer.disk.uuid, newcomer.disk.keys = host.disk.uuid, host.disk.keys
        newcomer.disk.members = (*host.disk.members, newcomer.instance_id)

    def admit(self, host: Host, params: AdmitParams) -> None:
        """Write the new list on every member that can be reached."""
        self._unless_quorate(host)
        newcomer = self._reachable(host, params.newcomer)
        listed = tuple(dict.fromkeys((*host.disk.members, newcomer.instance_id)))
        for member in (*self.partition_of(host), newcomer):
            member.disk.members = listed

    def expel(self, host: Host, params: ExpelParams) -> None:
        """Take a terminated member off every list, if the rest keeps its quorum."""
        self._unless_quorate(host)
        if not params.asked and not self.terminated(params.leaving):
            raise HelperError("EC2 does not call it terminated", refused=True)
        listed = tuple(m for m in host.disk.members if m != params.leaving)
        there = [each for each in self.partition_of(host) if each.instance_id in listed]
        if len(there) * 2 <= len(listed):
            raise HelperError("the rest would have no quorum", refused=True)
        for member in there:
            member.disk.members = listed
        leaver = self.host(params.leaving)
        if params.asked and leaver.started_at is not None:  # pcs talks to nobody who is offline
            leaver.leave_cluster()

    def _unless_quorate(self, host: Host) -> None:
        if host.started_at is None or not self.quorate(host):
            raise HelperError("the cluster is not quorate", refused=False)

    def _reachable(self, host: Host, instance_id: str) -> Host:
        found = next((each for each in self.hosts if each.instance_id == instance_id), None)
        if found is None or not self.connected(host.instance_id, instance_id):
            raise HelperError(f"{instance_id} cannot be reached", refused=False)
        return found

    def partition_of(self, host: Host) -> list[Host]:
        """Return the hosts whose corosync shares a membership with this one's."""
        return [
            other
            for other in self.hosts
            if other.started_at is not None
            and other.instance_id in host.disk.members
            and host.instance_id in other.disk.members  # Corosync hears nobody it does not list
            and (other.disk.uuid, other.disk.keys) == (host.disk.uuid, host.disk.keys)
            and (other is host or self._settled(other, host))
        ]

    def quorate(self, host: Host) -> bool:
        """Tell whether the host's partition may act."""
        partition, members = self.partition_of(host), host.disk.members
        if len(members) != PAIR:
            return len(partition) * 2 > len(members)
        if len(partition) == PAIR:
            host.saw_other = True
        others_run = any(
            self.host(one).started_at is not None for one in members if one != host.instance_id
        )
        return len(partition) == PAIR or (host.saw_other and not others_run)

    def _settled(self, other: Host, host: Host) -> bool:
        together = max(other.started_at or 0.0, host.started_at or 0.0)
        return self.now() - together >= MEMBERSHIP and self.connected(
            host.instance_id, other.instance_id
        )

    def state_of(self, host: Host) -> ClusterState | None:
        """Return what crm_mon on this host would show."""
        if host.started_at is None or self.now() - host.started_at < 1.0:
            return None
        members = [h for h in self.hosts if h.instance_id in host.disk.members]
        partition = self.partition_of(host)
        quorate = self.quorate(host)
        ready = self.now() - max(h.started_at or 0.0 for h in partition) >= MEMBERSHIP + ELECTION
        online = tuple(sorted(h.name for h in partition))
        return ClusterState(
            dc=online[0] if quorate and ready else "",
            quorate=quorate,
            online=online,
            offline=tuple(sorted(h.name for h in members if h not in partition)),
            resources=self._resources(host.disk.uuid, online[0], quorate=quorate),
            failures=(),
        )

    def _resources(self, uuid: str, node: str, *, quorate: bool) -> tuple[ClusterResource, ...]:
        configured = self.configured_at.get(uuid)
        if configured is None:
            return ()
        started = quorate and self.now() - configured >= AGENTS
        one = ClusterResource("", "agent", "", ResourceState.STARTED, node)
        stopped = replace(one, state=ResourceState.STOPPED, node="")
        return tuple(replace(one if started else stopped, id=name) for name in self.wanted)
