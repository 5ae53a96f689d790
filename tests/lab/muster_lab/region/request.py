"""What an EC2 action is given, and what all action tables share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from .credentials import Caller
from .estate import Estate
from .lifecycle import Lifecycle
from .query import Answer, Params
from .services import Services


@dataclass(frozen=True)
class Request:
    """One call, parsed and past its faults.

    Attributes:
        action: such as `StopInstances`.
        params: parameters with boto3's names and types.
        caller: who signed it.
        estate: the region as it is: what changes go to.
        seen: the region as a read may see it (late or incomplete when a fault says so).
        lifecycle: moves instances.
        services: what EC2 itself asks of S3 and IAM.
    """

    action: str
    params: Params
    caller: Caller
    estate: Estate
    seen: Estate
    lifecycle: Lifecycle
    services: Services


Action = Callable[[Request], Awaitable[Answer]]
