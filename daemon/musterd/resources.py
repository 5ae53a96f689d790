"""Floating addresses and other wanted resources -> the pcs commands that configure them.

An address becomes the head of a group, in the order Red Hat documents: awsvip gives it to the
instance's interface, IPaddr2 to the kernel, awseip ties an elastic address to it. An overlay
address, from outside the VPC, is one aws-vpc-move-ip, which leads the routes to its node and
gives it to the kernel. A group is order and colocation at once.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network

from musterd.errors import MusterError
from musterd.model import Finding, Instance, PcsCommand, Severity
from musterd.pcs_words import OPTION_NAME, fence_device, pairs, unusable
from musterd.spec import Address, AddressKind, Group, Resource, Scalar, Spec

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
# The first four addresses of a subnet and its last one belong to AWS (VPC user guide, subnet CIDR
# blocks).
_RESERVED_LOW = 4


def plan(
    spec: Spec,
    region: str,
    subnet: IPv4Network,
    allocations: Mapping[IPv4Address, str],
    parameters: Mapping[str, frozenset[str]],
    interface: str = "eth0",
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

    Raises:
        MusterError: an elastic address has no allocation id.
    """
    commands: list[PcsCommand] = []
    for address in spec.address:
        if address.kind is AddressKind.OVERLAY:
            commands.append(_overlay(address, region, interface, parameters))
        else:
            commands.extend(_address(address, region, subnet, allocations, parameters))
    commands.extend(_resource(resource) for resource in spec.resource)
    commands.extend(_wrapped(spec))
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
    return {str(a.private_ip): _address_ids(a)[:2][-1] for a in spec.address}


NO_ROUTE = "no route"


def routed_to(targets: Mapping[str, str]) -> str:
    """Return where route tables lead to in one word, or table by table where they differ.

    Args:
        targets: route table -> the instance or gateway that its route leads to, "" for no route.
    """
    if len(set(targets.values())) == 1 and all(targets.values()):
        return next(iter(targets.values()))
    return ", ".join(f"{table}: {target or NO_ROUTE}" for table, target in targets.items())


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
            found.extend(_refused_overlay(address, {subnet, *vpc}))
        else:
            found.extend(_refused_address(address, subnet))
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
    agent, (name,) = "aws-vpc-move-ip", _address_ids(address)
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


def hindrances(
    spec: Spec,
    founders: Collection[Instance],
    holders: Mapping[str, str],
    elastics: Mapping[str, str],
) -> tuple[Finding, ...]:
    """Return what of EC2 as it stands keeps the wanted addresses from working.

    Args:
        spec: the wanted cluster.
        founders: as EC2 tells of them.
        holders: floating address -> who has it, "" for nobody; as far as known.
        elastics: elastic address -> where it leads, "" for nowhere; as far as known.
    """
    found: list[Finding] = []
    for address in spec.address:
        if address.kind is AddressKind.OVERLAY:
            found.extend(_hindered_overlay(address, founders, holders))
        else:
            found.extend(_hindered_secondary(address, founders, holders, elastics))
    return tuple(found)


def _hindered_secondary(
    address: Address,
    founders: Collection[Instance],
    holders: Mapping[str, str],
    elastics: Mapping[str, str],
) -> Iterator[Finding]:
    private, ids = str(address.private_ip), {one.instance_id for one in founders}
    if len({one.subnet_id for one in founders}) > 1:
        places = ", ".join(f"{one.instance_id} in {one.subnet_id}" for one in founders)
        yield Finding(
            Severity.ERROR,
            f"[[address]] {private} can only be in one subnet, and the nodes are in several:"
            f" {places}",
            'use kind = "overlay" with route_tables, or launch all nodes in one subnet',
        )
    owner = next((one.instance_id for one in founders if one.address == private), "")
    holder = owner or holders.get(private, "")
    if owner or (holder and holder not in ids):
        yield Finding(
            Severity.ERROR,
            f"[[address]] {private} is already in use by {holder}",
            "choose a free address of the subnet in /etc/muster/muster.toml on every node, or"
            f" free it: `aws ec2 describe-network-interfaces --filters"
            f" Name=addresses.private-ip-address,Values={private}`",
        )
    public = str(address.elastic_ip or "")
    if elastics.get(public, "") not in {"", *ids}:
        yield Finding(
            Severity.ERROR,
            f"elastic address {public} already leads to {elastics[public]}, which is no founder",
            f"choose another, or free it: `aws ec2 disassociate-address --public-ip {public}`",
        )


def _hindered_overlay(
    address: Address, founders: Collection[Instance], holders: Mapping[str, str]
) -> Iterator[Finding]:
    private = str(address.private_ip)
    for one in founders:
        if one.source_dest_check:
            yield Finding(
                Severity.ERROR,
                f"[[address]] {private} cannot reach {one.instance_id}: its source/destination"
                " check is on",
                f"`aws ec2 modify-instance-attribute --instance-id {one.instance_id}"
                " --no-source-dest-check`; EC2 is read again within seconds",
            )
    if NO_ROUTE in holders.get(private, ""):
        yield Finding(
            Severity.ERROR,
            f"[[address]] {private} has no route of its own everywhere: {holders[private]}",
            "the agent replaces a route and makes none: `aws ec2 create-route --route-table-id"
            f" RTB --destination-cidr-block {private}/32 --instance-id ID` with any node's id",
        )


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
    if address.kind is AddressKind.OVERLAY:
        return (f"overlay-{suffix}",)
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


def _refused_address(address: Address, subnet: IPv4Network) -> list[Finding]:
    private, found = address.private_ip, []
    if address.route_tables:
        found.append(
            Finding(
                Severity.ERROR,
                f"[[address]] {private} has route_tables, which a secondary address never uses",
                'set kind = "overlay" with an address outside the VPC, or remove route_tables',
            )
        )
    if private not in subnet:
        found.append(
            Finding(
                Severity.ERROR,
                f"[[address]] {private} lies outside the nodes' subnet {subnet}",
                f"choose a free address of {subnet}: EC2 gives an interface no others; nodes in"
                ' several subnets need kind = "overlay"',
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


def _refused_overlay(address: Address, blocks: Collection[IPv4Network]) -> list[Finding]:
    private, found = address.private_ip, []
    inside = [str(block) for block in blocks if private in block]
    if inside:
        found.append(
            Finding(
                Severity.ERROR,
                f"[[address]] {private} is of kind overlay but lies inside the VPC's {inside[0]}:"
                " the VPC's own route always wins",
                'choose one outside every block of the VPC, or kind = "secondary-ip"',
            )
        )
    if not address.route_tables:
        found.append(
            Finding(
                Severity.ERROR,
                f"[[address]] {private} is of kind overlay without route_tables",
                'name the route tables of all subnets that use it: route_tables = ["rtb-..."],'
                f" each with a route to {private}/32",
            )
        )
    if address.elastic_ip is not None:
        found.append(
            Finding(
                Severity.ERROR,
                f"[[address]] {private} is of kind overlay, to which EC2 ties no elastic address",
                "remove elastic_ip, or use a secondary address in one subnet",
            )
        )
    return found


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
