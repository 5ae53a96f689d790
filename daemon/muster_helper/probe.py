"""`probe-fencing`: the fence agent's own status of each other member, asked from this node.

It proves the role's permission to look, the agent's region and library, and the map of names; not
the permission to stop, which the daemon asks EC2 by DryRun.
"""

import os
from concurrent.futures import ThreadPoolExecutor

from muster_helper.host import Host
from muster_helper.look import look
from muster_helper.refusals import if_found, unless_ours
from musterd import fencing
from musterd.errors import HelperError
from musterd.helper_wire import ProbeParams, ProbeResult, WireMember
from musterd.model import Member
from musterd.spec import Spec

_TIMEOUT = 60.0  # seconds each; two at rest, most of it loading the AWS library
# Exit status of action=status (fence agent API): 0 on, 2 off, anything else an error.
_ANSWERS = {0: "on", 2: "off"}


def probe(host: Host, params: ProbeParams) -> ProbeResult:
    """Ask for each other member, as many at a time as there are processors.

    This node never fences itself, so what it sees of itself proves nothing.
    """
    unless_ours(host, look(host, params.identity), params.identity)
    spec = host.settings(params.tags).spec
    if_found(fencing.refusals(spec))
    members = tuple(member for member in params.identity.members if member.name != host.name)
    names = [member.name for member in members]
    host.say(f"{spec.fencing.agent} is asked for the state of {', '.join(names)}")
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        answers = pool.map(lambda member: _ask(host, params, spec, member), members)
        return ProbeResult(dict(zip(names, answers, strict=True)))


def _ask(host: Host, params: ProbeParams, spec: Spec, member: WireMember) -> str:
    """Return "on", "off", or a sentence that says why there is no answer."""
    everybody = tuple(
        Member(each.instance_id, each.name, str(each.address)) for each in params.identity.members
    )
    options = {
        setting.name: setting.value
        for setting in fencing.device_options(spec, everybody, params.region)
        if not setting.name.startswith("pcmk_")  # these are Pacemaker's, not the agent's
    }
    options |= {"action": "status", "plug": member.instance_id}
    lines = "".join(f"{name}={value}\n" for name, value in options.items())
    try:
        ran = host.run([spec.fencing.agent], timeout=_TIMEOUT, stdin=lines.encode())
    except HelperError as failed:
        return str(failed)
    host.reach("probe-fencing:middle")
    return _ANSWERS.get(ran.code) or f"{spec.fencing.agent} failed: {ran.words()}"
