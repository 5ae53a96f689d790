"""EC2 actions on tags."""

from collections.abc import Iterator
from dataclasses import dataclass

from . import launching
from .errors import AwsError
from .estate import Estate
from .filters import Values, keep, page
from .query import Answer
from .request import Action, Request


@dataclass(frozen=True)
class Tagged:
    """A resource that can have tags; `tags` is its own dictionary, not a copy."""

    resource_id: str
    kind: str
    tags: dict[str, str]


async def create_tags(request: Request) -> Answer:
    """CreateTags: a key that is there is overwritten. All resources must exist."""
    new = {tag["Key"]: tag.get("Value", "") for tag in request.params["Tags"]}
    resources = [_resource(request.estate, i) for i in request.params["Resources"]]
    for resource in resources:
        instance = request.estate.instances.get(resource.resource_id)
        if instance is not None:
            launching.check_tags(new, instance.metadata)
    for resource in resources:
        resource.tags.update(new)
    request.estate.changed()
    return {}


async def delete_tags(request: Request) -> Answer:
    """DeleteTags: with a value only if it is the tag's; without any tag named, all of them."""
    wanted = request.params.get("Tags")
    for resource in [_resource(request.estate, i) for i in request.params["Resources"]]:
        if wanted is None:
            resource.tags.clear()
            continue
        for tag in wanted:
            if "Value" not in tag or resource.tags.get(tag["Key"]) == tag["Value"]:
                resource.tags.pop(tag["Key"], None)
    request.estate.changed()
    return {}


async def describe_tags(request: Request) -> Answer:
    """DescribeTags: one entry per tag."""
    fields: dict[str, Values[tuple[Tagged, str]]] = {
        "key": lambda entry: [entry[1]],
        "resource-id": lambda entry: [entry[0].resource_id],
        "resource-type": lambda entry: [entry[0].kind],
        "value": lambda entry: [entry[0].tags[entry[1]]],
    }
    entries = [(one, key) for one in _resources(request.seen) for key in one.tags]
    filters = request.params.get("Filters", [])
    chosen = keep(entries, filters, fields, lambda entry: entry[0].tags)
    chosen, rest = page(chosen, request.params)
    answer: Answer = {
        "Tags": [
            {
                "Key": key,
                "ResourceId": one.resource_id,
                "ResourceType": one.kind,
                "Value": one.tags[key],
            }
            for one, key in chosen
        ]
    }
    if rest is not None:
        answer["NextToken"] = rest
    return answer


def _resources(estate: Estate) -> Iterator[Tagged]:
    for instance in estate.instances.values():
        yield Tagged(instance.instance_id, "instance", instance.tags)
    for _, interface in estate.interfaces():
        yield Tagged(interface.interface_id, "network-interface", interface.tags)
    for elastic in estate.elastic.values():
        yield Tagged(elastic.allocation_id, "elastic-ip", elastic.tags)
    for subnet in estate.subnets.values():
        yield Tagged(subnet.subnet_id, "subnet", subnet.tags)
    for volume in estate.volumes.values():
        yield Tagged(volume.volume_id, "volume", volume.tags)
    for image in estate.images.values():
        yield Tagged(image.image_id, "image", image.tags)
    for snapshot in estate.snapshots.values():
        yield Tagged(snapshot.snapshot_id, "snapshot", snapshot.tags)
    yield Tagged(estate.route_table.route_table_id, "route-table", estate.route_table.tags)


def _resource(estate: Estate, resource_id: str) -> Tagged:
    for resource in _resources(estate):
        if resource.resource_id == resource_id:
            return resource
    if resource_id.startswith("i-"):
        estate.instance(resource_id)
    raise AwsError("InvalidID", f"The ID '{resource_id}' is not valid")


ACTIONS: dict[str, Action] = {
    "CreateTags": create_tags,
    "DeleteTags": delete_tags,
    "DescribeTags": describe_tags,
}
