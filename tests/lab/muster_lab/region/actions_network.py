"""EC2 actions on what the VPC is made of: subnets, routes, zones."""

from ipaddress import IPv4Network
from typing import Any

from . import views
from .errors import AwsError, invalid_value
from .estate import Estate
from .filters import Values, keep
from .imds_tree import zone_id
from .model import ACCOUNT, Route, RouteTable, State, Subnet
from .query import Answer, Params
from .request import Action, Request


async def describe_subnets(request: Request) -> Answer:
    """DescribeSubnets."""
    params, estate = request.params, request.seen
    named = [estate.subnet(i) for i in params.get("SubnetIds", [])]
    fields: dict[str, Values[Subnet]] = {
        "availability-zone": lambda one: [one.zone],
        "availabilityZone": lambda one: [one.zone],
        "cidr-block": lambda one: [one.block],
        "state": lambda _: ["available"],
        "subnet-id": lambda one: [one.subnet_id],
        "vpc-id": lambda _: [estate.vpc_id],
    }
    chosen = named or list(estate.subnets.values())
    chosen = keep(chosen, params.get("Filters", []), fields, lambda one: one.tags)
    return {"Subnets": [views.subnet(estate, one) for one in chosen]}


async def describe_vpcs(request: Request) -> Answer:
    """DescribeVpcs: there is one."""
    estate = request.seen
    for wanted in request.params.get("VpcIds", []):
        if wanted != estate.vpc_id:
            raise AwsError("InvalidVpcID.NotFound", f"The vpc ID '{wanted}' does not exist")
    fields: dict[str, Values[str]] = {
        "cidr": lambda _: [estate.layout.vpc],
        "is-default": lambda _: [True],
        "isDefault": lambda _: [True],
        "state": lambda _: ["available"],
        "vpc-id": lambda vpc: [vpc],
    }
    chosen = keep([estate.vpc_id], request.params.get("Filters", []), fields, lambda _: {})
    block = str(estate.layout.vpc)
    association = {
        "AssociationId": "vpc-cidr-assoc-" + estate.vpc_id.removeprefix("vpc-"),
        "CidrBlock": block,
        "CidrBlockState": {"State": "associated"},
    }
    shape = {
        "VpcId": estate.vpc_id,
        "CidrBlock": block,
        "CidrBlockAssociationSet": [association],
        "DhcpOptionsId": "default",
        "InstanceTenancy": "default",
        "IsDefault": True,
        "OwnerId": ACCOUNT,
        "State": "available",
        "Tags": [],
    }
    return {"Vpcs": [shape for _ in chosen]}


async def describe_route_tables(request: Request) -> Answer:
    """DescribeRouteTables: the main table."""
    params, estate = request.params, request.seen
    for wanted in params.get("RouteTableIds", []):
        _route_table(estate, wanted)
    fields: dict[str, Values[RouteTable]] = {
        "association.main": lambda _: [True],
        "association.subnet-id": lambda _: list(estate.subnets),
        "route-table-id": lambda table: [table.route_table_id],
        "route.destination-cidr-block": lambda table: [r.destination for r in table.routes],
        "vpc-id": lambda _: [estate.vpc_id],
    }
    chosen = keep([estate.route_table], params.get("Filters", []), fields, lambda one: one.tags)
    return {"RouteTables": [_table_shape(estate, table) for table in chosen]}


async def create_route(request: Request) -> Answer:
    """CreateRoute."""
    table, block = _route_of(request)
    if _find(table, block) is not None:
        raise AwsError("RouteAlreadyExists", f"The route identified by {block} already exists.")
    table.routes.append(Route(block, **_route_target(request.estate, request.params)))
    request.estate.changed()
    await request.lifecycle.apply_routes()
    return {"Return": True}


async def replace_route(request: Request) -> Answer:
    """ReplaceRoute: the route must be there."""
    table, block = _route_of(request)
    target = _route_target(request.estate, request.params)
    route = _existing(table, block)
    route.interface_id = target.get("interface_id")
    route.gateway_id = target.get("gateway_id")
    request.estate.changed()
    await request.lifecycle.apply_routes()
    return {}


async def delete_route(request: Request) -> Answer:
    """DeleteRoute."""
    table, block = _route_of(request)
    route = _existing(table, block)
    if route.gateway_id == "local":
        raise AwsError("InvalidParameterValue", f"cannot remove local route {block}")
    table.routes.remove(route)
    request.estate.changed()
    await request.lifecycle.apply_routes()
    return {}


