"""What one instance reads below `/latest`: names and contents, computed from the estate.

Names and forms follow the EC2 user guide's list of instance metadata categories.
"""

import json
from datetime import datetime

from .credentials import Credentials
from .estate import Estate
from .model import ACCOUNT, Instance, Interface

Leaves = dict[str, str]


def leaves(
    estate: Estate, instance: Instance, credentials: Credentials, version: str = "2.0"
) -> Leaves:
    """Every item below `/latest/` by its path, without a slash at either end.

    Args:
        estate: what there is.
        instance: who asks.
        credentials: where keys come from.
        version: of IMDS; `1.0` when it is asked without a token.

    What is absent for this instance (tags not enabled, no role, no user data) is not in it.
    """
    items = {f"meta-data/{path}": text for path, text in _meta_data(estate, instance).items()}
    for path, text in _iam(instance, credentials, version).items():
        items[f"meta-data/iam/{path}"] = text
    if instance.metadata.tags:
        for key, value in sorted(instance.tags.items()):
            items[f"meta-data/tags/instance/{key}"] = value
    items["dynamic/instance-identity/document"] = _document(estate, instance)
    if instance.user_data is not None:
        items["user-data"] = instance.user_data.decode("utf-8", "surrogateescape")
    return items


def listing(items: Leaves, folder: str) -> str | None:
    """The names directly below a folder, sub-folders with a slash; None if there is none.

    The top level and tag keys are listed without slashes, as IMDS does.
    """
    prefix = f"{folder}/" if folder else ""
    names: dict[str, None] = {}
    for path in items:
        if path.startswith(prefix):
            name, below, _ = path[len(prefix) :].partition("/")
            names[name + "/" if below and folder else name] = None
    return "\n".join(names) if names else None


def _meta_data(estate: Estate, instance: Instance) -> Leaves:
    interface = instance.interface
    assert interface is not None
    items: Leaves = {
        "ami-id": instance.image.image_id,
        "ami-launch-index": str(instance.launch_index),
        "ami-manifest-path": "(unknown)",
        "block-device-mapping/ami": "/dev/xvda",
        "block-device-mapping/root": "/dev/xvda",
        "events/maintenance/history": "[]",
        "events/maintenance/scheduled": "[]",
        "hostname": instance.private_dns,
        "instance-action": "none",
        "instance-id": instance.instance_id,
        "instance-life-cycle": "on-demand",
        "instance-type": instance.instance_type,
        "local-hostname": instance.private_dns,
        "local-ipv4": str(interface.primary),
        "mac": interface.mac,
    }
    for path, text in _network(estate, instance, interface).items():
        items[f"network/interfaces/macs/{interface.mac}/{path}"] = text
    items |= {
        "placement/availability-zone": instance.zone,
        "placement/availability-zone-id": zone_id(instance.zone),
        "placement/region": estate.region,
        "profile": "default-hvm",
    }
    public = _public(estate, interface)
    if public:
        items["public-hostname"] = _public_name(estate, public[0][0])
        items["public-ipv4"] = public[0][0]
    return items | {
        "reservation-id": instance.reservation_id,
        "security-groups": "default",
        "services/domain": "amazonaws.com",
        "services/partition": "aws",
        "system": "nitro",
    }


def _network(estate: Estate, instance: Instance, interface: Interface) -> Leaves:
    subnet = estate.subnets[interface.subnet_id]
    public = _public(estate, interface)
    items: Leaves = {
        "device-number": "0",
        "interface-id": interface.interface_id,
    }
    for outside, inside in public:
        items[f"ipv4-associations/{outside}"] = inside
    items |= {
        "local-hostname": instance.private_dns,
        "local-ipv4s": "\n".join(str(address) for address in interface.addresses),
        "mac": interface.mac,
        "network-card-index": "0",
        "owner-id": ACCOUNT,
    }
    if public:
        items["public-hostname"] = _public_name(estate, public[0][0])
        items["public-ipv4s"] = "\n".join(outside for outside, _ in public)
    return items | {
        "security-group-ids": estate.group_id,
        "security-groups": "default",
        "subnet-id": subnet.subnet_id,
        "subnet-ipv4-cidr-block": str(subnet.block),
        "vpc-id": estate.vpc_id,
        "vpc-ipv4-cidr-block": str(estate.layout.vpc),
        "vpc-ipv4-cidr-blocks": str(estate.layout.vpc),
    }


def _public(estate: Estate, interface: Interface) -> list[tuple[str, str]]:
    """Public and private address of each association, that of the primary address first."""
    pairs = [
        (elastic.private != interface.primary, str(elastic.public), str(elastic.private))
        for elastic in estate.elastic.values()
        if elastic.interface_id == interface.interface_id
    ]
    return [(outside, inside) for _, outside, inside in sorted(pairs)]


def _public_name(estate: Estate, public: str) -> str:
    return f"ec2-{public.replace('.', '-')}.{estate.region}.compute.amazonaws.com"


def _iam(instance: Instance, credentials: Credentials, version: str) -> Leaves:
    if instance.profile is None:
        return {}
    keys = credentials.of_instance(instance.instance_id, instance.profile, version)
    info = {
        "Code": "Success",
        "LastUpdated": timestamp(keys.issued),
        "InstanceProfileArn": f"arn:aws:iam::{ACCOUNT}:instance-profile/{instance.profile}",
        "InstanceProfileId": "AIPA" + instance.reservation_id[-16:].upper(),
    }
    role = {
        "Code": "Success",
        "LastUpdated": timestamp(keys.issued),
        "Type": "AWS-HMAC",
        "AccessKeyId": keys.access_key,
        "SecretAccessKey": keys.secret_key,
        "Token": keys.token,
        "Expiration": timestamp(keys.expires),
    }
    return {
        "info": json.dumps(info, indent=2),
        f"security-credentials/{instance.profile}": json.dumps(role, indent=2),
    }


def _document(estate: Estate, instance: Instance) -> str:
    """The instance identity document. Like EC2's it carries no nonce and proves nothing alone."""
    assert instance.interface is not None
    return json.dumps(
        {
            "accountId": ACCOUNT,
            "architecture": "x86_64",
            "availabilityZone": instance.zone,
            "billingProducts": None,
            "devpayProductCodes": None,
            "marketplaceProductCodes": None,
            "imageId": instance.image.image_id,
            "instanceId": instance.instance_id,
            "instanceType": instance.instance_type,
            "kernelId": None,
            "pendingTime": timestamp(instance.launch_time),
            "privateIp": str(instance.interface.primary),
            "ramdiskId": None,
            "region": estate.region,
            "version": "2017-09-30",
        },
        indent=2,
    )


def timestamp(when: datetime) -> str:
    """Time as IMDS writes it: UTC, whole seconds."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def zone_id(zone: str) -> str:
    """The zone's id, which is the same for all accounts: `euw1-az1` for `eu-west-1a`."""
    area, direction, number = zone[:-1].split("-")
    short = "".join(word[0] for word in _DIRECTION_WORDS.get(direction, (direction,)))
    return f"{area}{short}{number}-az{ord(zone[-1]) - ord('a') + 1}"


_DIRECTION_WORDS = {
    "northeast": ("north", "east"),
    "northwest": ("north", "west"),
    "southeast": ("south", "east"),
    "southwest": ("south", "west"),
}
