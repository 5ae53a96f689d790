"""Draws a status as one screen: first what is wrong and what to type, then everything else."""

from collections.abc import Callable

from muster import health
from muster.fields import Document, flag, number, part, rows, text
from muster.screen import (
    BAD,
    FAINT,
    GAP,
    GOOD,
    ODD,
    STRONG,
    Cell,
    Column,
    Screen,
    common_start,
    host,
)

KIND = 9  # columns of an event's kind
PHASE_PAINT = {"formed": GOOD, "failed": BAD, "waiting": ODD}
SILENT = 90.0  # seconds; members greet each other every 30
MOST = 4  # problems listed on a screen that is too low
DOING = 36  # columns that tell what a node does, before other columns go for it
UNIT_START = "sudo systemctl status musterd; sudo systemctl start musterd"

Section = Callable[[Document, Screen, bool], None]


def event(happened: Document, screen: Screen, clock: str = "") -> str:
    """Return one line for one `muster.api.Event`, more where it does not fit.

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
    elif kind == "step" and text(part(happened, "fields"), "step"):
        message = f"{text(part(happened, 'fields'), 'step')}: {message}"
    lead = f"{number(happened, 'seconds'):8.1f} s  " + (f"{clock:>8}  " if clock else "")
    lead = f"{lead}{kind:<{KIND}}"
    first, *rest = screen.wrap(message, len(lead))
    lines = [screen.paint(lead, FAINT) + screen.paint(first, paint)]
    return "\n".join(lines + [" " * len(lead) + screen.paint(piece, paint) for piece in rest])


def status(
    document: Document, screen: Screen, *, unreachable: str = "", whole: bool = True
) -> list[str]:
    """Return the lines of `GET /v1/status`.

    Args:
        document: the fields of `muster.api.Status`.
        screen: where it is drawn.
        unreachable: why musterd does not answer, when this is the last written status.
        whole: list what is well too, however many lines that takes; otherwise tables give way to
            their sums, the last ones first, until the screen's height is enough.
    """
    room = 0 if whole else screen.height
    drawn = _drawn(document, screen, unreachable, 0)
    for level in range(1, 2 * len(SECTIONS) + 1):
        if not room or len(drawn.lines) <= room:
            break
        drawn = _drawn(document, screen, unreachable, level)
    return drawn.lines


def _drawn(document: Document, screen: Screen, unreachable: str, level: int) -> Screen:
    """Draw once. Each level sums one more section up; then each leaves one more out."""
    drawn = screen.empty()
    folded = list(SECTIONS)[:level]
    left_out = list(SECTIONS)[: max(level - len(SECTIONS), 0)]
    _head(document, drawn, unreachable, most=MOST if left_out else 0)
    for name in reversed(SECTIONS):
        if name not in left_out:
            SECTIONS[name](document, drawn, name in folded)
    if left_out:
        drawn.remark(f"`muster status --all` also shows {', '.join(reversed(left_out))}")
    return drawn


def _head(document: Document, screen: Screen, unreachable: str, most: int) -> None:
    """What the cluster is, where this node stands and why, what is wrong, what next."""
    if unreachable:
        _outdated(document, screen, unreachable)
    cluster, own = part(document, "cluster"), part(document, "self")
    name = text(cluster, "name") or "(no spec yet)"
    known = _known(document)
    screen.line("Cluster", name + (f": {', '.join(known)}" if known else ""))
    phase, since = text(document, "phase"), text(document, "since")
    ages = f" since {since} ({screen.ago(since)})" if since else ""
    screen.line("Phase", phase, PHASE_PAINT.get(phase, ""), ages)
    screen.line("Reason", text(document, "reason") or "-")
    wrongs = health.wrongs(document)
    # Beside what is wrong it must not sound as if that were well.
    if text(document, "next") and not (wrongs and text(document, "next") == "nothing to do"):
        screen.line("Next", text(document, "next"))
    _wrongs(wrongs, phase, screen, most)
    if own:
        words = [text(own, key) for key in ("name", "instance_id", "address", "zone")]
        words += ["conductor"] if flag(own, "conductor") else []
        screen.line("This node", GAP.join(word for word in words if word))
    _fencing(document, screen)


def _outdated(document: Document, screen: Screen, unreachable: str) -> None:
    """Say loudly that this is old, how old, and how to get news."""
    written = text(document, "written") or text(document, "since")
    screen.line("OUTDATED", f"musterd does not answer: {unreachable}", BAD)
    screen.line("", f"this is what it last wrote, {screen.ago(written)} ({written})", BAD)
    screen.line("", f"next: {UNIT_START}")
    if text(document, "phase") == "formed":
        screen.line("", "the cluster runs without it: sudo pcs status tells how it is now")
    screen.lines.append("")


def _known(document: Document) -> list[str]:
    """Return the cluster's state in a few words."""
    cluster, nodes = part(document, "cluster"), rows(document, "nodes")
    size = int(number(cluster, "size"))
    if not text(cluster, "uuid"):
        return [f"{size} nodes wanted, {len(nodes)} there"] if size and nodes else []
    members = health.members(document)
    online = sum(flag(node, "online") for node in members)
    known = [f"{online} of {len(members)} nodes online"]
    if len(nodes) > len(members):
        known.append(f"{len(nodes) - len(members)} more with the tag")
    if flag(cluster, "quorate"):
        known.append("quorate")
    elif text(document, "phase") == "formed":
        known.append("NOT quorate")
    return known + ([f"DC {text(cluster, 'dc')}"] if text(cluster, "dc") else [])


