"""The import arrows and the sizes that docs/architecture.md promises, read from the source.

Every rule is a function from a folder to sentences, so that the rules are tried on a wrong tree
too: a rule that finds nothing there proves nothing here.
"""

import ast
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("daemon", "client", "packaging", "tests")

# --- the arrows -------------------------------------------------------------------------------

VOCABULARY = {"model", "spec", "helper_wire", "errors"}
STAGES = {
    "identity", "discovery", "assembly", "fencing", "resources", "storage", "membership",
    "changes", "preflight", "suitability",
}  # fmt: skip
ELECTION = {"election", "election.types", "election.machine", "election.invariants"}

# Where a module's imports of our own may point, beside VOCABULARY. A package's own modules may
# always import each other.
ARROWS = {
    # What everybody speaks.
    "model": set(),
    "errors": set(),
    "spec": set(),
    "helper_wire": set(),
    "peer_wire": {"election.types"},
    "settings": set(),
    "ports": {"election.types", "peer_wire"},
    # The stages: each decides one thing, none knows another. pcs_words is how values become
    # words of a pcs command line, for the two stages that write such.
    **{stage: {"election.types", "pcs_words"} for stage in STAGES},
    "resources": {"floating", "pcs_words"},
    "preflight": {"observations", "ways"},
    "ways": {"observations"},
    "observations": set(),
    "pcs_words": set(),
    "floating": set(),
    "election": set(),
    "trust": set(),
    "certificates": {"trust"},
    # What is known, and what of it is shown; `course` holds the readings of knowledge (who the
    # members are, who conducts) that the engine decides by, and status must tell the same.
    "metrics": {"muster.api"},
    "since": {"muster.api"},
    "making": {"knowledge", "storage"},
    "knowledge": {"election.types", "observations", "peer_wire", "settings"},
    "status": {
        "course", "drill", "election.types", "fencing", "knowledge", "making", "observations",
        "peer_wire", "proofs", "resources", "settings", "muster.api",
    },
    "log": set(),
    # I/O, and the doors.
    "adapters": {"ports", "peer_wire", "election.types", "trust", "settings", "muster.api"},
    "api": {
        "engine", "status", "journal", "peer_wire", "election.types", "trust", "settings",
        "muster.api", "muster.contract",
    },
}  # fmt: skip
# Everything else in musterd is the engine or a part of it: it may know all but these.
BEYOND_ENGINE = {"adapters", "api", "boot", "log", "__main__"}
ROOTS = {"boot", "__main__"}  # the composition root imports anything

HELPER_MAY_IMPORT = {
    "model", "spec", "settings", "helper_wire", "errors", "fencing", "resources", "assembly",
    "changes", "floating", "pcs_words", "storage", "suitability",
}  # fmt: skip

PURE = STAGES | {
    "floating", "observations", "ways",
    "model", "spec", "errors", "helper_wire", "peer_wire", "pcs_words", "election", "trust",
    "certificates", "knowledge", "status", "metrics", "course", "agreement", "outlook",
    "deadlines", "drill", "making", "proofs", "since", "day_two", "applied",
}  # fmt: skip
IMPURE_IMPORTS = {
    "asyncio", "time", "random", "subprocess", "socket", "aiohttp", "boto3", "botocore",
    "structlog",
}  # fmt: skip
OUTSIDE_FOR_PURE = {"pydantic", "pydantic_core"}
OUTSIDE_FOR = {"certificates": {"cryptography"}}

# What `muster status` may load before it has printed: it is to start in 35 ms.
STATUS_PATH = ("muster.__main__", "muster.cli", "muster.commands.status")
LIGHT = {
    "argparse", "collections", "dataclasses", "datetime", "enum", "importlib", "json", "os",
    "socket", "sys", "time", "types", "typing",
}  # fmt: skip

# --- the sizes --------------------------------------------------------------------------------

FILE_LIMIT = 500
FUNCTION_LIMIT = 69
MEDIAN_LIMIT = 199


@dataclass(frozen=True)
class Import:
    """One import: the full dotted name, and whether it runs when the module is loaded."""

    name: str
    at_load: bool


@dataclass(frozen=True)
class Module:
    """A module of one of our packages: its dotted name and its imports."""

    name: str
    path: Path
    imports: tuple[Import, ...]

    @property
    def own(self) -> str:
        """The name inside its package: `adapters.ec2` for `musterd.adapters.ec2`."""
        return self.name.partition(".")[2]

    @property
    def layer(self) -> str:
        """The first part of that: `adapters`."""
        return self.own.partition(".")[0]


