"""The spec held against what the agents on a node say they take, before anything is founded.

pcs would refuse the same, but only while the configuration is built: after the founding is
decided. What stands here refuses no more than pcs 0.11 does (its resource agent validation), and
says what to type.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from musterd.model import Finding, Severity
from musterd.pcs_words import pairs
from musterd.spec import Resource, Spec

# Shell agents take these besides their own (ocf-shellfuncs, ocf_start_trace).
_TRACING = frozenset({"trace_ra", "trace_file"})
# What an operation may say (Pacemaker Explained, "Resource Operations"); OCF_CHECK_LEVEL is for
# the agent.
OPERATION_OPTIONS = frozenset(
    {
        *("OCF_CHECK_LEVEL", "description", "enabled", "id", "interval", "interval-origin"),
        *("name", "on-fail", "record-pending", "role", "start-delay", "timeout"),
    }
)
# Pacemaker gives these to a fence agent itself (fence agent API); muster gives the region.
_FILLED_IN = frozenset({"action", "method", "plug", "port", "region"})


@dataclass(frozen=True)
class Metadata:
    """What one agent takes (OCF resource agent API 1.1, fence agent API)."""

    parameters: frozenset[str]
    required: frozenset[str]
    actions: frozenset[str]


# A unit has no parameters, and no metadata of its own (Pacemaker, systemd_unit_metadata).
UNIT = Metadata(
    frozenset(), frozenset(), frozenset({"start", "stop", "status", "monitor", "meta-data"})
)


def refusals(spec: Spec, known: Mapping[str, Metadata]) -> tuple[Finding, ...]:
    """Return what the agents of `[[resource]]` do not take, or miss.

    Args:
        spec: the wanted cluster.
        known: agent as the spec names it -> its metadata; those that are not there are passed
            over, because that they are missing is told elsewhere.
    """
    return tuple(
        finding
        for resource in spec.resource
        if resource.agent in known
        for finding in _refused(resource, known[resource.agent])
    )


def unfilled(
    agent: str, options: Collection[str], required: Collection[str]
) -> tuple[Finding, ...]:
    """Return the parameters of a fence agent that nobody gives.

    Args:
        agent: its name.
        options: those that `[fencing.options]` gives.
        required: those that its metadata requires.
    """
    missing = sorted(set(required) - _FILLED_IN - set(options))
    if not missing:
        return ()
    return (
        Finding(
            Severity.ERROR,
            f"[fencing.options] lacks {', '.join(missing)}, which {agent} requires",
            f"add it on every node; `pcs stonith describe {agent}` says what it means",
        ),
    )


def _refused(resource: Resource, metadata: Metadata) -> Iterator[Finding]:
    where, agent = f"[[resource]] {resource.id}", resource.agent
    describe = f"`pcs resource describe {agent}`"
    unknown = sorted(resource.options.keys() - metadata.parameters - _TRACING)
    if unknown:
        takes = f"use the names that {describe} prints"
        none = "remove them: a unit takes no options"
        yield Finding(
            Severity.ERROR,
            f"{where} has {', '.join(unknown)}, which {agent} on this node does not take",
            takes if metadata.parameters else none,
        )
    missing = sorted(metadata.required - resource.options.keys())
    if missing:
        yield Finding(
            Severity.ERROR,
            f"{where} lacks {', '.join(missing)}, which {agent} requires",
            f"add it to its options on every node; {describe} says what it means",
        )
    for name, options in resource.operations.items():
        if name not in metadata.actions:
            yield Finding(
                Severity.ERROR,
                f"{where} has an operation {name}, which {agent} on this node does not have",
                f"it has {', '.join(sorted(metadata.actions))}",
            )
        odd = sorted(options.keys() - OPERATION_OPTIONS)
        if odd:
            given = " ".join(pairs({each: options[each] for each in odd}))
            yield Finding(
                Severity.ERROR,
                f"{where} operations.{name} has {given}, which no operation takes",
                f"an operation takes {', '.join(sorted(OPERATION_OPTIONS))}",
            )
