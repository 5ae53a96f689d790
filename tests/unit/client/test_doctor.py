"""`muster doctor`: what is wrong with its cure, and an exit code that scripts can use."""

import json

from tests.unit.client.conftest import Musterd, counted, printed

from muster import cli
from muster.context import Context
from muster.contract import Exit

SHUT = {
    "check": "ports",
    "outcome": "error",
    "what": "TCP 2224 from a to b is not let through",
    "cure": "let the group in",
}
ODD = {"check": "metadata", "outcome": "warning", "what": "64 hops", "cure": "fewer"}
FINE = {"check": "clock", "outcome": "ok", "what": "b agrees", "cure": ""}


def told(*checks: dict[str, str]) -> bytes:
    return counted({"schema": 1, "seconds": 1.25, "checks": list(checks)})


def test_a_failure_is_shown_with_its_cure_and_ends_in_4(musterd: Musterd, context: Context) -> None:
    musterd.raw["/v1/preflight"] = told(SHUT, ODD, FINE)
    assert cli.main(["doctor"], context) == Exit.FAILED
    assert printed(context.out).splitlines() == [
        "failed    ports: TCP 2224 from a to b is not let through",
        "          cure: let the group in",
        "warning   metadata: 64 hops",
        "          cure: fewer",
        "3 checks in 1.2 s: 1 failed, 1 warning, 1 ok",
    ]


def test_warnings_alone_end_in_0_and_all_shows_what_is_well(
    musterd: Musterd, context: Context
) -> None:
    musterd.raw["/v1/preflight"] = told(ODD, FINE)
    assert cli.main(["doctor", "--all"], context) == Exit.OK
    assert "ok        clock: b agrees" in printed(context.out)


def test_programs_get_the_document(musterd: Musterd, context: Context) -> None:
    musterd.raw["/v1/preflight"] = told(SHUT)
    assert cli.main(["doctor", "--json"], context) == Exit.FAILED
    assert json.loads(printed(context.out))["checks"] == [SHUT]


def test_without_musterd_it_ends_in_5(context: Context, musterd: Musterd) -> None:
    musterd.stop()
    assert cli.main(["doctor"], context) == Exit.UNREACHABLE
    assert "systemctl start musterd" in printed(context.err)
