"""From histories to what is drawn: a lane a node, each with its bars, on one axis of seconds."""

from collections.abc import Sequence

from muster.history import FORMED, OWN, PHASE, STEP, Bar, History, Track

BRIEF = 0.05  # seconds; shorter bars say nothing
BOOT, ASKED = "boot", "asked"  # kinds of bars, beside those of `muster.history`
BOOTING = 600.0  # seconds; a musterd started later than that was not started by the boot
FAILED = "failed"

# What the first actions ask, by their names in the events.
QUESTIONS = {
    "identity": "metadata service (IMDS)",
    "spec": "spec and instance tags",
    "survey": "look at the node",
    "token": "token (Secrets Manager)",
    "instances": "instances (EC2)",
    "allocation": "Elastic IP (EC2)",
}


class Lane:
    """One node: its name, whether its own events told it, its bars by begin, when it was formed."""

    def __init__(self, name: str, bars: list[Bar], *, own: bool, formed: float | None) -> None:
        self.name = name
        self.own = own
        self.bars = sorted(bars, key=lambda bar: bar.begin)
        self.formed = formed


class Timeline:
    """What is drawn. Seconds count from the start of the first musterd.

    Attributes:
        lanes: the nodes.
        marks: what the election came to, and when.
        begin: where the axis begins: 0, or less where the boot is known.
        end: where it ends.
    """

    def __init__(
        self, lanes: list[Lane], marks: list[tuple[float, str]], begin: float, end: float
    ) -> None:
        self.lanes = lanes
        self.marks = marks
        self.begin = begin
        self.end = end

    @property
    def formed(self) -> float | None:
        """When the last node was formed; None while one is not."""
        times = [lane.formed for lane in self.lanes]
        known = [time for time in times if time is not None]
        return max(known) if known and len(known) == len(times) else None

    def summary(self) -> str:
        """Return the whole in one sentence."""
        nodes = f"{len(self.lanes)} node{'s' if len(self.lanes) > 1 else ''}"
        booted = f"{-self.begin:.1f} s from boot to musterd, " if self.begin < 0 else ""
        if self.formed is None:
            return f"{nodes}, not formed yet: {booted}{self.end:.1f} s since musterd started"
        total = self.formed - self.begin
        since = "boot" if self.begin < 0 else "the start of musterd"
        rest = f" ({booted}{self.formed:.1f} s from there to formed)" if booted else ""
        return f"{nodes} formed {total:.1f} s after {since}{rest}"


def tells_founding(history: History) -> bool:
    """Tell whether a history is of a founding, and not of a musterd that came later."""
    bars = history.tracks[OWN].bars
    formed = any(bar.label == FORMED for bar in bars)
    return bool(bars) and (not formed or any(bar.phase == "founding" for bar in bars))


def build(histories: Sequence[tuple[str, History]], *, boot: float | None, now: float) -> Timeline:
    """Return the timeline of one history, or of several nodes' own ones.

    Args:
        histories: by the names of the nodes whose events they are.
        boot: seconds that the first node had been up when its musterd started, None: not known.
        now: where the axis ends if not all are formed, seconds from the first musterd's start.
    """
    first = histories[0][1]
    lanes, marks = [], list(first.marks)
    for name, history in histories:
        shift = (history.start or 0.0) - (first.start or 0.0)
        lanes.append(_lane(name, history.tracks[OWN], shift, own=True))
    if len(histories) == 1:
        others = [track for key, track in first.tracks.items() if key != OWN]
        lanes += [_lane(track.name, track, 0.0, own=False) for track in others]
    up = boot if boot is not None and 0.0 < boot < BOOTING else 0.0
    begin = min([-up, *(bar.begin for lane in lanes for bar in lane.bars)])
    if up:
        lanes[0].bars.insert(0, _ended(Bar("boot", BOOT, "", -up), 0.0))
    formed = [lane.formed for lane in lanes if lane.formed is not None]
    end = max(formed) if len(formed) == len(lanes) else now
    for lane in lanes:
        lane.bars = [_ended(bar, end) for bar in lane.bars if bar.begin < end]
        lane.bars = [bar for bar in lane.bars if bar.lasted(end) >= BRIEF]
    return Timeline(lanes, [mark for mark in marks if mark[0] <= end], begin, end)


def _lane(name: str, track: Track, shift: float, *, own: bool) -> Lane:
    bars = [_moved(bar, shift, QUESTIONS.get(bar.label, bar.label), ASKED) for bar in track.asked]
    formed = None
    for bar in track.bars:
        if bar.label == FORMED:
            formed = bar.begin + shift
            break
        if bar.label != "starting" or not track.asked:
            bars.append(_moved(bar, shift, bar.label, bar.kind))
    return Lane(name, bars, own=own, formed=formed)


def _moved(bar: Bar, shift: float, label: str, kind: str) -> Bar:
    moved = Bar(label, kind, bar.phase, bar.begin + shift)
    moved.end = None if bar.end is None else bar.end + shift
    return moved


def _ended(bar: Bar, end: float) -> Bar:
    """End a bar where the picture ends, unless it ended before."""
    bar.end = end if bar.end is None else min(bar.end, end)
    return bar


def waits(bar: Bar) -> bool:
    """Tell whether a bar is time in which the node itself did nothing."""
    return bar.kind not in {STEP, ASKED, BOOT} and not (bar.kind == PHASE and bar.label == FAILED)
