"""The node as the verbs see it: its paths, its children, its name, its caller."""

import grp
import json
import os
import pwd
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

from muster_helper import instances
from muster_helper.children import Runner
from muster_helper.instances import Described
from muster_helper.paths import Paths
from musterd.errors import HelperError
from musterd.helper_wire import Tags
from musterd.settings import Settings, load

_SCRATCH = "scratch-"


@dataclass(frozen=True)
class Host:
    """What a verb works with; tests build one on a folder of their own."""

    paths: Paths
    run: Runner
    say: Callable[[str], None] = field(default=lambda _: None)
    """Tell the caller what happens next; between two steps, never inside one."""
    name: str = field(default_factory=lambda: os.uname().nodename)
    reach: Callable[[str], None] = field(default=lambda _: None)
    """Come to a point of `faults.POINTS`."""
    instance: Callable[[str, str], Described] = field(default=instances.described)
    """What EC2 says of an instance id in a region."""

    def read(self, path: Path) -> str | None:
        """Return a text file, None when there is none; odd bytes become replacement marks."""
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return None

    def note(self, name: str) -> dict[str, str]:
        """Return a note of the helper's own folder (a JSON object), empty when there is none."""
        try:
            note = json.loads(self.read(self.paths.state / name) or "{}")
        except ValueError:
            return {}
        return note if isinstance(note, dict) else {}

    def addresses(self) -> frozenset[str]:
        """Return the IPv4 addresses the kernel has, from its routing tables (no socket needed)."""
        text = self.read(self.paths.below("/proc/net/fib_trie")) or ""
        return frozenset(re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", text))

    def interface(self) -> str:
        """Return the interface that the default route leaves by (proc_net(5), route)."""
        text = self.read(self.paths.below("/proc/net/route")) or ""
        rows = [line.split() for line in text.splitlines()[1:]]
        return next((row[0] for row in rows if len(row) > 1 and row[1] == "00000000"), "eth0")

    def settings(self, tags: Tags) -> Settings:
        """Return the effective spec, from the root-owned files. Raises SettingsError."""
        return load(tags, self.paths.user_data, self.paths.spec)

    def cluster_owner(self) -> tuple[int, int]:
        """Return the ids that Pacemaker's files belong to.

        Raises:
            HelperError: the accounts do not exist.
        """
        try:
            user = pwd.getpwnam(self.paths.cluster_user).pw_uid
            return user, grp.getgrnam(self.paths.cluster_group).gr_gid
        except KeyError:
            raise HelperError(
                f"this node has no user {self.paths.cluster_user}",
                refused=False,
                why="Pacemaker's package makes it",
                cure="install pacemaker",
            ) from None

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a private folder that is gone afterwards, and so is what a killed run left."""
        for old in self.paths.state.glob(f"{_SCRATCH}*"):
            rmtree(old)
        folder = Path(mkdtemp(prefix=_SCRATCH, dir=self.paths.state))
        try:
            yield folder
        finally:
            rmtree(folder)
