"""The timeline as SVG 1.1, as `systemd-analyze plot` does it: a row a bar, grouped by node."""

from html import escape

from muster.history import OTHERS, PACEMAKER, PHASE, STEP, Bar
from muster.timeline.lanes import ASKED, BOOT, Lane, Timeline

MARGIN = 24  # pixels
ROW, BAR = 19, 13  # pixels: from row to row, and of a bar
TITLE = 54  # pixels above the axis
WIDTH = 1000.0  # pixels that the axis takes, unless a second then takes more than
PER_SECOND = 30.0  # pixels
NUMBERS = 44.0  # pixels between two numbers of the axis, at least
LONGEST = 60  # letters of a label
GLYPH = 6.4  # pixels of an average letter at 12 px: where a label has no room
FILL = {
    BOOT: "#b8bec6",
    ASKED: "#7fb4e6",
    STEP: "#2f7d4f",
    PHASE: "#f0c75e",
    OTHERS: "#f0c75e",
    PACEMAKER: "#c98bb9",
}
LEGEND = (
    (BOOT, "boot"),
    (ASKED, "asking"),
    (PHASE, "waiting for nodes or votes"),
    (STEP, "founding step"),
    (PACEMAKER, "waiting for Pacemaker"),
)
STYLE = """
  text { font: 12px "DejaVu Sans", "Segoe UI", Helvetica, Arial, sans-serif; fill: #24292f }
  .title { font-size: 17px; font-weight: bold }
  .name { font-size: 13px; font-weight: bold }
  .faint { fill: #6a737d }
  .tick { stroke: #e4e7eb }
  .mark { stroke: #b3261e; stroke-dasharray: 3 3 }
  .marked { fill: #b3261e; font-size: 11px }
"""


def draw(timeline: Timeline, title: str) -> str:
    """Return the whole document."""
    return "\n".join(_Picture(timeline, title).elements()) + "\n"


class _Picture:
    """Lays one timeline out."""

    def __init__(self, timeline: Timeline, title: str) -> None:
        self._timeline = timeline
        self._title = title
        length = max(timeline.end - timeline.begin, 1.0)
        self._scale = min(WIDTH / length, PER_SECOND)
        # Rows of the marks above the axis: their words must not run into each other.
        self._top = TITLE + 16 * max(len(timeline.marks), 1)
        rows = sum(len(lane.bars) + 1.6 for lane in timeline.lanes)
        self._width = 3 * MARGIN + length * self._scale
        self._height = self._top + 2 * MARGIN + rows * ROW + 20

    def elements(self) -> list[str]:
        """Return the elements, from the outermost in."""
        width, height = round(self._width), round(self._height)
        drawn = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
            f' viewBox="0 0 {width} {height}" role="img">',
            f"<title>{escape(self._title)}</title>",
            f"<style>{STYLE}</style>",
            f'<rect width="{width}" height="{height}" fill="white"/>',
            _text(MARGIN, 26, self._title, "title"),
            _text(MARGIN, 44, self._timeline.summary(), "faint"),
            *self._ticks(),
        ]
        y = float(self._top + MARGIN)
        for lane in self._timeline.lanes:
            drawn += self._lane(lane, y)
            y += (len(lane.bars) + 1.6) * ROW
        return [*drawn, *self._marks(), *self._legend(), "</svg>"]

    def _x(self, at: float) -> float:
        return MARGIN + (at - self._timeline.begin) * self._scale

    def _ticks(self) -> list[str]:
        """Draw a line and a number every so many seconds."""
        steps = (n for n in (5, 10, 30, 60, 300, 600, 1800) if n * self._scale >= NUMBERS)
        every = next(steps, 3600)
        drawn = []
        first = every * -(-int(self._timeline.begin) // every)
        for second in range(first, int(self._timeline.end) + 1, every):
            x = self._x(second)
            drawn.append(_line(x, self._top, self._height - MARGIN - 14, "tick"))
            drawn.append(_text(x, self._top - 4, f"{second} s", "faint", "middle"))
        return drawn

    def _lane(self, lane: Lane, y: float) -> list[str]:
        """Draw a node's name and its bars."""
        told = "" if lane.own else "  (as it told the others)"
        drawn = [_text(MARGIN, y, f"{lane.name}{told}", "name")]
        for number, bar in enumerate(lane.bars, 1):
            drawn += self._bar(bar, y + number * ROW - BAR / 2)
        return drawn

    def _bar(self, bar: Bar, y: float) -> list[str]:
        """Draw a bar, with its words after it; where there is no room, before it or on it."""
        begin, end, label = self._x(bar.begin), self._x(bar.end or 0.0), _label(bar)
        width = max(end - begin, 1.5)
        anchor, x, room = "start", begin + width + 5, len(label) * GLYPH
        if x + room > self._width - MARGIN / 2:
            anchor, x = ("end", begin - 5) if begin - 5 > room else ("start", begin + 5)
        return [
            f'<rect x="{begin:.1f}" y="{y - BAR + 3:.1f}" width="{width:.1f}" height="{BAR}"'
            f' rx="2" fill="{FILL[bar.kind]}"/>',
            _text(x, y, label, "", anchor),
        ]

    def _marks(self) -> list[str]:
        """Draw what the election came to, across all nodes."""
        drawn = []
        nexts = [self._x(at) for at, _ in self._timeline.marks[1:]] + [self._width - MARGIN]
        for number, ((at, words), following) in enumerate(
            zip(self._timeline.marks, nexts, strict=True)
        ):
            x, y, room = self._x(at), self._top - 18 - 14 * number, len(words) * GLYPH
            drawn.append(_line(x, y + 3, self._height - MARGIN - 14, "mark"))
            if x + room > following and x > room:
                drawn.append(_text(x - 4, y, words, "marked", "end"))
            else:
                drawn.append(_text(x + 4, y, words, "marked"))
        return drawn

    def _legend(self) -> list[str]:
        x, y, drawn = float(MARGIN), self._height - 12, []
        for kind, words in LEGEND:
            drawn.append(
                f'<rect x="{x:.0f}" y="{y - 10:.0f}" width="12" height="12" rx="2"'
                f' fill="{FILL[kind]}"/>'
            )
            drawn.append(_text(x + 17, y, words, "faint"))
            x += 36 + len(words) * GLYPH
        return drawn


def _label(bar: Bar) -> str:
    """Return a bar's words; why something is waited for is the events' to tell."""
    words = bar.label.partition(": ")[0]
    words = words if len(words) <= LONGEST else words[: LONGEST - 2] + ".."
    return f"{words} ({bar.lasted(0.0):.1f} s)"


def _text(x: float, y: float, words: str, style: str, anchor: str = "start") -> str:
    kind = f' class="{style}"' if style else ""
    at = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}"{kind}{at}>{escape(words)}</text>'


def _line(x: float, top: float, bottom: float, style: str) -> str:
    return f'<line x1="{x:.1f}" y1="{top:.1f}" x2="{x:.1f}" y2="{bottom:.1f}" class="{style}"/>'
