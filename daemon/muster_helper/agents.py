"""What agents say of themselves: the parameters and operations that their metadata lists.

Distributions backport parameters, so versions tell nothing. A fence agent loads its cloud's library
before it prints a word, which takes a second: its answer is kept until the file changes.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.etree import ElementTree

from pydantic import TypeAdapter, ValidationError

from muster_helper import files
from muster_helper.children import must
from muster_helper.host import Host
from musterd.errors import HelperError

OCF = "/usr/lib/ocf"
_TIMEOUT = 30.0  # seconds; a script prints a page, a fence agent loads its library first
_SEARCH = ("/usr/sbin", "/usr/bin")


@dataclass(frozen=True)
class Metadata:
    """What one agent takes (OCF resource agent API 1.1, fence agent API)."""

    parameters: frozenset[str]
    required: frozenset[str]
    actions: frozenset[str]


_KEPT = TypeAdapter(Metadata)


def resource_agent(host: Host, provider: str, name: str) -> Metadata:
    """Return the metadata of `ocf:PROVIDER:NAME`.

    Raises:
        HelperError: it is not installed, or printed none.
    """
    file = host.paths.below(f"{OCF}/resource.d/{provider}/{name}")
    ran = must(
        host.run([str(file), "meta-data"], timeout=_TIMEOUT, environment={"OCF_ROOT": OCF}),
        f"agent ocf:{provider}:{name} did not print its metadata",
        f"type `pcs resource describe ocf:{provider}:{name}` on this node",
    )
    return _parse(ran.out, f"ocf:{provider}:{name}")


def fence_agent(host: Host, name: str) -> Metadata:
    """Return the metadata of a fence agent. Raises HelperError as `resource_agent`."""
    key = _version_of(host, name)
    kept = host.paths.state / f"metadata-{name}.json"
    try:
        known = json.loads(host.read(kept) or "{}")
        if key and known.get("key") == key:
            return _KEPT.validate_python(known["metadata"])
    except (ValueError, AttributeError, KeyError, ValidationError):
        pass  # written by another version, or torn: asked again
    ran = must(
        host.run([name], timeout=_TIMEOUT, stdin=b"action=metadata\n"),
        f"fence agent {name} did not print its metadata",
        f"type `pcs stonith describe {name}` on this node",
    )
    found = _parse(ran.out, name)
    lists = {part: sorted(names) for part, names in asdict(found).items()}
    files.replace(kept, json.dumps({"key": key, "metadata": lists}).encode(), 0o600)
    return found


def _version_of(host: Host, name: str) -> str:
    """Return what changes when the agent's file does; "" where it is not found."""
    for folder in _SEARCH:
        path: Path = host.paths.below(f"{folder}/{name}")
        if path.exists():
            return hashlib.sha256(path.read_bytes()).hexdigest()
    return ""


def _parse(text: str, agent: str) -> Metadata:
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - printed by a root-owned agent
    except ElementTree.ParseError as broken:
        raise HelperError(
            f"agent {agent} printed metadata that is not XML", refused=False, why=str(broken)
        ) from None
    entries = list(root.iterfind("parameters/parameter"))
    return Metadata(
        parameters=frozenset(entry.get("name", "") for entry in entries),
        required=frozenset(
            entry.get("name", "") for entry in entries if entry.get("required") == "1"
        ),
        actions=frozenset(entry.get("name", "") for entry in root.iterfind("actions/action")),
    )
