"""Makes the observations that `preflight` judges: everything at once, nothing longer than bounded.

Also the other side of it: what a peer asks this node to try.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TypeVar

from musterd import course, making, preflight, storage
from musterd.errors import MusterError
from musterd.knowledge import Knowledge
from musterd.model import Contact, GroupRule, Instance, Node
from musterd.observations import TCP_PORTS, Answer, Check, Observations, Ways
from musterd.peer_wire import Probe, Probed
from musterd.ports import Clock, Cloud, Network, Peers, Random, Secrets
from musterd.spec import AddressKind, Spec

_LONGEST = 12.0  # seconds that any one part of an examination may take
_ASKING = 3.5  # seconds the asking side listens for a peer's datagram; less than a request takes
_ASKED = 2.0  # seconds the asked side does

Found = TypeVar("Found")


class Examiner:
    """Looks at what the cluster needs, over the ports.

    Args:
        clock: for the offset between peers' clocks.
        random: makes the words of datagrams.
        peers: asked to try the ways back.
        network: the ways there.
        cloud: EC2 in a node's region.
        secrets: the token's source.
    """

    def __init__(
        self,
        clock: Clock,
        random: Random,
        peers: Peers,
        network: Network,
        cloud: Callable[[Node], Cloud],
        secrets: Callable[[Spec, Node], Secrets],
    ) -> None:
        self._clock = clock
        self._random = random
        self._peers = peers
        self._network = network
        self._cloud = cloud
        self._secrets = secrets
        self._looking: asyncio.Task[Observations] | None = None

    async def checks(self, k: Knowledge) -> tuple[Check, ...]:
        """Look at everything and judge it; `k` is only read.

        Several who ask at once share one look.
        """
        if self._looking is None:
            self._looking = asyncio.create_task(self._observe(k))
            self._looking.add_done_callback(self._looked)
        return preflight.checks(await asyncio.shield(self._looking))

    def close(self) -> None:
        """End a look that is under way."""
        if self._looking is not None:
            self._looking.cancel()

    def _looked(self, _done: asyncio.Task[Observations]) -> None:
        self._looking = None

    async def answer(self, k: Knowledge, sender: str, probe: Probe) -> Probed:
        """Try the ways to the member that asks for it."""
        asked_at = self._clock.wall()
        address = course.peers(k).get(sender, "")
        tcp, heard = await asyncio.gather(
            self._tcp(address), self._udp(k, probe.nonce, address, _ASKED)
        )
        told = {str(port): contact for port, contact in tcp.items()}
        return Probed(told, heard, asked_at, self._clock.wall())

    async def _observe(self, k: Knowledge) -> Observations:
        founders = k.candidates.roster or ((k.own_id,) if k.own_id else ())
        spec = k.settings.spec if k.settings is not None else None
        others = {peer: at for peer, at in course.peers(k).items() if peer in founders}
        seen, ways, token, permissions = await asyncio.gather(
            self._instances(k, founders),
            asyncio.gather(*(self._ways(k, peer, at) for peer, at in others.items())),
            self._token(k, spec),
            self._permissions(k, spec, tuple(others)),
        )
        instances, rules, cloud, groups = seen
        return Observations(
            own_id=k.own_id,
            own_name=course.own_name(k),
            spec=spec,
            troubles=(
                *((fault.what, fault.cure) for fault in k.disk_faults),
                *(
                    (trouble.sentence, trouble.cure)
                    for topic, trouble in sorted(k.troubles.items())
                    if not topic.startswith("greet:") and topic != "preflight"
                ),
            ),
            facts=k.facts,
            peer_facts={
                heard.hello.name: heard.hello.facts
                for heard in k.heard.values()
                if heard.hello.facts is not None
            },
            instances=instances,
            cloud=cloud,
            rules=rules,
            groups=groups,
            secrets=token,
            permissions=permissions,
            ways=tuple(ways),
        )

    # --- EC2 --------------------------------------------------------------------------------

    async def _instances(
        self, k: Knowledge, founders: tuple[str, ...]
    ) -> tuple[
        tuple[Instance, ...],
        Mapping[str, tuple[GroupRule, ...]],
        Answer,
        Answer,
    ]:
        """Return the founders, their groups' rules, and what became of asking for each."""
        if k.node is None:
            nobody = Answer("this node does not know its region yet", "see the metadata service")
            return (), {}, nobody, nobody
        cloud = self._cloud(k.node)
        instances, cloud_answer = await _tried(cloud.described(founders), "ec2:DescribeInstances")
        if instances is None:
            return (), {}, cloud_answer, cloud_answer
        groups = tuple(sorted({group for one in instances for group in one.groups}))
        rules, group_answer = await _tried(cloud.group_rules(groups), "ec2:DescribeSecurityGroups")
        return instances, rules or {}, cloud_answer, group_answer

    async def _token(self, k: Knowledge, spec: Spec | None) -> Answer:
        if k.node is None or spec is None:
            return Answer("the token's source is not known before the spec is", "see the spec")
        _, answer = await _tried(self._secrets(spec, k.node).token(), "the token's source")
        return answer

    async def _permissions(
        self, k: Knowledge, spec: Spec | None, others: tuple[str, ...]
    ) -> dict[str, Answer]:
        """Rehearse everything that can be; one after another, because EC2 counts them."""
        if k.node is None or spec is None:
            return {}
        cloud = self._cloud(k.node)
        found: dict[str, Answer] = {}
        if spec.fencing.agent == "fence_aws":
            for peer in others:
                for action in ("ec2:StopInstances", "ec2:StartInstances"):
                    _, answer = await _tried(cloud.rehearse(action, peer), action)
                    found[f"{action} of {peer}"] = answer
        for action, resource, where in _resources(k, k.node, spec):
            _, answer = await _tried(cloud.rehearse(action, resource, where), action)
            found[f"{action} with {resource}"] = answer
        return found

    # --- peers ------------------------------------------------------------------------------

    async def _ways(self, k: Knowledge, peer: str, address: str) -> Ways:
        nonce = self._random.hexadecimal(32)
        there, udp_back, (asked, answer) = await asyncio.gather(
            self._tcp(address),
            self._udp(k, nonce, address, _ASKING),
            _tried(self._ask(peer, address, nonce), peer),
        )
        heard = k.heard.get(peer)
        name = heard.hello.name if heard is not None else peer
        online = k.cluster is not None and name in k.cluster.online
        if asked is None:
            return Ways(peer, name, address, answer.why, there, udp_back=udp_back, online=online)
        probed, offset = asked
        return Ways(
            instance_id=peer,
            name=name,
            address=address,
            there=there,
            back={int(port): contact for port, contact in probed.tcp.items() if port.isdigit()},
            udp_there=probed.heard,
            udp_back=udp_back,
            offset=offset,
            online=online,
        )

    async def _ask(self, peer: str, address: str, nonce: str) -> tuple[Probed, float]:
        """Return what the peer found, and how far its clock is ahead (RFC 5905, section 8)."""
        sent = self._clock.wall()
        probed = await self._peers.probe(peer, address, Probe(nonce))
        came = self._clock.wall()
        return probed, ((probed.asked_at - sent) + (probed.answered_at - came)) / 2

    async def _tcp(self, address: str) -> dict[int, Contact]:
        contacts = await asyncio.gather(
            *(self._network.connect(address, port) for port in TCP_PORTS)
        )
        return dict(zip(TCP_PORTS, contacts, strict=True))

    async def _udp(self, k: Knowledge, nonce: str, address: str, seconds: float) -> bool | None:
        """Exchange datagrams, unless Corosync has the port or is about to take it."""
        if k.node is None or course.decree_of(k) is not None:
            return None
        return await self._network.exchange(nonce, k.node.address, address, seconds)


