"""Installed, upgraded, removed and purged on a running node; the cluster must not notice."""

import base64
from collections.abc import Iterator

import pytest

from muster_lab.client import Lab
from muster_packages.unpacked import Unpacked

pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(400),
    # The lab's server outlives the object that started it, on purpose.
    pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning"),
]

STATE = ("/var/lib/musterd", "/etc/muster", "/run/musterd", "/run/muster")
CLUSTER = ("corosync.service", "pacemaker.service", "pcsd.service")
SOCKETS = ("musterd-status.socket", "musterd-admin.socket", "muster-helper.socket")

OTHER_CLUSTER = """
pcs cluster setup other "$(uname -n)" --corosync_conf /etc/corosync/corosync.conf --overwrite
head -c 256 /dev/urandom > /etc/corosync/authkey
systemctl enable --now --quiet corosync.service pacemaker.service pcsd.service
"""


@pytest.fixture(scope="module")
def lab(unpacked: Unpacked) -> Iterator[Lab]:
    """One node that runs somebody's cluster, which muster leaves alone, and the .deb at hand."""
    lab = Lab("package")
    lab.start(lab.prepare(package=None))
    try:
        lab.launch(1, tags={"muster:cluster": "web", "muster:size": "2"})
        lab.wait_boot()
        lab.run("1", "sh", "-euc", OTHER_CLUSTER)
        packed = base64.b64encode(unpacked.package.read_bytes()).decode("ascii")
        lab.run("1", "sh", "-c", "base64 -d > /root/muster.deb", stdin=packed)
        yield lab
    finally:
        lab.down()


def install(lab: Lab) -> None:
    lab.run("1", "dpkg", "--install", "/root/muster.deb")


def since(lab: Lab, *units: str) -> dict[str, str]:
    """When each unit became active, "" where it is not."""
    words = {}
    for unit in units:
        asked = ["systemctl", "show", "--property=ActiveState,ActiveEnterTimestampMonotonic", unit]
        values = dict(line.split("=") for line in lab.run("1", *asked).stdout.splitlines())
        active = values["ActiveState"] == "active"
        words[unit] = values["ActiveEnterTimestampMonotonic"] if active else ""
    return words


def present(lab: Lab, *paths: str) -> set[str]:
    listed = lab.run("1", "sh", "-c", 'ls -d "$@" 2>/dev/null || true', "sh", *paths).stdout
    return set(listed.split())


def status(lab: Lab) -> str:
    return lab.run("1", "muster", "status", "--json").stdout


def test_the_life_of_the_package(lab: Lab) -> None:
    before = since(lab, *CLUSTER)
    assert all(before.values())

    install(lab)
    started = since(lab, "musterd.service", "muster-watch.service", *SOCKETS)
    assert all(started.values()), started
    assert '"schema": 1' in status(lab)
    modes = lab.run("1", "stat", "--format=%n %a %U %G", *STATE).stdout.splitlines()
    assert modes == [
        "/var/lib/musterd 700 musterd musterd",
        "/etc/muster 750 root musterd",
        "/run/musterd 2750 musterd muster",
        "/run/muster 755 root root",
    ]

    install(lab)  # an upgrade, as dpkg sees it
    upgraded = since(lab, *started)
    assert {unit for unit in started if upgraded[unit] != started[unit]} == {"musterd.service"}

    lab.run("1", "systemctl", "disable", "--quiet", "muster-watch.service")
    install(lab)
    enabled = lab.run("1", "systemctl", "is-enabled", "muster-watch.service", check=False)
    assert enabled.stdout.strip() == "disabled", "an upgrade keeps what the administrator chose"
    lab.run("1", "systemctl", "enable", "--quiet", "muster-watch.service")

    lab.run("1", "dpkg", "--remove", "muster")
    assert present(lab, *STATE, "/usr/lib/muster", "/usr/libexec/muster") == set(STATE)
    assert not any(since(lab, *started).values())

    install(lab)
    assert all(since(lab, *started).values())

    lab.run("1", "dpkg", "--purge", "muster")
    assert present(lab, *STATE, "/usr/lib/muster", "/usr/libexec/muster") == set()
    left = lab.run("1", "find", "/etc/systemd", "/run/systemd", "-name", "muster*")
    assert left.stdout == ""

    assert since(lab, *CLUSTER) == before
    failed = lab.run("1", "systemctl", "--failed", "--plain", "--no-legend", "--no-pager")
    assert "muster" not in failed.stdout
