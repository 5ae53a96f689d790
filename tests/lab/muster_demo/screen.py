"""What the demo prints: headings, facts, colours where a terminal shows them."""

import os
import sys

_STRONG, _FAINT, _GOOD, _BAD = "1", "2", "32", "31"  # SGR parameters (ECMA-48, 8.3.117)


class Screen:
    """Writes to standard output, line by line, so that a pipe sees each line at once."""

    def __init__(self) -> None:
        wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self.colour = wanted and sys.stdout.isatty()

    @property
    def environment(self) -> list[str]:
        """What to put before a command in a node whose output comes here (no-color.org)."""
        return [] if self.colour else ["env", "NO_COLOR=1"]

    def heading(self, words: str) -> None:
        """Begin a part."""
        print(f"\n{self._paint(words, _STRONG)}", flush=True)

    def line(self, words: str) -> None:
        """Say something."""
        print(f"  {words}", flush=True)

    def command(self, words: str) -> None:
        """Show what is run, as a person would type it."""
        print(f"  {self._paint(f'$ {words}', _FAINT)}", flush=True)

    def at(self, seconds: float, words: str, *, good: bool = False) -> None:
        """Say what happened, and how long after the beginning of this part."""
        print(
            f"  {self._paint(f'{seconds:6.1f} s', _FAINT)}  "
            f"{self._paint(words, _GOOD) if good else words}",
            flush=True,
        )

    def failed(self, words: str) -> None:
        """Say what was promised and is not so."""
        sys.stdout.flush()
        print(self._paint(f"demo: {words}", _BAD), file=sys.stderr, flush=True)

    def _paint(self, words: str, paint: str) -> str:
        return f"\x1b[{paint}m{words}\x1b[0m" if self.colour else words
