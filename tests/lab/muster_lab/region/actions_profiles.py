"""EC2 actions on which instance has which instance profile."""

from . import views
from .errors import AwsError
from .filters import Values, keep
from .model import Instance
from .query import Answer, Params
from .request import Action, Request


async def describe_associations(request: Request) -> Answer:
    """DescribeIamInstanceProfileAssociations."""
    fields: dict[str, Values[Instance]] = {"instance-id": lambda one: [one.instance_id]}
    having = [one for one in request.seen.instances.values() if one.profile]
    chosen = keep(having, request.params.get("Filters", []), fields, lambda _: {})
    return {"IamInstanceProfileAssociations": [_shape(one, "associated") for one in chosen]}


async def associate(request: Request) -> Answer:
    """AssociateIamInstanceProfile: an instance has one at most."""
    one = request.estate.instance(request.params["InstanceId"])
    given: Params = request.params.get("IamInstanceProfile", {})
    if one.profile:
        raise AwsError(
            "IncorrectState", f"There is an existing association for instance {one.instance_id}"
        )
    one.profile = str(given.get("Name") or str(given.get("Arn", "")).rpartition("/")[2])
    request.estate.changed()
    return {"IamInstanceProfileAssociation": _shape(one, "associating")}


async def disassociate(request: Request) -> Answer:
    """DisassociateIamInstanceProfile."""
    wanted = request.params["AssociationId"]
    for one in request.estate.instances.values():
        if one.profile and _association(one) == wanted:
            answer = {"IamInstanceProfileAssociation": _shape(one, "disassociating")}
            one.profile = None
            request.estate.changed()
            return answer
    raise AwsError(
        "InvalidAssociationID.NotFound", f"An invalid association-id of '{wanted}' was given"
    )


def _association(one: Instance) -> str:
    return "iip-assoc-" + one.instance_id.removeprefix("i-")


def _shape(one: Instance, state: str) -> Params:
    return {
        "AssociationId": _association(one),
        "InstanceId": one.instance_id,
        "IamInstanceProfile": views.profile(one),
        "State": state,
    }


ACTIONS: dict[str, Action] = {
    "AssociateIamInstanceProfile": associate,
    "DescribeIamInstanceProfileAssociations": describe_associations,
    "DisassociateIamInstanceProfile": disassociate,
}
