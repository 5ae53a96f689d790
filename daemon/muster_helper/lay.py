"""`lay`: this node's part of the decided cluster, as files.

corosync.conf is the commit point and goes last: until it stands, the node is in no cluster and
everything here can be written again.
"""

import re
from collections.abc import Iterator
from typing import NoReturn

from muster_helper import cib, files, hosts_file
from muster_helper.children import must
from muster_helper.corosync_conf import BrokenConfigError, differences, judge, with_uuid
from muster_helper.host import Host
from muster_helper.look import Look, look
from muster_helper.refusals import unless_free, unless_member, unless_ours, unless_wanted
from musterd.errors import HelperError
from musterd.helper_wire import Done, Identity, LayParams
from musterd.model import CorosyncConfig

_SETUP_TIMEOUT = 60.0  # seconds; half a second at rest
# A link counts as up after two answered pings (corosync.conf(5), knet_pong_count), and Corosync
# asks every token / 4: with the token EC2 wants, members first see each other after five seconds.
# The time after which a silent link is down stays token / 2; pcs wants it named beside the other.
_PING_INTERVAL = 500  # milliseconds, at most


def lay(host: Host, params: LayParams) -> Done:
    """Write both authkeys, the seed CIB, host entries, and last corosync.conf."""
    unless_member(host, params.identity)
    found = look(host, params.identity)
    unless_free(found)
    if found.kind is not CorosyncConfig.OURS:
        unless_wanted(host, params.identity)
        return Done(tuple(_steps(host, params, found)))
    unless_ours(host, found, params.identity)
    if found.keys_digest:
        return Done()
    return Done(tuple(_steps(host, params, found)))


def _steps(host: Host, params: LayParams, found: Look) -> Iterator[str]:
    owner = host.cluster_owner()
    host.say("the cluster's keys are written")
    for path, key, keeper in (
        (host.paths.corosync_key, params.corosync_key, None),
        (host.paths.pacemaker_key, params.pacemaker_key, owner),
    ):
        content = bytes.fromhex(key)
        if not path.exists() or path.read_bytes() != content:
            files.replace(path, content, 0o400, keeper)
            host.reach("lay:middle-key")
            yield f"{path} is this cluster's"
    host.reach("lay:middle-keys")
    if found.kind is CorosyncConfig.OURS:
        return
    if found.on_disk is cib.OnDisk.NONE:
        files.replace(host.paths.cib, cib.seed(host), 0o600, owner)
        host.reach("lay:middle-cib")
        yield "Pacemaker starts from the seed CIB"
    yield from hosts_file.name_members(host, params.identity)
    host.reach("lay:middle-hosts")
    host.say("corosync.conf is written")
    files.replace(host.paths.corosync_conf, _corosync_conf(host, params.identity), 0o644)
    yield f"corosync.conf is that of cluster {params.identity.name}"


def _corosync_conf(host: Host, identity: Identity) -> bytes:
    """Have pcs write the file for these members, offline, and give it the decided uuid."""
    nodes = [
        word for member in identity.members for word in (member.name, f"addr={member.address}")
    ]
    token = identity.token_ms
    link = [f"ping_interval={min(_PING_INTERVAL, token // 4)}", f"ping_timeout={token // 2}"]
    options = ["transport", "knet", "link", *link, "totem", f"token={token}"]
    with host.scratch() as folder:
        target = folder / "corosync.conf"
        output = ["--corosync_conf", str(target)]  # local mode: contacts nobody
        must(
            host.run(
                ["pcs", "cluster", "setup", identity.name, *nodes, *options, *output],
                timeout=_SETUP_TIMEOUT,
            ),
            "pcs did not write corosync.conf",
            "the reason is pcs's own; `muster config` shows the values it was given",
        )
        text = target.read_text(encoding="utf-8")
    try:
        text = with_uuid(text, identity.uuid)
        wrong = differences(text, identity)
    except BrokenConfigError as broken:
        _unexpected(str(broken))
    verdict = judge(text, identity)
    if wrong or verdict.kind is not CorosyncConfig.OURS:
        _unexpected(wrong or verdict.detail)
    if not re.search(rf"(?m)^\s*token: {identity.token_ms}$", text):
        _unexpected("it lacks the token time")
    return text.encode()


def _unexpected(detail: str) -> NoReturn:
    raise HelperError(
        "pcs wrote a corosync.conf other than the one asked for",
        refused=False,
        why=detail,
        cure="nothing was changed; compare `pcs --version` with the other nodes'",
    )
