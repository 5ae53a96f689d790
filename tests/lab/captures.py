"""`make captures`: what an administrator sees in a terminal, from a real cluster.

Each scene runs the real program in a node, in a tmux terminal of a stated size, and what the
terminal shows then is written to docs/captures. Two founders wait for the third; it comes, they
found; one dies, is fenced and comes back; musterd is stopped. Then sixteen, of which one is lost.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from muster_lab.client import CHECKOUT, Lab
from muster_lab.cloud_config import user_data
from muster_lab.image import newest_package

FOLDER = CHECKOUT / "docs" / "captures"
PATIENCE = 300.0  # seconds for a scene to show what it is about
LOOK = 0.3  # seconds between two looks at a terminal
SIZE = (80, 24)  # columns, lines
LARGEST = 16  # founders that a spec may ask for
LONG = 1500.0  # seconds for sixteen nodes to found on two processors


class Terminal:
    """A terminal of a fixed size in which one command runs in a node."""

    def __init__(self, lab: Lab, node: str, command: list[str], size: tuple[int, int]) -> None:
        # One server a terminal: the last one may not have ended yet.
        self._socket = f"captures-{lab.layout.name}-{time.monotonic_ns()}"
        columns, lines = map(str, size)
        words = lab.node_command(node, ["env", "TERM=xterm-256color", *command])
        held = [*words, ";", "sleep", "600"]
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", columns, "-y", lines, _shell(held))
        self._tmux("set-option", "-g", "status", "off")

    def shows(self, words: str) -> str:
        """Return the screen once it shows `words`."""
        deadline = time.monotonic() + PATIENCE
        while words not in (screen := self.screen()):
            if time.monotonic() > deadline:
                raise SystemExit(f"captures: the terminal never showed {words!r}:\n{screen}")
            time.sleep(LOOK)
        return screen

    def screen(self, *flags: str) -> str:
        """Return what the terminal shows, without colours unless `flags` has -e."""
        return self._tmux("capture-pane", "-p", *flags).rstrip("\n") + "\n"

    def close(self) -> None:
        """End it."""
        self._tmux("kill-server")

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self._socket, *words], capture_output=True, text=True, check=True
        )
        return done.stdout


def _shell(words: list[str]) -> str:
    return " ".join(word if word == ";" else f"'{word}'" for word in words)


@contextmanager
def terminal(
    lab: Lab, *command: str, node: str = "1", size: tuple[int, int] = SIZE
) -> Iterator[Terminal]:
    """A terminal that ends with the block."""
    shown = Terminal(lab, node, list(command), size)
    try:
        yield shown
    finally:
        shown.close()


def keep(name: str, screen: str) -> None:
    """Write a capture, and say so."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / name).write_text(screen, encoding="utf-8")
    print(f"--- {name}\n{screen}", flush=True)


def main() -> int:
    """Play every scene."""
    parser = argparse.ArgumentParser(prog="captures", description=__doc__)
    parser.add_argument("--name", default="captures", help="which lab (default: captures)")
    parser.add_argument("--only", choices=PLAYS, help="one of the plays (default: all)")
    parser.add_argument("--deb", type=Path, help="package (default: newest dist/muster_*.deb)")
    options = parser.parse_args()
    lab = Lab(options.name)
    for name, played in PLAYS.items():
        if options.only in {None, name}:
            lab.down()
            try:
                lab.start(lab.prepare(package=options.deb or newest_package(CHECKOUT)))
                played(lab)
            finally:
                lab.down()
    return 0


def three(lab: Lab) -> None:
    """From waiting to formed, hurt, and without musterd."""
    given = user_data("web", 3, [IPv4Address("10.0.0.100")])
    tags = {"muster:cluster": "web"}
    lab.launch(2, tags=tags, user_data=given)
    lab.wait_boot()
    with terminal(lab, "muster", "status") as shown:
        keep("waiting.txt", shown.shows("waiting since"))
    with terminal(lab, "muster", "wait", "--timeout", "300", size=(80, 30)) as shown:
        lab.launch(1, tags=tags, user_data=given)
        shown.shows("start:")
        keep("founding.txt", shown.shows("trust:"))
        with_wait = shown.shows("formed: ")
        keep("wait-formed.txt", with_wait)
    lab.run("1", "muster", "wait", "--for", "healthy", "--timeout", "120", timeout=130)
    well(lab)
    hurt(lab)


