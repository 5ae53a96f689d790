"""Floating addresses and other wanted resources -> the pcs commands that configure them.

An address becomes the head of a group, in the order Red Hat documents: awsvip gives it to the
instance's interface, IPaddr2 to the kernel, awseip ties an elastic address to it. A group is order
and colocation at once.
"""

from collections import Counter
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network

from musterd.errors import MusterError
from musterd.model import Finding, PcsCommand, Severity
from musterd.pcs_words import OPTION_NAME, fence_device, pairs, unusable
from musterd.spec import Address, AddressKind, Resource, Scalar, Spec

AWS_AGENTS = ("awsvip", "awseip")
# Both call the AWS command line several times, each a second or more, and pause after a change;
# their own 30 s do not last when the API is slow. Their 20 s monitor costs API quota on each node.
_AWS_OPERATIONS = (
    *("op", "start", "timeout=180s", "stop", "timeout=180s"),
    *("monitor", "interval=60s", "timeout=60s"),
)
# Seconds the agents pause after a change, by default 3: part of every start and every fail-over.
_SHORT_PAUSE: dict[str, Scalar] = {"api_delay": 1}
_KERNEL_OPERATIONS = ("op", "monitor", "interval=60s", "timeout=30s")
# The first four addresses of a subnet and its last one belong to AWS (VPC user guide, subnet CIDR
# blocks).
_RESERVED_LOW = 4


def plan(
    spec: Spec,
    region: str,
    subnet: IPv4Network,
    allocations: Mapping[IPv4Address, str],
    parameters: Mapping[str, frozenset[str]],
) -> tuple[PcsCommand, ...]:
    """Return one command per resource, in the order they are to be created.

    Args:
        spec: the wanted cluster; `refusals` has found nothing.
        region: of the instances.
        subnet: the members' subnet, which gives IPaddr2 its prefix length.
        allocations: elastic address -> allocation id.
        parameters: agent name -> the parameters its metadata lists, for those in `AWS_AGENTS`.
            Distributions backport parameters, so versions tell nothing.

    Raises:
        MusterError: an elastic address has no allocation id.
    """
    commands: list[PcsCommand] = []
    for address in spec.address:
        commands.extend(_address(address, region, subnet, allocations, parameters))
    commands.extend(_resource(resource) for resource in spec.resource)
    return tuple(commands)


def wanted_ids(spec: Spec) -> tuple[str, ...]:
    """Return the ids of everything the spec wants in the CIB, the stonith device first."""
    ids = [fence_device(spec)]
    for address in spec.address:
        ids.extend(_address_ids(address))
    ids.extend(resource.id for resource in spec.resource)
    return tuple(ids)


def address_ids(spec: Spec) -> dict[str, str]:
    """Return private address -> id of the resource that gives it to a node's kernel."""
    return {str(address.private_ip): _address_ids(address)[1] for address in spec.address}


def refusals(spec: Spec, subnet: IPv4Network) -> tuple[Finding, ...]:
    """Return why the wanted resources cannot be configured; empty when they can."""
    found: list[Finding] = []
    for address in spec.address:
        found.extend(_refused_address(address, subnet))
    names = Counter(wanted_ids(spec)) + Counter(_groups(spec))
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
    return tuple(found)


def _address(
    address: Address,
    region: str,
    subnet: IPv4Network,
    allocations: Mapping[IPv4Address, str],
    parameters: Mapping[str, frozenset[str]],
) -> list[PcsCommand]:
    private, ids = str(address.private_ip), _address_ids(address)
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
        allocation = allocations.get(address.elastic_ip)
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


def _address_ids(address: Address) -> tuple[str, ...]:
    """Return the ids of one address's resources: the guide's names and the address."""
    suffix = str(address.private_ip).replace(".", "-")
    names = ["privip", "vip"] + (["elastic"] if address.elastic_ip is not None else [])
    return tuple(f"{name}-{suffix}" for name in names)


def _resource(resource: Resource) -> PcsCommand:
    words = ["resource", "create", resource.id, resource.agent, *pairs(resource.options)]
    if resource.operations:
        words.append("op")
        for name, options in resource.operations.items():
            words.extend((name, *pairs(options)))
    if resource.meta:
        words.extend(("meta", *pairs(resource.meta)))
    if resource.group is not None:
        words.extend(("--group", resource.group))
    return PcsCommand(tuple(words), f"[[resource]] {resource.id} of the spec")


def _groups(spec: Spec) -> set[str]:
    groups = {address.group for address in spec.address}
    return groups | {resource.group for resource in spec.resource if resource.group is not None}


def _refused_address(address: Address, subnet: IPv4Network) -> list[Finding]:
    private, found = address.private_ip, []
    if address.kind is AddressKind.OVERLAY:
        found.append(
            Finding(
                Severity.ERROR,
                f"[[address]] {private} is of kind overlay, which this version cannot configure",
                'use kind = "secondary-ip" with all nodes in one subnet, or create the'
                " aws-vpc-move-ip resource with pcs once the cluster is formed",
            )
        )
    elif private not in subnet:
        found.append(
            Finding(
                Severity.ERROR,
                f"[[address]] {private} lies outside the nodes' subnet {subnet}",
                f"choose a free address of {subnet}: EC2 gives an interface no others",
            )
        )
    elif int(private) - int(subnet.network_address) < _RESERVED_LOW or (
        private == subnet.broadcast_address
    ):
        found.append(
            Finding(
                Severity.ERROR,
                f"[[address]] {private} is one of the five that AWS keeps in {subnet}",
                f"choose one from {subnet[_RESERVED_LOW]} to {subnet[-2]}",
            )
        )
    return found


def _refused_resource(resource: Resource) -> list[Finding]:
    where = f"[[resource]] {resource.id}"
    found = [*unusable(f"{where} options", resource.options)]
    found.extend(unusable(f"{where} meta", resource.meta))
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
