"""What the client's tests share: documents, a context without a terminal, a scripted musterd."""

import io
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pytest

from muster import api
from muster.context import Context

NOW = 1_767_225_900.0  # 2026-01-01T00:05:00Z


class Output(io.StringIO):
    """A text stream that may pass for a terminal."""

    def __init__(self, terminal: bool = False) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


class Musterd:
    """A musterd on a real unix socket that says what the test wants, byte for byte.

    Attributes:
        status: the answer to GET /v1/status.
        raw: whole responses that replace the answer to a target.
        asked: request lines, in order.
    """

    def __init__(self, folder: Path) -> None:
        self.sockets = (str(folder / "status.sock"), str(folder / "admin.sock"))
        self.status: dict[str, object] = asdict(
            api.Status(phase="starting", reason="looking around", since="", next="")
        )
        self.raw: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.changed = threading.Condition()
        self._events: list[dict[str, object]] = []
        self._listeners: list[socket.socket] = []
        self._connections: list[socket.socket] = []
        self._generation = 0

    def start(self) -> None:
        """Listen on both sockets, with no events kept."""
        self._events = []
        for path in self.sockets:
            Path(path).unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(path)
            listener.listen()
            self._listeners.append(listener)
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def stop(self) -> None:
        """Die: listeners and connections break off."""
        with self.changed:
            self._generation += 1
            self.changed.notify_all()
        for one in [*self._listeners, *self._connections]:
            with suppress(OSError):  # the other side closed already
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._listeners, self._connections = [], []

    def publish(self, message: str, /, kind: str = "phase", **status: object) -> None:
        """Change the status, and tell followers by an event."""
        with self.changed:
            self.status.update(status)
            number = len(self._events)
            self._events.append(
                {
                    "at": f"2026-01-01T00:00:{number:02}Z",
                    "kind": kind,
                    "message": message,
                    "phase": self.status["phase"],
                    "seconds": float(number),
                    "fields": {},
                }
            )
            self.changed.notify_all()

    def wait_until_asked(self, words: str, times: int = 1) -> None:
        """Return once requests with `words` in their first line have come so many times."""
        with self.changed:
            assert self.changed.wait_for(
                lambda: sum(words in line for line in self.asked) >= times, timeout=10
            )

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # stopped
                return
            self._connections.append(connection)
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        # An OSError: the client went away, which is its right.
        with suppress(OSError), connection:
            head = connection.recv(65_536).decode()
            line = head.partition("\r\n")[0]
            target = line.split(" ")[1].partition("?")[0]
            with self.changed:
                self.asked.append(line)
                self.changed.notify_all()
            if target in self.raw:
                connection.sendall(self.raw[target])
            elif target == "/v1/events":
                self._stream(connection, follow="follow=1" in line)
            else:
                connection.sendall(counted(self.status))

    def _stream(self, connection: socket.socket, *, follow: bool) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        told, generation = 0, self._generation
        while generation == self._generation:
            with self.changed:
                fresh = self._events[told:]
                if not fresh and not follow:
                    break
                if not fresh:
                    self.changed.wait(timeout=10)
                    continue
            told += len(fresh)
            for event in fresh:
                line = json.dumps(event).encode() + b"\n"
                connection.sendall(b"%x\r\n%s\r\n" % (len(line), line))
        connection.sendall(b"0\r\n\r\n")


def counted(document: object, status: str = "200 OK") -> bytes:
    """Return a whole response with a Content-Length."""
    body = json.dumps(document).encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.fixture
def musterd(tmp_path: Path) -> Iterator[Musterd]:
    server = Musterd(tmp_path)
    server.start()
    yield server
    server.stop()


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A context on the folder where `musterd` listens; its streams are `Output`s."""
    return context_in(tmp_path)


def context_in(folder: Path, *, terminal: bool = False, **environ: str) -> Context:
    """Return a context with its own streams, places and a clock that stands still."""
    return Context(
        out=Output(terminal),
        err=Output(),
        sockets=(str(folder / "status.sock"), str(folder / "admin.sock")),
        status_file=str(folder / "status.json"),
        spec_file=str(folder / "muster.toml"),
        wall=lambda: NOW,
        environ=environ,
    )


def printed(stream: object) -> str:
    """Return what a context's stream was told."""
    assert isinstance(stream, Output)
    return stream.getvalue()


