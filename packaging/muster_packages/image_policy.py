"""The policy of whoever builds images, from the calls that `muster image` makes.

IAM's names of S3's and EC2's permissions are not always those of the calls; the table below says
which call needs which, after the service authorization reference.
"""

import ast
import json
from pathlib import Path
from typing import Any

from botocore import xform_name
from botocore.loaders import Loader

from muster_packages.errors import PackagingError

SERVICES = ("ec2", "iam", "s3", "sts")

BUCKET = "arn:aws:s3:::BUCKET"
UPLOADS = "arn:aws:s3:::BUCKET/muster-image/*"
ROLE = "arn:aws:iam::ACCOUNT:role/ROLE"

# call -> (actions, resource). EC2's descriptions and imports know no resource.
NEEDS: dict[str, tuple[tuple[str, ...], str]] = {
    "sts:GetCallerIdentity": ((), "*"),  # needs no permission
    "s3:HeadBucket": (("s3:ListBucket",), BUCKET),
    "s3:CreateBucket": (("s3:CreateBucket",), BUCKET),
    "s3:DeleteBucket": (("s3:DeleteBucket",), BUCKET),
    "s3:PutPublicAccessBlock": (("s3:PutBucketPublicAccessBlock",), BUCKET),
    "s3:GetBucketLifecycleConfiguration": (("s3:GetLifecycleConfiguration",), BUCKET),
    "s3:PutBucketLifecycleConfiguration": (("s3:PutLifecycleConfiguration",), BUCKET),
    "s3:ListObjectsV2": (("s3:ListBucket",), BUCKET),
    "s3:ListMultipartUploads": (("s3:ListBucketMultipartUploads",), BUCKET),
    "s3:HeadObject": (("s3:GetObject",), UPLOADS),
    "s3:DeleteObject": (("s3:DeleteObject",), UPLOADS),
    "s3:CreateMultipartUpload": (("s3:PutObject",), UPLOADS),
    "s3:UploadPart": (("s3:PutObject",), UPLOADS),
    "s3:CompleteMultipartUpload": (("s3:PutObject",), UPLOADS),
    "s3:ListParts": (("s3:ListMultipartUploadParts",), UPLOADS),
    "s3:AbortMultipartUpload": (("s3:AbortMultipartUpload",), UPLOADS),
    "iam:GetRole": (("iam:GetRole",), ROLE),
    "iam:CreateRole": (("iam:CreateRole",), ROLE),
    "iam:DeleteRole": (("iam:DeleteRole",), ROLE),
    "iam:GetRolePolicy": (("iam:GetRolePolicy",), ROLE),
    "iam:PutRolePolicy": (("iam:PutRolePolicy",), ROLE),
    "iam:DeleteRolePolicy": (("iam:DeleteRolePolicy",), ROLE),
}
EC2 = "*"
# Of EC2's calls, those that could hurt others' things: only on what carries muster's own tag.
REMOVALS = {"ec2:DeleteSnapshot", "ec2:DeregisterImage"}
TAGGING = {"ec2:CreateTags"}

Json = Any  # what json.loads returns


def calls(folder: Path) -> set[str]:
    """Return every call that the code below `folder` names by a constant, as "s3:HeadBucket"."""
    words = {
        node.value
        for path in sorted(folder.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    found = set()
    for service in SERVICES:
        operations = Loader().load_service_model(service, "service-2")["operations"]
        found |= {f"{service}:{name}" for name in operations if xform_name(name) in words}
    return found


def policy(made: set[str]) -> Json:
    """Return the policy that allows these calls and nothing else.

    Raises:
        PackagingError: a call is not in the table.
    """
    by_resource: dict[str, set[str]] = {BUCKET: set(), UPLOADS: set(), ROLE: set(), EC2: set()}
    for call in sorted(made):
        if call.startswith("ec2:"):
            by_resource[EC2].add(call)
        elif call in NEEDS:
            actions, resource = NEEDS[call]
            by_resource.setdefault(resource, set()).update(actions)
        else:
            raise PackagingError(f"say in {Path(__file__).name} which permission {call} needs")
    names = {BUCKET: "Bucket", UPLOADS: "Uploads", ROLE: "ImportRole", EC2: "ImagesAndInstances"}
    statements: list[Json] = [
        {"Sid": sid, "Effect": "Allow", "Action": sorted(by_resource[key]), "Resource": key}
        for key, sid in names.items()
    ]
    here = {"StringEquals": {"aws:RequestedRegion": "REGION"}}
    statements[-1]["Condition"] = here
    statements[-1]["Action"] = sorted(by_resource[EC2] - REMOVALS - TAGGING)
    ours = {**here, "Null": {"aws:ResourceTag/muster:image": "false"}}
    statements.append(_bounded("OwnImages", REMOVALS & by_resource[EC2], ours))
    keys = {**here, "ForAllValues:StringLike": {"aws:TagKeys": "muster:*"}}
    statements.append(_bounded("OwnTags", TAGGING & by_resource[EC2], keys))
    statements.append(_handed_over("ImportRoleIsForImports", ROLE, "vmie.amazonaws.com"))
    node = "arn:aws:iam::ACCOUNT:role/NODE-ROLE"
    statements.append(_handed_over("NodeRoleIsForInstances", node, "ec2.amazonaws.com"))
    return {"Version": "2012-10-17", "Statement": statements}


def _bounded(sid: str, actions: set[str], condition: Json) -> Json:
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Action": sorted(actions),
        "Resource": "arn:aws:ec2:REGION:*:*/*",
        "Condition": condition,
    }


def _handed_over(sid: str, role: str, service: str) -> Json:
    """No call has this name: handing a role to a service is checked beside the call."""
    condition = {"StringEquals": {"iam:PassedToService": service}}
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Action": "iam:PassRole",
        "Resource": role,
        "Condition": condition,
    }


def write(root: Path) -> Path:
    """Write the policy of the checkout anew."""
    target = root / "packaging" / "aws" / "image-policy.json"
    found = policy(calls(root / "client" / "muster" / "image"))
    target.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return target