def _wrongs(found: list[health.Wrong], phase: str, screen: Screen, most: int) -> None:
    """What a person should know, each with what to type; with `most`, not more than so many."""
    if not found:
        if phase == "formed":
            screen.line("Problems", "none", GOOD)
        return
    errors = sum(severity == health.ERROR for severity, _, _ in found)
    counts = [_count(errors, "error"), _count(len(found) - errors, "warning")]
    screen.line("Problems", ", ".join(filter(None, counts)), BAD if errors else ODD)
    for severity, what, cure in found[: most or None]:
        head = (severity.ljust(len("warning")), BAD if severity == health.ERROR else ODD)
        commands = "\n".join(f"next: {line}" for line in cure.split("\n") if line)
        screen.item(head, what, commands)
    if most and len(found) > most:
        screen.remark(f"and {len(found) - most} more")


def _count(number_of: int, word: str) -> str:
    return f"{number_of} {word}{'s' if number_of > 1 else ''}" if number_of else ""


def _nodes(document: Document, screen: Screen, folded: bool) -> None:
    """The nodes, this one marked; what is the same of all of them is told once."""
    nodes, own = rows(document, "nodes"), text(part(document, "self"), "instance_id")
    if not nodes:
        return
    is_formed = text(document, "phase") == "formed"
    shown = [node for node in nodes if not (folded and _well(node))]
    region = common_start([text(node, "zone") for node in nodes])
    screen.heading("Nodes", f"in {region}" if region else "")
    names = [(text(node, "name") or "-", "") for node in shown]
    columns = [
        Column("NAME", names, brief=host),
        Column("STATE", [_state(node, formed=is_formed) for node in shown]),
        Column("HEARD", [_heard(node, own, screen) for node in shown]),
    ]
    doing: list[Cell] = [
        # This node's own reason stands above.
        ("" if _well(node) or text(node, "instance_id") == own else text(node, "reason"), "")
        for node in shown
    ]
    if any(words for words, _ in doing):
        columns.append(Column("DOING", doing, least=DOING))
    zones = [(text(node, "zone").removeprefix(region) or "-", "") for node in shown]
    columns += [
        Column("ADDRESS", [(text(node, "address") or "-", "") for node in shown], drop=2),
        Column("ZONE", zones, drop=1),
        # Where a name is not known yet, the id is all there is to call a node.
        Column(
            "INSTANCE",
            [(text(node, "instance_id"), "") for node in shown],
            drop=3 if ("-", "") not in names else 0,
        ),
    ]
    if shown:
        room = screen.table(columns).get("DOING", 0)
        for node, (words, _) in zip(shown, doing, strict=True):
            # Why somebody is missing must not be cut.
            if len(words) > room and text(node, "phase") in {"", "failed"}:
                screen.item((text(node, "name") or text(node, "instance_id"), BAD), words)
    _rest(screen, len(nodes) - len(shown), len(nodes), "online")


