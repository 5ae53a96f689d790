"""Floating addresses and other wanted resources -> the pcs commands that configure them.

An address becomes the head of a group, in the order Red Hat documents: awsvip gives it to the
instance's interface, IPaddr2 to the kernel, awseip ties an elastic address to it. An overlay
address, from outside the VPC, is one aws-vpc-move-ip, which leads the routes to its node and
gives it to the kernel. A group is order and colocation at once.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network

from musterd import floating
from musterd.errors import MusterError
from musterd.model import Finding, PcsCommand, Severity
from musterd.pcs_words import DISK, OPTION_NAME, fence_device, pairs, unusable
from musterd.spec import ALLOCATE, Address, AddressKind, Group, Resource, Scalar, Spec

AWS_AGENTS = ("awsvip", "awseip", "aws-vpc-move-ip")
# Both call the AWS command line several times, each a second or more, and pause after a change;
# their own 30 s do not last when the API is slow. Their 20 s monitor costs API quota on each node.
_AWS_OPERATIONS = (
    *("op", "start", "timeout=180s", "stop", "timeout=180s"),
    *("monitor", "interval=60s", "timeout=60s"),
)
# Seconds the agents pause after a change, by default 3: part of every start and every fail-over.
_SHORT_PAUSE: dict[str, Scalar] = {"api_delay": 1}
_KERNEL_OPERATIONS = ("op", "monitor", "interval=60s", "timeout=30s")


@dataclass(frozen=True)
class Made:
    """What muster made for the spec, and what it is called.

    Attributes:
        elastics: floating address -> elastic address that was allocated for it.
        disks: name of a shared disk -> its path on every node.
    """

    elastics: Mapping[IPv4Address, IPv4Address] = field(default_factory=dict)
    disks: Mapping[str, str] = field(default_factory=dict)


NOTHING_MADE = Made()


def plan(
    spec: Spec,
    region: str,
    subnet: IPv4Network,
    allocations: Mapping[IPv4Address, str],
    parameters: Mapping[str, frozenset[str]],
    interface: str = "eth0",
    made: Made = NOTHING_MADE,
) -> tuple[PcsCommand, ...]:
    """Return one command per resource, in the order they are to be created.

    Args:
        spec: the wanted cluster; `refusals` has found nothing.
        region: of the instances.
        subnet: the members' subnet, which gives IPaddr2 its prefix length.
        allocations: elastic address -> allocation id.
        parameters: agent name -> the parameters its metadata lists, for those in `AWS_AGENTS`.
            Distributions backport parameters, so versions tell nothing.
        interface: of the kernel, which gets overlay addresses.
        made: what muster made for the spec.

    Raises:
        MusterError: an elastic address has no allocation id, or a disk is not known.
    """
    commands: list[PcsCommand] = []
    for address in spec.address:
        if address.kind is AddressKind.OVERLAY:
            commands.append(_overlay(address, region, interface, parameters))
        else:
            found = resolved(address, made.elastics)
            commands.extend(_address(found, region, subnet, allocations, parameters))
    commands.extend(_resource(resource, made.disks) for resource in spec.resource)
    commands.extend(_wrapped(spec))
    return tuple(commands)


def resolved(address: Address, allocated: Mapping[IPv4Address, IPv4Address]) -> Address:
    """Return the address with its elastic one in place of the wish to have one allocated."""
    found = allocated.get(address.private_ip)
    if address.elastic_ip != ALLOCATE or found is None:
        return address
    return replace(address, elastic_ip=found)


def wanted_ids(spec: Spec) -> tuple[str, ...]:
    """Return the ids of everything the spec wants in the CIB, the stonith device first."""
    ids = [fence_device(spec)]
    for address in spec.address:
        ids.extend(address_resources(address))
    ids.extend(resource.id for resource in spec.resource)
    return tuple(ids)


def address_ids(spec: Spec) -> dict[str, str]:
    """Return private address -> id of the resource that gives it to a node's kernel."""
    return {str(a.private_ip): address_resources(a)[:2][-1] for a in spec.address}


def address_resources(address: Address) -> tuple[str, ...]:
    """Return the ids of one address's resources: the guide's names and the address."""
    suffix = str(address.private_ip).replace(".", "-")
    if address.kind is AddressKind.OVERLAY:
        return (f"overlay-{suffix}",)
    names = ["privip", "vip"] + (["elastic"] if address.elastic_ip is not None else [])
    return tuple(f"{name}-{suffix}" for name in names)


