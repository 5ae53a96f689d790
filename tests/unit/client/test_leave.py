"""`muster leave`: who is to leave is asked of musterd, by root only."""

import os

import pytest
from tests.unit.client.conftest import Musterd, counted, printed

from muster import cli
from muster.context import Context

ACCEPTED = {
    "id": "a1",
    "verb": "leave",
    "state": "running",
    "asked_by": "uid 0",
    "at": "2026-01-01T00:00:00Z",
    "detail": "ip-10-0-0-13",
}


def test_a_member_is_named_to_musterd(
    musterd: Musterd, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    musterd.raw["/v1/leave"] = counted(ACCEPTED, "202 Accepted")
    assert cli.main(["leave", "ip-10-0-0-13"], context) == 0
    assert "POST /v1/leave?node=ip-10-0-0-13 HTTP/1.1" in musterd.asked
    assert printed(context.out).splitlines() == [
        "leaving: ip-10-0-0-13",
        "  next: muster status --watch",
    ]


def test_only_root_takes_members_out(
    musterd: Musterd, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert cli.main(["leave", "ip-10-0-0-13"], context) == 1
    assert musterd.asked == []
