"""An entry for the journal, by its native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL)."""

import socket
import struct

PATH = "/run/systemd/journal/socket"


def sendv(*fields: str) -> None:
    """Send one entry of fields such as "MESSAGE=text".

    Raises:
        OSError: the journal did not take it.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.sendto(b"".join(map(_field, fields)), PATH)


def _field(field: str) -> bytes:
    name, _, value = field.encode("utf-8", "surrogateescape").partition(b"=")
    if b"\n" not in value:
        return name + b"=" + value + b"\n"
    return name + b"\n" + struct.pack("<Q", len(value)) + value + b"\n"
