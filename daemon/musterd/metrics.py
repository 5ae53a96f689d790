"""The public status as Prometheus text (exposition format 0.0.4): the same facts, nothing more."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from muster.api import Status
from musterd.model import Phase, ResourceState, Severity

Labels = Mapping[str, str]


@dataclass(frozen=True)
class Family:
    """One metric: its name, type, sentence, and samples (labels, value)."""

    name: str
    kind: str
    text: str
    samples: tuple[tuple[Labels, float], ...]


def metrics_of(status: Status, term: int, events: Mapping[str, int]) -> str:
    """Return the text of `GET /metrics`.

    Args:
        status: what `GET /v1/status` would answer now.
        term: the election's present term.
        events: how many events of each kind there were since the start.
    """
    families = (*_of_node(status, term), *_of_cluster(status), _events(events))
    return "".join(_written(family) for family in families if family.samples)


def _of_node(status: Status, term: int) -> Iterable[Family]:
    """What this node says of itself."""
    about = {
        "cluster": status.cluster.name,
        "uuid": status.cluster.uuid,
        "node": status.self.name,
        "instance_id": status.self.instance_id,
    }
    yield _gauge("muster_info", "Who answers; always 1.", [(about, 1)])
    yield _gauge(
        "muster_phase",
        "Whether this node is in the phase; exactly one is 1.",
        [({"phase": phase}, phase == status.phase) for phase in Phase],
    )
    yield _gauge(
        "muster_phase_entered_timestamp_seconds",
        "When this node entered its phase.",
        _moment({}, status.since),
    )
    yield _gauge(
        "muster_conductor",
        "Whether this node acts for the cluster.",
        [({}, status.self.conductor)],
    )
    yield _gauge("muster_election_term", "Term of the election.", [({}, term)])
    counted = dict.fromkeys(Severity, 0)
    for finding in status.findings:
        counted[Severity(finding.severity)] += 1
    yield _gauge(
        "muster_findings",
        "Findings that a person should look at.",
        [({"severity": severity}, count) for severity, count in counted.items()],
    )


def _of_cluster(status: Status) -> Iterable[Family]:
    """What this node says of the cluster."""
    yield _gauge(
        "muster_quorate",
        "Whether this node's partition has quorum.",
        [({}, status.cluster.quorate)],
    )
    yield _gauge(
        "muster_node_online",
        "Whether Pacemaker on this node counts the node as online.",
        [({"node": n.name or n.instance_id}, n.online) for n in status.nodes],
    )
    yield _gauge(
        "muster_node_heard_timestamp_seconds",
        "When the node last said something to this one.",
        [s for n in status.nodes for s in _moment({"node": n.name}, n.last_heard)],
    )
    yield _gauge(
        "muster_fencing_proved_timestamp_seconds",
        "When it was last shown that the node can be fenced; 0 for never.",
        _proofs(status),
    )
    yield _gauge(
        "muster_address_agrees",
        "Whether Pacemaker, EC2 and the kernels name one holder of the floating address.",
        [({"private_ip": a.private_ip}, a.agrees) for a in status.addresses],
    )
    yield _gauge(
        "muster_resource_started",
        "Whether Pacemaker calls the resource started.",
        [({"resource": r.id}, r.state == ResourceState.STARTED) for r in status.resources],
    )


def _events(events: Mapping[str, int]) -> Family:
    samples = tuple(({"kind": kind}, float(events[kind])) for kind in sorted(events))
    return Family("muster_events_total", "counter", "Events since musterd started.", samples)


def _proofs(status: Status) -> list[tuple[Labels, float]]:
    proved = {proof.node: proof.at for proof in status.fencing.proved}
    return [
        ({"node": node}, _moment({}, proved[node])[0][1] if node in proved else 0.0)
        for node in status.fencing.map
    ]


def _gauge(name: str, text: str, samples: Iterable[tuple[Labels, float]]) -> Family:
    return Family(name, "gauge", text, tuple(samples))


def _moment(labels: Labels, stamp: str) -> list[tuple[Labels, float]]:
    """Return a sample of an RFC 3339 time, none for no time."""
    return [(labels, datetime.fromisoformat(stamp).timestamp())] if stamp else []


def _written(family: Family) -> str:
    lines = [f"# HELP {family.name} {family.text}", f"# TYPE {family.name} {family.kind}"]
    for labels, value in family.samples:
        told = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
        lines.append(family.name + (f"{{{told}}}" if told else "") + f" {_number(value)}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _number(value: float) -> str:
    """Return a number in full: a time in seconds since 1970 has ten digits."""
    return str(int(value)) if value == int(value) else repr(value)
