"""EC2 actions on interfaces and their private addresses, and on what an instance is set to."""

from base64 import b64encode
from collections.abc import Iterable

from . import addressing, launching, views
from .errors import AwsError, invalid_value
from .estate import Estate
from .filters import Values, keep, page
from .model import ACCOUNT, Instance, Interface, State
from .query import Answer
from .request import Action, Request

Attached = tuple[Instance, Interface]


async def describe_network_interfaces(request: Request) -> Answer:
    """DescribeNetworkInterfaces."""
    params, estate = request.params, request.seen
    named = params.get("NetworkInterfaceIds", [])
    for interface_id in named:
        estate.interface(interface_id)
    chosen = [pair for pair in estate.interfaces() if not named or pair[1].interface_id in named]
    chosen = keep(chosen, params.get("Filters", []), _fields(estate), lambda pair: pair[1].tags)
    chosen, rest = page(chosen, params)
    shown = [views.network_interface(estate, one, interface) for one, interface in chosen]
    answer: Answer = {"NetworkInterfaces": shown}
    if rest is not None:
        answer["NextToken"] = rest
    return answer


async def assign_private_ip_addresses(request: Request) -> Answer:
    """AssignPrivateIpAddresses: the port of who loses an address closes before the other opens."""
    params = request.params
    owner, interface = request.estate.interface(params["NetworkInterfaceId"])
    named = [launching.ipv4(a, "privateIpAddress") for a in params.get("PrivateIpAddresses", [])]
    count = params.get("SecondaryPrivateIpAddressCount", 0)
    if bool(named) == bool(count):
        raise AwsError(
            "InvalidParameterCombination",
            "Give either privateIpAddresses or secondaryPrivateIpAddressCount",
        )
    addresses = named or addressing.free_addresses(request.estate, interface, count)
    losers = addressing.assign(
        request.estate, interface, addresses, reassign=params.get("AllowReassignment", False)
    )
    for instance in [*losers, owner]:
        await request.lifecycle.apply_addresses(instance)
    return {
        "NetworkInterfaceId": interface.interface_id,
        "AssignedPrivateIpAddresses": [{"PrivateIpAddress": str(a)} for a in addresses],
        "AssignedIpv4Prefixes": [],
    }


async def unassign_private_ip_addresses(request: Request) -> Answer:
    """UnassignPrivateIpAddresses."""
    params = request.params
    owner, interface = request.estate.interface(params["NetworkInterfaceId"])
    addresses = [
        launching.ipv4(a, "privateIpAddress") for a in params.get("PrivateIpAddresses", [])
    ]
    if not addresses:
        raise AwsError(
            "MissingParameter", "The request must contain the parameter privateIpAddress"
        )
    addressing.unassign(request.estate, interface, addresses)
    await request.lifecycle.apply_addresses(owner)
    await request.lifecycle.apply_elastic()
    return {}


async def modify_network_interface_attribute(request: Request) -> Answer:
    """ModifyNetworkInterfaceAttribute: source/destination check, one flag with the instance."""
    _, interface = request.estate.interface(request.params["NetworkInterfaceId"])
    if "SourceDestCheck" not in request.params:
        raise AwsError("UnsupportedOperation", "Only SourceDestCheck can be changed in the lab")
    interface.source_dest_check = request.params["SourceDestCheck"]["Value"]
    request.estate.changed()
    await request.lifecycle.apply_routes()
    return {}


async def describe_instance_attribute(request: Request) -> Answer:
    """DescribeInstanceAttribute: the attributes that the lab's region knows."""
    one = request.seen.instance(request.params["InstanceId"])
    answer: Answer = {"InstanceId": one.instance_id}
    match request.params["Attribute"]:
        case "sourceDestCheck":
            check = one.interface is not None and one.interface.source_dest_check
            answer["SourceDestCheck"] = {"Value": check}
        case "instanceInitiatedShutdownBehavior":
            behavior = "terminate" if one.shutdown_terminates else "stop"
            answer["InstanceInitiatedShutdownBehavior"] = {"Value": behavior}
        case "instanceType":
            answer["InstanceType"] = {"Value": one.instance_type}
        case "userData":
            answer["UserData"] = (
                {} if one.user_data is None else {"Value": b64encode(one.user_data).decode()}
            )
        case "disableApiTermination" | "disableApiStop" as flag:
            answer[flag[0].upper() + flag[1:]] = {"Value": False}
        case other:
            raise invalid_value(other, "attribute")
    return answer


