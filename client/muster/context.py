"""What a command needs of its surroundings: streams, places, clock. Tests give their own."""

import os
import sys
import time
from collections.abc import Callable, Mapping

from muster.contract import ADMIN_SOCKET, SPEC_FILE, STATUS_FILE, STATUS_SOCKET
from muster.screen import Screen
from muster.transport import Transport

TYPE_CHECKING = False  # typing's own constant costs 4 ms of import
if TYPE_CHECKING:
    from typing import TextIO

NARROWEST = 40  # columns; below that a cut cell says nothing
LOWEST = 10  # lines


class Context:
    """Everything a command touches.

    Args:
        out: where answers go. Default: standard output.
        err: where errors and remarks go. Default: standard error.
        sockets: the status and the admin socket.
        status_file: the last written status.
        spec_file: the spec that `muster join` may write.
        wall: seconds since 1970.
        environ: the environment, for NO_COLOR (no-color.org), TERM, COLUMNS and LINES.
    """

    def __init__(
        self,
        *,
        out: "TextIO | None" = None,
        err: "TextIO | None" = None,
        sockets: tuple[str, str] = (STATUS_SOCKET, ADMIN_SOCKET),
        status_file: str = STATUS_FILE,
        spec_file: str = SPEC_FILE,
        wall: Callable[[], float] = time.time,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.out = sys.stdout if out is None else out
        self.err = sys.stderr if err is None else err
        self.client = Transport(*sockets)
        self.status_file = status_file
        self.spec_file = spec_file
        self.wall = wall
        self.terminal = self.out.isatty()
        self._environ = environ

    @property
    def colour(self) -> bool:
        """Whether to paint: on a terminal that can, unless NO_COLOR is set."""
        wanted = not self._environ.get("NO_COLOR") and self._environ.get("TERM") != "dumb"
        return self.terminal and wanted

    @property
    def width(self) -> int:
        """Columns of the terminal; 0 (never cut) for a pipe or a file."""
        if not self.terminal:
            return 0
        return max(self._size("COLUMNS", 0, 80), NARROWEST)

    @property
    def height(self) -> int:
        """Lines of the terminal; 0 (any number) for a pipe or a file."""
        return max(self._size("LINES", 1, 24), LOWEST) if self.terminal else 0

    def _size(self, variable: str, index: int, otherwise: int) -> int:
        """Return what the environment says, else the terminal itself."""
        told = self._environ.get(variable, "")
        if told.isascii() and told.isdigit() and int(told):
            return int(told)
        try:
            return os.get_terminal_size(self.out.fileno())[index] or otherwise
        except OSError:  # a terminal that does not tell, as in some recorders
            return otherwise

    def screen(self) -> Screen:
        """Return an empty screen as wide and as colourful as the output allows."""
        return Screen(self.wall(), colour=self.colour, width=self.width, height=self.height)

    def say(self, *lines: str) -> None:
        """Print lines to the output and let them be seen at once."""
        self.out.write("".join(line + "\n" for line in lines))
        self.out.flush()

    def complain(self, *lines: str) -> None:
        """Print lines to the error output."""
        self.err.write("".join(line + "\n" for line in lines))
        self.err.flush()
