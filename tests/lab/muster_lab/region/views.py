"""Instances and what belongs to them in the shape that boto3 returns."""

from typing import Any

from .estate import Estate
from .imds_tree import zone_id
from .model import ACCOUNT, ElasticAddress, Instance, Interface, State, Subnet

Shape = dict[str, Any]


def tag_list(tags: dict[str, str]) -> list[Shape]:
    """Tags as the API lists them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def state(value: State) -> Shape:
    """An InstanceState."""
    return {"Code": value.code, "Name": value.value}


def state_change(instance: Instance, before: State) -> Shape:
    """An InstanceStateChange."""
    return {
        "InstanceId": instance.instance_id,
        "CurrentState": state(instance.state),
        "PreviousState": state(before),
    }


def groups(estate: Estate) -> list[Shape]:
    """The one security group, which lets everything pass."""
    return [{"GroupId": estate.group_id, "GroupName": "default"}]


def elastic_of(estate: Estate, interface: Interface) -> dict[object, ElasticAddress]:
    """The interface's associations by private address."""
    return {
        elastic.private: elastic
        for elastic in estate.elastic.values()
        if elastic.interface_id == interface.interface_id
    }


def public_name(estate: Estate, elastic: ElasticAddress) -> str:
    """The DNS name of a public address."""
    dashed = str(elastic.public).replace(".", "-")
    return f"ec2-{dashed}.{estate.region}.compute.amazonaws.com"


def instance(estate: Estate, one: Instance) -> Shape:
    """An Instance. A terminated one has lost its network, as on EC2."""
    shape: Shape = {
        "InstanceId": one.instance_id,
        "ImageId": one.image.image_id,
        "State": state(one.state),
        "PrivateDnsName": one.private_dns if one.interface else "",
        "PublicDnsName": "",
        "StateTransitionReason": one.transition_reason,
        "AmiLaunchIndex": one.launch_index,
        "ProductCodes": [],
        "InstanceType": one.instance_type,
        "LaunchTime": one.launch_time,
        "Placement": {
            "AvailabilityZone": one.zone,
            "GroupName": one.placement_group or "",
            "Tenancy": "default",
        },
        "Monitoring": {"State": "disabled"},
        "Architecture": "x86_64",
        "BlockDeviceMappings": _devices(estate, one),
        "ClientToken": one.client_token or "",
        "EbsOptimized": False,
        "EnaSupport": True,
        "Hypervisor": "xen",
        "NetworkInterfaces": [],
        "RootDeviceName": "/dev/xvda",
        "RootDeviceType": "ebs",
        "SecurityGroups": [],
        "Tags": tag_list(one.tags),
        "VirtualizationType": "hvm",
        "MetadataOptions": metadata_options(one),
        "PlatformDetails": "Linux/UNIX",
    }
    if one.key_name:
        shape["KeyName"] = one.key_name
    if one.state_reason:
        shape["StateReason"] = {"Code": one.state_reason[0], "Message": one.state_reason[1]}
    if one.profile:
        shape["IamInstanceProfile"] = profile(one)
    if one.interface is not None:
        shape |= _network(estate, one, one.interface)
    return shape


def _devices(estate: Estate, one: Instance) -> list[Shape]:
    return [
        {
            "DeviceName": attachment.device,
            "Ebs": {
                "AttachTime": attachment.attached,
                "DeleteOnTermination": False,
                "Status": "attached",
                "VolumeId": volume.volume_id,
            },
        }
        for volume in estate.volumes.values()
        for holder, attachment in volume.attachments.items()
        if holder == one.instance_id
    ]


def profile(one: Instance) -> Shape:
    """The instance profile; its id is made up from the reservation's."""
    return {
        "Arn": f"arn:aws:iam::{ACCOUNT}:instance-profile/{one.profile}",
        "Id": "AIPA" + one.reservation_id[-16:].upper(),
    }


def metadata_options(one: Instance) -> Shape:
    """The InstanceMetadataOptionsResponse."""
    options = one.metadata
    return {
        "State": "applied",
        "HttpTokens": "required" if options.tokens_required else "optional",
        "HttpPutResponseHopLimit": options.hop_limit,
        "HttpEndpoint": "enabled" if options.enabled else "disabled",
        "HttpProtocolIpv6": "disabled",
        "InstanceMetadataTags": "enabled" if options.tags else "disabled",
    }


def _network(estate: Estate, one: Instance, interface: Interface) -> Shape:
    shape: Shape = {
        "PrivateIpAddress": str(interface.primary),
        "SubnetId": interface.subnet_id,
        "VpcId": estate.vpc_id,
        "SourceDestCheck": interface.source_dest_check,
        "SecurityGroups": groups(estate),
        "NetworkInterfaces": [instance_interface(estate, one, interface)],
    }
    elastic = elastic_of(estate, interface).get(interface.primary)
    if elastic is not None:
        shape["PublicIpAddress"] = str(elastic.public)
        shape["PublicDnsName"] = public_name(estate, elastic)
    return shape


