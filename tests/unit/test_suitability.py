"""What agents say they take decides what the spec may ask of them."""

import pytest

from musterd import suitability
from musterd.spec import Cluster, Resource, Scalar, Spec
from musterd.suitability import UNIT, Metadata

FILESYSTEM = "ocf:heartbeat:Filesystem"
KNOWN = {
    FILESYSTEM: Metadata(
        frozenset({"device", "directory", "fstype", "options"}),
        frozenset({"device", "directory", "fstype"}),
        frozenset({"start", "stop", "monitor"}),
    ),
    "systemd:nginx": UNIT,
}
WHOLE: dict[str, Scalar] = {"device": "/dev/sda1", "directory": "/srv", "fstype": "xfs"}


def spec(*resource: Resource) -> Spec:
    return Spec(Cluster("web", 2), resource=resource)


@pytest.mark.parametrize(
    "resource",
    [
        Resource("data", FILESYSTEM, options=WHOLE),
        Resource("data", FILESYSTEM, options={**WHOLE, "trace_ra": 1}),
        Resource("data", FILESYSTEM, options=WHOLE, operations={"monitor": {"on-fail": "fence"}}),
        Resource("web", "systemd:nginx", operations={"start": {"timeout": "9s"}}),
        Resource("own", "ocf:site:unknown", options={"anything": "goes"}),
    ],
)
def test_what_suits_is_let_through(resource: Resource) -> None:
    assert suitability.refusals(spec(resource), KNOWN) == ()


@pytest.mark.parametrize(
    ("resource", "told", "cure"),
    [
        (
            Resource("data", FILESYSTEM, options={**WHOLE, "devcie": "x"}),
            "data has devcie, which ocf:heartbeat:Filesystem on this node does not take",
            "pcs resource describe ocf:heartbeat:Filesystem",
        ),
        (
            Resource("data", FILESYSTEM, options={"device": "x"}),
            "data lacks directory, fstype, which ocf:heartbeat:Filesystem requires",
            "add it",
        ),
        (
            Resource("web", "systemd:nginx", options={"port": 80}),
            "web has port, which systemd:nginx on this node does not take",
            "a unit takes no options",
        ),
        (
            Resource("web", "systemd:nginx", operations={"promote": {}}),
            "an operation promote, which systemd:nginx on this node does not have",
            "monitor, start, status, stop",
        ),
        (
            Resource("web", "systemd:nginx", operations={"monitor": {"intervall": "5s"}}),
            "operations.monitor has intervall=5s, which no operation takes",
            "interval",
        ),
    ],
)
def test_what_does_not_suit_is_named_with_its_cure(
    resource: Resource, told: str, cure: str
) -> None:
    [finding] = suitability.refusals(spec(resource), KNOWN)
    assert told in finding.what
    assert cure in finding.cure


def test_everything_that_does_not_suit_is_told_at_once() -> None:
    wrong = (
        Resource("data", FILESYSTEM, options={"x": 1}),
        Resource("web", "systemd:nginx", options={"y": 1}),
    )
    assert len(suitability.refusals(spec(*wrong), KNOWN)) == 3


def test_a_fence_agent_must_get_what_it_requires_but_for_what_pacemaker_gives() -> None:
    required = {"action", "plug", "ip", "username"}
    [finding] = suitability.unfilled("fence_ipmilan", {"ip"}, required)
    assert finding.what == "[fencing.options] lacks username, which fence_ipmilan requires"
    assert suitability.unfilled("fence_ipmilan", {"ip", "username"}, required) == ()