def _resources(k: Knowledge, node: Node, spec: Spec) -> Iterator[tuple[str, str, str]]:
    """Yield what else of EC2 this node must be able to do: action, resource or tag, and where."""
    for allocation in k.allocations.values():
        yield "ec2:AssociateAddress", allocation, k.own_id
    for address in spec.address:
        if address.kind is AddressKind.OVERLAY:
            for table in address.route_tables:
                yield "ec2:ReplaceRoute", table, k.own_id
    tag = f"{spec.discovery.tag}={spec.cluster.name}"
    if making.unallocated(k, spec):
        yield "ec2:AllocateAddress", tag, ""
    if any(storage.key(disk) not in k.volumes for disk in spec.shared_disk if disk.create):
        yield "ec2:CreateVolume", tag, node.zone
    for disk in spec.shared_disk:
        if disk.volume is not None:
            yield "ec2:AttachVolume", disk.volume, k.own_id


async def _tried(asking: Awaitable[Found], what: str) -> tuple[Found | None, Answer]:
    """Return the answer, or None and why there is none; never longer than bounded."""
    try:
        async with asyncio.timeout(_LONGEST):
            return await asking, Answer()
    except TimeoutError:
        return None, Answer(
            f"no answer to {what} within {_LONGEST:.0f} s",
            "look at the network between this node and there",
        )
    except MusterError as error:
        return None, Answer(error.sentence, error.cure)
