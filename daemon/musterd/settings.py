"""The spec's sources, merged and validated: every error names file, key and cure.

Later wins: defaults, instance tags, user data (`/run/muster/user-data.toml`, written by a root
unit before musterd), `/etc/muster/muster.toml`. The daemon and the root helper both call `load`,
so that there is one reading of the spec, and the helper never takes the daemon's word for it.
"""

import hashlib
import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_jsonable_python

from musterd.errors import NoClusterError, SettingsError
from musterd.helper_wire import Tags
from musterd.spec import DiscoverySource, SecretSource, Spec

USER_DATA_FILE = Path("/run/muster/user-data.toml")
SPEC_FILE = Path("/etc/muster/muster.toml")
CLUSTER_TAG = "muster:cluster"
SIZE_TAG = "muster:size"
DEFAULT_SIZE = 3

_SPEC: TypeAdapter[Spec] = TypeAdapter(Spec)
_TAGS = TypeAdapter(Tags)
_UNSHOWN = {"secret.token"}  # neither printed nor compared by value
DEFAULT = "default"  # the origin of a value that no source gives
_SHOWN = 200  # characters of a wrong value


@dataclass(frozen=True)
class Settings:
    """The effective spec, where each given value came from, and its fingerprints."""

    spec: Spec
    origins: dict[str, str]  # dotted key -> source, in words
    digest: str  # sha256 of what the spec says beyond the defaults
    keys: dict[str, str]  # dotted key of that -> short hash, to name what differs between two nodes


def load(tags: Tags, user_data: Path = USER_DATA_FILE, spec_file: Path = SPEC_FILE) -> Settings:
    """Read, merge and validate the sources.

    Raises:
        SettingsError: a file is unreadable or not TOML, a key unknown, a value out of bounds.
        NoClusterError: no source names a cluster, or user data is still being read.
    """
    values: dict[str, Any] = {"cluster": {"size": DEFAULT_SIZE}}
    origins = {"cluster.size": DEFAULT}
    for source, table in (
        ("instance tags", _from_tags(tags)),
        (f"user data ({user_data})", _of_user_data(_read(user_data))),
        (str(spec_file), _read(spec_file)),
    ):
        _merge(values, table)
        origins.update({key: source for key, _ in _flatten(table)})
    cluster = values["cluster"]
    if isinstance(cluster, dict) and "name" not in cluster:
        raise NoClusterError(
            "no cluster name",
            why=f"the instance has no tag {CLUSTER_TAG}, and neither its user data nor"
            f" {spec_file} sets [cluster] name",
            cure=f"tag the instance with {CLUSTER_TAG}=NAME (tags in metadata on), or type"
            " `muster join --cluster NAME --size N`",
        )
    try:
        spec = _SPEC.validate_python(values)
    except ValidationError as invalid:
        raise _explain(invalid, origins, spec_file) from None
    _check(spec, origins)
    said = dict(_flatten(cast("dict[str, Any]", beyond_defaults(spec))))
    return Settings(spec, origins, _hash(said), {key: _hash(said[key])[:12] for key in said})


def public(spec: Spec) -> dict[str, Any]:
    """Return the spec as nested plain values without what must not be shown."""
    table = cast("dict[str, Any]", _SPEC.dump_python(spec, mode="json"))
    table["secret"].pop("token")
    return table


def beyond_defaults(value: object) -> object:
    """Return what a part of the spec says beyond the defaults, as plain values.

    A key that only a newer musterd knows, and that nobody has set, is not in it: instances of a
    newer image join a cluster of the older one. For the same reason no version may change a
    default.
    """
    if is_dataclass(value):
        parts = ((part, getattr(value, part.name)) for part in fields(value))
        return {part.name: beyond_defaults(got) for part, got in parts if got != _default(part)}
    if isinstance(value, dict):
        return {str(key): beyond_defaults(got) for key, got in value.items()}
    if isinstance(value, list | tuple):
        return [beyond_defaults(each) for each in value]
    return to_jsonable_python(value)


def _default(part: Field[Any]) -> object:
    return part.default_factory() if part.default_factory is not MISSING else part.default


def tags_of(tags: Mapping[str, str]) -> Tags:
    """Return the two tags muster reads, validated.

    Raises:
        SettingsError: a tag has a value that cannot be used.
    """
    try:
        return _TAGS.validate_python(
            {
                "cluster": tags.get(CLUSTER_TAG),
                "size": tags.get(SIZE_TAG),
            }
        )
    except ValidationError as invalid:
        error = invalid.errors()[0]
        tag = CLUSTER_TAG if error["loc"][0] == "cluster" else SIZE_TAG
        raise SettingsError(
            f"instance tag {tag} cannot be used",
            why=f"{error['msg']} (got {str(error['input'])!r})",
            cure=f"change the tag {tag} of this instance (a name of 1 to 32 letters, digits, _ or"
            " -, the first no -; a size from 2 to 16), the node reads it again by itself",
        ) from None


