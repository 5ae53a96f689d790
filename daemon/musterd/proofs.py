"""Real fences that were seen to work: which of them still mean something.

A proof is for one agent, its options and one map from names to instances. When any of these
changes, it proves nothing any more; so every proof carries the fingerprint it was made for.
"""

from collections.abc import Mapping

from musterd import course, fencing
from musterd.knowledge import Knowledge
from musterd.spec import Proof


def fingerprint(k: Knowledge) -> str:
    """Return what proofs are for now, "" before the cluster is decided."""
    decree = course.decree_of(k)
    if decree is None or k.settings is None:
        return ""
    return fencing.fingerprint(k.settings.spec, decree.members)


def valid(k: Knowledge) -> Mapping[str, float]:
    """Return member -> when (seconds since 1970) it was really fenced, as far as that counts."""
    if not k.real or k.real_for != fingerprint(k):
        return {}
    if k.facts is not None and k.facts.map_faults:
        return {}
    return k.real


def prove(k: Knowledge, instance_id: str, at: float) -> None:
    """Remember that a member was really fenced."""
    current = fingerprint(k)
    kept = k.real if k.real_for == current else {}
    k.real, k.real_for = {**kept, instance_id: at}, current


def adopt(k: Knowledge) -> None:
    """Take over what peers have proven: whoever fenced a node may be the next to be fenced."""
    said = [heard.hello for heard in k.heard.values() if heard.hello.real]
    current = fingerprint(k) if said else ""
    for hello in said:
        if current and hello.real_for == current:
            for instance_id, at in hello.real.items():
                if k.real_for != current or k.real.get(instance_id, 0.0) < at:
                    prove(k, instance_id, at)


def missing(k: Knowledge) -> tuple[str, ...]:
    """Return the members that the spec wants really fenced and that were not, in roster order."""
    decree = course.decree_of(k)
    if decree is None or k.settings is None or k.settings.spec.fencing.prove is not Proof.REAL:
        return ()
    known = valid(k)
    return tuple(
        member
        for member in decree.roster
        if member not in known and member not in k.candidates.gone
    )
