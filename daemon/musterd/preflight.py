"""Observations -> checks: everything the cluster needs of a node and what is around it.

Every failure at once, each with its cause and its cure. `examination` makes the observations;
nothing is decided there and nothing is asked here. What could not be looked at is `unproven`, with
the reason: silence never counts as well.
"""

from collections import Counter
from collections.abc import Callable, Iterator

from musterd import ways
from musterd.model import CorosyncConfig
from musterd.observations import Check, Observations, Outcome
from musterd.spec import Address, AddressKind, SecretSource

_WIDEST_HOP_LIMIT = 2  # one for the host, one more for its containers


def checks(seen: Observations) -> tuple[Check, ...]:
    """Return every check, the worst first; within one outcome in the order of `_CHECKS`."""
    found = [check for look in _CHECKS for check in look(seen)]
    order = list(_WORST_FIRST)
    return tuple(sorted(found, key=lambda check: order.index(check.outcome)))


_WORST_FIRST = (Outcome.ERROR, Outcome.WARNING, Outcome.UNPROVEN, Outcome.OK)


# --- the node ---------------------------------------------------------------------------------


def _daemon(seen: Observations) -> Iterator[Check]:
    for what, cure in seen.troubles:
        yield Check("musterd", Outcome.ERROR, what, cure)
    if seen.spec is not None and not seen.troubles:
        yield Check("musterd", Outcome.OK, f"the spec of {seen.spec.cluster.name} can be used")


def _software(seen: Observations) -> Iterator[Check]:
    if seen.facts is None:
        yield Check(
            "software",
            Outcome.UNPROVEN,
            "muster-helper has not looked at this node",
            "type `journalctl -u 'muster-helper@*' -n 50`",
        )
        return
    for sentence in seen.facts.missing:
        what, _, cure = sentence.partition(": ")
        yield Check("software", Outcome.ERROR, what, cure or "install it")
    for sentence in seen.facts.unprepared:
        yield Check(
            "preparation",
            Outcome.WARNING,
            sentence,
            "nothing to do: musterd prepares the node by itself; `muster status` says what"
            " hinders it",
        )
    if not seen.facts.missing:
        yield Check("software", Outcome.OK, "every program and agent that the spec needs is here")
    if not seen.facts.unprepared:
        yield Check(
            "preparation",
            Outcome.OK,
            "pcsd runs, root's AWS profile names a region, nm-cloud-setup is off",
        )


def _corosync(seen: Observations) -> Iterator[Check]:
    if seen.facts is None:
        return
    kind, detail = seen.facts.corosync, seen.facts.corosync_detail
    if kind is CorosyncConfig.STUB:
        yield Check(
            "corosync",
            Outcome.WARNING,
            "the distribution's one-node cluster is on this node",
            "nothing to do: musterd clears it before founding; bake images with `muster seal`",
        )
    elif kind in {CorosyncConfig.FOREIGN, CorosyncConfig.BROKEN}:
        yield Check(
            "corosync",
            Outcome.ERROR,
            f"corosync.conf on this node is not this cluster's: {detail}",
            "if that cluster is not wanted, type `pcs cluster destroy` on this node, then"
            " `muster join`",
        )
    else:
        yield Check("corosync", Outcome.OK, "no other cluster is on this node")


def _versions(seen: Observations) -> Iterator[Check]:
    """Members must agree in what pcs compares before it sets a cluster up."""
    if seen.facts is None or not seen.ways:
        return
    if not seen.peer_facts:
        yield Check(
            "versions",
            Outcome.UNPROVEN,
            "no peer has told its versions of Corosync, Pacemaker and pcs (yet)",
            "type `muster status` there, and ask again",
        )
        return
    everybody = {seen.own_name: seen.facts, **seen.peer_facts}
    differ = False
    for program in sorted(seen.facts.versions):
        told = {name: facts.versions.get(program, "") for name, facts in everybody.items()}
        if len(set(told.values())) > 1:
            differ = True
            words = ", ".join(f"{name} has {version or 'none'}" for name, version in told.items())
            yield Check(
                "versions",
                Outcome.ERROR,
                f"{program} is not the same everywhere: {words}",
                f"install the same version of {program} on every node, best by one image",
            )
    if not differ:
        yield Check("versions", Outcome.OK, f"{len(everybody)} nodes have the same versions")


# --- EC2 --------------------------------------------------------------------------------------


def _services(seen: Observations) -> Iterator[Check]:
    for service, answer in (("EC2", seen.cloud), ("Secrets Manager", seen.secrets)):
        manager = seen.spec is not None and seen.spec.secret.source is SecretSource.SECRETS_MANAGER
        if service != "EC2" and not manager:
            continue
        if answer.why:
            yield Check("endpoints", Outcome.ERROR, answer.why, answer.cure)
        else:
            yield Check("endpoints", Outcome.OK, f"{service} answers")


