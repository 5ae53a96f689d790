"""What is wrong with a cluster, told from its status: each with what to type."""

from muster.fields import Document, flag, part, rows, text

ERROR, WARNING = "error", "warning"

# severity, what is wrong, what to type (a command a line)
Wrong = tuple[str, str, str]


def wrongs(document: Document) -> list[Wrong]:
    """Return everything that is wrong, errors first, then in the order of the screen.

    Before the cluster is formed, that it is not yet is the phase's to say; only findings count.
    """
    found = findings(document)
    if text(document, "phase") == "formed":
        found = [*cluster(document), *found]
    return sorted(found, key=lambda wrong: wrong[0] != ERROR)


def findings(document: Document) -> list[Wrong]:
    """Return what musterd itself found."""
    return [
        (text(item, "severity") or ERROR, text(item, "what"), text(item, "cure"))
        for item in rows(document, "findings")
    ]


def cluster(document: Document) -> list[Wrong]:
    """Return what is wrong with a formed cluster: members, addresses, resources, fencing."""
    found: list[Wrong] = []
    if not flag(part(document, "cluster"), "quorate"):
        cure = "sudo corosync-quorumtool -s"
        found.append((ERROR, "the cluster is not quorate: nothing runs without quorum", cure))
    found += [_offline(node) for node in members(document) if not flag(node, "online")]
    found += [
        _torn(address, document)
        for address in rows(document, "addresses")
        if not flag(address, "agrees")
    ]
    found += [
        _down(resource)
        for resource in rows(document, "resources")
        if text(resource, "state") != "Started"
    ]
    return found + _unfenced(document)


def members(document: Document) -> list[Document]:
    """Return the nodes of the cluster; others have the tag only, and wait to join.

    The fencing map names the members; before there is one, all who are there are meant.
    """
    nodes = rows(document, "nodes")
    known = set(part(part(document, "fencing"), "map").values())
    return [node for node in nodes if not known or text(node, "instance_id") in known]


def _offline(node: Document) -> Wrong:
    name, instance = text(node, "name"), text(node, "instance_id")
    return (
        ERROR,
        f"{name or instance} is not online",
        f"sudo stonith_admin --history {name or instance}\n"
        f"aws ec2 describe-instances --instance-ids {instance}",
    )


def _torn(address: Document, document: Document) -> Wrong:
    """A floating address that is not where it should be, or that not everybody sees there."""
    private_ip, views = text(address, "private_ip"), part(address, "views")
    told = ", ".join(f"{who} says {text(views, who) or 'nobody'}" for who in views)
    mark = private_ip.replace(".", "-")
    ids = [text(item, "id") for item in rows(document, "resources")]
    own = [name for name in ids if name.endswith(f"-{mark}")] or [""]  # pcs takes one or none
    return (
        ERROR,
        f"the views of {private_ip} do not agree" + (f": {told}" if told else ""),
        "\n".join(f"sudo pcs resource refresh {name}".rstrip() for name in own),
    )


def _down(resource: Document) -> Wrong:
    name, state = text(resource, "id"), text(resource, "state") or "in no known state"
    return (
        ERROR,
        f"{name} is {state}",
        f"sudo crm_mon -1rf -n\nsudo pcs resource cleanup {name}",
    )


def _unfenced(document: Document) -> list[Wrong]:
    """Fencing is proven, not assumed: name the members for which nobody has shown it."""
    fencing = part(document, "fencing")
    proved = {text(proof, "node") for proof in rows(fencing, "proved")}
    members = part(fencing, "map")
    bare = [name for name in members if name not in proved]
    if not bare:
        return []
    whom = "any member" if len(bare) == len(members) else ", ".join(bare)
    what = f"it was not proven that {whom} can be fenced"
    return [(WARNING, what, 'set [fencing] prove = "permissions" in /etc/muster/muster.toml')]


def missing(goal: str, document: Document) -> list[str]:
    """Return what is missing until a goal is reached, as sentences; nothing when it is.

    Args:
        goal: a key of GOALS.
        document: the status.
    """
    return GOALS[goal](document)


def _unformed(document: Document) -> list[str]:
    phase = text(document, "phase")
    return [] if phase == "formed" else [f"this node is {phase}: {text(document, 'reason')}"]


def _unhealthy(document: Document) -> list[str]:
    found = [*cluster(document), *findings(document)]
    return _unformed(document) + [what for severity, what, _ in found if severity == ERROR]


GOALS = {"formed": _unformed, "healthy": _unhealthy}
