"""Draws a status as one screen of aligned text. No clock, no terminal: both come in as values."""

from collections.abc import Callable, Sequence

from muster.ages import ago
from muster.fields import Document, flag, number, part, rows, text

GAP = "  "
LABEL = 11  # columns of the words at the left edge
SHORTEST = 9  # no cell is cut below this

GOOD, BAD, ODD, FAINT, STRONG = "32", "31", "33", "2", "1"  # SGR parameters (ECMA-48, 8.3.117)
KIND = 9  # columns of an event's kind
PHASE_PAINT = {"formed": GOOD, "failed": BAD, "waiting": ODD}

Cell = tuple[str, str]  # text, SGR parameter ("" for plain)


class Screen:
    """Collects lines; knows how wide they may be and whether they may be coloured.

    Args:
        now: seconds since 1970, for ages.
        colour: whether to paint.
        width: columns a table may take; 0 never cuts anything (pipes, files).
    """

    def __init__(self, now: float, *, colour: bool = False, width: int = 0) -> None:
        self.now = now
        self.lines: list[str] = []
        self._colour = colour
        self._width = width

    def paint(self, words: str, paint: str) -> str:
        """Return `words` in a colour, where colours are wanted."""
        return f"\x1b[{paint}m{words}\x1b[0m" if self._colour and paint and words else words

    def ago(self, stamp: str, *, short: bool = False) -> str:
        """Return the age of an RFC 3339 time in words."""
        return ago(stamp, self.now, short=short)

    def line(self, label: str, words: str, paint: str = "") -> None:
        """Add a labelled line; long text goes on below itself."""
        first = self.paint(f"{label:<{LABEL}}", STRONG)
        for piece in self._wrap(words, LABEL):
            self.lines.append((first + self.paint(piece, paint)).rstrip())
            first = " " * LABEL

    def heading(self, words: str, detail: str = "") -> None:
        """Begin a section."""
        self.lines += ["", self.paint(words, STRONG) + (GAP + detail if detail else "")]

    def item(self, head: Cell, words: str, follow: str = "") -> None:
        """Add a list item: a painted word, a sentence, and what to do about it below."""
        indent = len(GAP) + len(head[0]) + len(GAP)
        lead = GAP + self.paint(*head) + GAP
        for piece in [*self._wrap(words, indent), *self._wrap(follow, indent)]:
            if piece:
                self.lines.append(lead + piece)
                lead = " " * indent

    def table(
        self, names: Sequence[str], body: Sequence[Sequence[Cell]], cut_first: str = ""
    ) -> None:
        """Add aligned columns; cells are cut in their middle when a row does not fit.

        Args:
            names: the headings.
            body: the rows.
            cut_first: the heading of the column to cut before the widest ones.
        """
        widths = [
            max(len(row[index][0]) for row in [[(name, "") for name in names], *body])
            for index in range(len(names))
        ]
        self._narrow(widths, names.index(cut_first) if cut_first else None)
        for row in [[(name, FAINT) for name in names], *body]:
            cells = [
                self.paint(_cut(words, width).ljust(width), paint)
                for (words, paint), width in zip(row, widths, strict=True)
            ]
            self.lines.append((GAP + GAP.join(cells)).rstrip())

    def _narrow(self, widths: list[int], first: int | None) -> None:
        """Shorten columns until a row fits: the given one, then the widest."""
        excess = sum(widths) + len(GAP) * len(widths) - self._width if self._width else 0
        if first is not None and excess > 0:
            taken = min(excess, max(widths[first] - SHORTEST, 0))
            widths[first] -= taken
            excess -= taken
        while excess > 0 and max(widths) > SHORTEST:
            widths[widths.index(max(widths))] -= 1
            excess -= 1

    def _wrap(self, words: str, indent: int) -> list[str]:
        """Break a sentence at spaces; textwrap would cost more than the rest of this module."""
        room = self._width - indent
        if not self._width or len(words) <= room:
            return [words]
        pieces = [""]
        for word in words.split(" "):
            if pieces[-1] and len(pieces[-1]) + 1 + len(word) > room:
                pieces.append(word)
            else:
                pieces[-1] = f"{pieces[-1]} {word}" if pieces[-1] else word
        return pieces


def _cut(words: str, width: int) -> str:
    """Leave out the middle: the ends are what tells ids and addresses apart."""
    if len(words) <= width:
        return words
    head = (width - 2) // 2
    return words[:head] + ".." + words[head + 2 - width :]


def event(happened: Document, screen: Screen, clock: str = "") -> str:
    """Return one line for one `muster.api.Event`.

    Args:
        happened: the event's fields.
        screen: how to paint.
        clock: a time of day to show beside the seconds since the daemon's start.
    """
    kind, message, paint = text(happened, "kind"), text(happened, "message"), ""
    if kind == "phase":
        phase = text(happened, "phase")
        message, paint = f"{phase}: {message}", PHASE_PAINT.get(phase, STRONG)
    elif kind == "finding":
        paint = ODD
    lead = f"{number(happened, 'seconds'):8.1f} s  " + (f"{clock:>8}  " if clock else "")
    return screen.paint(f"{lead}{kind:<{KIND}}", FAINT) + screen.paint(message, paint)


