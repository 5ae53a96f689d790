"""IAM policies as far as a node's needs them: may this role do that to those resources.

The rules are IAM's (user guide, "Policy evaluation logic"): an explicit deny wins, then an allow is
needed, for each resource that the call names; a condition on a key that the request lacks does not
hold. A document with elements that are not understood here is refused, never half obeyed.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Context = Mapping[str, str]
Test = Callable[[str, str], bool]

_ELEMENTS = {"Sid", "Effect", "Action", "Resource", "Condition"}


class PolicyError(ValueError):
    """The document is none that this evaluation can obey."""


@dataclass(frozen=True)
class Resource:
    """What a call is about.

    Attributes:
        arn: `*` for calls that name nothing.
        tags: tags of the resource.
    """

    arn: str
    tags: Mapping[str, str]


EVERYTHING = Resource("*", {})


def fill(text: str, *, region: str, account: str, cluster: str) -> Mapping[str, Any]:
    """Read the node's policy as shipped, with its placeholders REGION, ACCOUNT and NAME filled in.

    Raises:
        ValueError: it is no JSON.
        TypeError: it is no JSON object.
    """
    for placeholder, value in (("REGION", region), ("ACCOUNT", account), ("NAME", cluster)):
        text = re.sub(rf"\b{placeholder}\b", value, text)
    document = json.loads(text)
    if not isinstance(document, dict):
        raise TypeError("a policy is a JSON object")
    return document


def like(value: str, pattern: str) -> bool:
    """IAM's wildcards: `*` any run of characters, `?` any one."""
    regex = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in pattern)
    return re.fullmatch(regex, value, re.DOTALL) is not None


def _number(compare: Callable[[float, float], bool]) -> Test:
    return lambda value, wanted: compare(float(value), float(wanted))


_OPERATORS: dict[str, Test] = {
    "StringEquals": lambda value, wanted: value == wanted,
    "StringNotEquals": lambda value, wanted: value != wanted,
    "StringLike": like,
    "StringNotLike": lambda value, wanted: not like(value, wanted),
    "ArnEquals": like,
    "ArnLike": like,
    "Bool": lambda value, wanted: value.lower() == wanted.lower(),
    "NumericEquals": _number(lambda value, wanted: value == wanted),
    "NumericLessThan": _number(lambda value, wanted: value < wanted),
    "NumericGreaterThan": _number(lambda value, wanted: value > wanted),
}
# Of these every value listed must differ; of the others one must fit.
_NEGATED = ("StringNotEquals", "StringNotLike")


class Policy:
    """One policy document.

    Args:
        document: as parsed from JSON.

    Raises:
        PolicyError: an element, effect or condition operator that is not understood.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._statements = _listed(document.get("Statement", []))
        for statement in self._statements:
            unknown = set(statement) - _ELEMENTS
            operators = set(statement.get("Condition", {})) - set(_OPERATORS)
            if unknown or operators:
                raise PolicyError(
                    f"cannot evaluate {sorted(unknown | operators)} in statement"
                    f" {statement.get('Sid', '')}: the lab knows {sorted(_OPERATORS)}"
                )
            if statement.get("Effect") not in ("Allow", "Deny"):
                raise PolicyError(f"Effect is neither Allow nor Deny in {statement}")

    def allows(self, action: str, resources: Sequence[Resource], context: Context) -> bool:
        """Whether the action may be done to every one of the resources.

        Args:
            action: with its service, such as `ec2:StopInstances`.
            resources: what the call names.
            context: condition keys of the request, beside those of the resources' tags.
        """
        return all(self._allows(action, resource, context) for resource in resources)

    def _allows(self, action: str, resource: Resource, context: Context) -> bool:
        tags = {
            f"{prefix}:ResourceTag/{key}": value
            for key, value in resource.tags.items()
            for prefix in ("aws", "ec2")
        }
        effects = {
            statement["Effect"]
            for statement in self._statements
            if _applies(statement, action, resource.arn, {**context, **tags})
        }
        return effects == {"Allow"}


def _applies(statement: Mapping[str, Any], action: str, arn: str, context: Context) -> bool:
    # Action names are matched without case, resource names with it.
    if not any(like(action.lower(), p.lower()) for p in _listed(statement.get("Action", []))):
        return False
    if not any(like(arn, p) for p in _listed(statement.get("Resource", []))):
        return False
    return all(
        _holds(operator, context.get(key), [str(v) for v in _listed(wanted)])
        for operator, keys in statement.get("Condition", {}).items()
        for key, wanted in keys.items()
    )


def _holds(operator: str, value: str | None, wanted: Sequence[str]) -> bool:
    """Whether a condition on one key holds. A missing key differs from everything."""
    if value is None:
        return operator in _NEGATED
    combine = all if operator in _NEGATED else any
    return combine(_OPERATORS[operator](value, one) for one in wanted)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
