"""Resources of the spec: what agents do not take is refused on every node, what they take runs.

One lab: three nodes get one wrong spec after another, and then a right one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree

import pytest

from muster_lab.client import Lab
from observe import Document, configuration, ids, own_lab, said, status, until, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(600)]

SOON = 90.0
INSTALL = (
    *("install", "-D", "-o", "root", "-g", "musterd", "-m", "0640"),
    *("/dev/stdin", "/etc/muster/muster.toml"),
)
RIGHT = """
[[resource]]
id = "one"
agent = "ocf:heartbeat:Dummy"
group = "services"
operations = { monitor = { interval = "17s", timeout = "19s" } }
meta = { migration-threshold = 5 }
[[resource]]
id = "two"
agent = "ocf:pacemaker:Dummy"
group = "services"
options = { fake = "lab" }
[[resource]]
id = "web"
agent = "systemd:nginx"
clone = { interleave = true }
[[resource]]
id = "first"
agent = "ocf:heartbeat:Dummy"
group = "everywhere"
[[resource]]
id = "second"
agent = "ocf:pacemaker:Dummy"
group = "everywhere"
[[group]]
id = "everywhere"
clone = true
meta = { priority = 5 }
[[group]]
id = "services"
meta = { resource-stickiness = 77 }
"""


@dataclass(frozen=True)
class Three:
    """The lab and its three nodes."""

    lab: Lab
    ids: list[str]

    def give(self, rest: str) -> None:
        """Put a spec on every node as an administrator would, and have it read."""
        for node in self.ids:
            spec = f'[cluster]\nname = "three"\nsize = 3\n{rest}'
            self.lab.run(node, *INSTALL, stdin=spec)
            self.lab.run(node, "muster", "join")


@pytest.fixture(scope="module")
def three() -> Iterator[Three]:
    """Nodes with the cluster's tag, and no spec yet that could found one."""
    with own_lab("resources") as lab:
        tags = {"muster:cluster": "three", "muster:size": "16"}
        nodes = lab.launch(3, tags=tags)
        lab.wait_boot()
        yield Three(lab, ids(nodes))


WRONG = {
    "an agent that is not installed": (
        'agent = "ocf:heartbeat:Dumy"',
        ("ocf:heartbeat:Dumy of [[resource]] odd is not installed", "correct the spec"),
    ),
    "a unit that is not there": (
        'agent = "systemd:nginz"',
        ("systemd:nginz of [[resource]] odd is not installed",),
    ),
    "a parameter that the agent does not take": (
        'agent = "ocf:heartbeat:Dummy"\noptions = { sate = "x" }',
        ("odd has sate, which ocf:heartbeat:Dummy", "pcs resource describe ocf:heartbeat:Dummy"),
    ),
    "required parameters that are missing": (
        'agent = "ocf:heartbeat:Filesystem"\noptions = { device = "/dev/sdz" }',
        ("odd lacks directory, fstype, which ocf:heartbeat:Filesystem requires", "add it"),
    ),
    "an operation that the agent does not have": (
        'agent = "ocf:heartbeat:IPaddr2"\noptions = { ip = "10.9.9.9" }\n'
        'operations = { promote = { timeout = "9s" } }',
        ("odd has an operation promote", "monitor"),
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_the_agents_do_not_take_is_refused_on_every_node(three: Three, case: str) -> None:
    wanted, words = WRONG[case]
    three.give(f'[[resource]]\nid = "odd"\n{wanted}\n')

    def refused(now: Document) -> bool:
        told = f"{now['reason']} {now['next']}"
        return now["phase"] == "failed" and all(word in told for word in words)

    for node in three.ids:
        now = until(three.lab, node, refused, SOON)
        assert "muster join" in now["next"]
        assert now["cluster"]["uuid"] == ""


def test_cured_everything_runs_where_it_is_wanted(three: Three) -> None:
    three.give(RIGHT)
    wait_for(three.lab, "healthy", three.ids)
    now = status(three.lab, three.ids[0])
    names = {node["name"] for node in now["nodes"]}
    places: dict[str, set[str]] = {}
    for resource in now["resources"]:
        places.setdefault(resource["id"], set()).add(resource["node"])
    assert places["web"] == places["first"] == places["second"] == names
    assert places["one"] == places["two"]
    assert len(places["one"]) == 1
    for node in three.ids:
        assert said(three.lab, node, "systemctl", "is-active", "nginx") == "active"


def test_operations_meta_attributes_and_clones_are_pacemakers(three: Three) -> None:
    root = ElementTree.fromstring(configuration(three.lab, three.ids[0]))
    [monitor] = root.iterfind(".//primitive[@id='one']/operations/op[@name='monitor']")
    assert (monitor.get("interval"), monitor.get("timeout")) == ("17s", "19s")

    def meta(path: str) -> dict[str | None, str | None]:
        pairs = root.iterfind(f".//{path}/meta_attributes/nvpair")
        return {pair.get("name"): pair.get("value") for pair in pairs}

    assert meta("primitive[@id='one']") == {"migration-threshold": "5"}
    assert meta("group[@id='services']") == {"resource-stickiness": "77"}
    assert meta("clone[@id='web-clone']") == {"interleave": "true"}
    assert meta("group[@id='everywhere']") == {"priority": "5"}
    assert root.find(".//clone[@id='everywhere-clone']/group[@id='everywhere']") is not None
