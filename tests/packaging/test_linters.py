"""The distributions' own linters; each find that stays is explained beside the sources."""

import subprocess
from pathlib import Path

import pytest

from muster_packages import deb, rpm
from muster_packages.checkout import Checkout

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]  # 15 s each on a quiet machine

PACKAGING = Path(__file__).resolve().parents[2] / "packaging"


def test_lintian_has_nothing_more_to_say(sources: Checkout) -> None:
    """Its overrides are in the package: packaging/deb/lintian-overrides."""
    done = subprocess.run(
        ["lintian", "--no-tag-display-limit", "--fail-on=error,warning", str(deb.build(sources))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("", 0)


def test_rpmlint_has_nothing_more_to_say(sources: Checkout) -> None:
    config = PACKAGING / "rpm" / "rpmlint.toml"
    done = subprocess.run(
        ["rpmlint", "--strict", "--config", str(config), str(rpm.build(sources))],
        capture_output=True,
        text=True,
        check=False,
    )
    finds = [line for line in done.stdout.splitlines() if line.startswith("muster.")]
    assert finds == []
    assert "0 errors, 0 warnings" in done.stdout
