"""Puts the node's policy into the CloudFormation template, which cannot include a file.

packaging/aws/node-policy.json is the one definition; the template holds it between two marks.
"""

import json
import re
from pathlib import Path
from typing import Any

from muster_packages.errors import PackagingError

BEGIN = "# node-policy.json begins (make stack)"
END = "# node-policy.json ends"
# What the policy leaves to be filled in -> what CloudFormation fills it with.
FILLED = {"REGION": "${AWS::Region}", "ACCOUNT": "${AWS::AccountId}", "NAME": "${ClusterName}"}

Json = Any  # what json.loads returns


def write(root: Path) -> Path:
    """Write the template of the checkout anew."""
    folder = root / "packaging" / "aws"
    template = folder / "cluster.yaml"
    policy = json.loads((folder / "node-policy.json").read_text(encoding="utf-8"))
    template.write_text(filled(template.read_text(encoding="utf-8"), policy), encoding="utf-8")
    return template


def filled(template: str, policy: Json) -> str:
    """Return the template with the policy between its marks.

    Raises:
        PackagingError: the marks are not there once each, in order.
    """
    before, begin, rest = template.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise PackagingError(f"the template lacks the lines {BEGIN!r} and {END!r}")
    indent = " " * (len(before) - len(before.rstrip(" ")))
    lines = "\n".join(_yaml(policy, indent))
    return f"{before}{BEGIN}\n{lines}\n{indent}{END}{after}"


def _yaml(value: Json, indent: str) -> list[str]:
    """Return a value as block YAML; scalars are quoted as JSON, which YAML reads."""
    if isinstance(value, dict):
        lines = []
        for key, below in value.items():
            if isinstance(below, dict | list):
                lines += [f"{indent}{_key(key)}:", *_yaml(below, indent + "  ")]
            else:
                lines.append(f"{indent}{_key(key)}: {_scalar(below)}")
        return lines
    lines = []
    for item in value:
        if isinstance(item, dict | list):
            first, *more = _yaml(item, indent + "  ")
            lines += [f"{indent}- {first.lstrip()}", *more]
        else:
            lines.append(f"{indent}- {_scalar(item)}")
    return lines


def _key(key: str) -> str:
    return key if key.isidentifier() else json.dumps(key)


def _scalar(value: Json) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    # IAM's own variables must reach IAM as they are.
    text = value.replace("${", "${!").replace("arn:aws:", "arn:${AWS::Partition}:")
    text = re.sub(rf"\b({'|'.join(FILLED)})\b", lambda found: FILLED[found[0]], text)
    return json.dumps(value) if text == value else f"!Sub {json.dumps(text)}"
