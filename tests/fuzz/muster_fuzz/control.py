"""The administrator's socket against its own OpenAPI document, by schemathesis."""

import http.client
import json
import socket
import time
from datetime import timedelta
from io import BytesIO
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from urllib3 import HTTPResponse

from muster_fuzz.process import Target, target
from muster_fuzz.report import Report

PATIENCE = 10.0  # seconds
STREAMING = 0.05  # seconds that a stream of events is listened to: it has no end
# 503 is among what is described: too many streams, or a port of the world does not answer.
CHECKS = (content_type_conformance, response_schema_conformance, status_code_conformance)


Operation = APIOperation[Any, Any, Any, Any]


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str, timeout: float = PATIENCE) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def control(inputs: int) -> Report:
    """Every operation in turn, with values that fit its description and values that do not."""
    with target("control", "schemathesis over the unix socket") as victim:
        path = str(victim.ask({"input": None})["outcome"])
        schema = schemathesis.openapi.from_dict(_described(path))
        began = time.monotonic()
        _part(victim, schema, path, inputs // 10)
        victim.report.before = victim.measure()
        _part(victim, schema, path, inputs - victim.report.inputs)
        victim.report.after = victim.measure()
        victim.report.seconds = time.monotonic() - began
        return victim.report


def _described(path: str) -> dict[str, Any]:
    connection = _Connection(path)
    connection.request("GET", "/v1/openapi.json")
    document: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    return document


def _part(victim: Target, schema: BaseSchema, path: str, inputs: int) -> None:
    """Give that many inputs or a few more: the library may stop early where little can vary."""
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    wanted = victim.report.inputs + inputs
    while victim.report.inputs < wanted:
        left = wanted - victim.report.inputs
        for number, operation in enumerate(operations):
            _attack(victim, operation, path, -(-left // len(operations)), number + left)


def _attack(
    victim: Target, operation: APIOperation[Any, Any, Any, Any], path: str, inputs: int, chance: int
) -> None:
    @seed(chance)
    @settings(
        max_examples=inputs,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=_cases(operation))
    def each(case: Case[Any]) -> None:
        victim.note(_send(victim, case, path))

    each()


def _cases(operation: Operation) -> st.SearchStrategy[Case[Any]]:
    """Return cases that fit the description, and where it can be missed, as many that do not."""
    fitting: st.SearchStrategy[Case[Any]] = operation.as_strategy()
    if not list(operation.iter_parameters()):
        return fitting
    return fitting | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)


def _send(victim: Target, case: Case[Any], path: str) -> str:
    """Send a case, judge the answer against the description; return the status."""
    prepared = requests.Request(**_given(case)).prepare()
    connection = _Connection(path, STREAMING if "follow=1" in str(prepared.url) else PATIENCE)
    try:
        body = prepared.body if isinstance(prepared.body, bytes | str) else None
        connection.request(str(prepared.method), prepared.path_url, body, dict(prepared.headers))
        answer = connection.getresponse()
        content = answer.read()
    except TimeoutError:
        return "a stream"
    except ValueError:
        return "not HTTP"  # http.client itself refuses to send it
    finally:
        connection.close()
    raw = HTTPResponse(BytesIO(content), dict(answer.headers), answer.status, preload_content=False)
    response = requests.adapters.HTTPAdapter().build_response(prepared, raw)
    response.elapsed = timedelta()
    try:
        case.validate_response(response, checks=[*CHECKS])
    except BaseExceptionGroup as wrong:
        victim.report.complaints += [f"{each}"[:600] for each in wrong.exceptions]
    return str(answer.status)


def _given(case: Case[Any]) -> dict[str, Any]:
    known = case.as_transport_kwargs(base_url="http://localhost")
    names = ("method", "url", "headers", "params", "data", "json", "cookies", "files")
    return {name: known[name] for name in names if name in known}
