"""Pacemaker's configuration: the seed of a first start, what is on disk, what a live one lacks.

The seed only carries cluster options. With it a first start elects its DC after two seconds;
without, after the twenty of `dc-deadtime`. It is what `cibadmin --empty` prints plus options, so
members with equal packages write equal bytes.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from xml.etree import ElementTree

from muster_helper.children import must
from muster_helper.host import Host
from musterd.errors import HelperError

SEED_OPTIONS = {"stonith-enabled": "true", "dc-deadtime": "2s"}
_ID = "cib-bootstrap-options"  # the set that Pacemaker and pcs write to


class OnDisk(StrEnum):
    """What Pacemaker's folder holds."""

    NONE = "none"
    SEED = "seed"
    BARE = "bare"  # no resources and no constraints, at most one node: a lone start's
    OTHER = "other"


def seed(host: Host) -> bytes:
    """Return the seed CIB for the installed Pacemaker.

    Raises:
        HelperError: `cibadmin` failed.
    """
    empty = must(
        host.run(["cibadmin", "--empty"], timeout=15),
        "cibadmin did not print an empty CIB",
        "type `cibadmin --empty` on this node",
    )
    root = parse(empty.out)
    if root.find("configuration") is not root[0]:
        raise HelperError("cibadmin --empty printed no configuration", refused=False)
    set_pairs(root, ["property", "set", *(f"{n}={v}" for n, v in SEED_OPTIONS.items())])
    ElementTree.indent(root)
    return ElementTree.tostring(root) + b"\n"


def parse(text: str) -> ElementTree.Element:
    """Parse a CIB. Raises HelperError when it is none."""
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - written by Pacemaker, owned by root
    except ElementTree.ParseError as broken:
        raise HelperError(
            "Pacemaker's configuration is not XML", refused=False, why=str(broken)
        ) from None
    if root.tag != "cib":
        raise HelperError(f"expected a CIB, found <{root.tag}>", refused=False)
    return root


def live(host: Host, *, local: bool = False) -> ElementTree.Element:
    """Return the running cluster's CIB; `local` is this node's copy, which waits for nobody.

    Raises:
        HelperError: Pacemaker did not show it.
    """
    ran = must(
        host.run(["cibadmin", "--query", *(("--local",) if local else ())], timeout=60),
        "the running cluster did not show its configuration",
        "type `pcs status` on this node; the step is tried again",
    )
    return parse(ran.out)


def device_option(root: ElementTree.Element, device: str, name: str) -> str | None:
    """Return one option of a stonith device, None when there is no such device or option."""
    path = f"configuration/resources//primitive[@id='{device}']/instance_attributes/nvpair"
    return next(
        (pair.get("value") for pair in root.iterfind(path) if pair.get("name") == name), None
    )


def on_disk(host: Host) -> OnDisk:
    """Tell what CIB the node would start with; numbered backups count as one."""
    folder = host.paths.cib_folder
    if not folder.is_dir():
        return OnDisk.NONE
    backups = sorted(folder.glob("cib-*.raw"))
    current = host.read(host.paths.cib)
    if current is None:
        return OnDisk.OTHER if backups else OnDisk.NONE
    texts = [current, *(host.read(backup) or "" for backup in backups)]
    try:
        roots = [parse(text) for text in texts]
    except HelperError:
        return OnDisk.OTHER
    if not backups and _is_seed(roots[0]):
        return OnDisk.SEED
    return OnDisk.BARE if all(_is_bare(root) for root in roots) else OnDisk.OTHER


def unconfigured(root: ElementTree.Element) -> bool:
    """Tell whether nobody has configured resources or constraints."""
    return not any(
        len(root.findall(f"configuration/{part}/*")) for part in ("resources", "constraints")
    )


def set_pairs(root: ElementTree.Element, words: Sequence[str]) -> bool:
    """Do what pcs does for a command that only sets `name=value` pairs, ids included.

    Half a second of Python starting is much for a line of XML; crm_verify checks these as well.

    Args:
        root: the CIB, which is changed.
        words: the command's arguments after the file.

    Returns:
        Whether it was such a command; any other is pcs's own.
    """
    if tuple(words[:2]) == ("property", "set"):
        holder, pairs = _holder(root, ("crm_config", "cluster_property_set"), _ID), words[2:]
    elif tuple(words[:3]) == ("resource", "defaults", "update"):
        name = "rsc_defaults-meta_attributes"
        holder, pairs = _holder(root, ("rsc_defaults", "meta_attributes"), name), words[3:]
    else:
        return False
    for pair in pairs:
        name, _, value = pair.partition("=")
        for old in holder.findall(f"nvpair[@name='{name}']"):
            holder.remove(old)
        if value:  # an empty one takes the option away, as with pcs
            identity = f"{holder.get('id')}-{name}"
            ElementTree.SubElement(holder, "nvpair", id=identity, name=name, value=value)
    return True


