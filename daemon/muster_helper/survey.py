"""`survey`: what this node is, holds and lacks. Reads files; never runs pcs, which takes 0.5 s."""

import re

from muster_helper import (
    agents,
    aws_profile,
    cib,
    corosync_conf,
    firewall,
    live,
    requirements,
    restart,
    systemd,
)
from muster_helper.build import is_built
from muster_helper.host import Host
from muster_helper.look import Look, look
from muster_helper.offer import offered
from muster_helper.probe import map_faults, members_of
from muster_helper.trust import trusted
from musterd import fencing, suitability
from musterd.errors import HelperError, NoClusterError, SettingsError
from musterd.fencing import AWS_AGENT
from musterd.helper_wire import Identity, SurveyParams
from musterd.model import CorosyncConfig, Member, NodeFacts
from musterd.pcs_words import fence_device
from musterd.settings import Settings
from musterd.spec import INSTANCE_ID, Spec

_VERSION_TIMEOUT = 10.0  # seconds; each takes about 10 ms


def survey(host: Host, params: SurveyParams) -> NodeFacts:
    """Look at this node; with an identity, compare against it."""
    found = look(host, params.identity)
    ours = found.kind is CorosyncConfig.OURS and params.identity is not None
    host.reach("survey:middle")
    settings, complaint = _settings(host, params)
    missing = requirements.missing(host.paths, settings.spec if settings else None)
    unsuitable = () if missing or settings is None else _unsuitable(host, settings.spec)
    left = unprepared(host, found)
    members, lingering = _members(host, params.identity, found, settings) if ours else ((), ())
    return NodeFacts(
        instance_id=_instance_id(host, params),
        name=host.name,
        versions=_versions(host),
        missing=(*missing, *complaint, *unsuitable),
        corosync=found.kind,
        corosync_detail=found.verdict.detail,
        corosync_digest=found.corosync_digest,
        keys_digest=found.keys_digest,
        cib=found.foreign_cib,
        prepared=not left,
        laid=ours and bool(found.keys_digest),
        trusted=params.identity is not None and trusted(host, params.identity),
        enabled=found.enabled,
        running=found.running,
        built=params.identity is not None
        and settings is not None
        and is_built(host, params.identity, settings.digest),
        boot_id=_boot_id(host),
        map_faults=_map_faults(host, params.identity, settings.spec)
        if ours and found.running and params.identity is not None and settings is not None
        else (),
        unprepared=left,
        offered=params.identity is not None and offered(host, params.identity),
        members=members,
        lingering=lingering if settings and settings.spec.fencing.agent == AWS_AGENT else (),
        start_owed=restart.owed(host),
    )


def _members(
    host: Host, identity: Identity | None, found: Look, settings: Settings | None
) -> tuple[tuple[Member, ...], tuple[str, ...]]:
    """Return who corosync.conf lists, and the instances that only the fencing device's map knows.

    That map is what a quorum has agreed on: it says which instance a name is; what the daemon says
    fills its gaps.
    """
    conf = host.read(host.paths.corosync_conf)
    if conf is None or identity is None or settings is None or not found.running:
        return (), ()
    ids = {member.name: member.instance_id for member in identity.members}
    try:
        mapped = live.host_map(cib.live(host, local=True), fence_device(settings.spec))
    except HelperError:
        return (), ()  # Pacemaker is on its way up or down: nothing to go by
    listed = dict(corosync_conf.nodes(corosync_conf.parse(conf)))
    members = (Member((ids | mapped).get(name, ""), name, at) for name, at in listed.items())
    return tuple(members), tuple(mapped[name] for name in mapped if name not in listed)


def unprepared(host: Host, found: Look) -> tuple[str, ...]:
    """Say what `prepare` would find to do; nothing when the node is ready for a cluster."""
    units, left = found.units, []
    if found.kind is CorosyncConfig.STUB:
        left.append("the distribution's one-node cluster is to be cleared")
    if not (units[systemd.PCSD].running and units[systemd.PCSD].enabled):
        left.append("pcsd does not run, or does not start at boot")
    if any(units[name].enabled or units[name].running for name in systemd.CLOUD_SETUP):
        left.append("nm-cloud-setup is on: it removes floating addresses from the interface")
    if units[systemd.FIREWALLD].running and not firewall.ready(host):
        left.append("firewalld does not admit the cluster's traffic")
    try:
        if not aws_profile.region(host):
            left.append(f"{host.paths.aws_config} names no region for the AWS agents")
    except HelperError as refused:  # prepare refuses too, with the reason
        left.append(refused.sentence)
    return tuple(left)


