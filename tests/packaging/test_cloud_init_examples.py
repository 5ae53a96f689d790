"""The examples of user data: each gives the spec that its comment promises, by the real readers."""

import importlib.util
import tomllib
from email import message_from_bytes
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types

from muster import cli
from muster.commands import join
from muster.spec_file import content, wanted
from musterd.helper_wire import Tags
from musterd.settings import Settings, load

EXAMPLES = Path(__file__).parents[2] / "packaging" / "cloud-init"


@pytest.fixture
def user_data() -> ModuleType:
    """Return the program of muster-user-data.service."""
    path = EXAMPLES / "muster_user_data.py"
    described = importlib.util.spec_from_file_location(path.stem, path)
    assert described is not None
    assert described.loader is not None
    module = importlib.util.module_from_spec(described)
    described.loader.exec_module(module)
    return module


def example(name: str) -> dict[str, Any]:
    words = (EXAMPLES / name).read_text(encoding="utf-8")
    assert words.startswith("#cloud-config\n")
    document = yaml.safe_load(words)
    assert isinstance(document, dict)
    return document


def command(name: str) -> list[str]:
    """Return the one command that an example runs."""
    (words,) = example(name)["runcmd"]
    assert all(isinstance(word, str) for word in words)
    return list(words)


def settings(folder: Path, *, user_data: str = "", spec_file: str = "") -> Settings:
    (folder / "user-data.toml").write_text(user_data, encoding="utf-8")
    (folder / "muster.toml").write_text(spec_file, encoding="utf-8")
    return load(Tags(), folder / "user-data.toml", folder / "muster.toml")


def test_the_mapping_becomes_the_spec(tmp_path: Path, user_data: ModuleType) -> None:
    content = (EXAMPLES / "mapping.yaml").read_bytes()
    spec = settings(tmp_path, user_data=user_data.toml(user_data.mapping(content))).spec
    assert (spec.cluster.name, spec.cluster.size) == ("web", 3)
    assert str(spec.address[0].elastic_ip) == "35.169.153.122"


def test_the_mapping_in_one_of_several_parts_is_the_same_spec(user_data: ModuleType) -> None:
    alone = user_data.mapping((EXAMPLES / "mapping.yaml").read_bytes())
    assert user_data.mapping((EXAMPLES / "multipart.txt").read_bytes()) == alone


def test_all_parts_are_what_they_say_they_are() -> None:
    message = message_from_bytes((EXAMPLES / "multipart.txt").read_bytes())
    starts = {"text/cloud-config": "#cloud-config\n", "text/x-shellscript": "#!/bin/sh\n"}
    parts = [part for part in message.walk() if not part.is_multipart()]
    assert [part.get_content_type() for part in parts] == [
        "text/cloud-config",
        "text/cloud-config",
        "text/x-shellscript",
    ]
    for part in parts:
        assert str(part.get_payload()).startswith(starts[part.get_content_type()])


def test_the_written_file_is_the_spec_with_the_rights_it_needs(tmp_path: Path) -> None:
    (file,) = example("write-file.yaml")["write_files"]
    assert (file["path"], file["owner"]) == ("/etc/muster/muster.toml", "root:musterd")
    assert file["permissions"] == "0640"
    spec = settings(tmp_path, spec_file=file["content"]).spec
    assert (spec.cluster.name, spec.cluster.size) == ("web", 3)
    assert str(spec.address[0].private_ip) == "10.0.0.68"


@pytest.mark.parametrize("name", ["write-file.yaml", "join.yaml"])
def test_the_commands_are_ours(name: str) -> None:
    program, verb, *options = command(name)
    assert (program, verb) == ("muster", "join")
    parsed = cli.parser_of(verb, join, 80).parse_args(options)
    assert parsed.wait
    assert parsed.timeout == 900


def test_the_options_become_the_same_spec_as_the_mapping(
    tmp_path: Path, user_data: ModuleType
) -> None:
    parsed = cli.parser_of("join", join, 80).parse_args(command("join.yaml")[2:])
    asked = wanted(parsed.cluster, parsed.size, parsed.address, parsed.elastic_ip)
    written = tomllib.loads(content(asked))
    mapped = user_data.mapping((EXAMPLES / "mapping.yaml").read_bytes())
    assert written["cluster"] == mapped["cluster"]
    assert written["address"][0]["private_ip"] == mapped["address"][0]["private_ip"]
    assert settings(tmp_path, spec_file=content(asked)).spec.cluster.name == "web"
