"""How long an address was not there, as a host that is no member sees it."""

import itertools
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from tempfile import TemporaryFile

from muster_lab.client import Lab

INTERVAL = 0.2  # seconds between two questions
SHORTEST = 1.0  # seconds without an answer that count as an outage


@dataclass
class Outages:
    """What was seen while the block ran; complete once it has ended.

    Attributes:
        seconds: of each outage, in order; one that had not ended counts up to the end.
        lasted: seconds of the whole watch.
    """

    seconds: list[float] = field(default_factory=list)
    lasted: float = 0.0

    def told(self) -> str:
        """In one line, for those who read figures."""
        each = ", ".join(f"{one:.1f} s" for one in self.seconds) or "none"
        return f"outages in {self.lasted:.0f} s: {each}"


@contextmanager
def watched(lab: Lab, address: str) -> Iterator[Outages]:
    """Ask the address all the time from the bastion, and tell when it did not answer."""
    seen = Outages()
    command = ("ping", "-n", "-D", "-i", str(INTERVAL), address)
    with TemporaryFile("w+") as output:
        began = time.time()
        with subprocess.Popen(lab.place_command("bastion", command), stdout=output) as ping:
            try:
                yield seen
            finally:
                ping.send_signal(signal.SIGINT)
        ended = time.time()
        output.seek(0)
        seen.seconds = gaps(output.read(), began, ended)
        seen.lasted = ended - began


def gaps(said: str, began: float, ended: float) -> list[float]:
    """Return the seconds between answers wherever that is longer than `SHORTEST`.

    Args:
        said: what `ping -D` printed, an answer a line with its time (seconds since 1970).
        began: when it was started.
        ended: when it was stopped.
    """
    answered = [float(at) for at in re.findall(r"^\[(\d+\.\d+)\] \d+ bytes from", said, re.M)]
    moments = [began, *answered, ended]
    pauses = [later - at for at, later in itertools.pairwise(moments)]
    return [round(pause, 1) for pause in pauses if pause > SHORTEST]