def _rest(screen: Screen, hidden: int, total: int, state: str) -> None:
    """Tell how many rows were left out, and how to see them."""
    if hidden:
        which = f"all {total}" if hidden == total > 1 else f"{hidden} of {total}"
        screen.remark(f"{which} {state} (`muster status --all` lists them)")


def _well(node: Document) -> bool:
    return flag(node, "online") and text(node, "phase") in {"formed", ""}


def _state(node: Document, *, formed: bool) -> Cell:
    """Return a node's phase; once it, or the cluster as we see it, is formed, Pacemaker's word."""
    phase = text(node, "phase")
    if flag(node, "online"):
        return ("online" if phase in {"formed", ""} else f"{phase}, online", GOOD)
    if phase == "formed" or (formed and phase == "founding"):
        return "OFFLINE", BAD
    return phase or "-", PHASE_PAINT.get(phase, "")


def _heard(node: Document, own: str, screen: Screen) -> Cell:
    """Return when a node last said something; silence of a member is painted."""
    if own and text(node, "instance_id") == own:
        return "this node", ""
    stamp = text(node, "last_heard")
    return screen.ago(stamp, short=True), ODD if screen.older(stamp, SILENT) else ""


def _fencing(document: Document, screen: Screen) -> None:
    """The stonith device, and how and when it was shown that it works."""
    fencing = part(document, "fencing")
    device, targets = text(fencing, "device"), part(fencing, "map")
    if not device and not targets:
        return
    words = [f"{device} ({text(fencing, 'agent')})" if device else "no device runs yet"]
    proofs = [proof for proof in rows(fencing, "proved") if text(proof, "node") in targets]
    for how in sorted({text(proof, "how") for proof in proofs}):
        times = sorted(text(proof, "at") for proof in proofs if text(proof, "how") == how)
        words.append(f"{len(times)} of {len(targets)} proven by {how} {screen.ago(times[0])}")
    if not proofs:
        words.append(f"0 of {len(targets)} proven")
    screen.line("Fencing", "; ".join(words))


def _addresses(document: Document, screen: Screen, folded: bool) -> None:
    """The floating addresses as Pacemaker, EC2 and the kernels see them."""
    addresses = rows(document, "addresses")
    if text(document, "phase") != "formed":  # where nobody can have one yet, none is missing
        addresses = [each for each in addresses if any(part(each, "views").values())]
    shown = [address for address in addresses if not (folded and flag(address, "agrees"))]
    if not addresses:
        return
    screen.heading("Addresses")
    texts = []
    for address in shown:
        elastic = text(address, "elastic_ip")
        texts.append(text(address, "private_ip") + (f" ({elastic})" if elastic else ""))
    shown_texts = [(words, "") for words in texts]
    columns = [Column("ADDRESS", shown_texts, brief=lambda words: words.partition(" ")[0])]
    for key in ("pacemaker", "ec2", "kernel"):
        holders = [(text(part(address, "views"), key) or "-", "") for address in shown]
        columns.append(Column(key.upper(), holders, brief=host))
    agree = [("yes", GOOD) if flag(address, "agrees") else ("NO", BAD) for address in shown]
    if shown:
        screen.table([*columns, Column("AGREE", agree)])
    _rest(screen, len(addresses) - len(shown), len(addresses), "in place")


def _resources(document: Document, screen: Screen, folded: bool) -> None:
    """What Pacemaker runs."""
    resources = rows(document, "resources")
    shown = [each for each in resources if not (folded and text(each, "state") == "Started")]
    if not resources:
        return
    screen.heading("Resources")
    paint = {"Started": GOOD, "Failed": BAD}
    states = [text(each, "state") or "-" for each in shown]

    def cells(key: str) -> list[Cell]:
        return [(text(each, key) or "-", "") for each in shown]

    columns = [
        Column("ID", cells("id")),
        Column("AGENT", cells("agent"), brief=lambda agent: agent.rpartition(":")[2], drop=2),
        Column("GROUP", cells("group"), drop=1),
        Column("STATE", [(state, paint.get(state, ODD)) for state in states]),
        Column("NODE", cells("node"), brief=host),
    ]
    if shown:
        screen.table(columns)
    _rest(screen, len(resources) - len(shown), len(resources), "started")


# What is well gives way in this order where there is little room.
SECTIONS: dict[str, Section] = {
    "resources": _resources,
    "addresses": _addresses,
    "nodes": _nodes,
}
