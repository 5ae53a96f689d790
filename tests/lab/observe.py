"""What the lab tests do with nodes: start a lab of their own, wait for events, read a node's state.

Labs are called after $MUSTER_LAB (default "test"), so that several checkouts can test side by
side. With MUSTER_LAB_KEEP set, a lab is left as it is after the tests, for a person to look at.
"""

import base64
import json
import os
import re
import selectors
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from muster_lab.client import CHECKOUT, Lab
from muster_lab.image import newest_package
from muster_lab.views import Call, Node

PATIENCE = 300.0
"""Seconds that founding may take; half a minute at rest, but two cores may be busy."""

RECHECK = 5.0
"""Seconds after which a status is read again although no event came."""

MACHINE_RECHECK = 0.5  # seconds
CALLS_RECHECK = 1.0
"""Seconds after which the region is asked again for its calls."""

Document = dict[str, Any]

_KEPT: list[Lab] = []  # what is not taken down must live on, or its process is complained about


@contextmanager
def own_lab(suffix: str, *, with_muster: bool = True) -> Iterator[Lab]:
    """A lab without nodes, which ends with the block.

    Args:
        suffix: what its name ends with, one per test file.
        with_muster: whether nodes get the package (the newest that `make deb` built).
    """
    lab = Lab(os.environ.get("MUSTER_LAB", "test") + suffix)
    lab.down()
    lab.start(lab.prepare(package=newest_package(CHECKOUT) if with_muster else None))
    try:
        yield lab
    finally:
        if "MUSTER_LAB_KEEP" in os.environ:
            _KEPT.append(lab)
        else:
            lab.down()


def spec_as_user_data(spec: str, files: Mapping[str, str] | None = None) -> bytes:
    """A cloud-config that writes the spec and joins, as packaging/cloud-init/write-file.yaml.

    Args:
        spec: content of muster.toml.
        files: more files for root alone, path to content; they are there before musterd starts.
    """
    lines = [
        "#cloud-config",
        "write_files:",
        "  - path: /etc/muster/muster.toml",
        "    owner: root:musterd",
        "    permissions: '0640'",
        f"    content: {json.dumps(spec)}",
        *(
            line
            for path, content in (files or {}).items()
            for line in (
                f"  - path: {path}",
                "    permissions: '0600'",
                f"    content: {json.dumps(content)}",
            )
        ),
        "runcmd:",
        "  - [muster, join]",
    ]
    return "\n".join(lines).encode() + b"\n"


def tags(cluster: str, size: int) -> dict[str, str]:
    """The two tags that make an instance a founder."""
    return {"muster:cluster": cluster, "muster:size": str(size)}


def ids(nodes: Sequence[Node]) -> list[str]:
    """Their instance ids."""
    return [node.instance_id for node in nodes]


def bring(lab: Lab, node: str, file: Path, path: str) -> None:
    """Put a file of this machine into a node."""
    packed = base64.b64encode(file.read_bytes()).decode("ascii")
    lab.run(node, "sh", "-euc", 'base64 -d > "$0"', path, stdin=packed)


# --- waiting ----------------------------------------------------------------------------------


def wait_for(lab: Lab, goal: str, nodes: Sequence[str], timeout: float = PATIENCE) -> None:
    """Wait with `muster wait` until every node is `formed` or `healthy`.

    A node that is fenced while it is waited for is asked again when it is back.
    """
    deadline = time.monotonic() + timeout
    for node in nodes:
        while not _answered(lab, goal, node, deadline):
            time.sleep(MACHINE_RECHECK)  # the lab tells nobody of boots; it is asked


def _answered(lab: Lab, goal: str, node: str, deadline: float) -> bool:
    left = max(1.0, deadline - time.monotonic())
    command = ["muster", "wait", "--for", goal, "--timeout", f"{left:.0f}"]
    if lab.node(node).machine != "up" and left > 1.0:
        return False
    done = lab.run(node, *command, check=False, timeout=left + 30)
    # The kernel kills the waiting command with its node, a little before the lab knows of the end.
    died = done.returncode == -signal.SIGKILL or done.stderr.startswith("nsenter: ")
    if done.returncode != 0 and not died:
        raise AssertionError(f"{node}: {done.stderr}\n{story(lab, node)}")
    return done.returncode == 0


def story(lab: Lab, node: str) -> str:
    """Everything a node tells of itself, for the message of a test that failed."""
    told = [lab.run(node, "muster", verb, check=False) for verb in ("status", "events")]
    return "\n".join(done.stdout + done.stderr for done in told)


class Feed:
    """The events of several nodes as they happen, what they remember first.

    Use `following`, which ends the processes behind it.
    """

    def __init__(self, streams: dict[str, IO[bytes]]) -> None:
        self._selector = selectors.DefaultSelector()
        self._rest = dict.fromkeys(streams, b"")
        self._untold: deque[tuple[str, Document]] = deque()
        for node, stream in streams.items():
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ, node)

    def wait(self, seconds: float) -> bool:
        """Wait until there are more events, or the time is over; tell whether there are."""
        for key, _ in self._selector.select(0 if self._untold else seconds):
            node = key.data
            data = os.read(key.fd, 65_536)
            if not data:  # the node died
                self._selector.unregister(key.fileobj)
            *lines, self._rest[node] = (self._rest[node] + data).split(b"\n")
            self._untold += [(node, json.loads(line)) for line in lines if line]
        return bool(self._untold)

    def pass_over(self, seconds: float) -> None:
        """Drop what has come, or what comes first within the time."""
        self.wait(seconds)
        self._untold.clear()

    def until(
        self,
        wanted: Callable[[Document], bool],
        timeout: float = PATIENCE,
        *,
        of: Container[str] | None = None,
    ) -> tuple[str, Document]:
        """Return the next event that is wanted, and whose it is; earlier ones are passed over.

        Args:
            wanted: tells whether an event is it.
            timeout: seconds until the test fails instead.
            of: the nodes whose event it may be; None for all.
        """
        deadline = time.monotonic() + timeout
        seen = []
        while (left := deadline - time.monotonic()) > 0:
            if self.wait(left):
                node, event = self._untold.popleft()
                seen.append(f"{node} {event.get('message', event.get('MESSAGE'))}")
                if (of is None or node in of) and wanted(event):
                    return node, event
        raise AssertionError("the event did not come; there were:\n" + "\n".join(seen))