def modules(root: Path, package: str) -> list[Module]:
    """Parse every module of a package below `root` ("daemon/musterd")."""
    folder = root / package
    found = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found.append(Module(name, path, tuple(_imports(tree, name, known=root))))
    return found


def _imports(tree: ast.Module, name: str, known: Path) -> Iterator[Import]:
    late = {
        inner
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(outer)
    }
    for node in ast.walk(tree):
        at_load = node not in late
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, at_load)
        elif isinstance(node, ast.ImportFrom):
            # Relative imports are resolved, so that they cannot hide an arrow.
            base = ".".join(name.split(".")[: -node.level]) if node.level else ""
            source = ".".join(filter(None, (base, node.module)))
            for alias in node.names:
                deeper = f"{source}.{alias.name}"
                yield Import(deeper if _is_module(known, deeper) else source, at_load)


def _is_module(root: Path, name: str) -> bool:
    relative = Path(*name.split("."))
    return any(
        (root / top / relative).with_suffix(".py").exists() or (root / top / relative).is_dir()
        for top in ("daemon", "client")
    )


def arrows_of_daemon(root: Path) -> Iterator[str]:
    """The daemon's layers import only what they may know."""
    for module in modules(root, "daemon/musterd"):
        if module.layer in ROOTS or not module.own:
            continue
        for entry in module.imports:
            package, _, target = entry.name.partition(".")
            if package == "muster_helper":
                yield f"{module.name} imports {entry.name}: they speak over the socket only"
            elif package in {"musterd", "muster"} and not _allowed(module, package, target):
                yield f"{module.name} imports {entry.name}: no arrow points that way"


def _allowed(module: Module, package: str, target: str) -> bool:
    layer = target.partition(".")[0]
    if package == "muster":
        wanted = f"muster.{target}"
        if module.layer not in ARROWS:
            return wanted in {"muster.api", "muster.contract"}
        return wanted in ARROWS[module.layer]
    if not target or layer == module.layer or target in VOCABULARY:
        return True
    if module.layer not in ARROWS:
        return layer not in BEYOND_ENGINE
    return bool({target, layer} & ARROWS[module.layer])


def arrows_of_helper(root: Path) -> Iterator[str]:
    """The root side shares vocabulary and pure stages with the daemon, and nothing else."""
    for module in modules(root, "daemon/muster_helper"):
        for entry in module.imports:
            package, _, target = entry.name.partition(".")
            if package == "muster" or (
                package == "musterd" and target and target not in HELPER_MAY_IMPORT
            ):
                yield f"{module.name} imports {entry.name}"


def purity(root: Path) -> Iterator[str]:
    """Pure modules do no I/O, read no clock, roll no dice, and bring in no library for it."""
    for module in modules(root, "daemon/musterd"):
        if module.layer not in PURE:
            continue
        outside = OUTSIDE_FOR_PURE | OUTSIDE_FOR.get(module.layer, set())
        for entry in module.imports:
            top = entry.name.partition(".")[0]
            standard = top in sys.stdlib_module_names and top not in IMPURE_IMPORTS
            if not standard and top not in {"musterd", "muster"} | outside:
                yield f"{module.name} imports {entry.name}, and is pure"


def arrows_of_client(root: Path) -> Iterator[str]:
    """The client is alone with the standard library; boto3 is for `muster image`, and late."""
    for module in modules(root, "client/muster"):
        for entry in module.imports:
            top = entry.name.partition(".")[0]
            if top in sys.stdlib_module_names or top == "muster":
                continue
            if top in {"boto3", "botocore"} and module.layer == "image" and not entry.at_load:
                continue
            yield f"{module.name} imports {entry.name}"


def status_path(root: Path) -> Iterator[str]:
    """`muster status` loads few modules of the standard library."""
    known = {module.name: module for module in modules(root, "client/muster")}
    waiting, seen = list(STATUS_PATH), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in known:
            continue
        seen.add(name)
        for entry in known[name].imports:
            if not entry.at_load:
                continue
            waiting.append(entry.name)
            top = entry.name.partition(".")[0]
            if top not in LIGHT | {"muster"}:
                yield f"{name} imports {entry.name} on the way to `muster status`"