def agents(spec: Spec) -> frozenset[str]:
    """Return the AWS agents that the wanted addresses need."""
    needed = set()
    for address in spec.address:
        if address.kind is AddressKind.OVERLAY:
            needed.add("aws-vpc-move-ip")
        else:
            needed |= {"awsvip"} | ({"awseip"} if address.elastic_ip is not None else set())
    return frozenset(needed)


def refusals(
    spec: Spec, subnet: IPv4Network, vpc: Collection[IPv4Network] = ()
) -> tuple[Finding, ...]:
    """Return why the wanted resources cannot be configured; empty when they can.

    Args:
        spec: the wanted cluster.
        subnet: of this node.
        vpc: the VPC's address blocks, none where they are not known.
    """
    found: list[Finding] = []
    for address in spec.address:
        if address.kind is AddressKind.OVERLAY:
            found.extend(floating.refused_overlay(address, {subnet, *vpc}))
        else:
            found.extend(floating.refused_secondary(address, subnet))
    names = Counter(wanted_ids(spec)) + Counter(_groups(spec))
    names += Counter(f"{name}-clone" for name in _cloned(spec))
    found.extend(
        Finding(
            Severity.ERROR,
            f"the name {name} is wanted {times} times in the CIB, as resource or group",
            "give the [[resource]] or the group of that name another one",
        )
        for name, times in names.items()
        if times > 1
    )
    for resource in spec.resource:
        found.extend(_refused_resource(resource))
    found.extend(_refused_groups(spec))
    return tuple(found)


def _overlay(
    address: Address, region: str, interface: str, parameters: Mapping[str, frozenset[str]]
) -> PcsCommand:
    agent, (name,) = "aws-vpc-move-ip", address_resources(address)
    options: dict[str, Scalar] = {
        "ip": str(address.private_ip),
        "routing_table": ",".join(address.route_tables),
        "interface": interface,
    }
    if {"auth_type", "region"} <= parameters.get(agent, frozenset()):
        options |= {"auth_type": "role", "region": region}
    return PcsCommand(
        (
            *("resource", "create", name, f"ocf:heartbeat:{agent}"),
            *pairs(options),
            *_AWS_OPERATIONS,
            *("--group", address.group),
        ),
        f"the routes to {address.private_ip} lead to the node that runs {address.group}",
    )


def _address(
    address: Address,
    region: str,
    subnet: IPv4Network,
    allocations: Mapping[IPv4Address, str],
    parameters: Mapping[str, frozenset[str]],
) -> list[PcsCommand]:
    private, ids = str(address.private_ip), address_resources(address)
    group = ("--group", address.group)

    def create(name: str, agent: str, options: dict[str, Scalar], why: str) -> PcsCommand:
        known = parameters.get(agent, frozenset())
        if {"auth_type", "region"} <= known:
            # Without it newer agents want keys in a profile; with it they use the instance's role.
            options |= {"auth_type": "role", "region": region}
        operations = _AWS_OPERATIONS if agent in AWS_AGENTS else _KERNEL_OPERATIONS
        start = ("resource", "create", name, f"ocf:heartbeat:{agent}")
        return PcsCommand((*start, *pairs(options), *operations, *group), why)

    # With an elastic address awsvip keeps its pause: it lets IMDS learn the private address, which
    # awseip then looks for there.
    pause = _SHORT_PAUSE if address.elastic_ip is None else {}
    commands = [
        create(
            ids[0],
            "awsvip",
            {"secondary_private_ip": private, **pause},
            f"{private} moves to the interface of the node that runs {address.group}",
        ),
        create(
            ids[1],
            "IPaddr2",
            {"ip": private, "cidr_netmask": subnet.prefixlen},
            f"the node's kernel answers on {private}",
        ),
    ]
    if address.elastic_ip is not None:
        elastic = address.elastic_ip
        allocation = allocations.get(elastic) if elastic != ALLOCATE else None
        if allocation is None:
            raise MusterError(
                f"elastic address {address.elastic_ip} is not known in this account and region",
                why="EC2 gave no allocation id for it",
                cure="correct elastic_ip in the spec, or allocate the address",
            )
        commands.append(
            create(
                ids[2],
                "awseip",
                {
                    "elastic_ip": str(address.elastic_ip),
                    "allocation_id": allocation,
                    "private_ip_address": private,
                    **_SHORT_PAUSE,
                },
                f"{address.elastic_ip} leads from outside to {private}",
            )
        )
    return commands


