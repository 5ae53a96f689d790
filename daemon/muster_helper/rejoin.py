"""muster-rejoin: keep a node that fell silent from coming back before its peers gave it up.

A fenced instance can boot faster than Corosync declares it lost, which takes token + consensus.
Pacemaker's word that the node was fenced waits in Corosync's queue until then, so a node that is
back earlier is told itself, and its Pacemaker stops for good ("We were allegedly just fenced").
Before Corosync starts, a node that did not leave in order therefore waits that long from its boot.
"""

import os
import sys
import time
from pathlib import Path

from muster_helper.corosync_conf import BrokenConfigError, nodes, parse
from muster_helper.paths import Paths

_DEFAULTS = {"token": 3_000, "token_coefficient": 650}  # milliseconds; corosync.conf(5)
_CONSENSUS = 1.2  # of the token, unless the file says
_MARGIN = 1.0  # seconds, for what the peers do once the new membership stands


def main() -> None:
    """Wait, or with `--leave` note that Corosync has ended in order."""
    paths = Paths()
    if sys.argv[1:] == ["--leave"]:
        left_in_order(paths).touch(mode=0o600)
        return
    left = to_wait(paths, awake())
    if left > 0:
        print(f"waiting {left:.0f} s, until the other nodes have given this one up", flush=True)
        time.sleep(left)


def left_in_order(paths: Paths) -> Path:
    """Return the mark of a node that said good-bye to its peers."""
    return paths.below("/var/lib/musterd/left-in-order")


def to_wait(paths: Paths, seconds_awake: float) -> float:
    """Return the seconds until Corosync may start, 0 when it may at once; takes the mark away.

    Args:
        paths: of the node.
        seconds_awake: since the boot, which is at most the time since peers last heard it.
    """
    mark = left_in_order(paths)
    if mark.exists():
        mark.unlink()
        return 0.0
    if not any(paths.corosync_state.glob("ringid_*")):  # never was in a ring
        return 0.0
    try:
        silence = given_up_after(paths.corosync_conf.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, BrokenConfigError):
        return 0.0  # Corosync does not start from it either, and says why
    return max(0.0, silence + _MARGIN - seconds_awake)


def given_up_after(text: str) -> float:
    """Return the seconds after which the peers have a membership without a silent node.

    Raises:
        BrokenConfigError: the text is no corosync.conf.
    """
    conf = parse(text)

    def milliseconds(key: str, default: float) -> float:
        said = conf.get("totem", key)
        return float(said) if said.isdecimal() else default

    coefficient = milliseconds("token_coefficient", _DEFAULTS["token_coefficient"])
    token = milliseconds("token", _DEFAULTS["token"])
    token += coefficient * max(0, len(nodes(conf)) - 2)
    return (token + milliseconds("consensus", _CONSENSUS * token)) / 1000


def awake() -> float:
    """Return the seconds since the first process of this node began (proc(5), field 22)."""
    words = Path("/proc/1/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    began = int(words[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began
