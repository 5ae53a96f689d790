"""The root helper's vocabulary: what is not exactly in it is refused before any process starts."""

import copy
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from fake_node import FakeNode

from muster_helper.__main__ import serve
from muster_helper.caller import Caller
from muster_helper.verbs import VERBS, validate
from musterd.errors import HelperError
from musterd.helper_wire import LINE_LIMIT
from musterd.model import Verb

IDENTITY = {
    "name": "web",
    "uuid": "ab" * 16,
    "members": [
        {"instance_id": "i-00000000000000001", "name": "ip-10-0-0-11", "address": "10.0.0.11"},
        {"instance_id": "i-00000000000000002", "name": "ip-10-0-0-12", "address": "10.0.0.12"},
    ],
    "token_ms": 10_000,
}
TAGS = {"cluster": "web", "size": 2}
CONFIGURE = {
    "identity": IDENTITY,
    "tags": TAGS,
    "spec_digest": "0" * 64,
    "region": "eu-west-1",
    "subnet": "10.0.0.0/24",
    "allocations": {"203.0.113.9": "eipalloc-0a"},
}
GOOD: dict[Verb, dict[str, Any]] = {
    Verb.SURVEY: {"identity": IDENTITY, "tags": TAGS},
    Verb.PREPARE: {"region": "eu-west-1"},
    Verb.LAY: {"identity": IDENTITY, "corosync_key": "1a" * 256, "pacemaker_key": "2b" * 256},
    Verb.START: {"identity": IDENTITY},
    Verb.BUILD: CONFIGURE,
    Verb.CONFIGURE: CONFIGURE,
    Verb.TRUST: {"identity": IDENTITY, "pcsd_token": "t" * 128},
    Verb.PROBE_FENCING: {"identity": IDENTITY, "tags": TAGS, "region": "eu-west-1"},
    Verb.FENCE: {"identity": IDENTITY, "target": "i-00000000000000002"},
    Verb.OFFER: {"identity": IDENTITY, "pcsd_token": "t" * 128},
    Verb.ADMIT: {
        "identity": IDENTITY,
        "newcomer": "i-00000000000000001",
        "pcsd_token": "t" * 128,
        "tags": TAGS,
        "spec_digest": "0" * 64,
        "region": "eu-west-1",
    },
    Verb.EXPEL: {
        "identity": IDENTITY,
        "leaving": "i-00000000000000001",
        "asked": False,
        "tags": TAGS,
        "spec_digest": "0" * 64,
        "region": "eu-west-1",
    },
    Verb.WITHDRAW: {"identity": IDENTITY},
    Verb.COMPARE: {"configure": CONFIGURE, "changed": ["fencing.agent"]},
    Verb.APPLY: {
        "compare": {"configure": CONFIGURE, "changed": ["fencing.agent"]},
        "plan": "0" * 64,
        "restart": False,
    },
}
HOSTILE_TEXT = (
    *("", " ", "--force", "-h", "../../etc/shadow", "/etc/shadow", "a b", "a\nb", "web\n", "a\0b"),
    *("$(id)", "`id`", "a;id", "a'b", "w\u0435b", "\uff11", "\u202eweb", "\ud800", "x" * 60_000),
)
HOSTILE: tuple[Any, ...] = (
    *HOSTILE_TEXT,
    None,
    True,
    1,
    -1,
    1.5,
    10**30,
    [],
    {},
    ["x"],
    {"x": "y"},
)
# What may be absent after all: survey's identity, tags, addresses that are elastic.
MAY: dict[str, tuple[Any, ...]] = {
    "tags": ({},),
    "cluster": (None,),
    "size": (None,),
    "allocations": ({},),
    "asked": (True, 1),
    "restart": (True, 1),
    "changed": ([], ["x"]),
}


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value, branches as well."""
    yield path
    if isinstance(value, dict | list):
        for key, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(each, (*path, key))


def replaced(params: dict[str, Any], path: tuple[Any, ...], value: Any) -> Any:
    whole = {"params": copy.deepcopy(params)}
    holder: Any = whole
    for key in ("params", *path)[:-1]:
        holder = holder[key]
    holder[("params", *path)[-1]] = value
    return whole["params"]


@pytest.fixture
def node(tmp_path: Path) -> FakeNode:
    return FakeNode(tmp_path / "node")


@pytest.fixture
def no_children(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        pytest.fail("a refused request came as far as child processes")

    monkeypatch.setattr("muster_helper.__main__.Children", forbidden)


def ask(node: FakeNode, request: bytes) -> dict[str, Any]:
    """Send one request to the helper as systemd starts it, and return its only answer."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * LINE_LIMIT)
        ours.sendall(request)
        ours.shutdown(socket.SHUT_WR)
        assert serve(Caller(theirs.fileno(), theirs.fileno()), node.paths) == 1
        theirs.shutdown(socket.SHUT_WR)
        with ours.makefile("rb") as answer:
            [line] = answer
    told: dict[str, Any] = json.loads(line)
    return told


