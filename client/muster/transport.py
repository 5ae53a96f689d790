"""Asks musterd on its unix sockets. Every call is bounded in time and in size."""

import json
import socket
import time
from types import TracebackType

from muster.contract import ADMIN_SOCKET, PLAN_SECONDS, PREFLIGHT_SECONDS, STATUS_SOCKET
from muster.errors import (
    ClientError,
    NotAllowedError,
    RefusedError,
    UnintelligibleError,
    UnreachableError,
)
from muster.fields import text
from muster.http1 import Response, request

ANSWER_LIMIT = 8 * 1024 * 1024  # bytes of one document; 16 nodes take a few tens of KiB
ACTIVATION = 30.0  # seconds: asking may be what starts musterd (its sockets are systemd's)
LINE_LIMIT = 1024 * 1024  # bytes of one event
RECEIVE = 65_536  # bytes


def _connect(path: str, seconds: float) -> socket.socket:
    """Return a connected socket that gives up on any one operation after `seconds`."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(max(seconds, 0.001))
    try:
        try:
            connection.connect(path)
        except BlockingIOError:  # its queue is full
            _queue_up(connection, path, seconds)
    except OSError as error:
        connection.close()
        raise explain(error, path) from error
    return connection


def _queue_up(connection: socket.socket, path: str, seconds: float) -> None:
    """Connect once the listener's queue has room; only a blocking socket waits for that (unix(7)).

    Raises:
        OSError: it had none within `seconds`.
    """
    import struct  # late: hardly anybody meets a full queue

    whole, part = divmod(max(seconds, 0.001), 1.0)
    connection.setblocking(True)
    patience = struct.pack("ll", int(whole), int(part * 1_000_000))  # struct timeval
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, patience)
    try:
        connection.connect(path)
    except BlockingIOError as error:
        raise TimeoutError from error
    connection.settimeout(max(seconds, 0.001))


def explain(error: OSError, path: str) -> ClientError:
    """Turn what the kernel said about a socket into what a person can do about it."""
    what = "cannot reach musterd on this node"
    start = "sudo systemctl start musterd"
    logs = "sudo journalctl -u musterd -n 50"
    if isinstance(error, PermissionError):
        own = path == ADMIN_SOCKET
        return NotAllowedError(
            f"cannot use {path}",
            why="only root may use it" if own else "only root and the group muster may use it",
            cure="run it with sudo"
            + ("" if own else ", or: sudo usermod -aG muster USER, and log in again"),
        )
    if isinstance(error, FileNotFoundError):
        return UnreachableError(what, why=f"there is no socket {path}", cure=start)
    if isinstance(error, ConnectionRefusedError):
        return UnreachableError(what, why=f"nobody listens on {path}", cure=start)
    if isinstance(error, TimeoutError):
        return UnreachableError(what, why="it did not answer in time", cure=logs, late=True)
    return UnreachableError(what, why=f"{path}: {error.strerror or error}", cure=logs)


def _decode(body: bytes) -> dict[str, object] | None:
    """Return the JSON object in `body`, None when it is something else."""
    try:
        document = json.loads(body)
    except ValueError:  # not JSON, or not UTF-8
        return None
    return document if isinstance(document, dict) else None


def _check(response: Response, body: bytes, asked: str) -> None:
    """Raise RefusedError unless the status is 2xx (problem document: RFC 9457)."""
    if 200 <= response.status < 300:
        return
    problem = _decode(body)
    if problem is None:
        problem = {"detail": body[:200].decode("utf-8", "replace").strip()}
    raise RefusedError(
        text(problem, "title") or f"musterd answered {response.status} to {asked}",
        why=text(problem, "detail"),
        cure=text(problem, "remedy"),
        status=response.status,
        kind=text(problem, "kind"),
    )


def _quoted(word: str) -> str:
    """Return a word as one segment of a path."""
    from urllib.parse import quote  # late: a status needs none of it

    return quote(word, safe="")


class EventStream:
    """`GET /v1/events`: one line of JSON an event. A context manager; close it to stop.

    Attributes:
        ended: musterd has no more to say, or went away.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.ended = False
        self._connection = connection
        self._response = Response()
        self._rest = b""

    def __enter__(self) -> "EventStream":
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hang up."""
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    @property
    def answered(self) -> bool:
        """Whether musterd has begun to answer."""
        return self._response.status != 0

    def take(self, seconds: float | None) -> list[str]:
        """Return the lines that are here, waiting for the first at most `seconds` (None: ever).

        An empty list means that the time is over, or that the stream has `ended`.

        Raises:
            ClientError: musterd refused, or what came is not a stream of lines.
        """
        lines: list[str] = []
        deadline = None if seconds is None else time.monotonic() + seconds
        while not lines and not self.ended:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                break
            self._connection.settimeout(left)
            try:
                data = self._connection.recv(RECEIVE)
            except TimeoutError:
                break
            except OSError:  # reset: the daemon was killed
                data = b""
            lines = self._add(data)
        return lines

    def _add(self, data: bytes) -> list[str]:
        """Take received bytes (none: closed) and return the complete lines they make."""
        if not data:
            self.ended = True
        self._rest += self._response.feed(data)
        self.ended = self.ended or self._response.done
        if self._response.status >= 300 and not self.ended:
            return []
        if self.ended and self.answered:
            _check(self._response, self._rest, "GET /v1/events")
        elif len(self._rest) > LINE_LIMIT + RECEIVE:
            raise UnintelligibleError("cannot read musterd's events", why="a line has no end")
        *lines, self._rest = self._rest.split(b"\n")
        return [line.decode("utf-8", "replace") for line in lines if line.strip()]


class Transport:
    """musterd on this node, asked over its two sockets."""

    def __init__(
        self,
        status_socket: str = STATUS_SOCKET,
        admin_socket: str = ADMIN_SOCKET,
        seconds: float = 5.0,
    ) -> None:
        self._status_socket = status_socket
        self._admin_socket = admin_socket
        self._seconds = seconds

    def status(self, seconds: float | None = None) -> dict[str, object]:
        """Return `GET /v1/status`: the fields of `muster.api.Status`.

        Args:
            seconds: how long it may take, when less than this client's own limit.
        """
        limit = self._seconds if seconds is None else min(seconds, self._seconds)
        return self._ask(self._status_socket, "GET", "/v1/status", seconds=limit)

    def config(self) -> dict[str, object]:
        """Return `GET /v1/config`: "spec" (nested), "origins" (dotted key -> source), "digest"."""
        return self._ask(self._status_socket, "GET", "/v1/config")

    def metrics(self) -> str:
        """Return `GET /metrics`: Prometheus text."""
        asked = "GET /metrics"
        data = request("GET", "/metrics")
        response, answer = self._exchange(self._status_socket, data, asked, self._seconds)
        _check(response, answer, asked)
        return answer.decode("utf-8", "replace")

    def preflight(self) -> dict[str, object]:
        """Return `GET /v1/preflight`: the fields of `muster.api.Preflight`, after some seconds."""
        limit = PREFLIGHT_SECONDS + self._seconds
        return self._ask(self._status_socket, "GET", "/v1/preflight", seconds=limit)

    def plan(self) -> dict[str, object]:
        """Return `GET /v1/plan`: the fields of `muster.api.Plan`, after some seconds."""
        return self._ask(self._status_socket, "GET", "/v1/plan", seconds=PLAN_SECONDS)

    def apply(self, plan: str, *, restart: bool) -> dict[str, object]:
        """Ask that exactly this plan be carried out; return an Operation's fields."""
        target = f"/v1/apply?plan={_quoted(plan)}&restart={int(restart)}"
        return self._ask(self._admin_socket, "POST", target, b"{}")

    def fence_test(self, node: str) -> dict[str, object]:
        """Ask for a real fence of a node, or with "" of each; return an Operation's fields."""
        target = f"/v1/fence-test/{_quoted(node)}" if node else "/v1/fence-test"
        return self._ask(self._admin_socket, "POST", target, b"{}")

    def operation(self, operation_id: str) -> dict[str, object]:
        """Return how far an operation is: `muster.api.Operation`'s fields."""
        return self._ask(self._admin_socket, "GET", f"/v1/operations/{_quoted(operation_id)}")

    def join(self) -> dict[str, object]:
        """Ask musterd to join the cluster of the spec; return `muster.api.Operation`'s fields."""
        return self._ask(self._admin_socket, "POST", "/v1/join", b"{}", ACTIVATION)

    def leave(self, node: str) -> dict[str, object]:
        """Ask that a member ("" for this node) leave; return `muster.api.Operation`'s fields."""
        target = f"/v1/leave?node={_quoted(node)}" if node else "/v1/leave"
        return self._ask(self._admin_socket, "POST", target, b"", ACTIVATION)

    def events(self, *, follow: bool) -> EventStream:
        """Return the stream of events: the kept ones, and with `follow` each new one."""
        connection = _connect(self._status_socket, self._seconds)
        stream = EventStream(connection)
        try:
            connection.sendall(request("GET", f"/v1/events?follow={int(follow)}"))
        except OSError as error:
            connection.close()
            raise explain(error, self._status_socket) from error
        return stream

    def _ask(
        self,
        path: str,
        method: str,
        target: str,
        body: bytes | None = None,
        seconds: float | None = None,
    ) -> dict[str, object]:
        """Return the JSON object that answers one request.

        Raises:
            UnreachableError: nobody answered in time.
            NotAllowedError: the socket is not for this user.
            RefusedError: musterd said no.
            UnintelligibleError: the answer is not ours.
        """
        asked = f"{method} {target}"
        limit = self._seconds if seconds is None else seconds
        response, answer = self._exchange(path, request(method, target, body), asked, limit)
        _check(response, answer, asked)
        document = _decode(answer)
        if document is None:
            raise UnintelligibleError(
                "cannot understand musterd's answer",
                why=f"the answer to {asked} is not a JSON object",
                cure="muster --version; systemctl status musterd",
            )
        return document

    def _exchange(
        self, path: str, data: bytes, asked: str, seconds: float
    ) -> tuple[Response, bytes]:
        """Send a request and return the whole response, within `seconds` in all."""
        deadline = time.monotonic() + seconds
        response, parts, size = Response(), [], 0
        with _connect(path, seconds) as connection:
            try:
                connection.sendall(data)
                while not response.done:
                    connection.settimeout(max(deadline - time.monotonic(), 0.001))
                    received = connection.recv(RECEIVE)
                    if not received:
                        response.close()
                        break
                    parts.append(response.feed(received))
                    size += len(parts[-1])
                    if size > ANSWER_LIMIT:
                        raise UnintelligibleError(
                            "cannot use musterd's answer",
                            why=f"the answer to {asked} is larger than {ANSWER_LIMIT} bytes",
                            cure="systemctl status musterd",
                        )
            except OSError as error:
                raise explain(error, path) from error
        return response, b"".join(parts)
