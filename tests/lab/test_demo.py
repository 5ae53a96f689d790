"""`make demo`, run as a script would run it."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from muster_lab.client import Lab

DEMO = Path(__file__).with_name("demo")

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]


@pytest.fixture
def lab() -> Iterator[Lab]:
    made = Lab("demotest")
    yield made
    made.down()


def test_the_demo_founds_kills_and_recovers(lab: Lab) -> None:
    ran = subprocess.run(
        [DEMO, "--name", lab.layout.name],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    killed = re.search(r"Kill (\S+), which answers", ran.stdout)
    assert killed is not None
    victim = killed[1]
    for line in (
        r"^healthy: demo is formed and quorate",
        r"^  formed \d+\.\d s after musterd started",
        rf"EC2: {victim} is stopping$",
        rf"fencing history: reboot of {victim} by (?!{victim})\S+: success$",
        rf"http://10\.0\.0\.100/ answers again: (?!{victim})\S+$",
        rf"http://203\.0\.113\.\d+/ answers again: (?!{victim})\S+$",
        rf"{victim} is back; all 3 nodes are healthy$",
    ):
        assert re.search(line, ran.stdout, re.MULTILINE), f"{line}\n{ran.stdout}"
    assert "\x1b" not in ran.stdout
    # What it leaves behind is a lab that goes on running.
    assert [each.machine for each in lab.nodes()] == ["up", "up", "up"]