def test_every_verb_has_a_good_request_here() -> None:
    assert set(GOOD) == set(VERBS) == set(Verb)
    for verb, params in GOOD.items():
        assert validate({"verb": verb, "params": params}).verb is verb


@pytest.mark.parametrize("verb", GOOD)
def test_no_hostile_value_passes_anywhere(verb: Verb) -> None:
    tried = 0
    for path in leaves(GOOD[verb]):
        allowed = MAY.get(str(path[-1]) if path else "", ())
        if verb is Verb.TRUST and path == ("pcsd_token",):
            allowed = (None,)  # a formed cluster's is known to pcs
        if verb is Verb.SURVEY and path in ((), ("identity",)):
            allowed = ({},) if not path else (None,)
        for value in HOSTILE:
            if value in allowed:
                continue
            with pytest.raises(HelperError) as refused:
                validate({"verb": verb, "params": replaced(GOOD[verb], path, value)})
            assert refused.value.refused
            assert len(refused.value.sentence) < 1_000
            assert "shadow" not in refused.value.sentence  # no value is repeated
            tried += 1
    assert tried >= 2 * len(HOSTILE) - 2


@pytest.mark.parametrize("value", ["10000", 10_000.0, True])
def test_a_number_is_a_number(value: object) -> None:
    wrong = replaced(GOOD[Verb.START], ("identity", "token_ms"), value)
    with pytest.raises(HelperError, match="token_ms"):
        validate({"verb": "start", "params": wrong})


