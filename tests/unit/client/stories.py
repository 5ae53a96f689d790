"""A founding as one node's events tell it: three nodes, the first of them leads."""

from muster.fields import Document

START = 1_767_225_850.25  # 2026-01-01T00:04:10.25Z: when this node's musterd started
OTHERS = {"ip-10-0-0-12": "i-0123456789abcde2f", "ip-10-0-0-13": "i-0123456789abcde3f"}


def stamp(seconds: float) -> str:
    """Return a time after musterd's start, cut to whole seconds, as musterd does."""
    minute, second = divmod(int(START % 3600 + seconds), 60)
    return f"2026-01-01T00:{minute:02}:{second:02}Z"


def event(seconds: float, kind: str, phase: str, message: str, **fields: str) -> Document:
    """Return an event."""
    return {
        "at": stamp(seconds),
        "kind": kind,
        "message": message,
        "phase": phase,
        "seconds": seconds,
        "fields": fields,
    }


def action(seconds: float, phase: str, name: str, took: float) -> Document:
    fields = {"action": name, "took": f"{took:.3f}"}
    return event(seconds, "action", phase, f"{name} is done: {took:.1f} s", **fields)


def step(seconds: float, verb: str, why: str, phase: str = "founding") -> Document:
    return event(seconds, "step", phase, why, step=verb)


def node(seconds: float, name: str, said: str, doing: str, why: str = "") -> Document:
    reason = f"{doing}: {why}" if why else doing
    fields = {"node": name, "instance_id": OTHERS[name], "said": said, "doing": doing}
    return event(seconds, "node", "founding", f"{name}: {said}: {reason}", **fields)


def founding() -> list[Document]:
    """Return the events from the start of musterd to `formed`."""
    decided = "cluster 8f14e45f is decided"
    second, third = OTHERS
    return [
        event(0.0, "phase", "starting", "reading who this node is"),
        action(0.4, "starting", "identity", 0.38),
        action(0.5, "starting", "spec", 0.09),
        event(0.5, "phase", "starting", "reading the cluster token"),
        action(0.9, "starting", "token", 0.41),
        action(1.1, "waiting", "survey", 0.5),
        event(1.1, "phase", "waiting", "preparing this node"),
        step(1.1, "prepare", "the node is not ready for a cluster yet", "waiting"),
        action(1.4, "waiting", "instances", 0.2),
        action(2.9, "waiting", "prepare", 1.8),
        event(2.9, "phase", "waiting", "2 of 3 founders are there: i-0123456789abcde3f is pending"),
        node(3.1, second, "waiting", "2 of 3 founders are there"),
        node(4.9, third, "waiting", "preparing this node"),
        action(6.4, "waiting", "instances", 0.2),
        event(6.5, "phase", "electing", "the 3 founders are agreeing on a leader"),
        node(6.6, second, "electing", "the 3 founders are agreeing on a leader"),
        node(6.7, third, "electing", "the 3 founders are agreeing on a leader"),
        event(6.9, "election", "electing", "this node leads term 1"),
        event(7.1, "election", "electing", "decided: cluster 8f14e45f of three"),
        event(7.1, "phase", "founding", f"lay: {decided}"),
        step(7.1, "lay", decided),
        node(7.3, second, "founding", "lay", decided),
        node(7.4, third, "founding", "lay", decided),
        action(8.3, "founding", "lay", 1.2),
        event(8.3, "phase", "founding", "waiting for ip-10-0-0-13 to write the cluster's files"),
        node(8.4, second, "founding", "start", "2 of 3 founders are ready"),
        step(8.5, "start", "2 of 3 founders are ready"),
        node(9.0, third, "founding", "start", "3 of 3 founders are ready"),
        action(12.0, "founding", "start", 3.5),
        step(12.1, "build", "the cluster has no resources yet"),
        node(12.2, second, "founding", "waiting for Pacemaker to elect its DC"),
        node(12.6, third, "founding", "trust", "pcs does not know every member yet"),
        action(14.4, "founding", "build", 2.3),
        event(14.4, "phase", "founding", "waiting for Pacemaker to elect its DC"),
        step(15.6, "configure", "members are online, resources are not configured"),
        action(15.9, "founding", "configure", 0.3),
        event(15.9, "phase", "founding", "waiting for Pacemaker to take up its resources"),
        node(16.0, second, "founding", "trust", "pcs does not know every member yet"),
        node(17.0, third, "founding", "waiting for vip-10-0-0-68 to start"),
        step(17.5, "trust", "pcs does not know every member yet"),
        action(20.1, "founding", "trust", 2.6),
        step(20.1, "probe-fencing", "fencing is not proven from this node yet"),
        node(21.0, second, "founding", "waiting for vip-10-0-0-68 to start"),
        action(24.0, "founding", "probe-fencing", 3.9),
        event(24.0, "phase", "founding", "waiting for vip-10-0-0-68 to start"),
        event(31.2, "election", "founding", "cluster 8f14e45f is formed"),
        event(31.2, "phase", "formed", "web is formed and quorate, every member is online"),
        node(31.3, second, "formed", "web is formed and quorate, every member is online"),
        node(31.5, third, "formed", "web is formed and quorate, every member is online"),
    ]


def until(seconds: float) -> list[Document]:
    """Return the events up to a moment of the founding."""
    return [told for told in founding() if float(str(told["seconds"])) <= seconds]


def later(seconds: float) -> list[Document]:
    """Return the events of a musterd that started later and did the same."""
    return [{**told, "at": stamp(float(str(told["seconds"])) + seconds)} for told in founding()]
