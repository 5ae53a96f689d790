"""`muster image launch`: the cluster shall have so many instances; those that lack are launched."""

import argparse
import hashlib
import json
import time
from collections.abc import Callable

from muster.context import Context
from muster.contract import Exit
from muster.errors import ClientError
from muster.image.aws import Answer, Aws, RefusedByAwsError, tag, tags

POLL = 2.0  # seconds
RUNNING = 300.0  # seconds until instances run, at most
_GONE = {"shutting-down", "terminated"}
USER_DATA_LIMIT = 16_384  # bytes (EC2 user guide)


def run(
    options: argparse.Namespace,
    context: Context,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Launch what lacks, and wait until all run."""
    aws = Aws(options.region, dry=options.dry_run, say=context.say)
    user_data = _user_data(options)
    there = members(aws, options.cluster)
    lacking = options.count - len(there)
    if lacking <= 0:
        context.say(f"cluster {options.cluster} has {len(there)} instances")
    elif _launch(aws, options, user_data, there, lacking, context) is None:
        return Exit.OK  # a dry run
    _show(context, _running(aws, options.cluster, options.count, sleep))
    context.say("  next: muster status, on any of them; nobody needs to log in before")
    return Exit.OK


def members(aws: Aws, cluster: str) -> list[Answer]:
    """Return the cluster's instances, without those that are gone for good, oldest first."""
    wanted = [{"Name": "tag:muster:cluster", "Values": [cluster]}]
    reservations = aws.each("ec2", "describe_instances", "Reservations", Filters=wanted)
    found = [one for reservation in reservations for one in reservation["Instances"]]
    kept = [one for one in found if one["State"]["Name"] not in _GONE]
    return sorted(kept, key=lambda one: (str(one.get("LaunchTime", "")), one["InstanceId"]))


def _user_data(options: argparse.Namespace) -> str | None:
    if options.user_data is None:
        return None
    try:
        text = str(options.user_data.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ClientError(
            f"cannot read {options.user_data}", why=str(error), cure=f"ls -l {options.user_data}"
        ) from None
    if len(text.encode()) > USER_DATA_LIMIT:
        raise ClientError(
            f"{options.user_data} is too large for user data",
            why=f"EC2 takes {USER_DATA_LIMIT} bytes",
            cure="leave the spec's defaults out, or bake what is common into the image",
        )
    return text


def _launch(
    aws: Aws,
    options: argparse.Namespace,
    user_data: str | None,
    there: list[Answer],
    lacking: int,
    context: Context,
) -> Answer | None:
    # Whoever comes later carries the size that the founders were launched with.
    known_size = next((tag(one, "size") for one in there if tag(one, "size")), "")
    size = str(options.size or known_size or options.count)
    params = request(options, user_data, lacking, size)
    if options.placement:
        params["Placement"] = {"GroupName": _group(aws, options.cluster, options.placement)}
    # The same instances there and the same wish are the same request, however often it is made.
    known = sorted(str(one["InstanceId"]) for one in there)
    seed = json.dumps([known, params], sort_keys=True)
    params["ClientToken"] = hashlib.sha256(seed.encode()).hexdigest()[:60]
    what = f"launch {lacking} of {options.count} instances for cluster {options.cluster}"
    try:
        return aws.change(what, "ec2", "run_instances", **params)
    except RefusedByAwsError as refused:
        if refused.code in {"InsufficientInstanceCapacity", "InstanceLimitExceeded"}:
            raise ClientError(
                f"EC2 has no room for {lacking} instances of type {options.instance_type}",
                why=refused.why,
                cure="muster image launch ... --instance-type ANOTHER, or another --subnet",
            ) from None
        if refused.code == "UnauthorizedOperation" and options.profile:
            context.complain("  iam:PassRole on the profile's role may be what is missing")
        raise


def request(options: argparse.Namespace, user_data: str | None, count: int, size: str) -> Answer:
    """Return the parameters of RunInstances: tags, and IMDSv2 for the instance alone."""
    marks = {"cluster": options.cluster}
    params: Answer = {
        "ImageId": options.image,
        "InstanceType": options.instance_type,
        "MinCount": count,
        "MaxCount": count,
        "InstanceInitiatedShutdownBehavior": "stop",  # a fenced node must be there to be started
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
            "InstanceMetadataTags": "enabled",
        },
        # Interfaces and volumes do not inherit tags, and nodes may change only what carries it.
        "TagSpecifications": [
            tags("instance", **marks, size=size),
            tags("network-interface", **marks),
            tags("volume", **marks),
        ],
    }
    optional = {
        "SubnetId": options.subnet,
        "SecurityGroupIds": options.security_group,
        "IamInstanceProfile": {"Name": options.profile} if options.profile else None,
        "KeyName": options.key_name,
        "UserData": user_data,
    }
    return params | {name: value for name, value in optional.items() if value}


def _group(aws: Aws, cluster: str, strategy: str) -> str:
    """Return the placement group, made if it is not there."""
    name = f"muster-{cluster}-{strategy}"
    try:
        aws.change(
            f"create placement group {name}",
            "ec2",
            "create_placement_group",
            GroupName=name,
            Strategy=strategy,
            TagSpecifications=[tags("placement-group", cluster=cluster)],
        )
    except RefusedByAwsError as refused:
        if refused.code != "InvalidPlacementGroup.Duplicate":
            raise
    return name


def _running(aws: Aws, cluster: str, count: int, sleep: Callable[[float], None]) -> list[Answer]:
    """Wait until the instances run; stopped ones are somebody's decision and are not waited for."""
    deadline = time.monotonic() + RUNNING
    while True:
        found = members(aws, cluster)
        coming = [one for one in found if one["State"]["Name"] == "pending"]
        # A list may lag behind a launch that was accepted.
        if len(found) >= count and not coming:
            return found
        if time.monotonic() > deadline:
            raise ClientError(
                f"{len(coming)} instances of cluster {cluster} do not run yet",
                why=f"EC2 still says pending after {RUNNING:.0f} s",
                cure="aws ec2 describe-instances, or the same command to go on waiting",
            )
        sleep(POLL)


def _show(context: Context, found: list[Answer]) -> None:
    for one in found:
        address = one.get("PrivateIpAddress", "")
        zone = one.get("Placement", {}).get("AvailabilityZone", "")
        context.say(f"{one['InstanceId']}  {address:<15}  {zone}  {one['State']['Name']}")
