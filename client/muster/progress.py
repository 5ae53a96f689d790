"""Shows a cluster coming up: what each node does now, for how long, and what it has done.

On a terminal a block of lines, one a node, stays at the bottom and is redrawn; elsewhere
(cloud-init's log) each thing that happens is a line. Times count from the start of this node's
musterd.
"""

from muster import render
from muster.context import Context
from muster.fields import Document, flag, part, rows, text
from muster.history import OWN, STEP, History, Track
from muster.render import PHASE_PAINT
from muster.screen import CUT, FAINT, GOOD, ODD, STRONG, Screen

UP = "\x1b[{}A\r\x1b[J"  # cursor up, erase below (ECMA-48)
IN_BLOCK = {"action", "node"}  # kinds of events that the block shows already
NOW = 22  # columns for what a node does now
BRIEF = 0.05  # seconds; what took less is not worth a word


class Progress:
    """Prints progress to the context's output.

    Args:
        context: where to print.
        live: redraw a block of node lines; needs a terminal.
    """

    def __init__(self, context: Context, *, live: bool | None = None) -> None:
        self._context = context
        self._live = context.terminal if live is None else live
        self._began = context.wall()  # of the command; musterd's own start once an event tells it
        self._history = History()
        self._document: Document = {}
        self._step = ""  # what the last step said
        self._drawn = 0  # lines of the block on the screen now

    def events(self, events: list[Document]) -> None:
        """Print what happened."""
        lines = []
        for event in events:
            self._history.add(event)
            kind, message = text(event, "kind"), text(event, "message")
            # A step's sentence becomes the phase's reason: once is enough here.
            repeated = kind == "phase" and self._step and message.endswith(self._step)
            if not repeated and not (self._live and kind in IN_BLOCK):
                lines.append(render.event(event, self._context.screen()))
            self._step = message if kind == "step" else self._step
        if lines:
            self._over()
            self._context.say(*lines)
        self.tick()

    def status(self, document: Document) -> None:
        """Take a new status."""
        self._document = document
        self.tick()

    def tick(self) -> None:
        """Redraw the block, so that its clocks go on."""
        if not self._live:
            return
        block = self._block(self._context.screen())
        self._over()
        self._context.say(*block)
        self._drawn = len(block)

    def _elapsed(self) -> float:
        start = self._history.start
        return max(self._context.wall() - (self._began if start is None else start), 0.0)

    def _over(self) -> None:
        """Move the cursor to the block's beginning and erase the block."""
        if self._drawn:
            self._context.out.write(UP.format(self._drawn))
            self._drawn = 0

    def _block(self, screen: Screen) -> list[str]:
        """Return the lines that stay at the bottom: this node's phase, then each node."""
        phase, reason = text(self._document, "phase"), text(self._document, "reason")
        lead = f"{self._elapsed():8.1f} s  "
        if not phase:
            return [f"{lead}waiting for musterd"]
        room = screen.width - len(lead) - len(phase)
        painted = screen.paint(phase, PHASE_PAINT.get(phase, ODD))
        lines = [lead + painted + _fit(f": {reason}" if reason else "", room)]
        nodes = rows(self._document, "nodes")
        names = [text(node, "name") or text(node, "instance_id") for node in nodes]
        longest = max(map(len, names), default=0)
        for node, name in zip(nodes, names, strict=True):
            lines.append(f"{name:>{longest}}  " + self._line(node, screen, longest))
        most = screen.height - 1
        if len(lines) > most:  # what has left the screen could not be redrawn
            lines = [*lines[: most - 1], f"... and {len(lines) - most + 1} more nodes"]
        return lines

    def _line(self, node: Document, screen: Screen, used: int) -> str:
        """Return a node's line after its name: what it does, for how long, what it has done."""
        own = text(part(self._document, "self"), "instance_id")
        identity = text(node, "instance_id")
        track = self._history.tracks.get(OWN if identity == own else identity, Track(""))
        bar = track.now or (track.bars[-1] if track.bars else None)
        said = text(node, "phase") or "not heard of yet"
        label, time = said, ""
        if bar is not None and said not in {"formed", "failed"}:
            label, time = bar.label, f"{bar.lasted(self._elapsed()):.1f} s"
        paint = GOOD if flag(node, "online") else PHASE_PAINT.get(said, STRONG)
        steps = [
            f"{each.label} {each.lasted(0.0):.1f}"
            for each in track.bars
            if each.kind == STEP and each.end is not None and each.lasted(0.0) >= BRIEF
        ]
        now = screen.paint(_fit(label, NOW).ljust(NOW), paint)
        room = screen.width - used - NOW - 13
        done = ", ".join(steps)
        while len(done) > room and steps:  # the latest ones say more
            steps = steps[1:]
            done = ", ".join([CUT, *steps])
        return f"{now}  {time:>7}  {screen.paint(done, FAINT)}".rstrip()


def _fit(words: str, room: int) -> str:
    """Cut a sentence that would wrap: a wrapped line cannot be redrawn."""
    return words if len(words) <= max(room, 0) else words[: max(room - 2, 0)] + ".."