def sources(root: Path) -> list[Path]:
    """Every Python file of the project."""
    return sorted(path for top in FOLDERS for path in (root / top).rglob("*.py"))


def sizes(root: Path) -> Iterator[str]:
    """Files and functions stay small."""
    lengths = []
    for path in sources(root):
        text = path.read_text(encoding="utf-8")
        lengths.append(text.count("\n"))
        if lengths[-1] > FILE_LIMIT:
            yield f"{path.relative_to(root)} has {lengths[-1]} lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > FUNCTION_LIMIT:
                    yield f"{path.relative_to(root)}: {node.name} has {length} lines"
    if (median := statistics.median(lengths)) > MEDIAN_LIMIT:
        yield f"the median file has {median} lines"


def top_folders(root: Path) -> Iterator[str]:
    """No top-level folder is importable: `daemon` and `packaging` are names of others on PyPI."""
    for path in sorted(root.glob("*/__init__.py")):
        if path.parent.name != "tests":
            yield f"{path.relative_to(root)} makes {path.parent.name} a package"


RULES: tuple[Callable[[Path], Iterator[str]], ...] = (
    arrows_of_daemon,
    arrows_of_helper,
    purity,
    arrows_of_client,
    status_path,
    sizes,
    top_folders,
)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_project_keeps(rule: Callable[[Path], Iterator[str]]) -> None:
    assert list(rule(ROOT)) == []


# One file for each way to break a rule: where, what it says, and what the rule's sentence holds.
WRONG = [
    (arrows_of_daemon, "daemon/musterd/fencing.py", "from musterd.assembly import x", "assembly"),
    (arrows_of_daemon, "daemon/musterd/fencing.py", "from . import assembly", "assembly"),
    (arrows_of_daemon, "daemon/musterd/course.py", "import musterd.adapters.ec2", "ec2"),
    (arrows_of_daemon, "daemon/musterd/adapters/ec2.py", "from musterd import engine", "engine"),
    (arrows_of_daemon, "daemon/musterd/api/peer.py", "from musterd.adapters import ec2", "ec2"),
    (arrows_of_daemon, "daemon/musterd/model.py", "from musterd.status import x", "status"),
    (arrows_of_daemon, "daemon/musterd/engine.py", "import muster_helper.pcs", "muster_helper"),
    (arrows_of_daemon, "daemon/musterd/engine.py", "from muster.client import x", "muster.client"),
    (arrows_of_helper, "daemon/muster_helper/x.py", "from musterd.adapters import ec2", "ec2"),
    (arrows_of_helper, "daemon/muster_helper/x.py", "from muster.api import x", "muster.api"),
    (purity, "daemon/musterd/assembly.py", "import asyncio", "asyncio"),
    (purity, "daemon/musterd/election/machine.py", "def f():\n    import random", "random"),
    (purity, "daemon/musterd/resources.py", "from time import monotonic", "time"),
    (purity, "daemon/musterd/status.py", "import cryptography.x509", "cryptography"),
    (arrows_of_client, "client/muster/cli.py", "from musterd.spec import Spec", "musterd.spec"),
    (arrows_of_client, "client/muster/image/bake.py", "import boto3", "boto3"),
    (arrows_of_client, "client/muster/cli.py", "def f():\n    import boto3", "boto3"),
    (status_path, "client/muster/cli.py", "import http.client", "http.client"),
    (sizes, "client/muster/cli.py", "x = 1\n" * 501, "501 lines"),
    (sizes, "client/muster/cli.py", "def f():\n" + "    x = 1\n" * 69, "f has 70 lines"),
    (top_folders, "daemon/__init__.py", "", "makes daemon a package"),
]


@pytest.mark.parametrize(("rule", "path", "text", "found"), WRONG)
def test_the_rule_finds_what_is_wrong(
    rule: Callable[[Path], Iterator[str]], path: str, text: str, found: str, tmp_path: Path
) -> None:
    for name in ("assembly", "engine", "status", "adapters/ec2"):
        _write(tmp_path / f"daemon/musterd/{name}.py", "")
    assert list(rule(tmp_path)) == []
    _write(tmp_path / path, text)
    sentences = list(rule(tmp_path))
    assert len(sentences) == 1
    assert found in sentences[0]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_the_median_of_the_files_is_bounded(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        _write(tmp_path / f"tests/{name}.py", "x = 1\n" * (199 if name == "a" else 200))
    assert list(sizes(tmp_path)) == ["the median file has 200 lines"]
