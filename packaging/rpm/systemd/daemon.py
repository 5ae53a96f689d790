"""sd_listen_fds_with_names(3) and sd_notify(3)."""

import os
import socket

_FIRST = 3  # SD_LISTEN_FDS_START


def listen_fds_with_names(unset_environment: bool = True) -> dict[int, str]:
    """Return descriptor -> name of what systemd passed to this process.

    Args:
        unset_environment: take the variables away, so that no child takes the descriptors for its.
    """
    told = {
        name: os.environ.get(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
    }
    if unset_environment:
        for name in told:
            os.environ.pop(name, None)
    if told["LISTEN_PID"] != str(os.getpid()) or not told["LISTEN_FDS"].isdecimal():
        return {}
    count = int(told["LISTEN_FDS"])
    names = told["LISTEN_FDNAMES"].split(":") if told["LISTEN_FDNAMES"] else []
    found = {}
    for number in range(count):
        os.set_inheritable(_FIRST + number, False)
        found[_FIRST + number] = names[number] if number < len(names) else "unknown"
    return found


def notify(status: str) -> bool:
    """Send one message to whoever watches this process; False when nobody does.

    Raises:
        OSError: the message could not be sent.
    """
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]  # the abstract namespace
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.connect(address)
        sender.sendall(status.encode())
    return True
