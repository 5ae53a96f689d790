"""The guides: what they have people type exists, what they quote is said, their programs run."""

import os
import re
import shlex
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types
from tests.unit.client.conftest import Musterd, formed
from tests.unit.client.conftest import musterd as musterd

from muster_pages.commands import verbs
from musterd.helper_wire import Tags
from musterd.settings import load

ROOT = Path(__file__).resolve().parents[2]
GUIDES = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in (
        "README.md",
        "docs/quickstart.md",
        "docs/operations.md",
        "docs/upgrading.md",
        "docs/scripting.md",
        "docs/journal.md",
        "docs/image.md",
        "docs/security-peers.md",
        "packaging/cloud-init/README.md",
    )
}
SOURCES = "\n".join(
    path.read_text(encoding="utf-8")
    for top in ("daemon/musterd", "client/muster")
    for path in (ROOT / top).rglob("*.py")
)


def blocks(guide: str, language: str) -> list[str]:
    pattern = rf"^```{language}\n(.*?)^```$"
    return re.findall(pattern, GUIDES[guide], re.MULTILINE | re.DOTALL)


def typed(guide: str) -> list[str]:
    """Return every use of `muster` that a guide shows, to the end of the command."""
    shown = re.findall(r"(?:^|[`(;&|] ?|sudo |: )muster ([a-z][^`\n;&|)#>]*)", GUIDES[guide], re.M)
    return [each.strip() for each in shown if each.split()[0] in {v.name for v in verbs()}]


@pytest.mark.parametrize("guide", GUIDES)
def test_every_option_that_a_guide_shows_exists(guide: str) -> None:
    known = {verb.name: verb for verb in verbs()}
    assert typed(guide)
    for command in typed(guide):
        verb, *words = command.split()
        options = {word for option in known[verb].every_option for word in option.words}
        assert {word for word in words if word.startswith("--")} <= options, command


@pytest.mark.parametrize("guide", GUIDES)
def test_no_guide_names_a_verb_that_is_not(guide: str) -> None:
    named = re.findall(r"`(?:sudo )?muster ([a-z][a-z-]*)", GUIDES[guide])
    assert set(named) <= {verb.name for verb in verbs()}


def quotes() -> list[str]:
    """Return the fixed parts of what the operations guide says a status would say."""
    lines = re.findall(r"^> (.+)$", GUIDES["docs/operations.md"], re.MULTILINE)
    assert len(lines) == 10
    parts = [part.strip() for line in lines for part in line.split("…")]
    return [part for part in parts if len(part.split()) > 2]  # "in" alone proves nothing


@pytest.mark.parametrize("quote", quotes())
def test_what_is_quoted_is_what_muster_says(quote: str) -> None:
    plain = re.sub(r"\{[^}]*\}", "", SOURCES).replace('"\n', "").replace("\\", "")
    joined = re.sub(r'\s*f?"\s*', " ", plain)
    assert quote in SOURCES or quote in joined


@pytest.mark.parametrize("guide", GUIDES)
def test_every_link_leads_somewhere(guide: str) -> None:
    folder = (ROOT / guide).parent
    for target in re.findall(r"\]\(([^)#]+)\)", GUIDES[guide]):
        assert target.startswith("http") or (folder / target).exists(), target


def shell_blocks() -> list[str]:
    return [block for guide in GUIDES for block in blocks(guide, "sh")]


@pytest.mark.parametrize("block", shell_blocks())
def test_shell_examples_are_shell(block: str) -> None:
    done = subprocess.run(
        ["bash", "-n"], input=block, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.stderr == ""


@pytest.mark.parametrize(
    "guide", ["README.md", "docs/quickstart.md", "packaging/cloud-init/README.md"]
)
def test_what_the_policy_wants_tagged_is_tagged_at_the_launch(guide: str) -> None:
    """Interfaces do not inherit tags, and addresses move only between those that have one."""
    [launch] = re.findall(r"^aws ec2 run-instances .*?(?=^```$)", GUIDES[guide], re.M | re.DOTALL)
    words = shlex.split(launch)
    specifications = words[words.index("--tag-specifications") + 1 :]
    tagged = {each.partition(",")[0] for each in specifications if "Key=muster:cluster" in each}
    assert tagged == {"ResourceType=instance", "ResourceType=network-interface"}
    assert "aws ec2 create-tags --resources" in GUIDES[guide]  # an Elastic IP of one's own


@pytest.mark.parametrize("page", ["docs/operations.md", "packaging/aws/README.md"])
def test_no_word_to_fill_in_is_left_in_the_policy(page: str) -> None:
    policy = ROOT / "packaging" / "aws" / "node-policy.json"
    [fill] = re.findall(r"^sed ('[^']+')", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
    done = subprocess.run(
        ["bash", "-c", f"sed {fill}"],
        input=policy.read_text(encoding="utf-8"),
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert '"aws:ResourceTag/muster:cluster": "web"' in done.stdout
    assert re.findall(r"REGION|ACCOUNT|NAME", done.stdout) == []


@pytest.mark.parametrize("block", blocks("docs/scripting.md", "python"))
def test_python_examples_run(block: str, musterd: Musterd) -> None:
    """As they stand, against a musterd whose sockets lie elsewhere."""
    musterd.status = asdict(formed())
    status, admin = musterd.sockets
    moved = block.replace("Client()", f"Client(status_socket={status!r}, admin_socket={admin!r})")
    done = subprocess.run(
        [sys.executable, "-c", moved],
        env={**os.environ, "PYTHONPATH": str(ROOT / "client")},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert "problem" in block or "ip-10-0-0-11" in done.stdout


@pytest.mark.parametrize("block", blocks("docs/scripting.md", "yaml"))
def test_ansible_examples_are_playbooks(block: str, tmp_path: Path) -> None:
    (play,) = yaml.safe_load(block)
    assert {"name", "hosts", "tasks"} <= play.keys()
    for task in play["tasks"]:
        spec = task.get("ansible.builtin.copy", {}).get("content")
        if spec is not None:
            file = tmp_path / "muster.toml"
            file.write_text(spec, encoding="utf-8")
            assert load(Tags(), tmp_path / "none.toml", file).spec.cluster.name == "web"
