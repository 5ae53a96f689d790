"""corosync.conf: read, recognise, give it the decided uuid. Format: corosync.conf(5)."""

from dataclasses import dataclass, field

from musterd.helper_wire import Identity
from musterd.model import CorosyncConfig


class BrokenConfigError(ValueError):
    """The text is no corosync.conf; the message says where and why."""


@dataclass
class Section:
    """One `name { ... }` block, or the whole file."""

    values: dict[str, str] = field(default_factory=dict)
    sections: list[tuple[str, "Section"]] = field(default_factory=list)

    def all(self, name: str) -> list["Section"]:
        """Return the sections of that name."""
        return [section for key, section in self.sections if key == name]

    def get(self, section: str, key: str) -> str:
        """Return a value of the last such section, "" when there is none."""
        found = [part.values[key] for part in self.all(section) if key in part.values]
        return found[-1] if found else ""


@dataclass(frozen=True)
class Verdict:
    """What a corosync.conf is, and for FOREIGN and BROKEN what was found, in words."""

    kind: CorosyncConfig
    detail: str = ""


def parse(text: str) -> Section:
    """Parse the file.

    Raises:
        BrokenConfigError: empty, unbalanced, or a line that is neither section, value nor comment.
    """
    top = Section()
    stack = [top]
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if line.endswith("{"):
            inner = Section()
            stack[-1].sections.append((line[:-1].strip(), inner))
            stack.append(inner)
        elif line == "}":
            if len(stack) == 1:
                raise BrokenConfigError(f"line {number} closes a section that was never opened")
            stack.pop()
        elif ":" in line:
            key, value = line.split(":", 1)
            stack[-1].values[key.strip()] = value.strip()
        else:
            raise BrokenConfigError(f"line {number} is neither a section nor `key: value`")
    if len(stack) > 1:
        raise BrokenConfigError("the file ends inside a section")
    if not top.all("totem"):
        raise BrokenConfigError("the file has no totem section")
    return top


def nodes(conf: Section) -> list[tuple[str, str]]:
    """Return (name, first address) of each listed node, in order."""
    return [
        (node.values.get("name", ""), node.values.get("ring0_addr", ""))
        for nodelist in conf.all("nodelist")
        for node in nodelist.all("node")
    ]


def is_stub(conf: Section) -> bool:
    """Tell whether this is Debian's example: cluster `debian`, one node at 127.0.0.1, no uuid."""
    listed = nodes(conf)
    return (
        conf.get("totem", "cluster_name") == "debian"
        and conf.get("totem", "cluster_uuid") == ""
        and [address for _, address in listed] == ["127.0.0.1"]
    )


def judge(text: str | None, identity: Identity | None) -> Verdict:
    """Return what the file is to a cluster of this identity (None: none is decided yet).

    The uuid alone says whose it is: its members change in the life of a cluster.

    Args:
        text: the file's content, None when there is no file.
        identity: the cluster this node should belong to.
    """
    if text is None:
        return Verdict(CorosyncConfig.ABSENT)
    try:
        conf = parse(text)
    except BrokenConfigError as broken:
        return Verdict(CorosyncConfig.BROKEN, str(broken))
    if is_stub(conf):
        return Verdict(CorosyncConfig.STUB)
    name, uuid = conf.get("totem", "cluster_name"), conf.get("totem", "cluster_uuid")
    told = f"cluster {name!r} with {len(nodes(conf))} nodes, " + (
        f"uuid {uuid}" if uuid else "without a uuid"
    )
    if identity is None or uuid != identity.uuid:
        return Verdict(CorosyncConfig.FOREIGN, told)
    return Verdict(CorosyncConfig.OURS)


def differences(text: str, identity: Identity) -> str:
    """Return in words how the nodes of a file differ from an identity's members, "" if they do not.

    Raises:
        BrokenConfigError: the text is no corosync.conf.
    """
    wanted = {(member.name, str(member.address)) for member in identity.members}
    listed = set(nodes(parse(text)))
    if listed == wanted:
        return ""
    extra = ", ".join(sorted(node for node, _ in listed - wanted)) or "nobody"
    lacks = ", ".join(sorted(node for node, _ in wanted - listed)) or "nobody"
    return f"besides the members: {extra}; lacking: {lacks}"


def with_uuid(text: str, uuid: str) -> str:
    """Return the file with `totem.cluster_uuid` set, replacing the one pcs made up.

    An older pcs writes none; Corosync keeps any totem key it does not know in its map.

    Raises:
        BrokenConfigError: there is no `cluster_name` line to put it below.
    """
    lines = [line for line in text.splitlines() if not line.strip().startswith("cluster_uuid:")]
    for index, line in enumerate(lines):
        if line.strip().startswith("cluster_name:"):
            indent = line[: len(line) - len(line.lstrip())]
            lines.insert(index + 1, f"{indent}cluster_uuid: {uuid}")
            return "\n".join(lines) + "\n"
    raise BrokenConfigError("pcs wrote no cluster_name")
