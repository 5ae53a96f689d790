"""Fault points: all of them are reached in a founding, each strikes once, nothing else does."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_member import FakeMember
from fake_node import EMPTY_CIB, IDENTITY, LAY, MEMBERS, STUB, FakeNode

from muster_helper.children import Ran
from muster_helper.faults import FOLDER, POINTS, armed
from muster_helper.paths import Paths
from muster_helper.verbs import Request
from musterd.helper_wire import (
    FenceParams,
    PrepareParams,
    ProbeParams,
    StartParams,
    SurveyParams,
    Tags,
    TrustParams,
)
from musterd.model import DAY_TWO, Verb

ALL = [point for verb, points in POINTS.items() if verb not in DAY_TWO for point in points]
PROGRAM = """
import sys
from pathlib import Path
from muster_helper.faults import armed
reach = armed(Path(sys.argv[1]))
reach("lay:before")
reach("lay:middle-key")
reach("lay:middle-key")
print("went through")
"""


def found(node: FakeNode) -> list[str]:
    """Perform every verb as one founding does; return the points in the order of reaching."""
    reached: list[str] = []
    host = replace(node.host(), reach=reached.append)
    node.answers["fence_aws"] = Ran(0, "", "")
    for verb, params in _founding(node):
        if verb is Verb.CONFIGURE:
            node.live = EMPTY_CIB.format(epoch=3, nodes='<node id="1"/>')
        Request(verb, params).perform(host)
    return reached


def _founding(node: FakeNode) -> list[tuple[Verb, Any]]:
    return [
        (Verb.SURVEY, SurveyParams()),
        (Verb.PREPARE, PrepareParams("eu-west-1")),
        (Verb.LAY, LAY),
        (Verb.START, StartParams(IDENTITY)),
        (Verb.BUILD, node.configure_params()),
        (Verb.CONFIGURE, node.configure_params()),
        (Verb.TRUST, TrustParams(IDENTITY, "t" * 128)),
        (Verb.PROBE_FENCING, ProbeParams(IDENTITY, Tags(), "eu-west-1")),
        (Verb.FENCE, FenceParams(IDENTITY, MEMBERS[1].instance_id)),
    ]


def test_a_founding_reaches_every_point_in_the_order_of_the_list(tmp_path: Path) -> None:
    node = FakeMember(tmp_path / "node", quorate=True)
    node.nodes = {member.name: {"online": "true"} for member in MEMBERS}
    (node.root / "etc/corosync/corosync.conf").write_text(STUB)
    assert list(dict.fromkeys(found(node))) == ALL


def test_every_verb_has_a_point_before_in_the_middle_and_after() -> None:
    assert set(POINTS) == set(Verb)
    for verb, points in POINTS.items():
        first, *middles, last = points
        assert (first, last) == (f"{verb}:before", f"{verb}:after")
        assert middles
        assert all(middle.startswith(f"{verb}:middle") for middle in middles)


def order(state: Path, point: str, what: str) -> Path:
    """Put an order for a point in place."""
    file = state / FOLDER / point
    file.parent.mkdir(exist_ok=True)
    file.write_text(what)
    return file


@pytest.mark.parametrize("what", ["", "term", "kill it", "=kill", "KILL"])
def test_what_is_no_order_does_nothing(tmp_path: Path, what: str) -> None:
    file = order(tmp_path, "lay:middle-key", what)
    for point in ALL:
        armed(tmp_path)(point)
    assert file.exists()


def test_an_order_for_another_point_does_nothing(tmp_path: Path) -> None:
    file = order(tmp_path, "lay", "kill")
    for point in ALL:
        armed(tmp_path)(point)
    assert file.exists()


def test_without_a_folder_nothing_happens(tmp_path: Path) -> None:
    for point in ALL:
        armed(tmp_path)(point)
    assert list(tmp_path.iterdir()) == []


def _start(state: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(state)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_process_is_killed_once_and_tells_it_first(tmp_path: Path) -> None:
    order(tmp_path, "lay:middle-key", "kill\n")
    other = order(tmp_path, "start:before", "kill\n")
    with _start(tmp_path) as first:
        out, err = first.communicate()
    assert (first.returncode, out) == (-signal.SIGKILL, "")
    assert err == f"fault point lay:middle-key: process {first.pid} gets SIGKILL\n"
    assert list((tmp_path / FOLDER).iterdir()) == [other]
    with _start(tmp_path) as second:
        assert second.communicate() == ("went through\n", "")


def test_the_process_is_stopped_and_goes_on_when_it_is_told(tmp_path: Path) -> None:
    order(tmp_path, "lay:middle-key", "stop")
    with _start(tmp_path) as stopped:
        pid, status = os.waitpid(stopped.pid, os.WUNTRACED)
        assert (pid, os.WSTOPSIG(status)) == (stopped.pid, signal.SIGSTOP)
        stopped.send_signal(signal.SIGCONT)
        out, err = stopped.communicate()
    assert (stopped.returncode, out) == (0, "went through\n")
    assert err.endswith("gets SIGSTOP\n")


def test_only_one_of_two_that_were_armed_strikes(tmp_path: Path) -> None:
    """A survey may run beside a verb: both read the file, one claims it."""
    order(tmp_path, "lay:middle-key", "kill")
    reach = armed(tmp_path)
    with _start(tmp_path) as other:
        other.communicate()
    assert other.returncode == -signal.SIGKILL
    reach("lay:middle-key")  # or this test would end here


def test_the_folder_of_the_file_is_roots_alone() -> None:
    unit = (Path(__file__).parents[3] / "units/muster-helper@.service").read_text().splitlines()
    assert "StateDirectory=muster-helper" in unit
    assert "StateDirectoryMode=0700" in unit
    assert not [line for line in unit if line.startswith(("User=", "Group=", "DynamicUser="))]
    assert str(Paths().state) == "/var/lib/muster-helper"