def node(number: int, phase: str, *, online: bool, heard: str, reason: str = "") -> api.NodeStatus:
    return api.NodeStatus(
        instance_id=f"i-0123456789abcde{number}f",
        name=f"ip-10-0-0-1{number}",
        address=f"10.0.0.1{number}",
        zone="eu-west-1a",
        phase=phase,
        online=online,
        last_heard=heard,
        reason=reason,
    )


def own(*, conductor: bool = False) -> api.SelfStatus:
    return api.SelfStatus(
        instance_id="i-0123456789abcde1f",
        name="ip-10-0-0-11",
        address="10.0.0.11",
        zone="eu-west-1a",
        conductor=conductor,
    )


def formed() -> api.Status:
    """A formed, healthy cluster of three."""
    names = {f"ip-10-0-0-1{number}": f"i-0123456789abcde{number}f" for number in (1, 2, 3)}
    heard = "2026-01-01T00:04:57Z"
    return api.Status(
        phase="formed",
        reason="all 3 founders are online, fencing is proven from each to each",
        since="2026-01-01T00:01:00Z",
        next="nothing to do",
        self=own(conductor=True),
        cluster=api.ClusterStatus(
            name="web",
            uuid="8f14e45fceea167a5a36dedd4bea2543",
            size=3,
            quorate=True,
            dc="ip-10-0-0-11",
            spec_digest="ab" * 32,
        ),
        nodes=tuple(node(n, "formed", online=True, heard=heard) for n in (1, 2, 3)),
        fencing=api.FencingStatus(
            device="fence-web",
            agent="fence_aws",
            map=names,
            proved=tuple(
                api.ProofStatus(name, "permissions", "2026-01-01T00:00:50Z") for name in names
            ),
        ),
        addresses=(
            api.AddressStatus(
                private_ip="10.0.0.68",
                node="ip-10-0-0-11",
                agrees=True,
                views=dict.fromkeys(("pacemaker", "ec2", "kernel"), "ip-10-0-0-11"),
                elastic_ip="35.169.153.122",
            ),
        ),
        resources=(
            api.ResourceStatus("fence-web", "stonith:fence_aws", "", "Started", "ip-10-0-0-12"),
            api.ResourceStatus(
                "vip", "ocf:heartbeat:awsvip", "networking-group", "Started", "ip-10-0-0-11"
            ),
        ),
        written="2026-01-01T00:04:58Z",
    )


def founding() -> api.Status:
    """Two of three founders at work, one not heard of yet."""
    return api.Status(
        phase="founding",
        reason="laying corosync.conf and keys",
        since="2026-01-01T00:04:50Z",
        next="starts corosync when a majority of the founders is ready",
        self=own(),
        cluster=api.ClusterStatus(name="web", uuid="8f14e45fceea167a5a36dedd4bea2543", size=3),
        nodes=(
            node(1, "founding", online=False, heard=""),
            node(2, "founding", online=False, heard="2026-01-01T00:04:59Z", reason="preparing"),
            node(3, "", online=False, heard=""),
        ),
        written="2026-01-01T00:04:59Z",
    )


def waiting() -> api.Status:
    """One founder is missing, and permissions are lacking."""
    return api.Status(
        phase="waiting",
        reason="2 of 3 founders are there: i-0123456789abcde3f is stopped",
        since="2026-01-01T00:02:00Z",
        next="start i-0123456789abcde3f, or terminate it so that the next in order takes its place",
        self=own(),
        cluster=api.ClusterStatus(name="web", size=3),
        nodes=(
            node(1, "waiting", online=False, heard=""),
            node(2, "waiting", online=False, heard="2026-01-01T00:04:40Z"),
        ),
        findings=(
            api.FindingStatus(
                "error",
                "this instance's role may not call ec2:DescribeInstances",
                "attach the policy packaging/aws/policy.json to the instance's role",
            ),
            api.FindingStatus("warning", "tags in metadata are off", "turn them on"),
        ),
        written="2026-01-01T00:04:59Z",
    )