def well(lab: Lab) -> None:
    """The formed cluster, on terminals of several sizes, and how it came to be."""
    for name, size in (("formed.txt", SIZE), ("formed-wide.txt", (120, 40))):
        with terminal(lab, "muster", "status", size=size) as shown:
            keep(name, shown.shows("formed since"))
    with terminal(lab, "env", "NO_COLOR=1", "muster", "status") as shown:
        shown.shows("formed since")
        assert "\x1b[3" not in shown.screen("-e")
    with terminal(lab, "muster", "status") as shown:
        shown.shows("formed since")
        keep("formed-colour.ansi", shown.screen("-e"))
    with terminal(lab, "muster", "timeline", size=(110, 50)) as shown:
        keep("timeline.txt", shown.shows("formed"))
    lab.run("1", "muster", "timeline", "--svg", "/tmp/web.svg")
    picture = lab.run("1", "cat", "/tmp/web.svg").stdout
    (FOLDER / "timeline.svg").write_text(picture, encoding="utf-8")
    events = lab.run("1", "muster", "events", "--json").stdout
    (FOLDER / "events.json").write_text(events, encoding="utf-8")
    found = ("journalctl", "--quiet", "--no-pager", "--output=cat", "MUSTER_KIND=action")
    with terminal(lab, *found, size=(120, 30)) as shown:
        keep("journal.txt", shown.shows("action=trust"))
    lab.run("1", "systemctl", "restart", "musterd.service")
    with terminal(lab, "muster", "timeline", size=(110, 50)) as shown:
        keep("timeline-after-restart.txt", shown.shows("probe-fencing"))
    script = "from muster.client import Client; print(Client().wait('healthy', timeout=60).phase)"
    assert lab.run("1", "python3", "-c", script).stdout == "formed\n"


def hurt(lab: Lab) -> None:
    """One node dies; then musterd is stopped on another."""
    with terminal(lab, "muster", "status", "--watch", size=(80, 40)) as shown:
        shown.shows("3 of 3 nodes online")
        lab.kill("3")
        keep("lost.txt", shown.shows("OFFLINE"))
        victim = lab.node("3").hostname
        history, fenced = ("stonith_admin", "--history", victim), f"reboot of {victim} successful"
        until_said(lab, "1", history, fenced)
        with terminal(lab, *history) as asked:
            keep("fence-history.txt", asked.shows(fenced))
        keep("fenced.txt", shown.screen())
        keep("returned.txt", shown.shows("3 of 3 nodes online"))
    units = ("musterd-status.socket", "musterd-admin.socket", "musterd.service")
    lab.run("1", "systemctl", "stop", *units)
    with terminal(lab, "muster", "status") as shown:
        keep("down.txt", shown.shows("OUTDATED"))
    with terminal(lab, "muster", "wait", "--timeout", "5") as shown:
        keep("wait-down.txt", shown.shows("next:"))


def until_said(lab: Lab, node: str, command: Sequence[str], words: str) -> None:
    """Ask a program of Pacemaker, which tells nobody by itself, until it says so."""
    deadline = time.monotonic() + PATIENCE
    while words not in (said := lab.run(node, *command, check=False).stdout):
        if time.monotonic() > deadline:
            raise SystemExit(f"captures: {command[0]} never said {words!r}:\n{said}")
        time.sleep(LOOK)


def sixteen(lab: Lab) -> None:
    """The largest cluster, from tags alone, on a small and on a large terminal."""
    lab.launch(LARGEST, tags={"muster:cluster": "web", "muster:size": str(LARGEST)})
    lab.wait_boot(timeout=LONG)
    asked = ("muster", "wait", "--for", "healthy", "--timeout", str(int(LONG)))
    lab.run("1", *asked, timeout=LONG + 10)
    lab.kill(str(LARGEST))
    shown_lost = f"{LARGEST - 1} of {LARGEST} nodes online"
    with terminal(lab, "muster", "status", "--watch") as shown:
        keep("sixteen.txt", shown.shows(shown_lost))
    with terminal(lab, "muster", "status", "--all", size=(80, 60)) as shown:
        keep("sixteen-all.txt", shown.shows(shown_lost))


PLAYS: dict[str, Callable[[Lab], None]] = {"three": three, "sixteen": sixteen}

if __name__ == "__main__":
    sys.exit(main())
