"""`build`: the whole CIB the root-owned spec wants, made offline and kept for `configure`."""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

from muster_helper import agents, cib, files
from muster_helper.children import must
from muster_helper.host import Host
from muster_helper.look import look
from muster_helper.probe import members_of
from muster_helper.refusals import if_found, refuse, unless_ours
from musterd import fencing, resources, storage
from musterd.errors import HelperError, MusterError
from musterd.helper_wire import ConfigureParams, Done, Identity
from musterd.model import PcsCommand
from musterd.resources import Made
from musterd.spec import Spec

_PCS_TIMEOUT = 90.0  # seconds each; about half a second at rest, more when an agent is slow


def build(host: Host, params: ConfigureParams) -> Done:
    """Build the CIB for these inputs; nothing happens when it is there already."""
    unless_ours(host, look(host, params.identity), params.identity)
    changed, _ = built(host, params)
    return Done(changed)


def built(host: Host, params: ConfigureParams) -> tuple[tuple[str, ...], Path]:
    """Return what was changed, and the file with the CIB for these inputs.

    Raises:
        HelperError: the spec is another than the daemon's, asks for the impossible, or pcs or
            crm_verify turned it down.
    """
    spec = wanted(host, params)
    commands = planned(host, params, spec)
    seed = cib.seed(host)
    key = _digest([seed.decode(), [command.argv for command in commands]])
    target = host.paths.state / f"cib-{key}.xml"
    note = {
        "identity": _identity_digest(params.identity),
        "spec": params.spec_digest,
        "file": target.name,
    }
    if target.exists() and _note(host) == note:
        return (), target
    made = _made(host, seed, commands)
    host.reach("build:middle-made")
    files.replace(target, made, 0o600)
    host.reach("build:middle-kept")
    # The note last: it is what says that the file is there and whole.
    files.replace(_note_path(host), json.dumps(note).encode(), 0o600)
    for old in host.paths.state.glob("cib-*.xml"):
        if old != target:
            old.unlink()
    return (f"the configuration is built ({len(commands)} commands)",), target


def _made(host: Host, seed: bytes, commands: Sequence[PcsCommand]) -> bytes:
    """Return the CIB these commands make of the seed, verified by Pacemaker.

    Most of a pcs command is Python starting: plain options are set without it, and fencing and
    resources are made side by side, each in a file of its own, and put together: a `resource
    create` only adds below <resources>.
    """
    root = cib.parse(seed.decode())
    of_wholes = [c for c in commands if c.argv[:2] in {("resource", "clone"), ("resource", "meta")}]
    for_pcs = [c for c in commands if c not in of_wholes and not cib.set_pairs(root, c.argv)]
    base = ElementTree.tostring(root)
    resource_part = [c for c in for_pcs if c.argv[:2] == ("resource", "create")]
    other_part = [c for c in for_pcs if c not in resource_part]
    with host.scratch() as folder, ThreadPoolExecutor(2) as pool:
        drafts = list(
            pool.map(
                lambda part: _draft(host, folder / part[0], base, part[1]),
                (("fencing.xml", other_part), ("resources.xml", resource_part)),
            )
        )
        whole, added = (cib.parse(draft.read_text(encoding="utf-8")) for draft in drafts)
        holder = whole.find("configuration/resources")
        if holder is None:
            raise HelperError("pcs wrote a CIB without <resources>", refused=False)
        holder.extend(added.iterfind("configuration/resources/*"))
        for command in of_wholes:
            cib.set_whole(whole, command.argv)
        ElementTree.indent(whole)
        verified = folder / "cib.xml"
        verified.write_bytes(ElementTree.tostring(whole) + b"\n")
        must(
            host.run(["crm_verify", "--xml-file", str(verified)], timeout=_PCS_TIMEOUT),
            "Pacemaker does not accept the configuration the spec asks for",
            "correct the [[resource]] it names, then type `muster join`",
        )
        return verified.read_bytes()


def _draft(host: Host, draft: Path, base: bytes, commands: Sequence[PcsCommand]) -> Path:
    """Apply commands to a file that begins as `base`, one after the other, and return it."""
    draft.write_bytes(base)
    for command in commands:
        host.say(f"configuration: {' '.join(command.argv[:3])}")
        must(
            host.run(["pcs", "-f", str(draft), *command.argv], timeout=_PCS_TIMEOUT),
            f"pcs did not accept `{' '.join(command.argv[:4])}`",
            "correct that part of the spec, then type `muster join`",
        )
    return draft


def is_built(host: Host, identity: Identity, spec_digest: str) -> bool:
    """Tell whether a CIB for this cluster and spec is ready to be pushed."""
    note = _note(host)
    return (
        note.get("identity") == _identity_digest(identity)
        and note.get("spec") == spec_digest
        and (host.paths.state / note.get("file", "-")).is_file()
    )


def wanted(host: Host, params: ConfigureParams) -> Spec:
    """Return the root-owned spec, if it is the one the daemon acts for.

    Raises:
        HelperError: it differs, or asks for what cannot be.
    """
    settings = host.settings(params.tags)
    if settings.digest != params.spec_digest:
        refuse(
            "the spec on disk is not the one musterd acts for",
            f"{host.paths.spec} or the user data changed since musterd read them",
            "type `systemctl restart musterd`, then compare `muster config` on all nodes",
        )
    spec = settings.spec
    unusable = (*resources.refusals(spec, params.subnet), *storage.refusals(spec))
    if_found((*fencing.refusals(spec), *unusable))
    taken = {member.address: member.name for member in params.identity.members}
    for address in spec.address:
        if address.private_ip in taken:
            refuse(
                f"[[address]] {address.private_ip} is the own address of"
                f" {taken[address.private_ip]}",
                "a floating address must belong to no instance",
                f"choose a free address of {params.subnet}, then type `muster join`",
            )
    return spec


def planned(host: Host, params: ConfigureParams, spec: Spec) -> tuple[PcsCommand, ...]:
    """Return every pcs command of the wanted CIB, in order."""
    members = members_of(params.identity)
    names = resources.agents(spec)
    parameters = {name: agents.resource_agent(host, "heartbeat", name).parameters for name in names}
    fence = agents.fence_agent(host, spec.fencing.agent).parameters
    if_found(fencing.refusals(spec, members, fence))
    disks = {name: storage.path(volume) for name, volume in params.disks.items()}
    try:
        own = resources.plan(
            spec,
            params.region,
            params.subnet,
            params.allocations,
            parameters,
            host.interface(),
            Made(params.allocated, disks),
        )
    except MusterError as impossible:
        refuse(impossible.what, impossible.why, impossible.cure)
    return (*fencing.plan(spec, members, params.region, fence), *own)


def _identity_digest(identity: Identity) -> str:
    return _digest(json.loads(json.dumps(asdict(identity), default=str)))


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _note_path(host: Host) -> Path:
    return host.paths.state / "built.json"


def _note(host: Host) -> dict[str, str]:
    """Return the note beside the built CIB; a broken one counts as none."""
    try:
        note = json.loads(host.read(_note_path(host)) or "{}")
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}