@pytest.mark.parametrize("verb", GOOD)
def test_no_key_may_be_added_or_missing(verb: Verb) -> None:
    optional = {Verb.SURVEY: {"identity", "tags"}, Verb.TRUST: {"pcsd_token"}}.get(verb, set())
    for path in leaves(GOOD[verb]):
        holder: Any = GOOD[verb]
        for part in path:
            holder = holder[part]
        if not isinstance(holder, dict) or path[-1:] == ("allocations",):
            continue
        added = replaced(GOOD[verb], path, {**holder, "path": "/etc/shadow"})
        with pytest.raises(HelperError, match="path"):
            validate({"verb": verb, "params": added if path else {**holder, "path": "x"}})
        for key in holder:
            if key in optional or path[-1:] == ("tags",):
                continue
            less = {name: value for name, value in holder.items() if name != key}
            with pytest.raises(HelperError):
                validate({"verb": verb, "params": replaced(GOOD[verb], path, less)})


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 60_000 + b"\n",
        b'{"verb":"prepare","verb":"survey","params":{"region":"eu-west-1"}}\n',
        b'{"verb":"prepare","params":{"region":"--force","region":"eu-west-1"}}\n',
        b'{"verb":"prepare","params":{"region":NaN}}\n',
        b'{"verb":"prepare","params":' + b"9" * 50_000 + b"}\n",
        b'{"verb":"prepare\\n","params":{"region":"eu-west-1"}}\n',
        b'{"verb":"pr\xd0\xb5pare","params":{"region":"eu-west-1"}}\n',
        b'{"verb":"prepare","params":{"region":"\xff\xfe"}}\n',
        b'{"verb":"__class__","params":{}}\n',
        b'{"verb":"prepare","params":{"region":"eu-west-1","a\\nforged: line":1}}\n',
        b'{"verb":"lay","params":"' + b"x" * 70_000 + b'"}\n',
    ],
    ids=range(11),
)
@pytest.mark.usefixtures("no_children")
def test_a_hostile_line_ends_in_one_refusal(
    node: FakeNode, line: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    before = node.snapshot()
    answer = ask(node, line)
    assert (answer["ok"], answer["refused"]) == (False, True)
    assert node.snapshot() == before
    said = capsys.readouterr().err
    assert said.count("\n") == 1  # one line of the journal, no traceback, nothing forged


def test_an_error_fits_a_line_however_long_what_it_quotes(node: FakeNode) -> None:
    """A wrong value of 200 kB in the spec: the answer is a sentence, not a crash."""
    node.paths.spec.write_text("[cluster]\nname = 'web'\nsize = 2\n" + "k" * 200_000 + " = 1\n")
    line = json.dumps({"verb": "lay", "params": GOOD[Verb.LAY]}).encode() + b"\n"
    node.paths.corosync_conf.unlink(missing_ok=True)
    told: list[dict[str, Any]] = []

    class Ear(Caller):
        def answer(self, values: dict[str, Any]) -> None:
            assert len(json.dumps(values)) < LINE_LIMIT
            told.append(values)

    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(line)
        assert serve(Ear(theirs.fileno(), theirs.fileno()), node.paths) == 1
    assert told[-1]["ok"] is False


@pytest.mark.usefixtures("no_children")
def test_nobody_else_is_served_on_a_real_socket(node: FakeNode, tmp_path: Path) -> None:
    """Even if the socket's mode let him connect: the kernel says who he is."""
    path = tmp_path / "helper.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o666)
        for folder in (tmp_path, *tmp_path.parents):
            if folder.stat().st_uid == os.getuid() and folder != Path("/"):
                folder.chmod(folder.stat().st_mode | 0o011)
        listener.listen()
        child = os.fork()
        if child == 0:
            try:
                if os.getuid() == 0:
                    os.setgroups([])
                    os.setresuid(65_534, 65_534, 65_534)
                with socket.socket(socket.AF_UNIX) as caller:
                    caller.connect(str(path))
                    told = json.loads(caller.makefile().readline())
                os._exit(0 if told["refused"] and "may not ask" in told["what"] else 1)
            finally:
                os._exit(2)
        connection, _ = listener.accept()
        with connection:
            assert serve(Caller(connection.fileno(), connection.fileno()), node.paths) == 1
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# --- what may travel ---------------------------------------------------------------------------

WIRE = {
    "identity": "which cluster: compared with what the node holds",
    "name": "of the cluster and of members",
    "uuid": "decided by the founders",
    "members": "who they are",
    "instance_id": "for the map of fencing",
    "address": "of a member",
    "token_ms": "held against the root-owned spec",
    "tags": "the two values that instance tags may give",
    "cluster": "tag",
    "size": "tag",
    "region": "where the instance is",
    "target": "one of the members, by instance id",
    "corosync_key": "secret",
    "pacemaker_key": "secret",
    "pcsd_token": "secret",
    "newcomer": "which of the members to be is to be admitted",
    "leaving": "which of the members is to go",
    "asked": "whether it asked; if not, EC2 must call it terminated",
    "spec_digest": "must be that of the root-owned spec",
    "subnet": "what addresses may be in",
    "allocations": "elastic address -> allocation id, by EC2's word",
    "allocated": "floating address -> the elastic one that was made for it, by EC2's word",
    "disks": "name of a shared disk of the root-owned spec -> volume id, by EC2's word",
    "configure": "as for `configure`",
    "compare": "as for `compare`",
    "changed": "keys of the spec: which differences are its own doing",
    "plan": "must be the digest of the helper's own plan",
    "restart": "whether a plan that stops the whole cluster may run",
}


def field_names(shape: Any) -> Iterator[str]:
    if get_origin(shape) is not None or isinstance(shape, UnionType):
        for part in get_args(shape):
            yield from field_names(part)
    elif is_dataclass(shape):
        hints = get_type_hints(shape)
        for each in fields(shape):
            yield each.name
            yield from field_names(hints[each.name])


def test_nothing_else_travels_to_the_root_side() -> None:
    """A new parameter is a decision: no path, command, option or configuration may be one."""
    assert {name for entry in VERBS.values() for name in field_names(entry.params)} == set(WIRE)
