"""The daemon's footprint stays what is promised."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from muster_lab.client import Lab

FOOTPRINT = Path(__file__).with_name("footprint.py")
LAB = "footprinttest"


@pytest.fixture
def _no_lab_is_left() -> Iterator[None]:
    yield
    Lab(LAB).down()


@pytest.mark.lab
@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("_no_lab_is_left")
def test_the_daemon_at_rest_is_as_small_as_promised() -> None:
    ran = subprocess.run(
        [sys.executable, FOOTPRINT, "--name", LAB, "--seconds", "60"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "| musterd.service |" in ran.stdout
