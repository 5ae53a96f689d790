"""EC2 actions on elastic addresses."""

from . import addressing, launching, views
from .errors import AwsError
from .estate import Estate
from .filters import Values, keep
from .model import ElasticAddress, Interface
from .query import Answer, Params
from .request import Action, Request


async def allocate_address(request: Request) -> Answer:
    """AllocateAddress."""
    wanted = request.params.get("Address")
    elastic = addressing.allocate(
        request.estate,
        None if wanted is None else launching.ipv4(wanted, "address"),
        launching.tag_specification(request.params, "elastic-ip"),
    )
    return {
        "PublicIp": str(elastic.public),
        "AllocationId": elastic.allocation_id,
        "Domain": "vpc",
        "NetworkBorderGroup": request.estate.region,
        "PublicIpv4Pool": "amazon",
    }


async def release_address(request: Request) -> Answer:
    """ReleaseAddress."""
    addressing.release(request.estate, _named(request.estate, request.params))
    return {}


async def describe_addresses(request: Request) -> Answer:
    """DescribeAddresses."""
    params, estate = request.params, request.seen
    chosen = list(estate.elastic.values())
    if "AllocationIds" in params or "PublicIps" in params:
        chosen = [
            *(_named(estate, {"AllocationId": i}) for i in params.get("AllocationIds", [])),
            *(_named(estate, {"PublicIp": ip}) for ip in params.get("PublicIps", [])),
        ]
    chosen = keep(chosen, params.get("Filters", []), _fields(estate), lambda one: one.tags)
    return {"Addresses": [views.address(estate, one) for one in chosen]}


async def associate_address(request: Request) -> Answer:
    """AssociateAddress: a VPC address moves unless the call forbids it."""
    params = request.params
    elastic = _named(request.estate, params)
    private = params.get("PrivateIpAddress")
    association = addressing.associate(
        request.estate,
        elastic,
        _target(request.estate, params),
        None if private is None else launching.ipv4(private, "privateIpAddress"),
        reassociate=params.get("AllowReassociation", True),
    )
    await request.lifecycle.apply_elastic()
    return {"AssociationId": association}


async def disassociate_address(request: Request) -> Answer:
    """DisassociateAddress: by association, or by public address."""
    params, estate = request.params, request.estate
    wanted = params.get("AssociationId")
    if wanted is None:
        elastic = _named(estate, params)
        if elastic.association_id is None:
            raise AwsError(
                "InvalidAssociationID.NotFound", f"Address {elastic.public} is not associated"
            )
    else:
        found = [e for e in estate.elastic.values() if e.association_id == wanted]
        if not found:
            raise AwsError(
                "InvalidAssociationID.NotFound",
                f"The association ID '{wanted}' does not exist",
            )
        elastic = found[0]
    addressing.disassociate(estate, elastic)
    await request.lifecycle.apply_elastic()
    return {}


def _named(estate: Estate, params: Params) -> ElasticAddress:
    """The elastic address that a call means.

    Raises:
        AwsError: it names none, or one that does not exist.
    """
    allocation, public = params.get("AllocationId"), params.get("PublicIp")
    if allocation is not None:
        found = estate.elastic.get(allocation)
        if found is None:
            raise AwsError(
                "InvalidAllocationID.NotFound", f"The allocation ID '{allocation}' does not exist"
            )
        return found
    if public is None:
        raise AwsError("MissingParameter", "Either AllocationId or PublicIp must be specified")
    for elastic in estate.elastic.values():
        if str(elastic.public) == public:
            return elastic
    raise AwsError("InvalidAddress.NotFound", f"Address '{public}' not found.")


def _target(estate: Estate, params: Params) -> Interface:
    if "NetworkInterfaceId" in params:
        return estate.interface(params["NetworkInterfaceId"])[1]
    if "InstanceId" not in params:
        raise AwsError(
            "MissingParameter", "Either InstanceId or NetworkInterfaceId must be specified"
        )
    one = estate.instance(params["InstanceId"])
    if one.interface is None or not one.alive:
        raise AwsError(
            "InvalidInstanceID",
            f"The instance '{one.instance_id}' is {one.state}: it cannot have an address",
        )
    return one.interface


def _fields(estate: Estate) -> dict[str, Values[ElasticAddress]]:
    """What the filters of DescribeAddresses look at."""

    def given(value: object) -> list[object]:
        return [] if value is None else [value]

    return {
        "allocation-id": lambda one: [one.allocation_id],
        "association-id": lambda one: given(one.association_id),
        "domain": lambda _: ["vpc"],
        "instance-id": lambda one: given(views.address(estate, one).get("InstanceId")),
        "network-interface-id": lambda one: given(one.interface_id),
        "private-ip-address": lambda one: given(one.private),
        "public-ip": lambda one: [one.public],
    }


ACTIONS: dict[str, Action] = {
    "AllocateAddress": allocate_address,
    "AssociateAddress": associate_address,
    "DescribeAddresses": describe_addresses,
    "DisassociateAddress": disassociate_address,
    "ReleaseAddress": release_address,
}
