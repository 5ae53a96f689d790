"""The timeline as text: this node in rows, the others in a strip of letters each."""

from muster.history import OTHERS, PACEMAKER, PHASE, STEP, Bar
from muster.screen import BAD, FAINT, GOOD, ODD, STRONG, Screen
from muster.timeline.lanes import ASKED, BOOT, Lane, Timeline

LABEL = 30  # columns of a bar's name
WIDEST = 120  # columns, where nothing says how wide the output is
TICK = 8  # columns between two numbers of the axis, at least
FILL = {BOOT: "=", ASKED: "#", STEP: "#", PHASE: ".", OTHERS: ".", PACEMAKER: "~"}
PAINT = {BOOT: FAINT, ASKED: GOOD, STEP: GOOD, PHASE: ODD, OTHERS: ODD, PACEMAKER: BAD}
LEGEND = "= boot   # at work   . waiting for nodes or votes   ~ waiting for Pacemaker"
# A step's letter in a strip: its first, where that is not another's already.
LETTERS = {"prepare": "r", "probe-fencing": "p"}


def draw(timeline: Timeline, screen: Screen) -> list[str]:
    """Return the lines of the picture."""
    width = (screen.width or WIDEST) - LABEL - 12
    axis = _Axis(timeline.begin, timeline.end, width)
    screen.sentence(timeline.summary())
    screen.sentence(LEGEND, FAINT)
    for lane in timeline.lanes:
        if lane.own:
            _rows(lane, axis, screen)
    strips = [lane for lane in timeline.lanes if not lane.own]
    if strips:
        _strips(strips, axis, screen)
    screen.lines += ["", " " * (LABEL + 12) + screen.paint(axis.numbers(), FAINT)]
    for at, words in timeline.marks:
        screen.lines.append(f"{at:8.1f} s  {words}")
    return screen.lines


class _Axis:
    """Seconds to columns."""

    def __init__(self, begin: float, end: float, width: int) -> None:
        self.begin = begin
        self.width = width
        self._scale = width / max(end - begin, 0.001)

    def column(self, at: float) -> int:
        return min(max(round((at - self.begin) * self._scale), 0), self.width)

    def span(self, bar: Bar) -> tuple[int, int]:
        """Return the first column and the one after the last; what was is seen."""
        first = min(self.column(bar.begin), self.width - 1)
        return first, max(self.column(bar.end or 0.0), first + 1)

    def numbers(self) -> str:
        """Return the line of numbers below the picture."""
        every = next((n for n in (1, 2, 5, 10, 20, 30, 60, 120) if n * self._scale >= TICK), 300)
        line = ""
        second = every * -(-int(self.begin) // every)
        while self.column(second) + len(f"{second} s") <= self.width:
            line = line.ljust(self.column(second)) + f"{second} s"
            second += every
        return line


def _rows(lane: Lane, axis: _Axis, screen: Screen) -> None:
    """Draw a node's bars, one a row."""
    screen.lines += ["", screen.paint(lane.name, STRONG)]
    for bar in lane.bars:
        first, after = axis.span(bar)
        drawn = " " * first + screen.paint(FILL[bar.kind] * (after - first), PAINT[bar.kind])
        label = bar.label if len(bar.label) <= LABEL else bar.label[: LABEL - 2] + ".."
        screen.lines.append(f"{label:<{LABEL}} {bar.lasted(axis.begin):7.1f} s  {drawn}".rstrip())


def _strips(lanes: list[Lane], axis: _Axis, screen: Screen) -> None:
    """Draw each of the other nodes in one row, as far as their hellos told."""
    screen.lines += ["", screen.paint("other nodes, as they told this one", STRONG)]
    used: dict[str, str] = {}
    for lane in lanes:
        cells = [" "] * axis.width
        for bar in lane.bars:
            first, after = axis.span(bar)
            letter = FILL[bar.kind]
            if bar.kind == STEP:
                letter = LETTERS.get(bar.label, bar.label[:1])
                used[letter] = bar.label
            cells[first:after] = letter * (after - first)
        formed = f"{lane.formed:7.1f} s" if lane.formed is not None else f"{'-':>9}"
        name = lane.name if len(lane.name) <= LABEL else lane.name[: LABEL - 2] + ".."
        screen.lines.append(f"{name:<{LABEL}} {formed}  {''.join(cells)}".rstrip())
    told = ", ".join(f"{letter} {step}" for letter, step in used.items())
    if told:
        screen.lines.append(screen.paint(f"{'':<{LABEL}} {'formed':>9}  {told}", FAINT))
