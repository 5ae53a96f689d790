"""musterd for scripts, typed: what `muster` does on the command line, as Python.

    from muster.client import Client

    status = Client().wait("healthy", timeout=600)
    print(status.cluster.name, [node.name for node in status.nodes])

Standard library only. Every call is bounded in time and raises `muster.errors.ClientError`, which
says what happened, why, and what to type next. Unknown keys of a newer musterd are ignored, and
keys that an older one does not give are empty.
"""

import dataclasses
import json
import time
from collections.abc import Iterator
from typing import Literal, TypeVar, get_args, get_origin, get_type_hints

from muster import health
from muster.api import Event, FindingStatus, Operation, Plan, Status
from muster.contract import ADMIN_SOCKET, STATUS_FILE, STATUS_SOCKET
from muster.errors import FailedError, TimedOutError, UnreachableError
from muster.fields import Document, text
from muster.following import Follower, decode
from muster.transport import Transport

Goal = Literal["formed", "healthy"]
Model = TypeVar("Model")

RECHECK = 5.0  # seconds: health may change without an event of ours
FIRST = 5.0  # seconds that musterd may take to begin to answer


class Client:
    """musterd on this node.

    Args:
        status_socket: where questions are answered.
        admin_socket: where changes are asked for (root only).
        status_file: the last written status.
    """

    def __init__(
        self,
        *,
        status_socket: str = STATUS_SOCKET,
        admin_socket: str = ADMIN_SOCKET,
        status_file: str = STATUS_FILE,
    ) -> None:
        self._transport = Transport(status_socket, admin_socket)
        self._status_file = status_file

    def status(self) -> Status:
        """Return what is known now. Raises UnreachableError while musterd does not answer."""
        return read(Status, self._transport.status())

    def last_status(self) -> Status:
        """Return what musterd wrote last, whether it runs or not; `written` tells its age.

        Raises:
            UnreachableError: there is no such file, or it cannot be read.
        """
        try:
            with open(self._status_file, encoding="utf-8") as file:
                document = json.load(file)
        except (OSError, ValueError) as error:
            raise UnreachableError(
                "cannot read the last written status",
                why=f"{self._status_file}: {error}",
                cure="sudo systemctl start musterd",
            ) from error
        return read(Status, document if isinstance(document, dict) else {})

    def problems(self) -> tuple[FindingStatus, ...]:
        """Return everything that is wrong now, errors first; `cure` holds a command a line."""
        return tuple(FindingStatus(*wrong) for wrong in health.wrongs(self._transport.status()))

    def wait(self, goal: Goal = "formed", *, timeout: float | None = None) -> Status:
        """Return the status once the goal is reached.

        Args:
            goal: "formed": this node is a member; "healthy": everything is as the spec wants it.
            timeout: seconds, None for ever.

        Raises:
            TimedOutError: the time is over; `why` tells what is missing.
            FailedError: this node cannot go on by itself.
            UnreachableError: musterd has been away for longer than a restart takes.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        missing = ["musterd does not answer"]
        with Follower(self._transport, polls=True) as follower:
            while True:
                document = follower.status()
                if document is not None:
                    if text(document, "phase") == "failed":
                        raise FailedError(
                            "this node failed",
                            why=text(document, "reason"),
                            cure=text(document, "next"),
                        )
                    missing = health.missing(goal, document)
                    if not missing:
                        return read(Status, document)
                left = RECHECK if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    raise TimedOutError(
                        f"not {goal} after {timeout} s",
                        why="; ".join(missing),
                        cure="muster status",
                    )
                follower.take(min(left, RECHECK))

    def events(self, *, follow: bool = False) -> Iterator[Event]:
        """Yield the kept events; with `follow` go on for ever, through restarts of musterd."""
        if follow:
            with Follower(self._transport) as follower:
                while True:
                    yield from (read(Event, event) for event in follower.take())
        with self._transport.events(follow=False) as stream:
            while not stream.ended:
                lines = stream.take(FIRST)
                if not lines and not stream.ended:
                    raise UnreachableError("cannot read the events", why="musterd said nothing")
                yield from (read(Event, event) for event in map(decode, lines) if event)

    def join(self) -> Operation:
        """Have musterd read the spec anew and found or join the cluster. Root only."""
        return read(Operation, self._transport.join())

    def leave(self, node: str = "") -> Operation:
        """Have a member (this node without a name) taken out of the cluster. Root only."""
        return read(Operation, self._transport.leave(node))

    def plan(self) -> Plan:
        """Compare the running cluster with the spec; touches nothing."""
        return read(Plan, self._transport.plan())

    def apply(self, plan: str, *, restart: bool = False) -> Operation:
        """Have exactly the plan of that name carried out. Root only."""
        return read(Operation, self._transport.apply(plan, restart=restart))

    def config(self) -> dict[str, object]:
        """Return "spec" (nested), "origins" (dotted key -> source) and "digest"; no secret."""
        return self._transport.config()

    def metrics(self) -> str:
        """Return Prometheus text."""
        return self._transport.metrics()


def read(model: type[Model], document: Document) -> Model:
    """Return a public model with the values of a decoded JSON object.

    What is missing or of another type becomes the model's default, or empty.

    Args:
        model: a dataclass of `muster.api`.
        document: what musterd answered.
    """
    hints = get_type_hints(model)
    values: dict[str, object] = {}
    for field in dataclasses.fields(model):  # type: ignore[arg-type]  # Model is one of ours
        found, value = _value(hints[field.name], document.get(field.name))
        defaults = (field.default, field.default_factory)
        if found or all(default is dataclasses.MISSING for default in defaults):
            values[field.name] = value
    return model(**values)


def _value(hint: object, value: object) -> tuple[bool, object]:
    """Return whether a value is of the type, and the value or an empty one."""
    origin, arguments = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        fits = isinstance(value, dict)
        return fits, read(hint, value if isinstance(value, dict) else {})
    if origin is tuple:
        items = value if isinstance(value, list | tuple) else []
        return bool(items), tuple(_value(arguments[0], item)[1] for item in items)
    if origin is dict:
        pairs = value.items() if isinstance(value, dict) else ()
        return isinstance(value, dict), {str(key): str(item) for key, item in pairs}
    if hint is float:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        return fits, float(value) if isinstance(value, int | float) else 0.0
    if isinstance(hint, type) and isinstance(value, hint):
        return not (hint is int and isinstance(value, bool)), value
    return False, hint() if isinstance(hint, type) else None