async def describe_regions(request: Request) -> Answer:
    """DescribeRegions: this one."""
    name = request.seen.region
    return {
        "Regions": [
            {
                "RegionName": name,
                "Endpoint": f"ec2.{name}.amazonaws.com",
                "OptInStatus": "opt-in-not-required",
            }
        ]
    }


async def describe_availability_zones(request: Request) -> Answer:
    """DescribeAvailabilityZones: one per subnet."""
    return {
        "AvailabilityZones": [
            {
                "ZoneName": one.zone,
                "ZoneId": zone_id(one.zone),
                "RegionName": request.seen.region,
                "State": "available",
                "OptInStatus": "opt-in-not-required",
                "ZoneType": "availability-zone",
            }
            for one in request.seen.subnets.values()
        ]
    }


def _route_table(estate: Estate, wanted: str) -> RouteTable:
    if wanted != estate.route_table.route_table_id:
        raise AwsError(
            "InvalidRouteTableID.NotFound", f"The routeTable ID '{wanted}' does not exist"
        )
    return estate.route_table


def _route_of(request: Request) -> tuple[RouteTable, IPv4Network]:
    """The table and the destination that a call on a route means."""
    table = _route_table(request.estate, request.params["RouteTableId"])
    text = request.params.get("DestinationCidrBlock", "")
    try:
        return table, IPv4Network(text)
    except ValueError as error:
        raise invalid_value(text, "destinationCidrBlock") from error


def _route_target(estate: Estate, params: Params) -> dict[str, Any]:
    """Where a route leads: an interface, an instance's interface, or a gateway."""
    if "NetworkInterfaceId" in params:
        return {"interface_id": estate.interface(params["NetworkInterfaceId"])[1].interface_id}
    if "InstanceId" in params:
        one = estate.instance(params["InstanceId"])
        if one.interface is None:
            raise AwsError("IncorrectInstanceState", f"{one.instance_id} has no interface any more")
        return {"interface_id": one.interface.interface_id}
    if "GatewayId" in params:
        return {"gateway_id": params["GatewayId"]}
    raise AwsError("MissingParameter", "The request must contain a target of the route")


def _find(table: RouteTable, block: IPv4Network) -> Route | None:
    return next((route for route in table.routes if route.destination == block), None)


def _existing(table: RouteTable, block: IPv4Network) -> Route:
    route = _find(table, block)
    if route is None:
        raise AwsError(
            "InvalidRoute.NotFound",
            f"no route with destination-cidr-block {block} in route table {table.route_table_id}",
        )
    return route


def _table_shape(estate: Estate, table: RouteTable) -> views.Shape:
    return {
        "RouteTableId": table.route_table_id,
        "VpcId": estate.vpc_id,
        "OwnerId": ACCOUNT,
        "PropagatingVgws": [],
        "Tags": views.tag_list(table.tags),
        "Associations": [
            {
                "Main": True,
                "RouteTableAssociationId": "rtbassoc-" + table.route_table_id[4:],
                "RouteTableId": table.route_table_id,
                "AssociationState": {"State": "associated"},
            }
        ],
        "Routes": [_route_shape(estate, route) for route in table.routes],
    }


def _route_shape(estate: Estate, route: Route) -> views.Shape:
    """A Route: a black hole when what it leads to is gone or does not run."""
    shape: views.Shape = {
        "DestinationCidrBlock": str(route.destination),
        "Origin": route.origin,
        "State": "active",
    }
    if route.interface_id is None:
        return shape | {"GatewayId": route.gateway_id}
    shape["NetworkInterfaceId"] = route.interface_id
    for one, interface in estate.interfaces():
        if interface.interface_id == route.interface_id:
            up = one.state in (State.RUNNING, State.PENDING)
            shape |= {"InstanceId": one.instance_id, "InstanceOwnerId": ACCOUNT}
            return shape | {"State": "active" if up else "blackhole"}
    return shape | {"State": "blackhole"}


ACTIONS: dict[str, Action] = {
    "CreateRoute": create_route,
    "DeleteRoute": delete_route,
    "DescribeAvailabilityZones": describe_availability_zones,
    "DescribeRegions": describe_regions,
    "DescribeRouteTables": describe_route_tables,
    "DescribeSubnets": describe_subnets,
    "DescribeVpcs": describe_vpcs,
    "ReplaceRoute": replace_route,
}
