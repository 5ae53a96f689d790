"""Who has which address: the rules of secondary private and of elastic addresses.

One private address is on one interface at any time, inside that interface's subnet; an elastic
address stands for one private address and follows it (EC2 API reference, AssignPrivateIpAddresses
and AssociateAddress).
"""

from collections.abc import Sequence
from ipaddress import IPv4Address
from itertools import islice

from .errors import AwsError, invalid_value
from .estate import Estate, new_id
from .model import ElasticAddress, Instance, Interface

# EC2 user guide, "IP addresses per network interface": ten for a *.large.
MOST_ADDRESSES = 10


def assign(
    estate: Estate, interface: Interface, addresses: Sequence[IPv4Address], *, reassign: bool
) -> list[Instance]:
    """Give secondary addresses to an interface, taking them from others if that is allowed.

    Returns:
        The instances that lost an address.

    Raises:
        AwsError: an address is outside the subnet, another interface's primary, or somebody's
            while reassignment is not allowed. Nothing is changed then.
    """
    subnet = estate.subnets[interface.subnet_id]
    losers: list[Instance] = []
    for address in addresses:
        estate.check_inside(address, subnet)
        held = estate.holder(address)
        if held is None:
            continue
        owner, other = held
        if address == other.primary:
            raise AwsError(
                "InvalidParameterValue",
                f"{address} is the primary address of interface {other.interface_id}",
            )
        if not reassign:
            raise AwsError(
                "InvalidParameterValue",
                f"{address} is already assigned to interface {other.interface_id}, and"
                " reassignment is not allowed",
            )
        if other is not interface:
            losers.append(owner)
    new = [address for address in addresses if address not in interface.secondaries]
    if len(interface.addresses) + len(new) > MOST_ADDRESSES:
        raise AwsError(
            "PrivateIpAddressLimitExceeded",
            f"Number of private addresses will exceed limit of {MOST_ADDRESSES}",
        )
    for loser in losers:
        assert loser.interface is not None
        loser.interface.secondaries = [a for a in loser.interface.secondaries if a not in new]
    interface.secondaries += new
    for elastic in estate.elastic.values():
        if elastic.private in new:
            elastic.interface_id = interface.interface_id
    estate.changed()
    return losers


def free_addresses(estate: Estate, interface: Interface, count: int) -> list[IPv4Address]:
    """So many addresses that nobody has, for a call that names none.

    Raises:
        AwsError: the subnet has not as many.
    """
    block = estate.subnets[interface.subnet_id].block
    last = block.num_addresses - 1
    free = [
        address
        for address in islice(block, estate.layout.first_host, last)
        if estate.holder(address) is None
    ]
    if len(free) < count:
        raise AwsError(
            "InsufficientFreeAddressesInSubnet",
            f"There are not enough free addresses in subnet '{interface.subnet_id}'",
        )
    return free[:count]


def unassign(estate: Estate, interface: Interface, addresses: Sequence[IPv4Address]) -> None:
    """Take secondary addresses from an interface, and their elastic addresses with them.

    Raises:
        AwsError: one of them is not a secondary address of it. Nothing is changed then.
    """
    foreign = [str(a) for a in addresses if a not in interface.secondaries]
    if foreign:
        raise AwsError(
            "InvalidParameterValue",
            f"Some of {foreign} are not assigned to interface {interface.interface_id}",
        )
    interface.secondaries = [a for a in interface.secondaries if a not in addresses]
    for elastic in estate.elastic.values():
        if elastic.private in addresses:
            _release(elastic)
    estate.changed()


def allocate(estate: Estate, wanted: IPv4Address | None, tags: dict[str, str]) -> ElasticAddress:
    """A new elastic address, the lowest free one unless one is wanted.

    Raises:
        AwsError: the pool has not got it.
    """
    taken = {elastic.public for elastic in estate.elastic.values()}
    pool = islice(estate.layout.elastic, 10, estate.layout.elastic.num_addresses - 1)
    free = [address for address in pool if address not in taken]
    if wanted is not None and wanted not in free:
        raise AwsError("InvalidAddress.NotFound", f"Address '{wanted}' is not available")
    if not free:
        raise AwsError("AddressLimitExceeded", "The maximum number of addresses has been reached.")
    elastic = ElasticAddress(new_id("eipalloc"), wanted or free[0], tags=tags)
    estate.elastic[elastic.allocation_id] = elastic
    estate.changed()
    return elastic


def release(estate: Estate, elastic: ElasticAddress) -> None:
    """Give an elastic address back.

    Raises:
        AwsError: it is associated.
    """
    if elastic.association_id is not None:
        raise AwsError("InvalidIPAddress.InUse", f"Address {elastic.public} is in use.")
    del estate.elastic[elastic.allocation_id]
    estate.changed()


def associate(
    estate: Estate,
    elastic: ElasticAddress,
    interface: Interface,
    private: IPv4Address | None,
    *,
    reassociate: bool,
) -> str:
    """Let an elastic address stand for a private one, the primary unless another is named.

    Doing it twice gives the same association. What stood for the private address before is freed.

    Returns:
        The association's id.

    Raises:
        AwsError: the interface has no such address, or the elastic address stands for another one
            while that is not allowed to change.
    """
    target = private or interface.primary
    if target not in interface.addresses:
        raise invalid_value(target, "privateIpAddress")
    if elastic.association_id is not None:
        if (elastic.interface_id, elastic.private) == (interface.interface_id, target):
            return elastic.association_id
        if not reassociate:
            raise AwsError(
                "Resource.AlreadyAssociated",
                f"resource {elastic.allocation_id} is already associated with associate-id"
                f" {elastic.association_id}",
            )
    for other in estate.elastic.values():
        if other.private == target and other is not elastic:
            _release(other)
    elastic.association_id = new_id("eipassoc")
    elastic.interface_id = interface.interface_id
    elastic.private = target
    estate.changed()
    return elastic.association_id


def disassociate(estate: Estate, elastic: ElasticAddress) -> None:
    """Let an elastic address stand for nothing; it stays allocated."""
    _release(elastic)
    estate.changed()


def _release(elastic: ElasticAddress) -> None:
    elastic.association_id = elastic.interface_id = elastic.private = None
