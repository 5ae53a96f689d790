"""HTTP over the lab's control socket, for synchronous callers."""

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from muster_lab.ports import MachineError

REQUEST_TIMEOUT = 180.0
"""Seconds; the longest request is a stop that waits for a guest that does not obey."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("lab", timeout=REQUEST_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def request(path: Path, method: str, target: str, body: object = None) -> Any:
    """One request; returns the decoded JSON.

    Raises:
        ConnectionError: nobody listens on the socket.
        FileNotFoundError: there is no socket.
        MachineError: the lab refused; the message is its sentence.
    """
    connection = _UnixConnection(path)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, target, content, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    if answer.status != http.client.OK:
        try:
            sentence = json.loads(text)["error"]
        except (ValueError, KeyError, TypeError):
            sentence = f"the lab server answered {answer.status}; see its server.log: {text[:200]}"
        raise MachineError(sentence)
    return json.loads(text)
