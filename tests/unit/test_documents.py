"""The pages for people, held against the code: keys, examples, defaults, commands."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from muster import cli
from musterd import fencing, spec
from musterd.helper_wire import Tags
from musterd.model import Member
from musterd.settings import DEFAULT_SIZE, load

DOCUMENTS = Path(__file__).parents[2] / "docs"
SECTIONS: dict[str, tuple[type, ...]] = {
    "[cluster]": (spec.Cluster,),
    "[discovery]": (spec.Discovery, spec.StaticPeer),
    "[secret]": (spec.Secret,),
    "[corosync]": (spec.Corosync,),
    "[fencing]": (spec.Fencing,),
    "[[address]]": (spec.Address,),
    "[[resource]]": (spec.Resource,),
    "[[group]]": (spec.Group,),
    "[[shared_disk]]": (spec.SharedDisk, spec.NewVolume),
    "[replace]": (spec.Replace,),
}


def page(name: str) -> str:
    return (DOCUMENTS / name).read_text(encoding="utf-8")


def sections() -> dict[str, str]:
    """Return the configuration page's sections by their title."""
    parts = re.split(r"^## `(.+)`$", page("configuration.md"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_section_of_the_spec_has_its_own() -> None:
    names = {title.strip("[]") for title in sections()}
    assert names == {field.name for field in fields(spec.Spec)}
    assert sections().keys() == SECTIONS.keys()


@pytest.mark.parametrize("title", SECTIONS)
def test_every_key_is_described_and_no_other(title: str) -> None:
    words = sections()[title]
    known = {field.name for kind in SECTIONS[title] for field in fields(kind)}
    assert {name for name in known if f"`{name}`" not in words} == set()
    keys = words.partition("| key |")[2].partition("\n\n")[0]
    told = set(re.findall(r"^\| `([a-z_]+)` \|", keys, flags=re.MULTILINE))
    assert told == {field.name for field in fields(SECTIONS[title][0])}


def toml_examples() -> list[str]:
    return re.findall(r"^```toml\n(.*?)^```$", page("configuration.md"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", toml_examples())
def test_every_example_is_accepted(example: str, tmp_path: Path) -> None:
    file = tmp_path / "muster.toml"
    file.write_text(example, encoding="utf-8")
    loaded = load(Tags(cluster="web"), tmp_path / "none.toml", file)
    assert loaded.spec.cluster.name == "web"


AGENT = ("region", "filter", "power_timeout", "skip_os_shutdown")  # what it takes, newest release


def test_the_defaults_are_those_of_the_code() -> None:
    whole = spec.Spec(spec.Cluster("web", 2))
    members = (Member("i-1", "a", "10.0.0.1"), Member("i-2", "b", "10.0.0.2"))
    words = page("configuration.md")
    assert f"| `size` | `{DEFAULT_SIZE}` |" in words
    assert f"| `token_ms` | `{whole.corosync.token_ms}` |" in words
    assert f'| `prove` | `"{whole.fencing.prove}"` |' in words
    told = dict(re.findall(r"^\| `(\w+)` \| `(\d+)`", words, re.MULTILINE))
    for setting in fencing.device_options(whole, members, "eu-west-1", AGENT):
        assert f"| `{setting.name}` |" in words or setting.name == "pcmk_host_map"
        if setting.value.isdigit():
            assert told[setting.name] == setting.value
    for option in fencing.CLUSTER_OPTIONS:
        assert f"`{option}`" in words


@pytest.mark.parametrize("name", ["quickstart.md", "configuration.md"])
def test_every_command_that_a_page_names_exists(name: str) -> None:
    named = set(re.findall(r"(?:`|sudo )muster ([a-z][a-z-]*)", page(name)))
    assert named
    assert named <= cli.VERBS.keys()
