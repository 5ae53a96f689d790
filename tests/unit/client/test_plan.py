"""`muster plan` and `muster apply`: exit codes, what is shown, and exactly the plan seen."""

import json
import os

import pytest
from tests.unit.client.conftest import Musterd, counted, printed

from muster import cli
from muster.commands import apply
from muster.context import Context

NAME = "ab" * 32
DRIFT = {"what": "property maintenance-mode", "live": "true", "wanted": "", "drift": True,
         "cure": "write it into the spec"}  # fmt: skip
CHANGE = {"what": "stonith fence-web option power_timeout", "live": "240", "wanted": "99",
          "drift": False, "cure": ""}  # fmt: skip
COMMAND = {"command": "pcs stonith update fence-web power_timeout=99", "why": "", "restart": False}
STOP = {"command": "pcs cluster stop --all", "why": "", "restart": True}
OPERATION = {"id": "a1", "verb": "apply", "state": "running", "asked_by": "uid 0", "at": "",
             "detail": "plan abab"}  # fmt: skip


def told(*commands: object, differences: tuple[object, ...] = ()) -> bytes:
    document = {"plan": NAME, "commands": commands, "differences": differences, "schema": 1}
    return counted(document, "200 OK")


@pytest.fixture(autouse=True)
def _root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(apply, "LOOK_EVERY", 0.0)


def test_nothing_to_do_is_zero(musterd: Musterd, context: Context) -> None:
    musterd.raw["/v1/plan"] = told()
    assert cli.main(["plan"], context) == 0
    assert printed(context.out) == "the cluster is as the spec says\n"


def test_some_difference_is_two_and_each_is_shown(musterd: Musterd, context: Context) -> None:
    musterd.raw["/v1/plan"] = told(COMMAND, differences=(DRIFT, CHANGE))
    assert cli.main(["plan"], context) == 2
    shown = printed(context.out)
    assert "drift   property maintenance-mode: is true, the spec says nothing" in shown
    assert "change  stonith fence-web option power_timeout: is 240, the spec says 99" in shown
    assert f"run     {COMMAND['command']}" in shown


def test_the_document_is_printed_as_it_came(musterd: Musterd, context: Context) -> None:
    musterd.raw["/v1/plan"] = told(differences=(DRIFT,))
    assert cli.main(["plan", "--json"], context) == 2
    assert json.loads(printed(context.out))["differences"] == [DRIFT]


@pytest.mark.parametrize(("state", "code"), [("done", 0), ("failed", 4)])
def test_the_plan_that_was_shown_is_asked_for(
    musterd: Musterd, context: Context, state: str, code: int
) -> None:
    musterd.raw["/v1/plan"] = told(COMMAND, differences=(CHANGE,))
    musterd.raw["/v1/apply"] = counted(OPERATION, "202 Accepted")
    musterd.raw["/v1/operations/a1"] = counted({**OPERATION, "state": state}, "200 OK")
    assert cli.main(["apply"], context) == code
    assert f"POST /v1/apply?plan={NAME}&restart=0 HTTP/1.1" in musterd.asked


def test_drift_alone_is_left_as_it_is(musterd: Musterd, context: Context) -> None:
    musterd.raw["/v1/plan"] = told(differences=(DRIFT,))
    assert cli.main(["apply"], context) == 0
    assert not any(asked.startswith("POST") for asked in musterd.asked)


def test_a_restart_is_not_begun_unasked(musterd: Musterd, context: Context) -> None:
    musterd.raw["/v1/plan"] = told(STOP, differences=(CHANGE,))
    assert cli.main(["apply"], context) == 1
    assert not any(asked.startswith("POST") for asked in musterd.asked)


def test_only_root_applies(
    musterd: Musterd, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cli.main(["apply"], context) == 1
    assert musterd.asked == []
