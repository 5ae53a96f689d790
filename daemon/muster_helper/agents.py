"""What agents say of themselves: the parameters and operations that their metadata lists.

Distributions backport parameters, so versions tell nothing. A fence agent loads its cloud's library
before it prints a word, which takes a second: answers are kept until the agent's file changes.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree

from pydantic import TypeAdapter, ValidationError

from muster_helper import files
from muster_helper.children import Ran, must
from muster_helper.host import Host
from muster_helper.paths import Paths
from musterd.errors import HelperError
from musterd.suitability import UNIT, Metadata

OCF = "/usr/lib/ocf"
_TIMEOUT = 30.0  # seconds; a script prints a page, a fence agent loads its library first
_SEARCH = ("/usr/sbin", "/usr/bin")


_KEPT = TypeAdapter(Metadata)


def of_resource(host: Host, agent: str) -> Metadata | None:
    """Return the metadata of an agent as the spec names it; None when it is not installed.

    Raises:
        HelperError: it printed none.
    """
    standard = agent.partition(":")[0]
    if standard == "systemd":
        return UNIT
    found = installed(host.paths, agent)
    return resource_agent(host, *found[0]) if len(found) == 1 else None


def installed(paths: Paths, agent: str) -> tuple[tuple[str, str], ...]:
    """Return provider and name of each installed OCF agent that a name in the spec may mean.

    `ocf:PROVIDER:NAME` means one; a bare name means that of any provider, and pcs refuses it where
    there are two. Anything else means none.
    """
    folder = paths.below(f"{OCF}/resource.d")
    match agent.split(":"):
        case ["ocf", provider, name]:
            wanted = [folder / provider / name]
        case [name]:
            wanted = sorted(folder.glob(f"*/{name}"))
        case _:
            wanted = []
    return tuple((file.parent.name, file.name) for file in wanted if file.is_file())


def resource_agent(host: Host, provider: str, name: str) -> Metadata:
    """Return the metadata of `ocf:PROVIDER:NAME`.

    Raises:
        HelperError: it is not installed, or printed none.
    """
    file = host.paths.below(f"{OCF}/resource.d/{provider}/{name}")
    return _asked(
        host,
        f"ocf:{provider}:{name}",
        file,
        lambda: host.run([str(file), "meta-data"], timeout=_TIMEOUT, environment={"OCF_ROOT": OCF}),
        f"pcs resource describe ocf:{provider}:{name}",
    )


def fence_agent(host: Host, name: str) -> Metadata:
    """Return the metadata of a fence agent. Raises HelperError as `resource_agent`."""
    files = (host.paths.below(f"{folder}/{name}") for folder in _SEARCH)
    return _asked(
        host,
        name,
        next((file for file in files if file.exists()), None),
        lambda: host.run([name], timeout=_TIMEOUT, stdin=b"action=metadata\n"),
        f"pcs stonith describe {name}",
    )


def _asked(
    host: Host, agent: str, file: Path | None, ask: Callable[[], Ran], command: str
) -> Metadata:
    """Return what is kept for this very file, or else ask the agent and keep its answer."""
    key = hashlib.sha256(file.read_bytes()).hexdigest() if file and file.is_file() else ""
    kept = host.paths.state / f"metadata-{agent.replace(':', '-')}.json"
    try:
        known = json.loads(host.read(kept) or "{}")
        if key and known.get("key") == key:
            return _KEPT.validate_python(known["metadata"])
    except (ValueError, AttributeError, KeyError, ValidationError):
        pass  # written by another version, or torn: asked again
    ran = must(
        ask(),
        f"agent {agent} did not print its metadata",
        f"type `{command}` on this node",
    )
    found = _parse(ran.out, agent)
    lists = {part: sorted(names) for part, names in asdict(found).items()}
    files.replace(kept, json.dumps({"key": key, "metadata": lists}).encode(), 0o600)
    return found


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
        # A deprecated one has a successor, which is asked for instead.
        required=frozenset(
            entry.get("name", "")
            for entry in entries
            if entry.get("required") == "1" and entry.find("deprecated") is None
        ),
        actions=frozenset(entry.get("name", "") for entry in root.iterfind("actions/action")),
    )
