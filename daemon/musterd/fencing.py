"""Wanted fencing -> the pcs commands that configure it, each value with its reason.

One stonith device fences every member: `pcmk_host_map` tells it which instance a node name is.
Defaults are those that vendors publish for EC2 (Red Hat's and AWS's guides), because a fence
there is StopInstances, which takes minutes when an operating system hangs. `[fencing.options]`
overrides any of them; an empty value takes the default away. Which of them an agent takes is read
from its metadata. Credentials are never configured: the agent uses the instance's role, or the
keys in root's own file where an administrator put some.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from musterd.model import Finding, Instance, InstanceState, Member, PcsCommand, Severity
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
AWS_AGENT = "fence_aws"
# Options of every stonith device, whatever its agent: Pacemaker's own (pacemaker-fenced(7)).
_OF_PACEMAKER = re.compile(r"pcmk_[a-z0-9_]+|priority|provides|stonith-timeout")
_MAPS = frozenset({"pcmk_host_map", "pcmk_host_list", "pcmk_host_check"})
_DEAD = {InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED}


@dataclass(frozen=True)
class Setting:
    """One value and why it is so."""

    name: str
    value: str
    why: str


def plan(
    spec: Spec, members: Iterable[Member], region: str, parameters: Collection[str]
) -> tuple[PcsCommand, ...]:
    """Return the commands: cluster options, resource defaults, the stonith device.

    Args:
        spec: the wanted cluster.
        members: all of the cluster's nodes.
        region: of the instances, such as `eu-west-1`.
        parameters: what the agent's metadata lists.
    """
    nodes = tuple(members)
    properties = cluster_options(spec, len(nodes))
    defaults = resource_defaults(len(nodes))
    options = device_options(spec, nodes, region, parameters)
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
    if any(resource.mounts_gfs2 for resource in spec.resource):
        settings.append(
            Setting(
                "no-quorum-policy",
                "freeze",
                "GFS2: without quorum nothing mounted on it can be stopped, so nothing is tried",
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


def device_options(
    spec: Spec, members: tuple[Member, ...], region: str, parameters: Collection[str]
) -> tuple[Setting, ...]:
    """Return the stonith device's options, `[fencing.options]` applied."""
    settings = [*_targets(spec, members)]
    settings += [
        Setting("pcmk_reboot_timeout", "480", "EC2 can take minutes to stop a hung system"),
        Setting("pcmk_reboot_retries", "4", "the API may throttle or fail for a moment"),
    ]
    if spec.fencing.agent == AWS_AGENT:
        own = (
            Setting(
                "power_timeout", "240", "how long the agent itself waits for stopped and running"
            ),
            Setting("region", region, "the agent does not ask IMDS for it"),
            *_filter(spec),
            Setting(
                "skip_os_shutdown", "true", "a hung system is not waited for before it is stopped"
            ),
        )
        settings += [setting for setting in own if setting.name in parameters]
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


def agent_input(spec: Spec, region: str) -> dict[str, str]:
    """Return what the agent itself reads when it is asked directly, as Pacemaker would ask it.

    Options that its metadata does not list are left out of the device; here they do no harm.
    """
    given = _override(
        [Setting("region", region, "")] if spec.fencing.agent == AWS_AGENT else [],
        {
            name: value
            for name, value in spec.fencing.options.items()
            if name not in CLUSTER_OPTIONS and not _OF_PACEMAKER.fullmatch(name)
        },
    )
    return {setting.name: setting.value for setting in given}


def plug(spec: Spec, member: Member) -> str:
    """Return what the agent calls a member."""
    given = host_map(scalar(spec.fencing.options.get("pcmk_host_map", ""))) or {}
    own = member.instance_id if spec.fencing.agent == AWS_AGENT else member.name
    return given.get(member.name, own)


def rules(spec: Spec, size: int) -> tuple[Setting, ...]:
    """Return what the size of the cluster alone decides, each with its reason, for people."""
    names = {"priority-fencing-delay", "priority", "pcmk_delay_max"}
    chosen = [
        setting
        for setting in (
            *cluster_options(spec, size),
            *resource_defaults(size),
            *device_options(spec, tuple(Member("", "", "") for _ in range(size)), "", ()),
        )
        if setting.name in names
    ]
    if size == 2:
        why = "two nodes: both must have met once, or one alone would fence the other at each boot"
        chosen.append(Setting("wait_for_all", "1", why))
    return tuple(chosen)