def _association(estate: Estate, elastic: ElasticAddress) -> Shape:
    return {
        "IpOwnerId": ACCOUNT,
        "PublicDnsName": public_name(estate, elastic),
        "PublicIp": str(elastic.public),
    }


def _private_addresses(estate: Estate, interface: Interface) -> list[Shape]:
    elastic = elastic_of(estate, interface)
    shapes: list[Shape] = []
    for address in interface.addresses:
        dashed = str(address).replace(".", "-")
        shape: Shape = {
            "Primary": address == interface.primary,
            "PrivateDnsName": f"ip-{dashed}.{estate.domain()}",
            "PrivateIpAddress": str(address),
        }
        if address in elastic:
            shape["Association"] = _association(estate, elastic[address])
        shapes.append(shape)
    return shapes


def instance_interface(estate: Estate, one: Instance, interface: Interface) -> Shape:
    """An InstanceNetworkInterface: the interface as DescribeInstances shows it."""
    shape: Shape = {
        "Attachment": {
            "AttachTime": interface.attach_time,
            "AttachmentId": interface.attachment_id,
            "DeleteOnTermination": True,
            "DeviceIndex": 0,
            "Status": "attached",
            "NetworkCardIndex": 0,
        },
        "Description": "",
        "Groups": groups(estate),
        "Ipv6Addresses": [],
        "MacAddress": interface.mac,
        "NetworkInterfaceId": interface.interface_id,
        "OwnerId": ACCOUNT,
        "PrivateDnsName": one.private_dns,
        "PrivateIpAddress": str(interface.primary),
        "PrivateIpAddresses": _private_addresses(estate, interface),
        "SourceDestCheck": interface.source_dest_check,
        "Status": "in-use",
        "SubnetId": interface.subnet_id,
        "VpcId": estate.vpc_id,
        "InterfaceType": "interface",
    }
    elastic = elastic_of(estate, interface).get(interface.primary)
    if elastic is not None:
        shape["Association"] = _association(estate, elastic)
    return shape


def network_interface(estate: Estate, one: Instance, interface: Interface) -> Shape:
    """A NetworkInterface: the same as DescribeNetworkInterfaces shows it, with fuller detail."""
    shape = instance_interface(estate, one, interface)
    del shape["Attachment"]["NetworkCardIndex"]
    shape["Attachment"] |= {"InstanceId": one.instance_id, "InstanceOwnerId": ACCOUNT}
    shape |= {
        "AvailabilityZone": one.zone,
        "RequesterManaged": False,
        "TagSet": tag_list(interface.tags),
    }
    elastic = elastic_of(estate, interface)
    if interface.primary in elastic:
        shape["Association"] = _full_association(estate, elastic[interface.primary])
    for entry, address in zip(shape["PrivateIpAddresses"], interface.addresses, strict=True):
        if address in elastic:
            entry["Association"] = _full_association(estate, elastic[address])
    return shape


def _full_association(estate: Estate, elastic: ElasticAddress) -> Shape:
    return _association(estate, elastic) | {
        "AllocationId": elastic.allocation_id,
        "AssociationId": elastic.association_id,
    }


def address(estate: Estate, elastic: ElasticAddress) -> Shape:
    """An Address, with the instance even when it was associated by interface."""
    shape: Shape = {
        "PublicIp": str(elastic.public),
        "AllocationId": elastic.allocation_id,
        "Domain": "vpc",
        "NetworkBorderGroup": estate.region,
        "PublicIpv4Pool": "amazon",
        "Tags": tag_list(elastic.tags),
    }
    if elastic.interface_id is not None:
        one, _ = estate.interface(elastic.interface_id)
        shape |= {
            "AssociationId": elastic.association_id,
            "InstanceId": one.instance_id,
            "NetworkInterfaceId": elastic.interface_id,
            "NetworkInterfaceOwnerId": ACCOUNT,
            "PrivateIpAddress": str(elastic.private),
        }
    return shape


def subnet(estate: Estate, one: Subnet) -> Shape:
    """A Subnet. AWS keeps five addresses of each for itself."""
    used = sum(
        len(interface.addresses)
        for _, interface in estate.interfaces()
        if interface.subnet_id == one.subnet_id
    )
    return {
        "SubnetId": one.subnet_id,
        "SubnetArn": f"arn:aws:ec2:{estate.region}:{ACCOUNT}:subnet/{one.subnet_id}",
        "VpcId": estate.vpc_id,
        "AvailabilityZone": one.zone,
        "AvailabilityZoneId": zone_id(one.zone),
        "CidrBlock": str(one.block),
        "AvailableIpAddressCount": one.block.num_addresses - 5 - used,
        "DefaultForAz": True,
        "MapPublicIpOnLaunch": False,
        "AssignIpv6AddressOnCreation": False,
        "Ipv6CidrBlockAssociationSet": [],
        "OwnerId": ACCOUNT,
        "State": "available",
        "Tags": tag_list(one.tags),
    }