def _on_disks(resource: Resource, disks: Mapping[str, str]) -> dict[str, Scalar]:
    """Return a resource's options with the paths of shared disks in place of their names.

    Raises:
        MusterError: there is no such disk.
    """

    def path(found: re.Match[str]) -> str:
        if found[1] not in disks:
            raise MusterError(
                f"[[resource]] {resource.id} names disk {found[1]}, which is not known",
                why=f"known are: {', '.join(sorted(disks)) or 'none'}",
                cure=f'add a [[shared_disk]] with name = "{found[1]}", or correct the resource',
            )
        return disks[found[1]]

    return {
        name: DISK.sub(path, value) if isinstance(value, str) else value
        for name, value in resource.options.items()
    }


def _resource(resource: Resource, disks: Mapping[str, str]) -> PcsCommand:
    options = _on_disks(resource, disks)
    words = ["resource", "create", resource.id, resource.agent, *pairs(options)]
    if resource.operations:
        words.append("op")
        for name, options in resource.operations.items():
            words.extend((name, *pairs(options)))
    if resource.meta:
        words.extend(("meta", *pairs(resource.meta)))
    if resource.group is not None:
        words.extend(("--group", resource.group))
    return PcsCommand(tuple(words), f"[[resource]] {resource.id} of the spec")


def _wrapped(spec: Spec) -> Iterator[PcsCommand]:
    """Yield what is said of whole groups, and the clones."""
    for group in spec.group:
        if group.meta:
            yield PcsCommand(
                ("resource", "meta", group.id, *pairs(group.meta)), f"[[group]] {group.id}"
            )
    for name, options in _cloned(spec).items():
        why = f"{name} runs on every node, as the spec says"
        yield PcsCommand(("resource", "clone", name, *pairs(options)), why)


def _cloned(spec: Spec) -> dict[str, dict[str, Scalar]]:
    """Return what is to be cloned, with the clone's meta attributes."""
    wanted: list[Resource | Group] = [*spec.resource, *spec.group]
    return {
        each.id: each.clone if isinstance(each.clone, dict) else {}
        for each in wanted
        if each.clone is not False
    }


def _groups(spec: Spec) -> set[str]:
    groups = {address.group for address in spec.address}
    return groups | {resource.group for resource in spec.resource if resource.group is not None}


def _refused_groups(spec: Spec) -> Iterator[Finding]:
    addresses = {address.group: address for address in spec.address}
    names = [group.id for group in spec.group]
    for group in spec.group:
        where = f"[[group]] {group.id}"
        yield from unusable(f"{where} meta", group.meta)
        if group.id not in _groups(spec) or names.count(group.id) > 1:
            yield Finding(
                Severity.ERROR,
                f"{where} is named twice, or by no [[address]] or [[resource]]",
                f'write it once, and group = "{group.id}" in what belongs to it',
            )
        if group.clone is not False and group.id in addresses:
            yield Finding(
                Severity.ERROR,
                f"{where} is to run on every node, and {addresses[group.id].private_ip} is in it",
                "an address is on one node at a time: clone the [[resource]] outside its group",
            )
        if isinstance(group.clone, dict):
            yield from unusable(f"{where} clone", group.clone)


def _refused_resource(resource: Resource) -> list[Finding]:
    where = f"[[resource]] {resource.id}"
    found = [*unusable(f"{where} options", resource.options)]
    found.extend(unusable(f"{where} meta", resource.meta))
    if isinstance(resource.clone, dict):
        found.extend(unusable(f"{where} clone", resource.clone))
    if resource.clone is not False and resource.group is not None:
        found.append(
            Finding(
                Severity.ERROR,
                f"{where} is to be cloned inside group {resource.group}",
                f"leave out its group, or clone the whole one: [[group]] with"
                f' id = "{resource.group}" and clone = true',
            )
        )
    for name, options in resource.operations.items():
        found.extend(unusable(f"{where} operations.{name}", options))
        if not OPTION_NAME.fullmatch(name):
            found.append(
                Finding(
                    Severity.ERROR,
                    f"{where} has an operation {name!r}, which no agent can have",
                    "use the names that `pcs resource describe` prints under operations",
                )
            )
    return found
