"""What EC2 itself says of an instance, asked as root: the helper takes nobody's word for it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from musterd.errors import HelperError

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import InstanceTypeDef


@dataclass(frozen=True)
class Described:
    """One instance, by EC2's word."""

    state: str = ""  # such as "terminated"; "" when EC2 does not know the instance
    addresses: frozenset[str] = frozenset()  # private ones
    tags: Mapping[str, str] = field(default_factory=dict)


def described(instance_id: str, region: str) -> Described:
    """Return what EC2 says of an instance.

    Source: EC2 API, DescribeInstances: State, PrivateIpAddress, NetworkInterfaces, Tags.

    Raises:
        HelperError: EC2 did not answer.
    """
    # Half a second to load, for a verb that is asked for when an instance comes or has died.
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.session import Session

    config = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 3})
    try:
        client = cast(
            "EC2Client", Session().create_client("ec2", region_name=region, config=config)
        )
        answer = client.describe_instances(InstanceIds=[instance_id])
    except ClientError as error:
        if error.response["Error"]["Code"] == "InvalidInstanceID.NotFound":
            return Described()
        raise _silent(str(error)) from error
    except BotoCoreError as error:
        raise _silent(str(error)) from error
    found = [one for each in answer["Reservations"] for one in each["Instances"]]
    return _described(found[0]) if found else Described()


def _described(instance: "InstanceTypeDef") -> Described:
    interfaces = instance.get("NetworkInterfaces", [])
    private = [each for one in interfaces for each in one.get("PrivateIpAddresses", [])]
    addresses = {
        instance.get("PrivateIpAddress", ""),
        *(each.get("PrivateIpAddress", "") for each in private),
    }
    return Described(
        instance["State"]["Name"],
        frozenset(addresses - {""}),
        {tag["Key"]: tag["Value"] for tag in instance.get("Tags", [])},
    )


def _silent(why: str) -> HelperError:
    return HelperError(
        "EC2 does not say what became of the instance",
        refused=False,
        why=why,
        cure="check the instance profile and that EC2 is reachable; it is asked again",
    )
