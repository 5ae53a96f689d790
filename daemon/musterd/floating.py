"""What keeps a floating address from working: by the spec alone, and by EC2 as it stands.

A part of `resources`, which makes the addresses; this says when they could not be.
"""

from collections.abc import Collection, Iterator, Mapping
from ipaddress import IPv4Network

from musterd.model import Finding, Instance, Severity
from musterd.spec import Address, AddressKind, Spec

# The first four addresses of a subnet and its last one belong to AWS (VPC user guide, subnet CIDR
# blocks).
_RESERVED_LOW = 4
NO_ROUTE = "no route"


def routed_to(targets: Mapping[str, str]) -> str:
    """Return where route tables lead to in one word, or table by table where they differ.

    Args:
        targets: route table -> the instance or gateway that its route leads to, "" for no route.
    """
    if len(set(targets.values())) == 1 and all(targets.values()):
        return next(iter(targets.values()))
    return ", ".join(f"{table}: {target or NO_ROUTE}" for table, target in targets.items())


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
            "choose another, or free it: `aws ec2 disassociate-address --association-id ID`, with"
            f" the AssociationId of `aws ec2 describe-addresses --public-ips {public}`",
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


def refused_secondary(address: Address, subnet: IPv4Network) -> list[Finding]:
    """Return what the spec alone makes impossible for a secondary address."""
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


def refused_overlay(address: Address, blocks: Collection[IPv4Network]) -> list[Finding]:
    """Return what the spec alone makes impossible for an overlay address."""
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
