"""Schema 1 is a promise: today's documents are what the first consumers were told to expect."""

import json
from collections.abc import Callable

import jsonschema
import pytest
from tests.unit.client.conftest import formed, founding, waiting
from tests.unit.client.pictures import FROZEN, wire
from tests.unit.client.states import fenced, sixteen

from muster import api

ROOT = FROZEN.parents[3]
STATES = [formed, founding, waiting, fenced, sixteen]


def schema(name: str) -> dict[str, object]:
    path = {"current": ROOT / "docs/schema/status-v1.json"}.get(name, FROZEN / f"{name}.json")
    document: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(document)
    return document


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", ["current", "schema-v1"])
def test_a_status_keeps_the_schema(name: str, state: Callable[[], api.Status]) -> None:
    jsonschema.validate(wire(state()), schema(name))


def test_what_the_client_marks_as_stale_keeps_the_schema() -> None:
    jsonschema.validate({**wire(formed()), "stale": True}, schema("current"))


@pytest.mark.parametrize("key", ["phase", "self", "nodes", "written"])
def test_a_document_without_a_promised_key_is_refused(key: str) -> None:
    document = {name: value for name, value in wire(formed()).items() if name != key}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, schema("schema-v1"))


def consumer_of_2026(status: dict[str, object]) -> list[str]:
    """A script as people wrote it when schema 1 was published. Never change it."""
    nodes = status["nodes"]
    assert isinstance(nodes, list)
    lines = [f"{status['phase']} since {status['since']}: {status['reason']} ({status['next']})"]
    lines += [f"{n['name']} {n['instance_id']} {n['online']} {n['last_heard']}" for n in nodes]
    cluster, fencing = status["cluster"], status["fencing"]
    assert isinstance(cluster, dict)
    assert isinstance(fencing, dict)
    lines.append(f"{cluster['name']} {cluster['uuid']} {cluster['quorate']} {cluster['dc']}")
    lines += [f"{p['node']} {p['how']} {p['at']}" for p in fencing["proved"]]
    return lines


def test_a_script_of_the_first_days_still_reads_a_status() -> None:
    """Also one that has keys which were not thought of then."""
    document = dict(wire(formed()))
    document["added_later"] = {"x": 1}
    frozen = json.loads((FROZEN / "status-v1.json").read_text(encoding="utf-8"))
    assert consumer_of_2026(document) == consumer_of_2026(frozen)
