"""Which resources a call names, and whether the caller's role may touch them.

Which resources each action is checked against follows the service authorization reference for EC2
and Secrets Manager. The administrator, and roles without a policy, may do everything.
"""

import json
from collections.abc import Iterator

from . import launching
from .credentials import Caller
from .errors import AwsError
from .estate import Estate
from .model import ACCOUNT, ElasticAddress
from .policy import EVERYTHING, Context, Policy, Resource
from .query import Params

# What is made, as tag specifications and ARNs call it.
_MADE = {"AllocateAddress": "elastic-ip", "CreateVolume": "volume"}


class Permissions:
    """The policies of roles.

    Args:
        estate: whose resources they are about.
    """

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._policies: dict[str, Policy] = {}

    def set(self, role: str, policy: Policy | None) -> None:
        """Put a role under a policy, or under none."""
        if policy is None:
            self._policies.pop(role, None)
        else:
            self._policies[role] = policy

    def check_ec2(self, caller: Caller, action: str, params: Params) -> None:
        """Refuse an EC2 call that the caller's role may not make.

        Raises:
            AwsError: UnauthorizedOperation.
        """
        policy = self._policies.get(caller.role or "")
        if policy is None:
            return
        resources = list(self._ec2_resources(action, params)) or [EVERYTHING]
        context = self._context(caller)
        kind = _MADE.get(action)
        tags = launching.tag_specification(params, kind) if kind else {}
        made = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
        allowed = policy.allows(f"ec2:{action}", resources, {**context, **made})
        if allowed and tags:  # whoever tags what it makes needs CreateTags as well
            tagging = {**context, **made, "ec2:CreateAction": action}
            allowed = policy.allows("ec2:CreateTags", resources, tagging)
        if not allowed:
            raise AwsError(
                "UnauthorizedOperation",
                f"You are not authorized to perform this operation. User: {caller.role}/"
                f"{caller.name} is not authorized to perform: ec2:{action} on resource:"
                f" {' '.join(resource.arn for resource in resources)}",
                403,
            )

    def check_secret(self, caller: Caller, action: str, body: bytes) -> None:
        """Refuse a Secrets Manager call that the caller's role may not make.

        Raises:
            AwsError: AccessDeniedException.
        """
        policy = self._policies.get(caller.role or "")
        if policy is None:
            return
        try:
            asked = json.loads(body or b"{}")
        except ValueError as error:
            raise AwsError("SerializationException", "The body is no JSON") from error
        name = asked.get("SecretId") or asked.get("Name")
        resource = EVERYTHING
        if name is not None:
            # A secret's ARN ends in six characters that its name does not tell.
            named = f"{self._arn('secret', 'secretsmanager')}:{name}-AbCdEf"
            resource = Resource(name if name.startswith("arn:") else named, {})
        if not policy.allows(f"secretsmanager:{action}", [resource], self._context(caller)):
            raise AwsError(
                "AccessDeniedException",
                f"User: {caller.role}/{caller.name} is not authorized to perform:"
                f" secretsmanager:{action} on resource: {resource.arn}",
            )

    def _context(self, caller: Caller) -> Context:
        return {
            "aws:RequestedRegion": self._estate.region,
            "aws:PrincipalAccount": ACCOUNT,
            "ec2:RoleDelivery": caller.delivery,
            "ec2:SourceInstanceARN": f"{self._arn('instance')}/{caller.name}",
        }

    def _arn(self, kind: str, service: str = "ec2") -> str:
        return f"arn:aws:{service}:{self._estate.region}:{ACCOUNT}:{kind}"

    def _ec2_resources(self, action: str, params: Params) -> Iterator[Resource]:
        """The resources that a call changes; reads name none, whatever ids they carry."""
        if action.startswith("Describe"):
            return
        if action in _MADE:
            yield Resource(f"{self._arn(_MADE[action])}/*", {})
            return
        instance_ids = [*params.get("InstanceIds", [])]
        if "InstanceId" in params:
            instance_ids.append(params["InstanceId"])
        for resource_id in [*instance_ids, *params.get("Resources", [])]:
            yield self._any(resource_id)
        if "NetworkInterfaceId" in params:
            yield self._interface(params["NetworkInterfaceId"])
        for elastic in self._elastic(params):
            yield Resource(f"{self._arn('elastic-ip')}/{elastic.allocation_id}", elastic.tags)
            if action == "DisassociateAddress" and elastic.interface_id is not None:
                yield self._interface(elastic.interface_id)
        if "RouteTableId" in params:
            table = self._estate.route_table
            yield Resource(f"{self._arn('route-table')}/{params['RouteTableId']}", table.tags)
        if "VolumeId" in params:
            volume = self._estate.volumes.get(params["VolumeId"])
            tags = volume.tags if volume else {}
            yield Resource(f"{self._arn('volume')}/{params['VolumeId']}", tags)

    def _any(self, resource_id: str) -> Resource:
        """An instance, or whatever else a tag may be put on."""
        if resource_id.startswith("eni-"):
            return self._interface(resource_id)
        if resource_id in self._estate.elastic:
            tags = self._estate.elastic[resource_id].tags
            return Resource(f"{self._arn('elastic-ip')}/{resource_id}", tags)
        known = self._estate.instances.get(resource_id)
        return Resource(f"{self._arn('instance')}/{resource_id}", known.tags if known else {})

    def _interface(self, interface_id: str) -> Resource:
        tags = {i.interface_id: i.tags for _, i in self._estate.interfaces()}
        return Resource(
            f"{self._arn('network-interface')}/{interface_id}", tags.get(interface_id, {})
        )

    def _elastic(self, params: Params) -> list[ElasticAddress]:
        wanted = (params.get("AllocationId"), params.get("AssociationId"), params.get("PublicIp"))
        return [
            one
            for one in self._estate.elastic.values()
            if (one.allocation_id == wanted[0])
            or (one.association_id is not None and one.association_id == wanted[1])
            or (str(one.public) == wanted[2])
        ]