def _unsuitable(host: Host, spec: Spec) -> tuple[str, ...]:
    """Say what of the spec the agents on this node do not take.

    Asked here, as root, because here their answers are kept: a fence agent's library alone would
    fill a quarter of the daemon's memory. Pacemaker will run the same files as root.
    """
    known: dict[str, suitability.Metadata] = {}
    device = spec.fencing
    found = list(fencing.refusals(spec))
    try:
        for resource in spec.resource:
            metadata = agents.of_resource(host, resource.agent)
            if metadata is not None:
                known[resource.agent] = metadata
        # Its own defaults suit the agent: nothing to ask while nobody changed them.
        if not found and (device.options or device.agent != fencing.AWS_AGENT):
            fence = agents.fence_agent(host, device.agent)
            found += fencing.refusals(spec, (), fence.parameters)
            found += suitability.unfilled(device.agent, device.options, fence.required)
    except HelperError as failed:
        return (f"{failed.sentence}: {failed.cure}",)
    found += suitability.refusals(spec, known)
    return tuple(f"{finding.what}: {finding.cure}" for finding in found)


def _map_faults(host: Host, identity: Identity, spec: Spec) -> tuple[str, ...]:
    """Say what is wrong with the running stonith device's map; nothing while none can be seen."""
    try:
        return map_faults(host, spec, members_of(identity))
    except HelperError:
        return ()  # Pacemaker is on its way up or down


def _boot_id(host: Host) -> str:
    """Return what names this boot: the kernel's word (random(4)), and when systemd started.

    Containers share one kernel, and so may share its word.
    """
    word = (host.read(host.paths.below("/proc/sys/kernel/random/boot_id")) or "").strip()
    return f"{word}/{systemd.started(host.run)}"


def _settings(host: Host, params: SurveyParams) -> tuple[Settings | None, tuple[str, ...]]:
    """Return the spec as root reads it, or why it cannot be read."""
    try:
        return host.settings(params.tags), ()
    except NoClusterError:
        return None, ()  # a node without a wish lacks nothing
    except SettingsError as unusable:
        return None, (f"a spec that can be used: {unusable}",)


def _instance_id(host: Host, params: SurveyParams) -> str:
    """Return this instance's id without asking IMDS, "" when the machine does not say.

    On Nitro the board's asset tag is the instance id; cloud-init keeps it in a file.
    """
    for path in (
        "/sys/devices/virtual/dmi/id/board_asset_tag",
        "/var/lib/cloud/data/instance-id",
    ):
        text = (host.read(host.paths.below(path)) or "").strip()
        if re.fullmatch(INSTANCE_ID, text):
            return text
    members = params.identity.members if params.identity is not None else ()
    return next((member.instance_id for member in members if member.name == host.name), "")


def _versions(host: Host) -> dict[str, str]:
    """Return the versions members must share; a program that is missing has none."""
    return {
        "corosync": _version(host, ["corosync", "-v"]),
        "pacemaker": _version(host, ["pacemakerd", "--version"]),
        "pcs": _pcs_version(host),
    }


def _version(host: Host, argv: list[str]) -> str:
    try:
        ran = host.run(argv, timeout=_VERSION_TIMEOUT)
    except HelperError:
        return ""  # said in `missing`
    match = re.search(r"\d+(?:\.\d+)+\S*?(?=['\s]|$)", ran.out)
    return match[0] if match else ""


def _pcs_version(host: Host) -> str:
    """Read pcs's version off its Python metadata: `pcs --version` takes half a second."""
    for folder in ("usr/lib", "usr/lib64"):
        for found in host.paths.root.glob(f"{folder}/python3*/*-packages/pcs-*-info"):
            return found.name.removeprefix("pcs-").rpartition(".")[0].split("-py")[0]
    return ""