def pairs_of(root: ElementTree.Element, command: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield what `set_pairs` with such a command would have set: names and values."""
    path = "crm_config/cluster_property_set" if command[0] == "property" else "rsc_defaults/*"
    for pair in root.iterfind(f"configuration/{path}/nvpair"):
        yield pair.get("name", ""), pair.get("value", "")


def set_whole(root: ElementTree.Element, words: Sequence[str]) -> bool:
    """Do what pcs does for `resource clone` and for `resource meta` of a group, ids included.

    Releases of pcs differ in how they want these written, Pacemaker's XML is one.

    Args:
        root: the CIB, which is changed; it has the resource or group already.
        words: the command's arguments after the file.

    Returns:
        Whether it was such a command; any other is pcs's own.
    """
    if words[0] != "resource" or words[1] not in {"clone", "meta"}:
        return False
    name, pairs = words[2], words[3:]
    holder = root.find("configuration/resources")
    at = next((i for i, each in enumerate(holder or ()) if each.get("id") == name), None)
    if holder is None or at is None:
        raise HelperError(f"there is no resource or group {name} to {words[1]}", refused=False)
    target = holder[at]
    if words[1] == "clone":
        target = ElementTree.Element("clone", id=f"{name}-clone")
        target.append(holder[at])
        holder[at] = target
    if pairs:
        owner = target.get("id", "")
        meta = ElementTree.SubElement(target, "meta_attributes", id=f"{owner}-meta_attributes")
        for pair in pairs:
            key, _, value = pair.partition("=")
            identity = f"{meta.get('id')}-{key}"
            ElementTree.SubElement(meta, "nvpair", id=identity, name=key, value=value)
    return True


def lacking(wanted: ElementTree.Element, live: ElementTree.Element) -> tuple[str, ...]:
    """Return what of `wanted` the live configuration lacks or has otherwise, as words.

    What the live one has besides is nobody's concern here.
    """
    there = dict(_values(live))
    missing = [
        f"{what} is {there[what]!r} instead of {value!r}" if what in there else f"no {what}"
        for what, value in _values(wanted)
        if there.get(what) != value
    ]
    resources = {child.get("id"): child for child in live.iterfind("configuration/resources/*")}
    for child in wanted.iterfind("configuration/resources/*"):
        found = resources.get(child.get("id"))
        if found is None:
            missing.append(f"no {child.tag} {child.get('id')}")
        elif _canonical(found) != _canonical(child):
            missing.append(f"{child.tag} {child.get('id')} is configured otherwise")
    return tuple(missing)


def _holder(root: ElementTree.Element, path: tuple[str, str], identity: str) -> ElementTree.Element:
    """Return the element that holds the pairs, made where there is none."""
    section = root.find(f"configuration/{path[0]}")
    if section is None:
        section = ElementTree.SubElement(root[0], path[0])
    holder = section.find(path[1])
    if holder is None:
        holder = ElementTree.SubElement(section, path[1], id=identity)
    return holder


def _is_seed(root: ElementTree.Element) -> bool:
    options = {
        pair.get("name"): pair.get("value")
        for pair in root.iterfind("configuration/crm_config/cluster_property_set/nvpair")
    }
    return options == SEED_OPTIONS and unconfigured(root) and _nodes(root) == 0


def _is_bare(root: ElementTree.Element) -> bool:
    return unconfigured(root) and _nodes(root) <= 1


def _nodes(root: ElementTree.Element) -> int:
    return len(root.findall("configuration/nodes/node"))


def _values(root: ElementTree.Element) -> Iterator[tuple[str, str]]:
    """Yield cluster options and resource defaults, named in words."""
    for path, words in (
        ("configuration/crm_config/cluster_property_set/nvpair", "cluster option"),
        ("configuration/rsc_defaults/meta_attributes/nvpair", "resource default"),
    ):
        for pair in root.iterfind(path):
            yield f"{words} {pair.get('name')}", pair.get("value", "")


def _canonical(element: ElementTree.Element) -> str:
    """Return an element's text without regard to attribute order and indentation."""
    return ElementTree.canonicalize(ElementTree.tostring(element), strip_text=True)
