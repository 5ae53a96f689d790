"""`probe-fencing`: the fence agent's own status of each other member, asked from this node.

It proves the role's permission to look, the agent's region and library, and the map of names; not
the permission to stop, which the daemon asks EC2 by DryRun.
"""

import os
from concurrent.futures import ThreadPoolExecutor

from muster_helper import cib
from muster_helper.change import nodes
from muster_helper.host import Host
from muster_helper.look import look
from muster_helper.refusals import if_found, unless_ours
from musterd import fencing
from musterd.errors import HelperError
from musterd.helper_wire import Identity, ProbeParams, ProbeResult
from musterd.model import Member
from musterd.pcs_words import fence_device
from musterd.spec import Spec

_TIMEOUT = 60.0  # seconds each; two at rest, most of it loading the AWS library
# Exit status of action=status (fence agent API): 0 on, 2 off, anything else an error.
_ANSWERS = {0: "on", 2: "off"}


def probe(host: Host, params: ProbeParams) -> ProbeResult:
    """Ask for each other member, as many at a time as there are processors.

    This node never fences itself, so what it sees of itself proves nothing.
    """
    found = look(host, params.identity)
    unless_ours(host, found, params.identity)
    spec = host.settings(params.tags).spec
    everybody = members_of(params.identity)
    if_found(fencing.refusals(spec, everybody))
    others = tuple(member for member in everybody if member.name != host.name)
    names = [member.name for member in others]
    host.say(f"{spec.fencing.agent} is asked for the state of {', '.join(names)}")
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        answers = pool.map(lambda member: _ask(host, params.region, spec, member), others)
        statuses = dict(zip(names, answers, strict=True))
    return ProbeResult(statuses, map_faults(host, spec, everybody) if found.running else ())


def members_of(identity: Identity) -> tuple[Member, ...]:
    """Return a cluster's members as the stages know them."""
    return tuple(
        Member(each.instance_id, each.name, str(each.address)) for each in identity.members
    )


def _ask(host: Host, region: str, spec: Spec, member: Member) -> str:
    """Return "on", "off", or a sentence that says why there is no answer."""
    options = fencing.agent_input(spec, region) | {
        "action": "status",
        "plug": fencing.plug(spec, member),
    }
    lines = "".join(f"{name}={value}\n" for name, value in options.items())
    try:
        ran = host.run([spec.fencing.agent], timeout=_TIMEOUT, stdin=lines.encode())
    except HelperError as failed:
        return str(failed)
    host.reach("probe-fencing:middle")
    return _ANSWERS.get(ran.code) or f"{spec.fencing.agent} failed: {ran.words()}"


def map_faults(host: Host, spec: Spec, members: tuple[Member, ...]) -> tuple[str, ...]:
    """Say what is wrong with the map that the running cluster's device has.

    Whoever may change the cluster may change it; nothing before the cluster is configured. While a
    node is being admitted or taken out, it is in the map and not (yet, or any more) in
    corosync.conf: such a one is nothing wrong.
    """
    text = cib.device_option(cib.live(host), fence_device(spec), "pcmk_host_map")
    if text is None or spec.fencing.agent != fencing.AWS_AGENT:
        return ()
    listed, told = nodes(host), fencing.host_map(text)
    if told is not None:
        told = {name: instance_id for name, instance_id in told.items() if name in listed}
    return tuple(fencing.wrong_map(told, [m for m in members if m.name in listed]))
