"""Wanted fencing -> the pcs commands that configure it, each value with its reason.

One stonith device fences every member: `pcmk_host_map` tells it which instance a node name is.
Defaults are those that vendors publish for EC2 (Red Hat's and AWS's guides), because a fence
there is StopInstances, which takes minutes when an operating system hangs. `[fencing.options]`
overrides any of them; an empty value takes the default away. Credentials are never configured:
the agent uses the instance's role.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from musterd.model import Finding, Member, PcsCommand
from musterd.pcs_words import fence_device, scalar, unusable
from musterd.spec import DiscoverySource, Scalar, Spec

# `[fencing.options]` may name these too: they are cluster options, not the device's
# (pacemaker-controld(7), pacemaker-schedulerd(7)).
CLUSTER_OPTIONS = frozenset(
    {
        "concurrent-fencing",
        "fence-reaction",
        "priority-fencing-delay",
        "stonith-action",
        "stonith-max-attempts",
        "stonith-timeout",
    }
)
# Seconds. Guides say 10 to 45; fence_aws asks EC2 for its own state before it stops a peer, so the
# delay need only outlast the time in which EC2 tells everybody that an instance is stopping.
_TWO_NODE_DELAY = 5


@dataclass(frozen=True)
class Setting:
    """One value and why it is so."""

    name: str
    value: str
    why: str


def plan(spec: Spec, members: Iterable[Member], region: str) -> tuple[PcsCommand, ...]:
    """Return the commands: cluster options, resource defaults, the stonith device.

    Args:
        spec: the wanted cluster.
        members: all of the cluster's nodes.
        region: of the instances, such as `eu-west-1`.
    """
    nodes = tuple(members)
    properties = cluster_options(spec, len(nodes))
    defaults = resource_defaults(len(nodes))
    options = device_options(spec, nodes, region)
    return (
        PcsCommand(("property", "set", *_pairs(properties)), _reasons(properties)),
        PcsCommand(("resource", "defaults", "update", *_pairs(defaults)), _reasons(defaults)),
        PcsCommand(
            (
                *("stonith", "create", fence_device(spec), spec.fencing.agent, *_pairs(options)),
                *("op", "start", "timeout=60s", "monitor", "interval=300s", "timeout=60s"),
            ),
            f"{_reasons(options)}; operations: the agent loads the AWS library and asks the API,"
            " which the usual 20 s do not always cover, and every check costs API quota",
        ),
    )


def cluster_options(spec: Spec, size: int) -> tuple[Setting, ...]:
    """Return the cluster options; the two-node rules are part of them."""
    settings = [
        Setting("dc-deadtime", "", "the founding's short wait for other members ends here"),
        Setting(
            "stonith-timeout",
            "600s",
            "longer than pcmk_reboot_timeout, or Pacemaker gives up first",
        ),
    ]
    if size == 2:
        longest = _seconds(spec.fencing.options.get("pcmk_delay_max", _TWO_NODE_DELAY))
        settings.append(
            Setting(
                "priority-fencing-delay",
                f"{2 * longest}s",
                "two nodes: the one that runs the resources wins a fence race; twice"
                " pcmk_delay_max, or chance could outweigh it",
            )
        )
    given = {k: v for k, v in spec.fencing.options.items() if k in CLUSTER_OPTIONS}
    return _override(settings, given)


def resource_defaults(size: int) -> tuple[Setting, ...]:
    """Return the defaults of every resource's meta attributes."""
    settings = [
        Setting("resource-stickiness", "100", "a repaired node does not pull resources back"),
        Setting("migration-threshold", "3", "after three failures on a node, try another"),
    ]
    if size == 2:
        settings.append(
            Setting("priority", "1", "two nodes: priority-fencing-delay weighs resources by it")
        )
    return tuple(settings)


def device_options(spec: Spec, members: tuple[Member, ...], region: str) -> tuple[Setting, ...]:
    """Return the stonith device's options, `[fencing.options]` applied."""
    host_map = ";".join(f"{member.name}:{member.instance_id}" for member in members)
    settings = [
        Setting("pcmk_host_map", host_map, "which instance each node is"),
        Setting("pcmk_reboot_timeout", "480", "EC2 can take minutes to stop a hung system"),
        Setting("pcmk_reboot_retries", "4", "the API may throttle or fail for a moment"),
        Setting("power_timeout", "240", "how long the agent itself waits for stopped and running"),
    ]
    if spec.fencing.agent == "fence_aws":
        settings.append(Setting("region", region, "the agent does not ask IMDS for it"))
        settings.extend(_filter(spec))
    if len(members) == 2:
        settings.append(
            Setting(
                "pcmk_delay_max",
                str(_TWO_NODE_DELAY),
                "two nodes: a random delay, so that both never fence each other at once",
            )
        )
    given = {k: v for k, v in spec.fencing.options.items() if k not in CLUSTER_OPTIONS}
    return _override(settings, given)


def refusals(spec: Spec) -> tuple[Finding, ...]:
    """Return what `[fencing.options]` must not say."""
    return unusable("[fencing.options]", spec.fencing.options)


def _filter(spec: Spec) -> tuple[Setting, ...]:
    """Keep the agent's `list`, which its monitor is, from reading the whole region.

    The agent splits `filter` at every `=` (fence_aws, get_nodes_list), so a tag key that contains
    one cannot be used.
    """
    tag = spec.discovery.tag
    if spec.discovery.source is not DiscoverySource.EC2_TAGS or "=" in tag:
        return ()
    why = "the monitor lists this cluster's instances, not the region's"
    return (Setting("filter", f"tag:{tag}={spec.cluster.name}", why),)


def _override(settings: Iterable[Setting], given: Mapping[str, Scalar]) -> tuple[Setting, ...]:
    """Replace, take away (empty value) or add what the spec gives."""
    kept = [setting for setting in settings if setting.name not in given]
    added = [
        Setting(name, scalar(value), "as [fencing.options] says")
        for name, value in given.items()
        if value != ""
    ]
    return (*kept, *added)


def _pairs(settings: Iterable[Setting]) -> tuple[str, ...]:
    return tuple(f"{setting.name}={setting.value}" for setting in settings)


def _reasons(settings: Iterable[Setting]) -> str:
    return "; ".join(f"{setting.name}: {setting.why}" for setting in settings)


def _seconds(value: Scalar) -> int:
    """Return a Pacemaker duration in seconds; one in other words counts as our default."""
    match = re.fullmatch(r"(\d{1,5})\s*(?:s|sec)?", scalar(value))
    return int(match[1]) if match else _TWO_NODE_DELAY