@contextmanager
def following(
    lab: Lab,
    nodes: Sequence[str],
    command: Sequence[str] = ("muster", "events", "--follow", "--json"),
) -> Iterator[Feed]:
    """Follow the events of some nodes, or what another command prints as one JSON a line."""
    with ExitStack() as stack:
        streams = {}
        for node in nodes:
            line = lab.node_command(node, command)
            follower = stack.enter_context(
                subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            )
            stack.callback(follower.kill)
            assert follower.stdout is not None
            streams[node] = follower.stdout
        yield Feed(streams)


def stops(lab: Lab, node: str) -> list[str]:
    """The calls that really stopped and started an instance."""
    return [
        call.action
        for call in lab.calls(service="ec2")
        if call.outcome == "ok"
        and call.action in {"StopInstances", "StartInstances"}
        and f"InstanceId.1={node}" in call.detail
    ]


def leads(event: Document) -> bool:
    """Whether the node tells that it was elected."""
    message = str(event["message"])
    return (
        event["kind"] == "election"
        and re.fullmatch(r"this node leads term \d+", message) is not None
    )


def decides(event: Document) -> bool:
    """Whether the node tells that the founding is decided."""
    return event["kind"] == "election" and str(event["message"]).startswith("decided")


def steps(words: str) -> Callable[[Document], bool]:
    """Whether an event is a step of the helper with these words in it."""
    return lambda event: event["kind"] == "step" and words in str(event["message"])


def until(
    lab: Lab, node: str, wanted: Callable[[Document], bool], timeout: float = PATIENCE
) -> Document:
    """Return the node's status as soon as it is as wanted; looked at again at each event."""
    deadline = time.monotonic() + timeout
    found: Document = {}
    with following(lab, [node]) as feed:
        while (left := deadline - time.monotonic()) > 0:
            found = status(lab, node)
            if found and wanted(found):
                return found
            feed.pass_over(min(left, RECHECK))
    raise AssertionError(f"{node} did not come to that: {json.dumps(found, indent=1)}")


def until_calls(
    lab: Lab, wanted: Callable[[Sequence[Call]], bool], timeout: float = PATIENCE, **which: str
) -> None:
    """Wait until the calls to AWS so far, at least one, are as wanted.

    Args:
        lab: whose region.
        wanted: tells it of the calls, oldest first.
        timeout: seconds until the test fails instead.
        which: calls of this `action`, `caller`, `service`.
    """
    deadline = time.monotonic() + timeout
    while not ((calls := lab.calls(**which)) and wanted(calls)):
        if time.monotonic() > deadline:
            raise AssertionError(f"the calls did not come to that: {calls}")
        time.sleep(CALLS_RECHECK)  # the region tells nobody of calls; it is asked


# --- looking ----------------------------------------------------------------------------------


def status(lab: Lab, node: str) -> Document:
    """`muster status --json`; empty while the daemon has not said anything yet."""
    done = lab.run(node, "muster", "status", "--json", check=False)
    found: Document = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    return found


def said(lab: Lab, node: str, *command: str) -> str:
    """What a command prints that must succeed."""
    return lab.run(node, *command).stdout.strip()


def boot_id(lab: Lab, node: str) -> str:
    """Which boot this is."""
    return said(lab, node, "cat", "/proc/sys/kernel/random/boot_id")


def decisions(lab: Lab, node: str) -> set[str]:
    """Every uuid the node ever knew to be decided, from its journal of all boots."""
    told = said(lab, node, "journalctl", "--unit=musterd", "--output=cat")
    return set(re.findall(r"decided: cluster (\w+)", told))


def digests(lab: Lab, node: str, *paths: str) -> str:
    """Content, owner, mode, inode and time of change of files: equal means never rewritten."""
    return said(lab, node, "stat", "--format=%n %U:%G %a %i %.9Y", *paths) + said(
        lab, node, "sha256sum", *paths
    )


def configuration(lab: Lab, node: str) -> str:
    """The CIB's configuration, what an administrator or muster may have set."""
    return said(lab, node, "cibadmin", "--query", "--scope", "configuration")


def epoch(lab: Lab, node: str) -> str:
    """The CIB's `admin_epoch.epoch`, which every change of the configuration counts up."""
    first = said(lab, node, "cibadmin", "--query").partition(">")[0]
    found = dict(re.findall(r'([\w-]+)="([^"]*)"', first))
    return f"{found['admin_epoch']}.{found['epoch']}"


def moments(calls: Sequence[Call]) -> list[float]:
    """When the calls were answered, in seconds."""
    return [datetime.fromisoformat(call.at).timestamp() for call in calls]