def status(document: Document, screen: Screen, *, unreachable: str = "") -> list[str]:
    """Return the lines of `GET /v1/status`.

    Args:
        document: the fields of `muster.api.Status`.
        screen: where it is drawn.
        unreachable: why musterd does not answer, when this is the last written status.
    """
    if unreachable:
        written = text(document, "written") or text(document, "since")
        screen.line("OUTDATED", f"musterd does not answer: {unreachable}", BAD)
        screen.line("", f"this is what it last wrote, {screen.ago(written)} ({written})", BAD)
        screen.line("", "to start it: sudo systemctl start musterd")
        screen.lines.append("")
    sections: tuple[Callable[[Document, Screen], None], ...] = (
        _overview,
        _nodes,
        _fencing,
        _addresses,
        _resources,
        _findings,
    )
    for section in sections:
        section(document, screen)
    return screen.lines


def _overview(document: Document, screen: Screen) -> None:
    """Who, what phase, why, since when, what next."""
    cluster, own = part(document, "cluster"), part(document, "self")
    size = cluster.get("size") or 0
    known = [f"{size} nodes"] if size else []
    if text(cluster, "uuid"):
        known.append("quorate" if flag(cluster, "quorate") else "not quorate")
    known += [f"DC {text(cluster, 'dc')}"] if text(cluster, "dc") else []
    name = text(cluster, "name") or "(no spec yet)"
    screen.line("Cluster", name + (f" ({', '.join(known)})" if known else ""))
    if own:
        words = [text(own, key) for key in ("name", "instance_id", "address", "zone")]
        words += ["conductor"] if flag(own, "conductor") else []
        screen.line("This node", GAP.join(word for word in words if word))
    phase, since = text(document, "phase"), text(document, "since")
    screen.line("Phase", phase, PHASE_PAINT.get(phase, ""))
    screen.line("Reason", text(document, "reason"))
    screen.line("Since", f"{screen.ago(since)} ({since})" if since else "")
    screen.line("Next", text(document, "next"))


def _nodes(document: Document, screen: Screen) -> None:
    """The nodes, this one marked."""
    nodes, own = rows(document, "nodes"), text(part(document, "self"), "instance_id")
    if not nodes:
        return
    screen.heading("Nodes")
    body, reasons = [], []
    for node in nodes:
        phase, online = text(node, "phase"), flag(node, "online")
        here = own != "" and text(node, "instance_id") == own
        body.append(
            [
                (text(node, "name") or "-", ""),
                (text(node, "instance_id"), ""),
                (text(node, "address") or "-", ""),
                (text(node, "zone") or "-", ""),
                (phase or "-", PHASE_PAINT.get(phase, "")),
                ("yes" if online else "no", GOOD if online else BAD),
                ("this node" if here else screen.ago(text(node, "last_heard"), short=True), ""),
            ]
        )
        if text(node, "reason") and phase != "formed" and not here:
            reasons.append((body[-1][0][0], text(node, "reason")))
    names = ("NAME", "INSTANCE", "ADDRESS", "ZONE", "PHASE", "ONLINE", "LAST HEARD")
    screen.table(names, body, cut_first="INSTANCE")
    longest = max(len(row[0][0]) for row in body)
    for name, reason in reasons:
        screen.item((name.ljust(longest), ""), reason)


def _fencing(document: Document, screen: Screen) -> None:
    """The stonith device, its host map, and what was proven of each node."""
    fencing = part(document, "fencing")
    device, targets = text(fencing, "device"), part(fencing, "map")
    if not device and not targets:
        return
    screen.heading("Fencing", f"{device} ({text(fencing, 'agent')})" if device else "")
    proofs = {text(proof, "node"): proof for proof in rows(fencing, "proved")}
    body = []
    for name, instance in targets.items():
        proof = proofs.get(name)
        how = ("not proven", BAD)
        if proof is not None:
            how = (f"{text(proof, 'how')}, {screen.ago(text(proof, 'at'))}", GOOD)
        body.append([(name, ""), (str(instance), ""), how])
    if body:
        screen.table(("NODE", "INSTANCE", "PROVEN BY"), body)


def _addresses(document: Document, screen: Screen) -> None:
    """The floating addresses as Pacemaker, EC2 and the kernels see them."""
    body = []
    for address in rows(document, "addresses"):
        views, agrees = part(address, "views"), flag(address, "agrees")
        elastic = text(address, "elastic_ip")
        shown = text(address, "private_ip") + (f" ({elastic})" if elastic else "")
        holders = [(text(views, key) or "-", "") for key in ("pacemaker", "ec2", "kernel")]
        body.append([(shown, ""), *holders, ("yes" if agrees else "NO", GOOD if agrees else BAD)])
    if body:
        screen.heading("Addresses")
        screen.table(("ADDRESS", "PACEMAKER", "EC2", "KERNEL", "AGREE"), body)


def _resources(document: Document, screen: Screen) -> None:
    """What Pacemaker runs."""
    body = []
    for resource in rows(document, "resources"):
        state = text(resource, "state")
        paint = {"Started": GOOD, "Failed": BAD}.get(state, ODD)
        words = [text(resource, key) or "-" for key in ("id", "agent", "group")]
        body.append(
            [*((word, "") for word in words), (state, paint), (text(resource, "node") or "-", "")]
        )
    if body:
        screen.heading("Resources")
        screen.table(("ID", "AGENT", "GROUP", "STATE", "NODE"), body)


def _findings(document: Document, screen: Screen) -> None:
    """What a person should know, each with its cure."""
    findings = rows(document, "findings")
    if not findings:
        return
    screen.heading("Findings")
    for finding in findings:
        severity = text(finding, "severity")
        cure = text(finding, "cure")
        head = (severity.ljust(len("warning")), BAD if severity == "error" else ODD)
        screen.item(head, text(finding, "what"), f"cure: {cure}" if cure else "")
