"""`muster wait` on real nodes: through restarts, a kill and a reboot, and each way it can end."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from muster_lab.client import Lab
from observe import boot_id, ids, own_lab, said, spec_as_user_data, status, tags, until, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(900)]

REACHED, TIMED_OUT, FAILED, UNREACHABLE = 0, 3, 4, 5  # docs/scripting.md
PATIENCE = 300  # seconds

# At every boot, as early as units of a system begin: before musterd, before the cluster.
AT_BOOT = f"""
cat > /etc/systemd/system/wait-at-boot.service <<END
[Unit]
DefaultDependencies=no
After=local-fs.target
[Service]
Type=oneshot
RemainAfterExit=yes
TimeoutStartSec={PATIENCE}
ExecStart=/usr/bin/muster wait --for healthy --timeout {PATIENCE}
[Install]
WantedBy=multi-user.target
END
systemctl enable --quiet wait-at-boot.service
"""
STARTED = "ExecMainStartTimestampMonotonic"


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with own_lab("wait") as started:
        yield started


@contextmanager
def waiting(lab: Lab, node: str, *options: str) -> Iterator[Callable[[], tuple[int, str]]]:
    """`muster wait` in a node beside the test; what it yields returns how that ended."""
    line = lab.node_command(node, ["muster", "wait", "--timeout", str(PATIENCE), *options])
    with subprocess.Popen(
        line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:

            def end() -> tuple[int, str]:
                told, _ = process.communicate(timeout=PATIENCE + 30)
                return process.returncode, told

            yield end
        finally:
            process.kill()


def test_how_a_wait_ends(lab: Lab) -> None:
    """One founding of two, watched by waits that meet everything that may come between."""
    [first] = ids(lab.launch(1, tags=tags("web", 2)))
    until(lab, first, lambda found: found["phase"] == "waiting")

    timed_out = lab.run(first, "muster", "wait", "--timeout", "2", check=False)
    assert timed_out.returncode == TIMED_OUT
    assert "1 of 2 instances carry the tag muster:cluster=web" in timed_out.stderr

    with ExitStack() as stack:
        waits = [
            stack.enter_context(waiting(lab, first, *options))
            for options in ((), ("--for", "healthy"), ("--progress",))
        ]
        lab.run(first, "systemctl", "restart", "musterd.service")
        [second] = ids(lab.launch(1, tags=tags("web", 2)))
        until(lab, first, lambda found: found["phase"] == "founding")
        lab.run(first, "systemctl", "kill", "--signal=KILL", "--kill-whom=main", "musterd.service")
        for ended in waits:
            code, told = ended()
            assert code == REACHED, told
            assert told.splitlines()[-1].startswith(("formed: ", "healthy: "))
    wait_for(lab, "healthy", [first, second])

    _rebooted_into_formed(lab, second)
    _musterd_down(lab, first)


def _rebooted_into_formed(lab: Lab, node: str) -> None:
    """A unit that waits finds the cluster formed, however early in the boot it begins."""
    before, uuid = boot_id(lab, node), status(lab, node)["cluster"]["uuid"]
    lab.run(node, "sh", "-euc", AT_BOOT)
    lab.reboot(node)
    lab.wait_boot(node)
    assert boot_id(lab, node) != before
    waited = _shown(lab, node, "wait-at-boot.service")
    told = said(lab, node, "journalctl", "-u", "wait-at-boot.service", "--output=cat")
    assert (waited["Result"], int(waited["ExecMainStatus"])) == ("success", REACHED), told
    assert int(waited[STARTED]) < int(_shown(lab, node, "musterd.service")[STARTED])
    assert status(lab, node)["cluster"]["uuid"] == uuid


def _shown(lab: Lab, node: str, unit: str) -> dict[str, str]:
    """How a unit's program began and ended."""
    asked = f"--property=Result,ExecMainStatus,{STARTED}"
    lines = said(lab, node, "systemctl", "show", asked, unit).splitlines()
    return dict(line.split("=", 1) for line in lines)


def _musterd_down(lab: Lab, node: str) -> None:
    units = ("musterd-status.socket", "musterd-admin.socket", "musterd.service")
    with waiting(lab, node, "--for", "healthy", "--quiet") as at_rest:
        code, told = at_rest()
        assert code == REACHED, told
    lab.run(node, "systemctl", "stop", *units)
    down = lab.run(node, "muster", "wait", "--timeout", "2", check=False)
    assert down.returncode == UNREACHABLE
    assert "next: systemctl status musterd" in down.stderr
    lab.run(node, "systemctl", "start", *units)
    assert lab.run(node, "muster", "wait", "--timeout", "60").returncode == REACHED


def test_a_node_that_cannot_go_on_ends_the_wait(lab: Lab) -> None:
    spec = '[cluster]\nname = "wrong"\nsize = 99\n'
    [node] = ids(lab.launch(1, tags={"muster:cluster": "wrong"}, user_data=spec_as_user_data(spec)))
    until(lab, node, lambda found: found["phase"] == "failed")
    ended = lab.run(node, "muster", "wait", "--timeout", "60", check=False)
    assert ended.returncode == FAILED
    assert "key cluster.size cannot be used" in ended.stderr
    assert "next: " in ended.stderr
