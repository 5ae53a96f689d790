"""What could be seen from outside while nodes work, and where secrets are found afterwards."""

import base64
import json
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

# <linux/connector.h>, <linux/cn_proc.h>: a netlink socket that tells of every exec on the machine.
_NETLINK_CONNECTOR = 11
_PROC = (1, 1)  # CN_IDX_PROC, CN_VAL_PROC
_LISTEN = 1
_EXEC = 0x2
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_MESSAGE = struct.Struct("=IIIIHH")  # struct cn_msg
_EVENT = struct.Struct("=IIQII")  # struct proc_event: what, cpu, time, then pid, tgid
_SAMPLE = 0.5  # seconds between looks at the files that change


class Witness(threading.Thread):
    """Keeps every command line and environment of the machine, and what files said in between.

    Each program is looked at in the moment it starts, so that one that runs for milliseconds only
    is hardly missed.

    Args:
        memories: record files of daemons, which hold the decree's seed for a while.

    Attributes:
        seen: command lines and environments.
        seeds: every seed that a record held.
    """

    def __init__(self, memories: Iterable[Path]) -> None:
        super().__init__(daemon=True)
        self.seen: set[bytes] = set()
        self.seeds: set[str] = set()
        self._memories = tuple(memories)
        self._over = False
        self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_CONNECTOR)
        self._netlink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        self._netlink.bind((0, _PROC[0]))
        operation = struct.pack("=I", _LISTEN)
        message = _MESSAGE.pack(*_PROC, 0, 0, len(operation), 0) + operation
        self._netlink.send(_HEADER.pack(_HEADER.size + len(message), 3, 0, 0, 0) + message)
        self._netlink.settimeout(_SAMPLE)

    def run(self) -> None:
        """Listen until stopped."""
        sampled = 0.0
        while not self._over:
            if time.monotonic() - sampled > _SAMPLE:
                self._sample()
                sampled = time.monotonic()
            try:
                told = self._netlink.recv(4096)
            except TimeoutError:
                continue
            except OSError:  # ENOBUFS: some events were lost; what runs on is seen by the sample
                continue
            what, _, _, pid, _ = _EVENT.unpack_from(told, _HEADER.size + _MESSAGE.size)
            if what == _EXEC:
                self._look(Path(f"/proc/{pid}"))

    def stop(self) -> None:
        """End it."""
        self._over = True
        self.join()
        self._netlink.close()

    def _sample(self) -> None:
        for path in Path("/proc").glob("[0-9]*"):
            self._look(path)
        for memory in self._memories:
            try:
                record = json.loads(memory.read_bytes())["record"]["durable"]
            except (OSError, ValueError):  # not written yet
                continue
            for part in (record.get("decided"), (record.get("accepted") or {}).get("decree")):
                if part and part.get("seed"):
                    self.seeds.add(part["seed"])

    def _look(self, path: Path) -> None:
        for name in ("cmdline", "environ"):
            try:
                self.seen.add((path / name).read_bytes())
            except OSError:  # it ended meanwhile
                return


@dataclass(frozen=True)
class Canary:
    """A secret, and the files that are meant to hold it.

    Attributes:
        name: of the secret, for a person.
        value: its bytes.
        homes: paths on a node.
    """

    name: str
    value: bytes = field(repr=False)
    homes: frozenset[str] = frozenset()

    def spellings(self) -> Iterator[bytes]:
        """Yield how a part of it would look: as it is, in hex, and inside any base64.

        None of them holds a line break, for grep's sake.
        """
        for part in {self.value[:33], self.value[-33:]}:
            yield max(part.split(b"\n"), key=len)[:12]
            yield part.hex().encode()
            yield part.hex().upper().encode()
            yield quote(part, safe="").encode()
            for shift in range(3):
                whole = base64.b64encode(bytes(shift) + part)
                # The characters at both ends mix with what stands beside.
                inner = whole[4:-4]
                yield inner
                yield inner.translate(bytes.maketrans(b"+/", b"-_"))


@dataclass(frozen=True)
class Place:
    """A folder of a node as this machine sees it.

    Attributes:
        whose: the node, for a person.
        root: where the node's root, or its disk, is.
        below: the folder in it.
    """

    whose: str
    root: Path
    below: str = ""

    def path_of(self, file: str) -> str:
        """Return what the node calls a file of this place."""
        return f"/{Path(file).relative_to(self.root)}"


def found(canaries: Sequence[Canary], places: Iterable[Place]) -> list[tuple[str, str, str]]:
    """Return which canary is in which file of whom, its homes as well: (canary, whose, path)."""
    told = []
    spelt = {canary: set(canary.spellings()) for canary in canaries}
    needles = b"".join(sorted({b"%s\n" % each for words in spelt.values() for each in words}))
    with tempfile.NamedTemporaryFile() as patterns:
        patterns.write(needles)
        patterns.flush()
        for place in places:
            # One pass for all of them; whose it is, is asked of the few files that have any.
            look = ["grep", "--recursive", "--devices=skip", "--files-with-matches", "--text",
                    "--null", "--fixed-strings", f"--file={patterns.name}",
                    str(place.root / place.below)]  # fmt: skip
            hits = subprocess.run(look, env={"LC_ALL": "C"}, capture_output=True, check=False)
            for hit in filter(None, hits.stdout.decode().split("\0")):
                content = Path(hit).read_bytes()
                told += [
                    (canary.name, place.whose, place.path_of(hit))
                    for canary, words in spelt.items()
                    if any(word in content for word in words)
                ]
    return told
