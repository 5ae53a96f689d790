"""A configuration as values at places: of a CIB, and of what corosync.conf has of it."""

from collections.abc import Iterator
from xml.etree import ElementTree

from muster_helper.corosync_conf import Section
from musterd.model import Place


def values(root: ElementTree.Element) -> dict[Place, str]:
    """Return everything that an administrator or muster can have configured in a CIB."""
    found = dict(_pairs(root, "crm_config/cluster_property_set", "property"))
    found.update(_pairs(root, "rsc_defaults/meta_attributes", "default"))
    for child in root.iterfind("configuration/resources/*"):
        found.update(_resource(child, ""))
    for child in root.iterfind("configuration/constraints/*"):
        words = sorted(f"{k}={v}" for k, v in child.items() if k != "id")
        place = Place("constraint", child.get("id", ""), "agent")
        found[place] = " ".join([child.tag, *words])
    return found


def timing(conf: Section) -> dict[Place, str]:
    """Return what the spec has a word on of corosync.conf."""
    token = conf.get("totem", "token")
    return {Place("corosync", "", "totem", "token"): token} if token else {}


def _pairs(root: ElementTree.Element, path: str, kind: str) -> Iterator[tuple[Place, str]]:
    for pair in root.iterfind(f"configuration/{path}/nvpair"):
        yield Place(kind, "", "", pair.get("name", "")), pair.get("value", "")


def _resource(child: ElementTree.Element, group: str) -> Iterator[tuple[Place, str]]:
    owner = child.get("id", "")
    if child.tag in {"group", "clone"}:
        if child.tag == "clone":
            yield Place("resource", owner, "agent"), "clone"
        for member in child:
            if member.tag in {"primitive", "group"}:
                yield from _resource(member, owner)
        yield from _attributes(child, "resource", owner)
        return
    parts = [child.get(name, "") for name in ("class", "provider", "type")]
    agent = ":".join(part for part in parts if part) or child.tag
    kind = "stonith" if child.get("class") == "stonith" else "resource"
    yield Place(kind, owner, "agent"), agent
    if group:
        yield Place(kind, owner, "group"), group
    yield from _attributes(child, kind, owner)
    for operation in child.iterfind("operations/op"):
        role = operation.get("role", "")
        part = " ".join(word for word in ("op", operation.get("name", ""), role) if word)
        for name, value in operation.items():
            if name not in {"id", "name", "role"}:
                yield Place(kind, owner, part, name), value


def _attributes(child: ElementTree.Element, kind: str, owner: str) -> Iterator[tuple[Place, str]]:
    for path, part in (("instance_attributes", "option"), ("meta_attributes", "meta")):
        for pair in child.iterfind(f"{path}/nvpair"):
            yield Place(kind, owner, part, pair.get("name", "")), pair.get("value", "")
