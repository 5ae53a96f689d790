"""EC2 actions on the VPC's one security group: what it lets in can be changed."""

from .errors import AwsError
from .filters import Values, keep
from .model import ACCOUNT, EVERYTHING
from .query import Answer, Params
from .request import Action, Request

_NUMBERS = ("FromPort", "ToPort")


async def describe_security_groups(request: Request) -> Answer:
    """DescribeSecurityGroups: the default group, which lets everything out."""
    estate = request.seen
    for wanted in request.params.get("GroupIds", []):
        _check(wanted, estate.group_id)
    fields: dict[str, Values[str]] = {
        "group-id": lambda group: [group],
        "group-name": lambda _: ["default"],
        "vpc-id": lambda _: [estate.vpc_id],
    }
    chosen = keep([estate.group_id], request.params.get("Filters", []), fields, lambda _: {})
    shape = {
        "GroupId": estate.group_id,
        "GroupName": "default",
        "Description": "default VPC security group",
        "IpPermissions": estate.ingress,
        "IpPermissionsEgress": [EVERYTHING],
        "OwnerId": ACCOUNT,
        "VpcId": estate.vpc_id,
        "Tags": [],
    }
    return {"SecurityGroups": [shape for _ in chosen]}


async def authorize_ingress(request: Request) -> Answer:
    """AuthorizeSecurityGroupIngress."""
    for rule in _rules(request):
        if rule in request.estate.ingress:
            raise AwsError(
                "InvalidPermission.Duplicate", "the specified rule already exists in the group"
            )
        request.estate.ingress = [*request.estate.ingress, rule]
    request.estate.changed()
    return {"Return": True}


async def revoke_ingress(request: Request) -> Answer:
    """RevokeSecurityGroupIngress: the rule must be there, word for word."""
    for rule in _rules(request):
        if rule not in request.estate.ingress:
            raise AwsError(
                "InvalidPermission.NotFound", "The specified rule does not exist in the group."
            )
        request.estate.ingress = [each for each in request.estate.ingress if each != rule]
    request.estate.changed()
    return {"Return": True}


def _rules(request: Request) -> list[Params]:
    _check(request.params.get("GroupId", ""), request.estate.group_id)
    given: list[Params] = request.params.get("IpPermissions", [])
    if not given:
        raise AwsError("MissingParameter", "The request must contain the parameter ipPermissions")
    return [
        {key: int(value) if key in _NUMBERS else value for key, value in rule.items()}
        for rule in given
    ]


def _check(wanted: str, group_id: str) -> None:
    if wanted != group_id:
        raise AwsError("InvalidGroup.NotFound", f"The security group '{wanted}' does not exist")


ACTIONS: dict[str, Action] = {
    "AuthorizeSecurityGroupIngress": authorize_ingress,
    "DescribeSecurityGroups": describe_security_groups,
    "RevokeSecurityGroupIngress": revoke_ingress,
}
