"""EC2 actions on placement: which instances are near each other or far, and on what hardware."""

from . import launching, views
from .errors import AwsError, invalid_value
from .estate import Estate
from .filters import Values, keep
from .model import PlacementGroup, State
from .query import Answer
from .request import Action, Request

STRATEGIES = ("cluster", "partition", "spread")


async def create_placement_group(request: Request) -> Answer:
    """CreatePlacementGroup: names are unique."""
    params, estate = request.params, request.estate
    name, strategy = params.get("GroupName"), params.get("Strategy", "cluster")
    if not name:
        raise AwsError("MissingParameter", "The request must contain the parameter groupName")
    if strategy not in STRATEGIES:
        raise invalid_value(strategy, "strategy")
    if name in estate.placement_groups:
        raise AwsError(
            "InvalidPlacementGroup.Duplicate", f"The Placement Group '{name}' already exists."
        )
    tags = launching.tag_specification(params, "placement-group")
    estate.placement_groups[name] = PlacementGroup(name, strategy, tags)
    return {"PlacementGroup": _shape(estate.placement_groups[name])}


async def describe_placement_groups(request: Request) -> Answer:
    """DescribePlacementGroups."""
    params, estate = request.params, request.seen
    named = [_group(estate, name) for name in params.get("GroupNames", [])]
    fields: dict[str, Values[PlacementGroup]] = {
        "group-name": lambda one: [one.name],
        "strategy": lambda one: [one.strategy],
    }
    chosen = named or list(estate.placement_groups.values())
    chosen = keep(chosen, params.get("Filters", []), fields, lambda one: one.tags)
    return {"PlacementGroups": [_shape(one) for one in chosen]}


async def delete_placement_group(request: Request) -> Answer:
    """DeletePlacementGroup: not while instances are in it."""
    group = _group(request.estate, request.params["GroupName"])
    for one in request.estate.instances.values():
        if one.placement_group == group.name and one.state is not State.TERMINATED:
            raise AwsError(
                "InvalidPlacementGroup.InUse",
                f"The placement group {group.name} is in use and may not be deleted.",
            )
    del request.estate.placement_groups[group.name]
    return {}


def _group(estate: Estate, name: str) -> PlacementGroup:
    found = estate.placement_groups.get(name)
    if found is None:
        raise AwsError("InvalidPlacementGroup.Unknown", f"The Placement Group '{name}' is unknown.")
    return found


def _shape(group: PlacementGroup) -> views.Shape:
    return {
        "GroupName": group.name,
        "State": "available",
        "Strategy": group.strategy,
        "Tags": views.tag_list(group.tags),
    }


# Families from before Nitro (EC2 instance types guide, "Instances built on the Nitro System").
_XEN = ("c1", "c3", "c4", "d2", "g3", "h1", "i2", "i3", "m1", "m2", "m3", "m4", "p2", "p3", "r3",
        "r4", "t1", "t2", "x1", "x1e")  # fmt: skip


async def describe_instance_types(request: Request) -> Answer:
    """DescribeInstanceTypes: those that are named, whichever they are."""
    params = request.params
    named = [*params.get("InstanceTypes", [])]
    for each in params.get("Filters", []):
        if each.get("Name") != "instance-type":
            raise invalid_value(each.get("Name"), "filter")
        named += each.get("Values", [])
    return {"InstanceTypes": [_type(name) for name in named]}


def _type(name: str) -> views.Shape:
    family, _, size = name.partition(".")
    if size == "metal":
        return {"InstanceType": name, "BareMetal": True}
    return {"InstanceType": name, "Hypervisor": "xen" if family in _XEN else "nitro"}


ACTIONS: dict[str, Action] = {
    "DescribeInstanceTypes": describe_instance_types,
    "CreatePlacementGroup": create_placement_group,
    "DeletePlacementGroup": delete_placement_group,
    "DescribePlacementGroups": describe_placement_groups,
}
