"""The EC2 endpoint: from a signed form to an answer in XML, faults and the call log in between."""

from collections.abc import Mapping

from .actions_elastic import ACTIONS as ELASTIC_ACTIONS
from .actions_groups import ACTIONS as GROUP_ACTIONS
from .actions_images import ACTIONS as IMAGE_ACTIONS
from .actions_instances import ACTIONS as INSTANCE_ACTIONS
from .actions_interfaces import ACTIONS as INTERFACE_ACTIONS
from .actions_network import ACTIONS as NETWORK_ACTIONS
from .actions_placement import ACTIONS as PLACEMENT_ACTIONS
from .actions_profiles import ACTIONS as PROFILE_ACTIONS
from .actions_tags import ACTIONS as TAG_ACTIONS
from .actions_volumes import ACTIONS as VOLUME_ACTIONS
from .credentials import Caller
from .errors import AwsError
from .estate import Estate
from .faults import Effect
from .lifecycle import Lifecycle
from .permissions import Permissions
from .query import Params, parse, render, service_model
from .request import Action, Request
from .services import Services

ACTIONS: Mapping[str, Action] = {
    **INSTANCE_ACTIONS,
    **INTERFACE_ACTIONS,
    **ELASTIC_ACTIONS,
    **NETWORK_ACTIONS,
    **IMAGE_ACTIONS,
    **PLACEMENT_ACTIONS,
    **GROUP_ACTIONS,
    **PROFILE_ACTIONS,
    **TAG_ACTIONS,
    **VOLUME_ACTIONS,
}


class Ec2:
    """EC2's actions over one estate.

    Args:
        estate: what there is.
        lifecycle: moves instances.
        permissions: who may do what.
        services: S3 and IAM, which imports ask.
    """

    def __init__(
        self,
        estate: Estate,
        lifecycle: Lifecycle,
        permissions: Permissions,
        services: Services,
    ) -> None:
        self._services = services
        self._permissions = permissions
        self._estate = estate
        self._lifecycle = lifecycle

    async def answer(
        self, action: str, form: Mapping[str, str], caller: Caller, effect: Effect
    ) -> bytes:
        """Do one action.

        Raises:
            AwsError: it is refused; a dry run always is, with `DryRunOperation` if it would do.
        """
        params = parse(action, form)
        handle = ACTIONS.get(action)
        if handle is None:
            raise AwsError("UnsupportedOperation", f"{action} is not part of the lab's region", 400)
        self._permissions.check_ec2(caller, action, params)
        if params.get("DryRun", False):
            self._rehearse(params)
        seen = self._estate
        if effect.lag:
            seen = seen.as_of(effect.lag)
        if effect.omit:
            seen = seen.without(effect.omit)
        request = Request(
            action, params, caller, self._estate, seen, self._lifecycle, self._services
        )
        return render(action, await handle(request))

    def _rehearse(self, params: Params) -> None:
        for instance_id in params.get("InstanceIds", []):
            self._estate.instance(instance_id)
        raise AwsError(
            "DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412
        )


def subject(form: Mapping[str, str]) -> str:
    """What a call is about, for the log: ids and addresses, no user data and no tags."""
    told = ("Id", "Address", "Force", "DryRun", "PublicIp", "DestinationCidrBlock")
    return " ".join(
        f"{key}={value}"
        for key, value in form.items()
        if any(key.partition(".")[0].endswith(word) for word in told)
    )


def warm_up() -> None:
    """Load the service model, so that the first call is not the slow one."""
    service_model()