def _permissions(seen: Observations) -> Iterator[Check]:
    for action, answer in seen.permissions.items():
        if answer.why:
            yield Check("permissions", Outcome.ERROR, f"{action}: {answer.why}", answer.cure)
        else:
            yield Check("permissions", Outcome.OK, f"{action} is allowed")
    moves = seen.spec is not None and any(
        address.kind is AddressKind.SECONDARY_IP for address in seen.spec.address
    )
    if moves:
        yield Check(
            "permissions",
            Outcome.UNPROVEN,
            "ec2:AssignPrivateIpAddresses and ec2:UnassignPrivateIpAddresses have no DryRun",
            "nothing to do if the role has muster's policy; the address group shows it",
        )


def _metadata(seen: Observations) -> Iterator[Check]:
    for one in seen.instances:
        option = f"aws ec2 modify-instance-metadata-options --instance-id {one.instance_id}"
        well = True
        if not one.tokens_required:
            well = False
            yield Check(
                "metadata",
                Outcome.WARNING,
                f"the metadata service of {one.instance_id} answers version 1 too: whoever can"
                " make a process there fetch an address gets the role's keys",
                f"`{option} --http-tokens required`",
            )
        if one.hop_limit > _WIDEST_HOP_LIMIT:
            well = False
            yield Check(
                "metadata",
                Outcome.WARNING,
                f"metadata answers of {one.instance_id} travel {one.hop_limit} hops, beyond the"
                " instance",
                f"`{option} --http-put-response-hop-limit 1` (2 with containers)",
            )
        if well:
            yield Check("metadata", Outcome.OK, f"{one.instance_id} demands IMDSv2")


def _profile(seen: Observations) -> Iterator[Check]:
    for one in seen.instances:
        if one.profile:
            yield Check("profile", Outcome.OK, f"{one.instance_id} has an instance profile")
        else:
            yield Check(
                "profile",
                Outcome.ERROR,
                f"{one.instance_id} has no instance profile: its agents cannot fence or move"
                " addresses",
                f"`aws ec2 associate-iam-instance-profile --instance-id {one.instance_id}"
                " --iam-instance-profile Name=NAME`",
            )


def _placement(seen: Observations) -> Iterator[Check]:
    if not seen.instances or seen.spec is None:
        return
    subnets = {one.subnet_id for one in seen.instances}
    zones = Counter(one.zone for one in seen.instances)
    awsvip = [a for a in seen.spec.address if a.kind is AddressKind.SECONDARY_IP]
    if len(subnets) > 1 and awsvip:
        yield Check(
            "placement",
            Outcome.ERROR,
            f"the nodes are in {len(subnets)} subnets, and {_listed(awsvip)} can only be in one",
            'use kind = "overlay" with route_tables, or launch all nodes in one subnet',
        )
        return
    zone, most = zones.most_common(1)[0]
    if len(zones) > 1 and most * 2 > len(seen.instances):
        yield Check(
            "placement",
            Outcome.WARNING,
            f"zone {zone} holds {most} of {len(seen.instances)} nodes: with it quorum goes",
            "spread the nodes so that no zone has more than half of them",
        )
        return
    where = ", ".join(f"{count} in {zone or 'an unknown zone'}" for zone, count in zones.items())
    yield Check("placement", Outcome.OK, f"{len(subnets)} subnets; nodes: {where}")


def _source_dest(seen: Observations) -> Iterator[Check]:
    overlay = [
        address
        for address in (seen.spec.address if seen.spec is not None else ())
        if address.kind is AddressKind.OVERLAY
    ]
    if not overlay:
        return
    for one in seen.instances:
        if one.source_dest_check:
            yield Check(
                "source-dest-check",
                Outcome.ERROR,
                f"EC2 drops what reaches {one.instance_id} for {_listed(overlay)}: its"
                " source/destination check is on",
                f"`aws ec2 modify-instance-attribute --instance-id {one.instance_id}"
                " --no-source-dest-check`",
            )
        else:
            yield Check(
                "source-dest-check", Outcome.OK, f"{one.instance_id} takes overlay addresses"
            )


def _listed(addresses: list[Address]) -> str:
    return ", ".join(str(address.private_ip) for address in addresses)


_CHECKS: tuple[Callable[[Observations], Iterator[Check]], ...] = (
    _daemon,
    _software,
    _corosync,
    _versions,
    _services,
    _profile,
    _permissions,
    _metadata,
    ways.ports,
    ways.security_groups,
    ways.clock,
    _placement,
    _source_dest,
)
