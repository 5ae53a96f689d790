"""systemd, asked and told through its own tools."""

from collections.abc import Sequence
from dataclasses import dataclass

from muster_helper.children import Runner, must

COROSYNC = "corosync.service"
PACEMAKER = "pacemaker.service"
PCSD = "pcsd.service"
PCSD_RUBY = "pcsd-ruby.service"  # Debian runs pcsd's Ruby part as a unit of its own
FIREWALLD = "firewalld.service"
CLOUD_SETUP = ("nm-cloud-setup.timer", "nm-cloud-setup.service")
WATCHED = (COROSYNC, PACEMAKER, PCSD, PCSD_RUBY, FIREWALLD, *CLOUD_SETUP)

_ASK = 15.0  # seconds; the answer usually takes 15 ms
_RELOAD = 90.0  # seconds; a tenth of one at rest, generators run
_MANAGER = (
    "org.freedesktop.systemd1",
    "/org/freedesktop/systemd1",
    "org.freedesktop.systemd1.Manager",
)


@dataclass(frozen=True)
class Unit:
    """One unit's state, in systemd's words."""

    load: str = "not-found"
    active: str = "inactive"
    file: str = ""

    @property
    def present(self) -> bool:
        """Tell whether the unit is installed."""
        return self.load not in {"not-found", "error", "bad-setting"}

    @property
    def running(self) -> bool:
        """Tell whether it is active; reloading counts."""
        return self.active in {"active", "reloading"}

    @property
    def stopped(self) -> bool:
        """Tell whether none of it runs; starting and stopping are neither."""
        return self.active in {"inactive", "failed"}

    @property
    def enabled(self) -> bool:
        """Tell whether it starts at boot."""
        return self.file in {"enabled", "enabled-runtime"}

    @property
    def masked(self) -> bool:
        """Tell whether somebody forbade it."""
        return self.load == "masked"


def units(run: Runner, names: Sequence[str] = WATCHED) -> dict[str, Unit]:
    """Return the state of each unit, from one call.

    Raises:
        HelperError: systemd does not answer.
    """
    ran = must(
        run(
            ["systemctl", "show", "--property=Id,LoadState,ActiveState,UnitFileState", *names],
            timeout=_ASK,
        ),
        "systemd did not tell the state of the cluster's services",
        "type `systemctl status` on this node",
    )
    found: dict[str, Unit] = {}
    for name, block in zip(names, ran.out.split("\n\n"), strict=False):
        values = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        found[name] = Unit(
            values.get("LoadState", "not-found"),
            values.get("ActiveState", "inactive"),
            values.get("UnitFileState", ""),
        )
    return found


def started(run: Runner) -> str:
    """Return when PID 1 began, in microseconds of the kernel's clock; "" where it does not tell."""
    words = ["systemctl", "show", "--property=UserspaceTimestampMonotonic", "--value"]
    return run(words, timeout=_ASK).out.strip()


def enable(run: Runner, names: Sequence[str]) -> None:
    """Have units start at boot.

    Through D-Bus, so that PID 1 writes the links: `systemctl enable` would, for a unit that has
    an init script beside it, run systemd-sysv-install inside our sandbox, where /etc is read-only.

    Raises:
        HelperError: systemd refused.
    """
    _call(run, "EnableUnitFiles", "asbb", names, ("false", "false"), "enable")
    _reload(run)


def disable(run: Runner, names: Sequence[str]) -> None:
    """Have units no longer start at boot. Raises HelperError."""
    _call(run, "DisableUnitFiles", "asb", names, ("false",), "disable")
    _reload(run)


def start(run: Runner, names: Sequence[str], timeout: float) -> None:
    """Start units and return when all are active.

    Raises:
        HelperError: one failed; the reason holds the last lines of its journal.
    """
    _job(run, "start", names, timeout)


def stop(run: Runner, names: Sequence[str], timeout: float) -> None:
    """Stop units and return when they have ended. Raises HelperError."""
    _job(run, "stop", names, timeout)


def end(run: Runner, name: str) -> None:
    """Begin to stop a unit and kill all its processes, so that it is not started again.

    Raises:
        HelperError: systemd refused to stop it.
    """
    _job(run, "stop", ["--no-block", name], _ASK)
    # Nothing is left to kill when it stopped at once: then systemctl's complaint says no more.
    run(["systemctl", "kill", "--kill-who=all", "--signal=SIGKILL", name], timeout=_ASK)


def _reload(run: Runner) -> None:
    """Have PID 1 read the links it just wrote.

    Until then it tells the UnitFileState a loaded unit had before: the distribution's own cluster
    would count as enabled after it was disabled, and ours would never be enabled.
    """
    must(
        run(["systemctl", "daemon-reload"], timeout=_RELOAD),
        "systemd did not read its units again",
        "type `systemctl daemon-reload` on this node to see why",
    )


def _call(
    run: Runner,
    method: str,
    signature: str,
    names: Sequence[str],
    flags: Sequence[str],
    verb: str,
) -> None:
    words = ["busctl", "--quiet", "call", *_MANAGER, method, signature]
    must(
        run([*words, str(len(names)), *names, *flags], timeout=_ASK),
        f"systemd did not {verb} {', '.join(names)}",
        f"type `systemctl {verb} {' '.join(names)}` on this node to see why",
    )


def _job(run: Runner, verb: str, names: Sequence[str], timeout: float) -> None:
    ran = run(["systemctl", verb, *names], timeout=timeout)
    if ran.code == 0:
        return
    chosen = [word for name in names for word in ("--unit", name)]
    journal = run(
        ["journalctl", "--no-pager", "--output=cat", "--lines=6", "--priority=warning", *chosen],
        timeout=_ASK,
    )
    must(
        type(ran)(ran.code, "", journal.out.strip() or ran.err),
        f"systemd could not {verb} {' and '.join(names)}",
        f"type `systemctl status {' '.join(names)}` on this node",
    )