def fingerprint(spec: Spec, members: Iterable[Member]) -> str:
    """Return what a proof of fencing is good for: the agent, its options, the map."""
    words = [spec.fencing.agent]
    # Sorted: members that came later may be in another order on each node.
    words += sorted(f"{member.name}:{member.instance_id}" for member in members)
    words += [f"{name}={value}" for name, value in sorted(spec.fencing.options.items())]
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]


def host_map(text: str) -> dict[str, str] | None:
    """Read a `pcmk_host_map` (pacemaker-fenced(7)); None when it is none, or names a node twice."""
    found: dict[str, str] = {}
    for pair in re.split(r"[;\s]+", text.strip(" ;")):
        name, separator, port = pair.partition(":")
        if not (name and separator and port) or name in found:
            return None
        found[name] = port
    return found


def wrong_map(told: Mapping[str, str] | None, members: Iterable[Member]) -> Iterator[str]:
    """Say in words what is wrong with a map from node names to instances."""
    if told is None:
        yield "it is not a list of NAME:INSTANCE pairs, each node once"
        return
    wanted = {member.name: member.instance_id for member in members}
    for name, instance_id in wanted.items():
        if name not in told:
            yield f"it leaves out {name}"
        elif told[name] != instance_id:
            yield f"it says {name} is {told[name]}, which is {instance_id}"
    for name in told.keys() - wanted.keys():
        yield f"it names {name}, which is no member"


def mistaken(members: Iterable[Member], instances: Iterable[Instance]) -> Iterator[str]:
    """Say in words where the members are not the instances that EC2 tells of.

    A fence goes by the instance id: swapped ids would stop the wrong machine.
    """
    listed = {one.instance_id: one for one in instances}
    for member in members:
        one = listed.get(member.instance_id)
        if one is None:
            yield f"EC2 knows no instance {member.instance_id} ({member.name})"
        elif one.state in _DEAD:
            yield f"{member.name} ({member.instance_id}) is {one.state}"
        elif member.address not in {one.address, *one.addresses}:
            yield (
                f"{member.name} is said to be {member.instance_id} at {member.address}, but EC2"
                f" has that instance at {one.address}"
            )


def refusals(
    spec: Spec, members: Iterable[Member] = (), parameters: Collection[str] | None = None
) -> tuple[Finding, ...]:
    """Return what `[fencing.options]` must not say.

    Args:
        spec: the wanted cluster.
        members: of the cluster; none before they are known.
        parameters: what the agent's metadata lists, None before it was read.
    """
    where, options, nodes = "[fencing.options]", spec.fencing.options, tuple(members)
    found = list(unusable(where, options))
    given = options.get("pcmk_host_map", "")
    if nodes and given and spec.fencing.agent == AWS_AGENT:
        found += [
            Finding(
                Severity.ERROR,
                f"{where} pcmk_host_map would fence wrongly: {wrong}",
                "leave pcmk_host_map out: muster writes it from what EC2 tells",
            )
            for wrong in wrong_map(host_map(scalar(given)), nodes)
        ]
    for name in options if parameters is not None else ():
        known = name in CLUSTER_OPTIONS or _OF_PACEMAKER.fullmatch(name)
        if not known and name not in (parameters or ()):
            found.append(
                Finding(
                    Severity.ERROR,
                    f"{where} has {name}, which {spec.fencing.agent} on this node does not take",
                    f"use the names that `pcs stonith describe {spec.fencing.agent}` prints",
                )
            )
    return tuple(found)


def _targets(spec: Spec, members: tuple[Member, ...]) -> Iterator[Setting]:
    """Tell the device whom it can fence; another agent's plugs only the spec can know."""
    if spec.fencing.agent == AWS_AGENT:
        pairs = ";".join(f"{member.name}:{member.instance_id}" for member in members)
        yield Setting("pcmk_host_map", pairs, "which instance each node is")
    elif not _MAPS & spec.fencing.options.keys():
        names = " ".join(member.name for member in members)
        yield Setting("pcmk_host_list", names, "it fences every member, by its name")


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
