"""What each node did when: built from one node's events, which also tell of the other nodes.

Times are seconds from the start of the musterd whose events they are.
"""

from muster.ages import parse
from muster.fields import Document, number, part, text

# What a stretch of time was spent on.
PHASE, STEP, PACEMAKER, OTHERS = "phase", "step", "pacemaker", "others"
WAITS = "waiting for "
FORMED = "formed"
OWN = ""  # the key of the node whose events these are
BACK = 0.5  # seconds: events that lie further back than this are another daemon's


class Bar:
    """A stretch of time: what for, of which kind, from when until when (None: still)."""

    def __init__(self, label: str, kind: str, phase: str, begin: float) -> None:
        self.label = label
        self.kind = kind
        self.phase = phase
        self.begin = begin
        self.end: float | None = None

    def lasted(self, now: float) -> float:
        """Return its length in seconds, up to now if it goes on."""
        return max((now if self.end is None else self.end) - self.begin, 0.0)


class Track:
    """One node: its name, its bars in order, and (of the own node) what it read or asked."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.bars: list[Bar] = []
        self.asked: list[Bar] = []

    @property
    def now(self) -> Bar | None:
        """What it does now; None between two steps, or before anything is known."""
        return self.bars[-1] if self.bars and self.bars[-1].end is None else None

    def change(self, at: float, phase: str, doing: str) -> None:
        """It does something else from now on."""
        label, kind = _meaning(phase, doing)
        if self.now is not None and (self.now.label, self.now.phase) == (label, phase):
            return
        self.stop(at)
        self.bars.append(Bar(label, kind, phase, at))

    def stop(self, at: float) -> None:
        """It ended what it did."""
        if self.now is not None:
            self.now.end = max(at, self.now.begin)


class History:
    """The tracks of all nodes that events have told of, the own one first."""

    def __init__(self) -> None:
        self.tracks: dict[str, Track] = {OWN: Track("")}
        self.marks: list[tuple[float, str]] = []  # what the election came to
        self.start: float | None = None  # of musterd, seconds since 1970
        self.last = 0.0

    def add(self, event: Document) -> None:
        """Take in an event. One that lies before the last: musterd was started anew."""
        at = number(event, "seconds")
        if at < self.last - BACK:
            self.tracks, self.marks, self.start = {OWN: Track("")}, [], None
        self.last = at
        moment = parse(text(event, "at"))
        if moment is not None:
            # "at" is cut to whole seconds, so that the latest of all guesses is the nearest.
            self.start = max(moment - at, self.start or 0.0)
        match text(event, "kind"):
            case "phase":
                self.tracks[OWN].change(at, text(event, "phase"), text(event, "message"))
            case "step":
                self._step(event, at)
            case "action":
                self._action(event, at)
            case "node":
                self._node(event, at)
            case "election":
                self.marks.append((at, text(event, "message")))

    def _step(self, event: Document, at: float) -> None:
        step = text(part(event, "fields"), "step")
        if step:
            self.tracks[OWN].change(at, text(event, "phase"), step)

    def _action(self, event: Document, at: float) -> None:
        fields = part(event, "fields")
        action, own = text(fields, "action"), self.tracks[OWN]
        if own.now is not None and own.now.label == action:
            own.stop(at)
            if text(event, "phase") in {"starting", "waiting", "electing"}:
                own.change(at, text(event, "phase"), "")  # it goes on with what it did before
            return
        try:
            took = float(text(fields, "took"))
        except ValueError:
            return
        asked = Bar(action, STEP, text(event, "phase"), max(at - took, 0.0))
        asked.end = at
        own.asked.append(asked)

    def _node(self, event: Document, at: float) -> None:
        fields = part(event, "fields")
        key = text(fields, "instance_id")
        track = self.tracks.setdefault(key, Track(text(fields, "node")))
        track.name = text(fields, "node") or track.name
        track.change(at, text(fields, "said"), text(fields, "doing"))


def _meaning(phase: str, doing: str) -> tuple[str, str]:
    """Return the label and the kind of what a node says it does."""
    head = doing.partition(": ")[0]
    if phase in {FORMED, "failed"}:
        return phase, PHASE
    if head and " " not in head:
        return head, STEP
    if doing.startswith(WAITS):
        return doing.removeprefix(WAITS), PACEMAKER if _of_pacemaker(doing) else OTHERS
    return (doing if phase == "founding" else phase) or phase, PHASE


def _of_pacemaker(doing: str) -> bool:
    words = ("Pacemaker", "quorum", " to start", "the configuration of")
    return any(word in doing for word in words)
