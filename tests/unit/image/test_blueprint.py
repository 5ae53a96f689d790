"""Image Builder's two files: what composer takes, from one set of answers, without a key."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.unit.client.conftest import printed

from muster import cli
from muster.context import Context

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE ops@example"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "ops.pub"
    file.write_text(KEY + "\n")
    return file


def ask(context: Context, folder: Path, *words: str) -> int:
    base = ["image", "blueprint", "--name", "rhel9-muster", "--region", "eu-west-1"]
    return cli.main([*base, "--bucket", "disks", "--output", str(folder), *words], context)


def read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    texts = [(folder / f"rhel9-muster{each}.toml").read_text() for each in ("", "-upload")]
    first, second = (tomllib.loads(text) for text in texts)
    return first, second


# Keys of osbuild's blueprint reference that these files may use; composer may drop others silently.
KNOWN = {
    "": {"name", "description", "version", "distro", "packages", "customizations"},
    "customizations": {"services", "firewall", "user", "files"},
    "customizations.services": {"enabled", "disabled"},
    "customizations.firewall": {"ports", "services"},
}


def unknown(table: dict[str, Any], path: str = "") -> set[str]:
    found = {f"{path}.{key}" for key in table if path in KNOWN and key not in KNOWN[path]}
    for key, below in table.items():
        if isinstance(below, dict):
            found |= unknown(below, f"{path}.{key}".lstrip("."))
    return found


@pytest.mark.parametrize("distro", ["rhel-8.10", "rhel-9.4", "rhel-9.6"])
def test_composer_knows_every_key(distro: str, context: Context, key: Path, tmp_path: Path) -> None:
    assert ask(context, tmp_path, "--distro", distro, "--ssh-key", str(key)) == 0
    blueprint, _ = read(tmp_path)
    assert unknown(blueprint) == set()
    assert blueprint["distro"] == distro
    assert re.fullmatch(r"\d+\.\d+\.\d+", blueprint["version"])
    names = [package["name"] for package in blueprint["packages"]]
    assert len(set(names)) == len(names)
    assert {"muster", "pacemaker", "pcs", "fence-agents-aws", "cloud-init"} <= set(names)
    assert ("awscli2" in names, "awscli" in names) == {
        "rhel-8.10": (False, True),
        "rhel-9.4": (False, False),
        "rhel-9.6": (True, False),
    }[distro]
    assert (
        "needs" in printed(context.out) or "need it from elsewhere" in printed(context.out)
    ) is (distro == "rhel-9.4")
    [user] = blueprint["customizations"]["user"]
    assert user["key"] == KEY
    [dracut] = blueprint["customizations"]["files"]
    assert dracut["path"].startswith("/etc/")
    assert re.fullmatch("0?[0-7]{3}", dracut["mode"])
    assert {"nvme", "xen-blkfront"} <= set(dracut["data"].split())


def test_no_cluster_starts_before_there_is_one(context: Context, tmp_path: Path) -> None:
    ask(context, tmp_path)
    blueprint, _ = read(tmp_path)
    services = blueprint["customizations"]["services"]
    assert {"musterd", "muster-user-data"} <= set(services["enabled"])
    assert {"corosync", "pacemaker"} == set(services["disabled"])
    assert blueprint["customizations"]["firewall"]["services"]["enabled"] == ["high-availability"]
    assert blueprint["customizations"]["firewall"]["ports"] == ["7224:tcp"]


def test_the_upload_goes_to_the_same_place_and_holds_no_key(
    context: Context, tmp_path: Path
) -> None:
    ask(context, tmp_path)
    _, upload = read(tmp_path)
    assert upload["provider"] == "aws"
    assert upload["settings"] == {
        "bucket": "disks",
        "region": "eu-west-1",
        "key": "muster-image/rhel9-muster/0.1.0.raw",
    }


def test_the_same_answers_again_change_nothing_and_others_are_refused(
    context: Context, tmp_path: Path
) -> None:
    assert ask(context, tmp_path) == 0
    assert ask(context, tmp_path) == 0
    assert "kept" in printed(context.out)
    before = read(tmp_path)
    assert ask(context, tmp_path, "--distro", "rhel-8.10") == 1
    assert "not overwritten" in printed(context.err)
    assert read(tmp_path) == before


def test_a_dry_run_writes_nothing(context: Context, tmp_path: Path) -> None:
    assert ask(context, tmp_path / "new", "--dry-run") == 0
    assert "[[packages]]" in printed(context.out)
    assert not (tmp_path / "new").exists()


def test_a_private_key_does_not_get_into_the_image(context: Context, tmp_path: Path) -> None:
    private = tmp_path / "id"
    private.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nsecret\n-----END-----\n")
    assert ask(context, tmp_path, "--ssh-key", str(private)) == 1
    assert "secret" not in printed(context.err) + printed(context.out)
    assert f"{private}.pub" in printed(context.err)


@pytest.mark.parametrize(
    "words", [["--distro", "rhel-810"], ["--version", "1"], ["--user", "No Name"]]
)
def test_what_composer_would_refuse_is_refused_here(
    words: list[str], context: Context, tmp_path: Path
) -> None:
    assert ask(context, tmp_path, *words) == 1
    assert words[0] in printed(context.err)
    assert list(tmp_path.iterdir()) == []
