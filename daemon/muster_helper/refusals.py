"""What the helper will not do, whoever asks: each refusal says what, why and what to type."""

from collections.abc import Iterable
from typing import NoReturn

from muster_helper.host import Host
from muster_helper.look import Look
from musterd.errors import HelperError
from musterd.helper_wire import Identity, Tags
from musterd.model import CorosyncConfig, Finding, Severity

_LEAVE_ALONE = (
    "if that cluster is wanted, remove the instance's tag and muster leaves it alone; if not,"
    " type `pcs cluster destroy` on this node, then `muster join`"
)


def refuse(what: str, why: str, cure: str) -> NoReturn:
    """Raise the refusal."""
    raise HelperError(what, refused=True, why=why, cure=cure)


def unless_member(host: Host, identity: Identity) -> None:
    """Refuse for a cluster that does not list this very node."""
    own = [member for member in identity.members if member.name == host.name]
    if not own:
        refuse(
            f"cluster {identity.name} has no member named {host.name}",
            f"its members are {', '.join(member.name for member in identity.members)}",
            "if the host name changed since founding, change it back (`hostnamectl set-hostname`)",
        )
    address = str(own[0].address)
    if address not in host.addresses():
        refuse(
            f"cluster {identity.name} lists {host.name} at {address}, which this node has not",
            "the entry is about another instance of the same name",
            "compare `ip address` with `muster status`; names of members must be unique",
        )


def unless_ours(host: Host, look: Look, identity: Identity) -> None:
    """Refuse unless corosync.conf is this cluster's and lists exactly these members."""
    unless_of_cluster(host, look, identity)
    if look.others:
        refuse(
            f"corosync.conf on this node lists other members of cluster {identity.name}",
            look.others,
            "wait: musterd looks at the node again; `muster status` names the members",
        )


def unless_of_cluster(host: Host, look: Look, identity: Identity) -> None:
    """Refuse unless this node's corosync.conf is this cluster's, whoever else it lists."""
    unless_member(host, identity)
    if look.kind is not CorosyncConfig.OURS:
        found = look.verdict.detail or look.kind.value
        refuse(
            f"corosync.conf on this node is not that of cluster {identity.name}"
            f" ({identity.uuid[:8]})",
            f"found: {found}",
            _LEAVE_ALONE,
        )


def unless_wanted(host: Host, identity: Identity) -> None:
    """Refuse a cluster other than the one the root-owned spec asks for.

    With tags alone the spec names no cluster, and the daemon is believed.

    Raises:
        SettingsError: the spec cannot be read.
    """
    spec = host.settings(Tags(identity.name)).spec
    asked = (spec.cluster.name, spec.corosync.token_ms)
    if asked != (identity.name, identity.token_ms):
        refuse(
            f"the spec on this node does not ask for cluster {identity.name}",
            f"{host.paths.spec} or the user data: name {asked[0]}, token {asked[1]} ms;"
            f" founded was: name {identity.name}, token {identity.token_ms} ms",
            f"put the spec back as it was, in {host.paths.spec}, then type `muster join`",
        )


def unless_free(look: Look) -> None:
    """Refuse to write a cluster's files where another cluster is, runs, or has left its CIB."""
    if look.kind in {CorosyncConfig.FOREIGN, CorosyncConfig.BROKEN}:
        refuse(
            "this node already has a corosync.conf that is not muster's",
            look.verdict.detail,
            _LEAVE_ALONE,
        )
    if look.kind is CorosyncConfig.STUB:
        refuse(
            "the distribution's one-node cluster is still on this node",
            "its files and services are cleared by `prepare`, which has not finished",
            "wait: musterd prepares the node first; `muster status` names what hinders it",
        )
    if look.kind is CorosyncConfig.ABSENT and look.active:
        refuse(
            "a cluster runs on this node whose corosync.conf is gone",
            "corosync or pacemaker is active",
            _LEAVE_ALONE,
        )
    if look.kind is CorosyncConfig.ABSENT and look.foreign_cib:
        refuse(
            "this node holds a Pacemaker configuration of another cluster",
            "its CIB, or a backup of one, is neither empty nor the one muster writes",
            _LEAVE_ALONE,
        )


def if_found(findings: Iterable[Finding]) -> None:
    """Refuse for the errors among findings, all at once."""
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    if errors:
        refuse(
            "; ".join(finding.what for finding in errors),
            "the spec asks for it",
            "; ".join(finding.cure for finding in errors) + "; then type `muster join`",
        )


def malformed(why: str) -> HelperError:
    """Return the error for a request that is not one."""
    return HelperError(
        "muster-helper was sent a request it does not know",
        refused=True,
        why=why,
        cure="musterd and muster-helper come from one package: `systemctl restart musterd`",
    )
