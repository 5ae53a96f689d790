"""What systemd gives and wants to hear: sockets by name, READY=1, the watchdog, log entries.

python3-systemd is the distribution's own binding and no wheel exists of it, so it is imported
only where systemd has asked for something; without systemd the daemon runs all the same.
"""

import os
import socket
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType

from musterd.errors import MusterError


def listeners(environment: Mapping[str, str] = os.environ) -> dict[str, socket.socket]:
    """Return the sockets systemd passed, by FileDescriptorName; none when it passed none.

    Call it once: the variables are unset, so that no child takes the sockets for its own.

    Raises:
        MusterError: there are sockets, but python3-systemd is missing.
    """
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return {}
    named: Mapping[int, str] = _binding().listen_fds_with_names(unset_environment=True)
    found = {name: socket.socket(fileno=descriptor) for descriptor, name in named.items()}
    for each in found.values():
        each.setblocking(False)
    return found


def notify(state: str, environment: Mapping[str, str] = os.environ) -> None:
    """Tell systemd, if it listens: "READY=1", "STATUS=...", "WATCHDOG=1", "STOPPING=1".

    Raises:
        MusterError: it listens, but python3-systemd is missing.
    """
    if environment.get("NOTIFY_SOCKET"):
        _binding().notify(state)


def watchdog_interval(environment: Mapping[str, str] = os.environ) -> float | None:
    """Return how often to send "WATCHDOG=1": a third of WatchdogSec, in seconds; None if unset."""
    wanted = environment.get("WATCHDOG_USEC", "")
    process = environment.get("WATCHDOG_PID", str(os.getpid()))
    if not wanted.isdecimal() or int(wanted) == 0 or process != str(os.getpid()):
        return None
    return int(wanted) / 1e6 / 3


def journal(environment: Mapping[str, str] = os.environ) -> Callable[..., object] | None:
    """Return what sends an entry's fields to the journal; None where there is none to be told."""
    if not environment.get("JOURNAL_STREAM"):
        return None
    try:
        send: Callable[..., object] = import_module("systemd.journal").sendv
    except ImportError:  # the entries go to standard error, without fields
        return None
    return send


def _binding() -> ModuleType:
    try:
        return import_module("systemd.daemon")
    except ImportError as error:
        raise MusterError(
            "python3-systemd is missing",
            why="musterd runs under systemd and cannot talk to it",
            cure="`apt install python3-systemd`, or `dnf install python3-systemd`",
        ) from error