async def modify_instance_attribute(request: Request) -> Answer:
    """ModifyInstanceAttribute: source/destination check, shutdown behaviour, type and user data."""
    params = request.params
    one = request.estate.instance(params["InstanceId"])
    attribute, value = params.get("Attribute"), params.get("Value")
    if "SourceDestCheck" in params or attribute == "sourceDestCheck":
        if one.interface is None:
            raise AwsError("IncorrectInstanceState", f"{one.instance_id} has no interface any more")
        given = params.get("SourceDestCheck", {"Value": value == "true"})
        one.interface.source_dest_check = given["Value"]
    elif "InstanceInitiatedShutdownBehavior" in params:
        behavior = params["InstanceInitiatedShutdownBehavior"]["Value"]
        if behavior not in ("stop", "terminate"):
            raise invalid_value(behavior, "instanceInitiatedShutdownBehavior")
        one.shutdown_terminates = behavior == "terminate"
    elif "UserData" in params or "InstanceType" in params:
        if one.state is not State.STOPPED:
            raise AwsError(
                "IncorrectInstanceState", f"The instance '{one.instance_id}' must be stopped"
            )
        one.user_data = params.get("UserData", {"Value": one.user_data})["Value"]
        one.instance_type = params.get("InstanceType", {"Value": one.instance_type})["Value"]
    else:
        raise AwsError("UnsupportedOperation", "The lab's region cannot change this attribute")
    request.estate.changed()
    await request.lifecycle.apply_routes()
    return {}


async def modify_instance_metadata_options(request: Request) -> Answer:
    """ModifyInstanceMetadataOptions: in force at once."""
    one = request.estate.instance(request.params["InstanceId"])
    wanted = launching.metadata_options(request.params, one.metadata)
    launching.check_tags(one.tags, wanted)
    one.metadata = wanted
    request.estate.changed()
    return {
        "InstanceId": one.instance_id,
        "InstanceMetadataOptions": views.metadata_options(one),
    }


def _fields(estate: Estate) -> dict[str, Values[Attached]]:
    """What the filters of DescribeNetworkInterfaces look at."""

    def public(pair: Attached) -> Iterable[object]:
        return [elastic.public for elastic in views.elastic_of(estate, pair[1]).values()]

    return {
        "addresses.private-ip-address": lambda pair: pair[1].addresses,
        "addresses.primary": lambda _: [True],
        "association.public-ip": public,
        "association.ip-owner-id": lambda _: [ACCOUNT],
        "attachment.attachment-id": lambda pair: [pair[1].attachment_id],
        "attachment.device-index": lambda _: [0],
        "attachment.instance-id": lambda pair: [pair[0].instance_id],
        "attachment.status": lambda _: ["attached"],
        "availability-zone": lambda pair: [pair[0].zone],
        "group-id": lambda _: [estate.group_id],
        "mac-address": lambda pair: [pair[1].mac],
        "network-interface-id": lambda pair: [pair[1].interface_id],
        "owner-id": lambda _: [ACCOUNT],
        "private-ip-address": lambda pair: [pair[1].primary],
        "status": lambda _: ["in-use"],
        "subnet-id": lambda pair: [pair[1].subnet_id],
        "vpc-id": lambda _: [estate.vpc_id],
    }


ACTIONS: dict[str, Action] = {
    "AssignPrivateIpAddresses": assign_private_ip_addresses,
    "DescribeInstanceAttribute": describe_instance_attribute,
    "DescribeNetworkInterfaces": describe_network_interfaces,
    "ModifyInstanceAttribute": modify_instance_attribute,
    "ModifyInstanceMetadataOptions": modify_instance_metadata_options,
    "ModifyNetworkInterfaceAttribute": modify_network_interface_attribute,
    "UnassignPrivateIpAddresses": unassign_private_ip_addresses,
}
