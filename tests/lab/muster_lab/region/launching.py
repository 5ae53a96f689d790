"""From RunInstances' parameters to a checked `Launch`."""

import base64
import binascii
import re
from ipaddress import IPv4Address

from .errors import AwsError, invalid_value
from .estate import Launch
from .model import DEFAULT_TYPE, MetadataOptions
from .query import Params

USER_DATA_BYTES = 16384

# EC2 user guide, "Tag your EC2 resources": tags that IMDS shows may not use other characters.
_METADATA_KEY = re.compile(r"[0-9a-zA-Z\-_+=,.@:]{1,255}")
_RESERVED_KEYS = (".", "..", "_index")


def read(params: Params) -> Launch:
    """Check the form of a RunInstances call.

    Raises:
        AwsError: with EC2's code for the first thing that is wrong.
    """
    image = params.get("ImageId")
    if not image:
        raise AwsError("MissingParameter", "The request must contain the parameter ImageId")
    if not image.startswith("ami-"):
        raise AwsError("InvalidAMIID.Malformed", f'Invalid id: "{image}" (expecting "ami-...")')
    minimum, maximum = params["MinCount"], params["MaxCount"]
    if not 1 <= minimum <= maximum:
        raise invalid_value(maximum, "maxCount")
    interface = _primary_interface(params)
    address = params.get("PrivateIpAddress") or interface.get("PrivateIpAddress")
    metadata = metadata_options(params.get("MetadataOptions", {}), MetadataOptions())
    tags = tag_specification(params, "instance")
    check_tags(tags, metadata)
    return Launch(
        image_id=image,
        minimum=minimum,
        maximum=maximum,
        instance_type=params.get("InstanceType", DEFAULT_TYPE),
        subnet_id=params.get("SubnetId") or interface.get("SubnetId"),
        address=None if address is None else ipv4(address, "privateIpAddress"),
        tags=tuple(tags.items()),
        interface_tags=tuple(tag_specification(params, "network-interface").items()),
        user_data=_user_data(params),
        profile=_profile(params),
        key_name=params.get("KeyName"),
        metadata=metadata,
        client_token=params.get("ClientToken"),
        shutdown_terminates=params.get("InstanceInitiatedShutdownBehavior") == "terminate",
        placement_group=params.get("Placement", {}).get("GroupName") or None,
        group_ids=tuple(params.get("SecurityGroupIds", [])),
    )


def ipv4(text: str, parameter: str) -> IPv4Address:
    """Read an address.

    Raises:
        AwsError: it is none.
    """
    try:
        return IPv4Address(text)
    except ValueError as error:
        raise invalid_value(text, parameter) from error


def tag_specification(params: Params, kind: str) -> dict[str, str]:
    """The tags that the call gives to resources of one type."""
    return {
        tag["Key"]: tag.get("Value", "")
        for specification in params.get("TagSpecifications", [])
        if specification.get("ResourceType") == kind
        for tag in specification.get("Tags", [])
    }


def check_tags(tags: dict[str, str], metadata: MetadataOptions) -> None:
    """Refuse keys that EC2 refuses; with tags in metadata it is stricter.

    Raises:
        AwsError: with EC2's code for the case.
    """
    for key in tags:
        if not 1 <= len(key) <= 128 or key.startswith("aws:"):
            raise AwsError("InvalidParameterValue", f"Tag key '{key}' is not allowed")
        if metadata.tags and (not _METADATA_KEY.fullmatch(key) or key in _RESERVED_KEYS):
            raise AwsError(
                "InvalidParameterValue",
                f"'{key}' is not a valid tag key. Tag keys must match pattern"
                " ([0-9a-zA-Z\\-_+=,.@:]{1,255}), and must not be a reserved name"
                " ('.', '..', '_index')",
            )


def metadata_options(wanted: Params, present: MetadataOptions) -> MetadataOptions:
    """The options with what a call changes.

    Raises:
        AwsError: a hop limit outside 1 to 64.
    """
    hops = wanted.get("HttpPutResponseHopLimit", present.hop_limit)
    if not 1 <= hops <= 64:
        raise invalid_value(hops, "HttpPutResponseHopLimit")
    return MetadataOptions(
        tokens_required=_switch(
            wanted, "HttpTokens", "required", "optional", present.tokens_required
        ),
        enabled=_switch(wanted, "HttpEndpoint", "enabled", "disabled", present.enabled),
        tags=_switch(wanted, "InstanceMetadataTags", "enabled", "disabled", present.tags),
        hop_limit=hops,
    )


def _switch(wanted: Params, name: str, yes: str, no: str, present: bool) -> bool:
    value = wanted.get(name)
    if value is None:
        return present
    if value not in (yes, no):
        raise invalid_value(value, name)
    return bool(value == yes)


def _primary_interface(params: Params) -> Params:
    """What the call says of the interface with index 0, the only one an instance has here."""
    interfaces: list[Params] = params.get("NetworkInterfaces", [])
    if len(interfaces) > 1 or any(i.get("DeviceIndex", 0) != 0 for i in interfaces):
        raise AwsError("AttachmentLimitExceeded", "An instance has one interface in this region")
    if interfaces and params.get("SubnetId"):
        raise AwsError(
            "InvalidParameterCombination",
            "Network interfaces and an instance-level subnet ID may not be specified on the same"
            " request",
        )
    found = dict(interfaces[0]) if interfaces else {}
    for address in found.get("PrivateIpAddresses", []):
        if address.get("Primary"):
            found["PrivateIpAddress"] = address["PrivateIpAddress"]
    return found


def _user_data(params: Params) -> bytes | None:
    text = params.get("UserData")
    if not text:
        return None
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise AwsError(
            "InvalidUserData.Malformed", "Invalid BASE64 encoding of user data."
        ) from error
    if len(data) > USER_DATA_BYTES:
        raise AwsError("InvalidParameterValue", "User data is limited to 16384 bytes")
    return data


def _profile(params: Params) -> str | None:
    """The profile's name, given as such or as the end of its ARN."""
    given: Params = params.get("IamInstanceProfile", {})
    if "Arn" in given:
        return str(given["Arn"]).rpartition("/")[2]
    return given.get("Name")
