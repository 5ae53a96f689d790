"""What EC2 itself says of an instance, asked as root: the helper takes nobody's word for it."""

from typing import TYPE_CHECKING, cast

from musterd.errors import HelperError

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


def state(instance_id: str, region: str) -> str:
    """Return the instance's state, such as "terminated"; "" when EC2 does not know it.

    Source: EC2 API, DescribeInstances, InstanceState.

    Raises:
        HelperError: EC2 did not answer.
    """
    # Half a second to load, for a verb that is asked for when an instance has died.
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
            return ""
        raise _silent(str(error)) from error
    except BotoCoreError as error:
        raise _silent(str(error)) from error
    states = [
        instance["State"]["Name"]
        for reservation in answer["Reservations"]
        for instance in reservation["Instances"]
    ]
    return states[0] if states else ""


def _silent(why: str) -> HelperError:
    return HelperError(
        "EC2 does not say whether the instance is terminated",
        refused=False,
        why=why,
        cure="check the instance profile and that EC2 is reachable; it is asked again",
    )
