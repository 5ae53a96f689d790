"""Shows a cluster coming up: a line for each thing that happens, below them a line for each node.

On a terminal the node lines stay at the bottom and are redrawn; elsewhere (cloud-init's log) a node
gets a line whenever its phase or reason changes. Times count from the start of this node's musterd.
"""

from muster import ages, render
from muster.context import Context
from muster.fields import Document, flag, number, part, rows, text
from muster.render import KIND, PHASE_PAINT
from muster.screen import BAD, GOOD, ODD, Screen

UP = "\x1b[{}A\r\x1b[J"  # cursor up, erase below (ECMA-48)


class Progress:
    """Prints progress to the context's output.

    Args:
        context: where to print.
        live: redraw a block of node lines; needs a terminal.
    """

    def __init__(self, context: Context, *, live: bool | None = None) -> None:
        self._context = context
        self._live = context.terminal if live is None else live
        self._started = context.wall()  # of musterd, as wall time; the command's until it is told
        self._nodes: dict[str, tuple[str, str, bool]] = {}
        self._document: Document = {}
        self._step = ""  # what the last step said
        self._drawn = 0  # lines of the block on the screen now

    def events(self, events: list[Document]) -> None:
        """Print what happened."""
        for event in events:
            moment = ages.parse(text(event, "at"))
            if moment is not None:
                self._started = moment - number(event, "seconds")
            kind, message = text(event, "kind"), text(event, "message")
            # A step's sentence becomes the phase's reason: once is enough here.
            if kind != "phase" or not self._step or not message.endswith(self._step):
                self._print(render.event(event, self._context.screen()))
            self._step = message if kind == "step" else self._step
        self.tick()

    def status(self, document: Document) -> None:
        """Take a new status: print what changed of the nodes, or redraw their lines."""
        self._document = document
        own = text(part(document, "self"), "instance_id")
        for node in rows(document, "nodes"):
            identity = text(node, "instance_id")
            state = (text(node, "phase"), text(node, "reason"), flag(node, "online"))
            # This node's own changes come as events already.
            if self._nodes.get(identity) != state and identity != own and not self._live:
                words = f"{_name(node)}: {_state(node)}"
                self._print(f"{self._elapsed():8.1f} s  {'node':<{KIND}}{words}")
            self._nodes[identity] = state
        self.tick()

    def tick(self) -> None:
        """Redraw the block, so that its clock goes on."""
        if not self._live:
            return
        block = self._block(self._context.screen())
        self._context.out.write(self._over())
        self._context.say(*block)
        self._drawn = len(block)

    def say(self, words: str) -> None:
        """Print a remark of the command itself."""
        self._print(f"{self._elapsed():8.1f} s  {'':<{KIND}}{words}")
        self.tick()

    def _elapsed(self) -> float:
        return max(self._context.wall() - self._started, 0.0)

    def _print(self, line: str) -> None:
        """Print a line that stays, above the block."""
        self._context.out.write(self._over())
        self._drawn = 0
        self._context.say(line.rstrip())

    def _over(self) -> str:
        """Return what moves the cursor to the block's beginning and erases the block."""
        return UP.format(self._drawn) if self._drawn else ""

    def _block(self, screen: Screen) -> list[str]:
        """Return the lines that stay at the bottom: this node's phase, then each node."""
        document, width = self._document, self._context.width
        phase, reason = text(document, "phase"), text(document, "reason")
        if not phase:
            return [f"{self._elapsed():8.1f} s  waiting for musterd"]
        lines = [
            f"{self._elapsed():8.1f} s  "
            + screen.paint(phase, PHASE_PAINT.get(phase, ODD))
            + _fit(f": {reason}" if reason else "", width - 12 - len(phase))
        ]
        nodes = rows(document, "nodes")
        longest = max((len(_name(node)) for node in nodes), default=0)
        for node in nodes:
            mark = screen.paint("up", GOOD) if flag(node, "online") else screen.paint("--", BAD)
            room = width - 14 - longest
            lines.append(f"{'':8}{mark}  {_name(node):<{longest}}  {_fit(_state(node), room)}")
        return lines


def _name(node: Document) -> str:
    return text(node, "name") or text(node, "instance_id")


def _state(node: Document) -> str:
    """Return a node's phase, with the reason where there is one."""
    phase = text(node, "phase") or "not heard of yet"
    return f"{phase}: {text(node, 'reason')}" if text(node, "reason") else phase


def _fit(words: str, room: int) -> str:
    """Cut a sentence that would wrap: a wrapped line cannot be redrawn."""
    return words if len(words) <= max(room, 0) else words[: max(room - 2, 0)] + ".."
