"""Looks for traces below a root; changes nothing."""

import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from glob import glob
from os.path import lexists, normpath
from pathlib import Path, PurePosixPath

from muster.sealing.traces import (
    AWS_CONFIG,
    BY_HAND,
    CLUSTER_ACCOUNT,
    CLUSTER_UNITS,
    COROSYNC_CONF,
    FILES,
    HOST_KEYS,
    HOSTS,
    RECORD,
    SHADOW,
    SPEC,
    TOKEN_PREFIX,
    Find,
    Removal,
    Trace,
)

MARKER = "# muster: members of cluster "  # muster-helper's line above the ones it adds
UNINITIALIZED = {"", "uninitialized"}  # machine-id(5): made anew at the next boot


@dataclass(frozen=True)
class Membership:
    """The cluster that the disk belongs to.

    Attributes:
        name: the cluster's, "" when nothing tells it.
        members: (address, name) of each node.
        stub: it is the one-node example that Debian's packages bring.
    """

    name: str
    members: frozenset[tuple[str, str]] = frozenset()
    stub: bool = False


def below(root: Path, path: str) -> Path:
    """Return where an absolute path of the node lies."""
    return root / path.lstrip("/")


def finds(root: Path, *, host_keys: bool) -> list[Find]:
    """Return every trace, in the order in which they go.

    Args:
        root: of the image; `/` on a running node.
        host_keys: sshd's keys count too.
    """
    wanted = (*FILES, HOST_KEYS) if host_keys else FILES
    files = [found for trace in (*BY_HAND, *wanted) for found in _files(root, trace)]
    known = {found.path for found in files}
    return [
        *_enabled(root),
        *_listed(root),
        *_password(root),
        *_profile(root),
        *(found for found in _tokens(root) if known.isdisjoint(_upwards(found.path))),
        *files,
    ]


def membership(root: Path) -> Membership | None:
    """Return what the disk's own files say of the cluster it belongs to, None when of none."""
    conf = _text(below(root, COROSYNC_CONF))
    decided = _decided(_text(below(root, RECORD)))
    if not conf.strip() and decided is None:
        return None
    name, members = "", set(decided or ())
    uuid, entry = False, {"ring0_addr": "", "name": ""}
    addresses = set()
    for line in conf.splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "cluster_name":
            name = value
        uuid |= key == "cluster_uuid"
        if key in entry:
            entry[key] = value
            addresses |= {value} if key == "ring0_addr" else set()
        if line.strip().startswith("node "):
            entry = dict.fromkeys(entry, "")
        if all(entry.values()):
            members.add((entry["ring0_addr"], entry["name"]))
    # As musterd recognises Debian's example before it clears it.
    stub = name == "debian" and not uuid and addresses == {"127.0.0.1"} and decided is None
    return Membership(name, frozenset(members), stub)


def ours(root: Path) -> list[int]:
    """Return the numbers (from 0) of the lines that muster-helper added to the hosts file.

    The line that says whose they are, and the lines behind it that name a known member: what an
    administrator wrote below stays.
    """
    lines = _text(below(root, HOSTS)).splitlines()
    cluster = membership(root)
    known = cluster.members if cluster is not None else frozenset()
    found, inside = [], False
    for number, line in enumerate(lines):
        words = line.split()
        inside = line.startswith(MARKER) or (inside and len(words) == 2)
        if line.startswith(MARKER) or (inside and (words[0], words[1]) in known):
            found.append(number)
    return found


def _matches(root: Path, pattern: str) -> list[str]:
    """Return the paths that match, dangling links too: a mounted image is full of them."""
    relative = glob(pattern.lstrip("/"), root_dir=root, include_hidden=True)
    return sorted(f"/{path}" for path in relative)


def _text(path: Path) -> str:
    """Return a file's text, "" when there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""


def _decided(record: str) -> list[tuple[str, str]] | None:
    """Return the members of the cluster that musterd's record knows, None when it knows none."""
    try:
        decided = json.loads(record)["record"]["durable"]["decided"]
        return [(member["address"], member["name"]) for member in decided["members"]]
    except (ValueError, KeyError, TypeError):
        return None


def _files(root: Path, trace: Trace) -> Iterator[Find]:
    for named in _matches(root, trace.pattern):
        if trace.removal is Removal.EMPTY and _text(below(root, named)).strip() in UNINITIALIZED:
            continue
        yield Find(named, trace.what, trace.next.format(path=named), trace.removal)


def _enabled(root: Path) -> Iterator[Find]:
    for unit in CLUSTER_UNITS:
        links = _matches(root, f"/etc/systemd/system/*.wants/{unit}")
        if links:
            yield Find(
                links[0],
                f"{unit} starts at boot, of no cluster or of another one's",
                removal=Removal.DISABLE,
            )


def _listed(root: Path) -> Iterator[Find]:
    if ours(root):
        yield Find(HOSTS, "names and addresses of a cluster's members", removal=Removal.UNLIST)


def _password(root: Path) -> Iterator[Find]:
    for line in _text(below(root, SHADOW)).splitlines():
        account, _, rest = line.partition(":")
        if account == CLUSTER_ACCOUNT and "$" in rest.partition(":")[0]:
            yield Find(
                SHADOW, f"a password of {CLUSTER_ACCOUNT}, for every clone", removal=Removal.LOCK
            )


def _profile(root: Path) -> Iterator[Find]:
    """Our own profile names the region of this instance; one with anything else is the user's."""
    lines = _text(below(root, AWS_CONFIG)).split("\n")
    if len(lines) == 3 and lines[0] == "[default]" and lines[1].startswith("region = "):
        yield Find(AWS_CONFIG, "the region of an instance, as muster wrote it")


def _tokens(root: Path) -> Iterator[Find]:
    """Yield the tokens that the spec holds or names."""
    try:
        secret = tomllib.loads(_text(below(root, SPEC))).get("secret", {})
    except tomllib.TOMLDecodeError:
        what = "it is not TOML, and may hold a token, or name a file that does"
        yield Find(SPEC, what, f"sudoedit {SPEC}", Removal.BY_HAND)
        return
    if not isinstance(secret, dict):
        return
    if secret.get("token"):
        what = "a cluster token, for whoever may launch or copy the image"
        yield Find(SPEC, what, f"sudoedit {SPEC}", Removal.BY_HAND)
    path = secret.get("path")
    if isinstance(path, str) and path.startswith("/"):
        yield from _token_file(root, f"/{normpath(path).lstrip('/')}")


def _token_file(root: Path, path: str) -> Iterator[Find]:
    """Yield the file that the spec names: removed only if it is what a path is given for."""
    place = below(root, path)
    if not lexists(place):
        return
    plain = place.is_file() and not place.is_symlink()
    if plain and place.resolve().is_relative_to(root.resolve()) and TOKEN_PREFIX in _text(place):
        yield Find(path, "a cluster token")
        return
    what = "the spec's secret.path, and no plain file with a cluster token: remove what it holds"
    yield Find(path, what, f"ls -l {path}; or correct the path: sudoedit {SPEC}", Removal.BY_HAND)


def _upwards(path: str) -> set[str]:
    """Return the path and every folder above it."""
    return {path, *map(str, PurePosixPath(path).parents)}
