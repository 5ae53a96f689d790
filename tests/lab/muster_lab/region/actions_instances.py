"""EC2 actions on instances: launch, describe, stop, start, reboot, terminate."""

from collections.abc import Callable
from functools import partial
from itertools import groupby
from typing import Any

from . import launching, views
from .errors import AwsError
from .estate import Estate
from .filters import Values, keep, page
from .lifecycle import check
from .model import ACCOUNT, Instance, State
from .query import Answer
from .request import Action, Request


async def run_instances(request: Request) -> Answer:
    """RunInstances: idempotent by client token."""
    made, new = request.estate.launch(launching.read(request.params))
    if new:
        request.lifecycle.launch(made)
    return _reservation(request.estate, made)


async def describe_instances(request: Request) -> Answer:
    """DescribeInstances: named ids must exist; terminated ones stay listed."""
    params, estate = request.params, request.seen
    named = params.get("InstanceIds", [])
    if named and "MaxResults" in params:
        raise AwsError(
            "InvalidParameterCombination",
            "The parameter instancesSet cannot be used with the parameter maxResults",
        )
    chosen = _named(estate, named)
    chosen = keep(chosen, params.get("Filters", []), _fields(estate), lambda one: one.tags)
    chosen, rest = page(chosen, params)
    grouped = groupby(chosen, key=lambda one: one.reservation_id)
    answer: Answer = {"Reservations": [_reservation(estate, list(group)) for _, group in grouped]}
    if rest is not None:
        answer["NextToken"] = rest
    return answer


async def describe_instance_status(request: Request) -> Answer:
    """DescribeInstanceStatus: running instances only, unless all are asked for."""
    params, estate = request.params, request.seen
    chosen = _named(estate, params.get("InstanceIds", []))
    if not params.get("IncludeAllInstances", False):
        chosen = [one for one in chosen if one.state is State.RUNNING]
    chosen = keep(chosen, params.get("Filters", []), _fields(estate), lambda one: one.tags)
    chosen, rest = page(chosen, params)
    answer: Answer = {"InstanceStatuses": [_status(one) for one in chosen]}
    if rest is not None:
        answer["NextToken"] = rest
    return answer


async def stop_instances(request: Request) -> Answer:
    """StopInstances: SkipOsShutdown is Force's effect at once, which Force has here anyway."""
    params = request.params
    force = bool(params.get("Force", False) or params.get("SkipOsShutdown", False))
    changes = _change(request, "stopped", partial(request.lifecycle.stop, force=force))
    return {"StoppingInstances": changes}


async def start_instances(request: Request) -> Answer:
    """StartInstances."""
    return {"StartingInstances": _change(request, "started", request.lifecycle.start)}


async def reboot_instances(request: Request) -> Answer:
    """RebootInstances: the answer says only that it was accepted."""
    _change(request, "rebooted", request.lifecycle.reboot)
    return {}


async def terminate_instances(request: Request) -> Answer:
    """TerminateInstances."""
    changes = _change(request, "terminated", request.lifecycle.terminate)
    return {"TerminatingInstances": changes}


async def get_console_output(request: Request) -> Answer:
    """GetConsoleOutput: nothing, as of an instance whose kernel has no serial console."""
    return {"InstanceId": request.estate.instance(request.params["InstanceId"]).instance_id}


def _change(request: Request, change: str, act: Callable[[Instance], None]) -> list[views.Shape]:
    """Do it to all named instances or, when one cannot be changed so, to none."""
    instances = [request.estate.instance(i) for i in request.params["InstanceIds"]]
    for one in instances:
        check(one, change)
    before = [one.state for one in instances]
    for one in instances:
        act(one)
    return [views.state_change(one, was) for one, was in zip(instances, before, strict=True)]


def _named(estate: Estate, instance_ids: list[str]) -> list[Instance]:
    if not instance_ids:
        return list(estate.instances.values())
    unknown = [i for i in instance_ids if i.startswith("i-") and i not in estate.instances]
    if len(unknown) > 1:
        raise AwsError(
            "InvalidInstanceID.NotFound",
            f"The instance IDs '{', '.join(unknown)}' do not exist",
        )
    wanted = {estate.instance(i).instance_id for i in instance_ids}
    return [one for one in estate.instances.values() if one.instance_id in wanted]


def _reservation(estate: Estate, instances: list[Instance]) -> Answer:
    return {
        "ReservationId": instances[0].reservation_id,
        "OwnerId": ACCOUNT,
        "Groups": [],
        "Instances": [views.instance(estate, one) for one in instances],
    }


def _status(one: Instance) -> views.Shape:
    passed = "ok" if one.state is State.RUNNING else "not-applicable"
    detail = [{"Name": "reachability", "Status": "passed"}] if passed == "ok" else []
    return {
        "InstanceId": one.instance_id,
        "AvailabilityZone": one.zone,
        "InstanceState": views.state(one.state),
        "InstanceStatus": {"Status": passed, "Details": detail},
        "SystemStatus": {"Status": passed, "Details": detail},
    }


def _fields(estate: Estate) -> dict[str, Values[Instance]]:
    """What the filters of DescribeInstances look at."""

    def network(one: Instance, value: Callable[[Any], list[object]]) -> list[object]:
        return [] if one.interface is None else value(one.interface)

    return {
        "availability-zone": lambda one: [one.zone],
        "client-token": lambda one: [one.client_token or ""],
        "dns-name": lambda one: [views.instance(estate, one)["PublicDnsName"]],
        "iam-instance-profile.arn": lambda one: [views.profile(one)["Arn"]] if one.profile else [],
        "image-id": lambda one: [one.image.image_id],
        "instance-id": lambda one: [one.instance_id],
        "instance-state-code": lambda one: [one.state.code],
        "instance-state-name": lambda one: [one.state.value],
        "instance-type": lambda one: [one.instance_type],
        "ip-address": lambda one: [views.instance(estate, one).get("PublicIpAddress", "")],
        "network-interface.addresses.private-ip-address": lambda one: network(
            one, lambda interface: list(interface.addresses)
        ),
        "network-interface.network-interface-id": lambda one: network(
            one, lambda interface: [interface.interface_id]
        ),
        "network-interface.subnet-id": lambda one: network(
            one, lambda interface: [interface.subnet_id]
        ),
        "owner-id": lambda _: [ACCOUNT],
        "private-dns-name": lambda one: network(one, lambda _: [one.private_dns]),
        "private-ip-address": lambda one: network(one, lambda interface: [interface.primary]),
        "reservation-id": lambda one: [one.reservation_id],
        "subnet-id": lambda one: network(one, lambda interface: [interface.subnet_id]),
        "vpc-id": lambda one: network(one, lambda _: [estate.vpc_id]),
    }


ACTIONS: dict[str, Action] = {
    "DescribeInstanceStatus": describe_instance_status,
    "DescribeInstances": describe_instances,
    "GetConsoleOutput": get_console_output,
    "RebootInstances": reboot_instances,
    "RunInstances": run_instances,
    "StartInstances": start_instances,
    "StopInstances": stop_instances,
    "TerminateInstances": terminate_instances,
}
