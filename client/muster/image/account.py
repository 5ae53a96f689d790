"""`muster image prepare`: what an import needs of the account, once: a bucket and a role."""

import argparse
import json

from muster.context import Context
from muster.contract import Exit
from muster.errors import ClientError
from muster.image.aws import Answer, Aws, RefusedByAwsError
from muster.image.upload import PREFIX

ROLE = "vmimport"  # the name that EC2 assumes unless told another
POLICY_NAME = "muster-image"
KEPT_DAYS = 7  # of an upload that nobody finished or removed
# IAM knows two versions of its language, 2012-10-17 and 2008-10-17; any other is refused.
LANGUAGE = "2012-10-17"


def trust() -> Answer:
    """Return the trust policy: VM Import/Export alone may take the role on."""
    return {
        "Version": LANGUAGE,
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "vmie.amazonaws.com"},
                "Action": "sts:AssumeRole",
                "Condition": {"StringEquals": {"sts:Externalid": "vmimport"}},
            }
        ],
    }


def rights(bucket: str) -> Answer:
    """Return what the role may do: read this bucket's uploads, make snapshots (user guide)."""
    return {
        "Version": LANGUAGE,
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:GetBucketLocation", "s3:ListBucket"],
                "Resource": f"arn:aws:s3:::{bucket}",
            },
            {
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": f"arn:aws:s3:::{bucket}/{PREFIX}*",
            },
            {
                "Effect": "Allow",
                "Action": [
                    "ec2:CopySnapshot",
                    "ec2:Describe*",
                    "ec2:ModifySnapshotAttribute",
                    "ec2:RegisterImage",
                ],
                "Resource": "*",
            },
        ],
    }


def run(options: argparse.Namespace, context: Context) -> int:
    """Make bucket and role be there; a second run changes nothing."""
    aws = Aws(options.region, dry=options.dry_run, say=context.say)
    account = aws.account()
    bucket = options.bucket or default_bucket(account, aws.region)
    _bucket(aws, bucket, account, context)
    _role(aws, options.role, bucket, context)
    context.say(f"  next: muster image import FILE --name NAME --bucket {bucket}")
    return Exit.OK


def default_bucket(account: str, region: str) -> str:
    """Return a name that nobody else can sensibly have: bucket names are shared by the world."""
    return f"muster-image-{account}-{region}"


def check_bucket(aws: Aws, bucket: str, account: str) -> bool:
    """Tell whether the bucket is there, and ours.

    Raises:
        ClientError: it is somebody else's, or in another region.
    """
    try:
        aws.call("s3", "head_bucket", Bucket=bucket, ExpectedBucketOwner=account)
    except RefusedByAwsError as refused:
        if refused.code in {"404", "NoSuchBucket"}:
            return False
        if refused.code in {"403", "AccessDenied"}:
            raise ClientError(
                f"bucket {bucket} is not this account's, or closed to these credentials",
                why="names of buckets are shared by all accounts, and S3 does not tell which it is",
                cure="muster image prepare --bucket ANOTHER-NAME",
            ) from None
        if refused.code in {"301", "PermanentRedirect"}:
            raise ClientError(
                f"bucket {bucket} is in another region than {aws.region}",
                why="EC2 imports from a bucket of its own region only",
                cure="muster image prepare --bucket ANOTHER-NAME, or --region REGION",
            ) from None
        raise
    return True


def _bucket(aws: Aws, bucket: str, account: str, context: Context) -> None:
    if check_bucket(aws, bucket, account):
        context.say(f"bucket {bucket} is there")
    else:
        # us-east-1 is the one region that must not be named (S3 API reference, CreateBucket).
        where = (
            {}
            if aws.region == "us-east-1"
            else {"CreateBucketConfiguration": {"LocationConstraint": aws.region}}
        )
        aws.change(f"create bucket {bucket}", "s3", "create_bucket", Bucket=bucket, **where)
    owned = {"Bucket": bucket, "ExpectedBucketOwner": account}
    closed = dict.fromkeys(
        ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
    )
    # Both are wanted states, so they are simply put again.
    aws.change(
        f"close bucket {bucket} to the public",
        "s3",
        "put_public_access_block",
        **owned,
        PublicAccessBlockConfiguration=closed,
    )
    if _lifecycle(aws, owned):
        return
    rule = {
        "ID": "muster-image",
        "Status": "Enabled",
        "Filter": {"Prefix": PREFIX},
        "Expiration": {"Days": KEPT_DAYS},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": KEPT_DAYS},
    }
    aws.change(
        f"have uploads older than {KEPT_DAYS} days removed from {bucket}",
        "s3",
        "put_bucket_lifecycle_configuration",
        **owned,
        LifecycleConfiguration={"Rules": [rule]},
    )


def _lifecycle(aws: Aws, owned: dict[str, str]) -> bool:
    """Tell whether the bucket has rules: they are replaced as a whole, so others' are left."""
    try:
        return bool(aws.call("s3", "get_bucket_lifecycle_configuration", **owned)["Rules"])
    except RefusedByAwsError as refused:
        if refused.code in {"NoSuchLifecycleConfiguration", "NoSuchBucket"}:
            return False
        raise


def _role(aws: Aws, role: str, bucket: str, context: Context) -> None:
    try:
        found = aws.call("iam", "get_role", RoleName=role)["Role"]
    except RefusedByAwsError as refused:
        if refused.code != "NoSuchEntity":
            raise
        aws.change(
            f"create role {role}",
            "iam",
            "create_role",
            RoleName=role,
            Description="Lets EC2 import disks for muster image",
            AssumeRolePolicyDocument=json.dumps(trust()),
        )
    else:
        if not _trusts(found["AssumeRolePolicyDocument"]):
            raise ClientError(
                f"role {role} does not let VM Import/Export take it on",
                why="it is there with another trust policy, which somebody may need",
                cure="muster image prepare --role muster-vmimport (and the same at import)",
            )
        context.say(f"role {role} is there")
    name = f"{POLICY_NAME}-{bucket}"
    if _policy(aws, role, name) != rights(bucket):
        aws.change(
            f"let role {role} read {bucket}/{PREFIX}",
            "iam",
            "put_role_policy",
            RoleName=role,
            PolicyName=name,
            PolicyDocument=json.dumps(rights(bucket)),
        )


def _policy(aws: Aws, role: str, name: str) -> object:
    try:
        return aws.call("iam", "get_role_policy", RoleName=role, PolicyName=name)["PolicyDocument"]
    except RefusedByAwsError as refused:
        if refused.code != "NoSuchEntity":
            raise
        return None


def _trusts(document: Answer) -> bool:
    """Tell whether a trust policy names the service."""
    for statement in document.get("Statement", []):
        principal = statement.get("Principal", {})
        services = principal.get("Service", []) if isinstance(principal, dict) else []
        named = [services] if isinstance(services, str) else services
        if statement.get("Effect") == "Allow" and "vmie.amazonaws.com" in named:
            return True
    return False