def differing(ours: Mapping[str, str], theirs: Mapping[str, str]) -> tuple[str, ...]:
    """Return the dotted keys whose values differ between two nodes' fingerprints."""
    return tuple(key for key in sorted({*ours, *theirs}) if ours.get(key) != theirs.get(key))


def _from_tags(tags: Tags) -> dict[str, Any]:
    cluster: dict[str, Any] = {}
    if tags.cluster is not None:
        cluster["name"] = tags.cluster
    if tags.size is not None:
        cluster["size"] = tags.size
    return {"cluster": cluster} if cluster else {}


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as broken:
        raise SettingsError(
            f"{path} is not TOML", why=str(broken), cure=f"correct {path}, then type `muster join`"
        ) from None
    except OSError as unreadable:
        raise SettingsError(
            f"{path} cannot be read",
            why=unreadable.strerror or str(unreadable),
            cure=f"type `chown root:musterd {path} && chmod 0640 {path}`, then `muster join`",
        ) from None


def _of_user_data(table: dict[str, Any]) -> dict[str, Any]:
    """Return the table, unless its writer could not read user data (muster_user_data.py)."""
    match table.get("unreadable"):
        case {"why": str(why), "cure": str(cure), "again": True}:
            raise NoClusterError("user data was not read yet", why=why, cure=cure)
        case {"why": str(why), "cure": str(cure)}:
            raise SettingsError("user data cannot be used", why=why, cure=cure)
    return table


def _merge(into: dict[str, Any], table: Mapping[str, Any]) -> None:
    """Overlay tables key by key; lists and values are replaced whole."""
    for key, value in table.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = value


def _flatten(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        dotted = f"{prefix}{key}"
        if dotted in _UNSHOWN:
            continue
        if isinstance(value, dict) and value:
            yield from _flatten(value, f"{dotted}.")
        else:
            yield dotted, value


def _hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _explain(invalid: ValidationError, origins: Mapping[str, str], file: Path) -> SettingsError:
    """Turn pydantic's first complaint into a sentence with file, key and cure."""
    error = invalid.errors()[0]
    key = ".".join(str(part) for part in error["loc"])
    named = [part for part in error["loc"] if isinstance(part, str)]
    candidates = (".".join(named[:length]) for length in range(len(named), 0, -1))
    source = next((origins[name] for name in candidates if name in origins), str(file))
    if error["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
        return SettingsError(
            f"{source}: key {key} is not known",
            cure=f"remove or correct {key} in {source} (docs/configuration.md lists the keys),"
            " then type `muster join`",
        )
    # Nothing of [secret], and no whole table: a token in the wrong place is a token all the same.
    hidden = named[:1] == ["secret"] or isinstance(error["input"], dict)
    shown = "" if hidden else f" (got {str(error['input'])[:_SHOWN]!r})"
    return SettingsError(
        f"{source}: key {key} cannot be used",
        why=f"{error['msg']}{shown}",
        cure=f"correct {key} in {source}, then type `muster join`",
    )


def _check(spec: Spec, origins: Mapping[str, str]) -> None:
    """Refuse what is well-formed but contradicts itself."""
    file = origins.get("discovery.source", str(SPEC_FILE))
    static = spec.discovery.source is DiscoverySource.STATIC
    if static and len(spec.discovery.peers) < spec.cluster.size:
        raise SettingsError(
            f"{file}: key discovery.peers lists {len(spec.discovery.peers)} peers",
            why=f'source = "static" needs at least cluster.size = {spec.cluster.size} of them',
            cure=f"complete discovery.peers in {file}, then type `muster join`",
        )
    if spec.secret.source is SecretSource.INLINE and not spec.secret.token:
        source = origins.get("secret.source", str(SPEC_FILE))
        raise SettingsError(
            f"{source}: key secret.token is missing",
            why='source = "inline" needs the token beside it',
            cure=f'set secret.token in {source}, or use source = "secretsmanager"',
        )
    addresses = [address.private_ip for address in spec.address]
    twice = {address for address in addresses if addresses.count(address) > 1}
    if twice:
        source = origins.get("address", str(SPEC_FILE))
        raise SettingsError(
            f"{source}: key address lists {', '.join(map(str, sorted(twice)))} twice",
            cure=f"give each [[address]] in {source} its own private_ip, then type `muster join`",
        )
