"""Cuts botocore's service data down to the operations that musterd calls.

Kept of each service: metadata, the named operations, every shape reachable from them, their
paginators, the endpoint rules. Kept of the rest: partitions, the default configuration modes, retry
rules, and the endpoints of the named services. Documentation goes.
"""

import gzip
import json
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muster_packages.errors import PackagingError

OPERATIONS = Path(__file__).with_name("operations.toml")
# Read by botocore whatever the service (botocore.loaders, botocore.client, botocore.regions).
COMMON = ("_retry", "partitions", "sdk-default-configuration")

Json = Any  # what json.loads returns


@dataclass(frozen=True)
class Service:
    """A service to keep: the folder of its model, and the operations."""

    name: str
    model: str
    operations: tuple[str, ...]


def wanted(path: Path = OPERATIONS) -> tuple[Service, ...]:
    """Read the list of operations."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    return tuple(
        Service(name, entry["model"], tuple(entry["operations"])) for name, entry in table.items()
    )


def trim(data: Path, target: Path, services: tuple[Service, ...]) -> None:
    """Write the trimmed copy of botocore's `data` folder to `target`, which must not exist.

    Raises:
        PackagingError: the list names an operation or a model that botocore does not have.
    """
    target.mkdir(parents=True)
    for name in COMMON:
        _write(target / f"{name}.json", _read(data / name))
    _write(target / "endpoints.json", _endpoints(_read(data / "endpoints"), services))
    for service in services:
        source = data / service.name / service.model
        if not source.is_dir():
            raise PackagingError(
                f"botocore has no {service.name} model {service.model}: put the newest folder of "
                f"{data / service.name} into {OPERATIONS.name}"
            )
        folder = target / service.name / service.model
        folder.mkdir(parents=True)
        _write(folder / "service-2.json", _service(_read(source / "service-2"), service))
        _write(folder / "paginators-1.json", _pages(_read(source / "paginators-1"), service))
        for rules in source.glob("endpoint-*"):
            shutil.copyfile(rules, folder / rules.name)


def _read(stem: Path) -> Json:
    """Read STEM.json or STEM.json.gz, as botocore's loader does."""
    plain = stem.with_name(stem.name + ".json")
    if plain.exists():
        return json.loads(plain.read_bytes())
    return json.loads(gzip.decompress(stem.with_name(stem.name + ".json.gz").read_bytes()))


def _write(path: Path, content: Json) -> None:
    path.write_text(json.dumps(content, separators=(",", ":")), encoding="utf-8")


def _endpoints(content: Json, services: tuple[Service, ...]) -> Json:
    names = {service.name for service in services}
    for partition in content["partitions"]:
        kept = partition["services"]
        partition["services"] = {name: kept[name] for name in kept if name in names}
    return content


def _pages(content: Json, service: Service) -> Json:
    pagination = content["pagination"]
    return {
        "pagination": {name: pagination[name] for name in service.operations if name in pagination}
    }


def _service(content: Json, service: Service) -> Json:
    if unknown := sorted(set(service.operations) - set(content["operations"])):
        raise PackagingError(f"botocore's {service.name} has no operation {', '.join(unknown)}")
    operations = {name: content["operations"][name] for name in sorted(service.operations)}
    shapes = _reachable(content["shapes"], operations)
    kept = {key: content[key] for key in content if key not in {"operations", "shapes"}}
    return _undocumented({**kept, "operations": operations, "shapes": shapes})


def _reachable(shapes: Mapping[str, Json], operations: Json) -> dict[str, Json]:
    found: dict[str, Json] = {}
    waiting = set(_references(operations))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = shapes[name]
            waiting.update(_references(shapes[name]))
    return dict(sorted(found.items()))


def _references(content: Json) -> Iterator[str]:
    if isinstance(content, dict):
        if isinstance(name := content.get("shape"), str):
            yield name
        for value in content.values():
            yield from _references(value)
    elif isinstance(content, list):
        for value in content:
            yield from _references(value)


def _undocumented(content: Json) -> Json:
    """Drop documentation texts: strings only, for a member may itself be called that."""
    if isinstance(content, dict):
        return {
            key: _undocumented(value)
            for key, value in content.items()
            if not (key == "documentation" and isinstance(value, str))
        }
    if isinstance(content, list):
        return [_undocumented(value) for value in content]
    return content
