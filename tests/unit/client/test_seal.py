"""`muster seal`, on a tree that has all that a used node has."""

import argparse
import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.unit.client.conftest import printed

from muster import cli
from muster.commands import seal
from muster.context import Context
from muster.contract import Exit
from muster.errors import ClientError, NotAllowedError
from muster.sealing.erase import Eraser
from muster.sealing.look import finds

CONF = """
totem {
    version: 2
    cluster_name: web
    cluster_uuid: abababab
}
nodelist {
    node {
        ring0_addr: 10.0.0.11
        name: ip-10-0-0-11
        nodeid: 1
    }
    node {
        ring0_addr: 10.0.0.12
        name: ip-10-0-0-12
        nodeid: 2
    }
}
"""
# Debian 12's, without its comments.
STUB = """
totem {
    version: 2
    cluster_name: debian
}
nodelist {
    node {
        name: node1
        nodeid: 1
        ring0_addr: 127.0.0.1
    }
}
"""
RECORD = {
    "v": 1,
    "record": {
        "durable": {
            "decided": {"members": [{"address": "10.0.0.13", "name": "ip-10-0-0-13"}]},
        },
        "formed": True,
    },
}
FILES = {
    "/etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "/etc/corosync/corosync.conf": CONF,
    "/etc/corosync/authkey": "key",
    "/etc/pacemaker/authkey": "key",
    "/etc/muster/muster.toml": '[cluster]\nname = "web"\n',
    "/etc/muster/token": "mst1_x",
    "/etc/ssh/ssh_host_ed25519_key": "key",
    "/etc/ssh/ssh_host_ed25519_key.pub": "key",
    "/etc/ssh/sshd_config": "stays",
    "/etc/hosts": (
        "127.0.0.1 localhost\n10.0.0.11 mine\n"
        "# muster: members of cluster web (abababab)\n"
        "10.0.0.11 ip-10-0-0-11\n10.0.0.13 ip-10-0-0-13\n10.9.9.9 somebody\n"
    ),
    "/etc/shadow": "root:*:1::::::\nhacluster:$y$j9T$abc:1::::::\n",
    "/root/.aws/config": "[default]\nregion = eu-west-1\n",
    "/home/ops/.pcs/known-hosts": "{}",
    "/var/lib/pcsd/pcsd.key": "key",
    "/var/lib/pcsd/pcsd.crt": "certificate",
    "/var/lib/pcsd/known-hosts": "{}",
    "/var/lib/pcsd/pcs_users.conf": "[]",
    "/var/lib/pacemaker/cib/cib.xml": "<cib/>",
    "/var/lib/pacemaker/cib/cib-1.raw": "<cib/>",
    "/var/lib/corosync/ringid_1": "x",
    "/var/lib/musterd/record.json": json.dumps(RECORD),
    "/var/lib/musterd/left-in-order": "",
    "/var/lib/muster-helper/cib.xml": "<cib/>",
    "/var/lib/cloud/instances/i-0/user-data.txt": "#cloud-config",
    "/var/lib/cloud/data/instance-id": "i-0",
    "/var/lib/cloud/scripts/per-boot/mine": "stays",
    "/var/lib/cloud/seed/nocloud/user-data": "stays",
    "/var/log/cloud-init-output.log": "log",
    "/var/lib/systemd/random-seed": "seed",
}
KEPT = {
    "/etc/machine-id",
    "/etc/hosts",
    "/etc/shadow",
    "/etc/muster/muster.toml",
    "/etc/ssh/sshd_config",
    "/var/lib/cloud/scripts/per-boot/mine",
    "/var/lib/cloud/seed/nocloud/user-data",
}


class Commands:
    """systemd and the accounts of a fake root: what was asked, and the effect on the tree."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.asked: list[str] = []
        self.active = "inactive\ninactive\n"
        self.fails = ""

    def __call__(
        self, command: Sequence[str], timeout: float
    ) -> "subprocess.CompletedProcess[str]":
        assert timeout > 0
        words = " ".join(command).replace(f" --root {self.root}", "")
        self.asked.append(words)
        if self.fails and self.fails in words:
            return subprocess.CompletedProcess(command, 1, "", "Job failed.\n")
        if "is-active" in command:
            return subprocess.CompletedProcess(command, 3, self.active, "")
        if "list-unit-files" in command:
            lines = "".join(f"{word} enabled enabled\n" for word in command if "." in word)
            return subprocess.CompletedProcess(command, 0, lines, "")
        if "disable" in command:
            wants = self.root / "etc/systemd/system/multi-user.target.wants"
            (wants / command[-1]).unlink()
        if "usermod" in command:
            shadow = self.root / "etc/shadow"
            shadow.write_text(shadow.read_text().replace("$y$j9T$abc", "!"))
        return subprocess.CompletedProcess(command, 0, "", "")


class Live(Eraser):
    """The same, for the system that runs."""

    @property
    def live(self) -> bool:
        return True


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A node that was in a cluster."""
    for name, content in FILES.items():
        path = tmp_path / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (tmp_path / "var/lib/cloud/instance").symlink_to("/var/lib/cloud/instances/i-0")
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    for unit in ("corosync.service", "pacemaker.service", "pcsd.service"):
        (wants / unit).symlink_to(f"/lib/systemd/system/{unit}")
    return tmp_path


@pytest.fixture
def commands(root: Path) -> Commands:
    return Commands(root)


def do(context: Context, eraser: Eraser, root: Path, *words: str, user: int = 0) -> int:
    parser = argparse.ArgumentParser()
    seal.configure(parser)
    return int(seal.seal(parser.parse_args(["--root", str(root), *words]), context, eraser, user))


def snapshot(root: Path) -> dict[str, str]:
    return {
        f"/{path.relative_to(root)}": path.read_text()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def test_everything_goes_and_the_check_then_passes(
    root: Path, commands: Commands, context: Context
) -> None:
    eraser = Eraser(root, commands)
    assert do(context, eraser, root, "--host-keys") == Exit.OK
    left = snapshot(root)
    assert set(left) == KEPT
    assert left["/etc/machine-id"] == ""
    assert left["/etc/hosts"] == "127.0.0.1 localhost\n10.0.0.11 mine\n10.9.9.9 somebody\n"
    links = (root / "etc/systemd/system/multi-user.target.wants").iterdir()
    assert [link.name for link in links] == ["pcsd.service"]
    assert do(context, eraser, root, "--host-keys", "--check") == Exit.OK
    assert printed(context.out).endswith("sealed: nothing of a node is left\n")


def test_the_check_names_each_trace_with_what_to_type(
    root: Path, commands: Commands, context: Context
) -> None:
    before = snapshot(root)
    assert do(context, Eraser(root, commands), root, "--check") == Exit.ERROR
    lines = printed(context.out).splitlines()
    assert "/etc/corosync/authkey: the key of a cluster's traffic; type: muster seal" in lines
    assert all("; type: muster seal" in line for line in lines)
    assert not [line for line in lines if "ssh_host" in line]
    assert snapshot(root) == before
    assert commands.asked == []


@pytest.mark.parametrize(
    "path", [name for name in FILES if name not in KEPT | {"/etc/hosts"} and "host_" not in name]
)
def test_one_trace_alone_fails_the_check(path: str, tmp_path: Path, context: Context) -> None:
    (tmp_path / "etc").mkdir()
    trace = tmp_path / path.lstrip("/")
    trace.parent.mkdir(parents=True, exist_ok=True)
    trace.write_text(FILES[path])
    assert do(context, Eraser(tmp_path, Commands(tmp_path)), tmp_path, "--check") == Exit.ERROR
    # One line: the file, or the instance's folder that holds it.
    [line] = printed(context.out).splitlines()
    assert path.startswith(line.partition(":")[0])


def test_a_dry_run_changes_nothing(root: Path, commands: Commands, context: Context) -> None:
    before = snapshot(root)
    assert do(context, Eraser(root, commands), root, "--dry-run") == Exit.OK
    assert "would remove /var/lib/pcsd/pcsd.key" in printed(context.out)
    assert snapshot(root) == before
    assert not [words for words in commands.asked if "is-active" not in words]


@pytest.mark.parametrize("content", ["", "uninitialized\n"])
def test_a_machine_id_that_is_still_to_be_made_is_none(content: str, root: Path) -> None:
    (root / "etc/machine-id").write_text(content)
    assert "/etc/machine-id" not in [found.path for found in finds(root, host_keys=False)]


# --- what is not ours -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "content", "cure"),
    [
        ("/root/.aws/credentials", "x", "rm /root/.aws/credentials"),
        ("/home/ops/.aws/credentials", "x", "rm /home/ops/.aws/credentials"),
        ("/etc/pki/consumer/cert.pem", "x", "subscription-manager unregister"),
        (
            "/etc/muster/muster.toml",
            '[secret]\ntoken = "mst1_y"',
            "sudoedit /etc/muster/muster.tom",
        ),
    ],
)
def test_what_is_somebodys_is_left_and_told(
    path: str, content: str, cure: str, root: Path, commands: Commands, context: Context
) -> None:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    assert do(context, Eraser(root, commands), root) == Exit.ERROR
    assert file.read_text() == content
    told = printed(context.err)
    assert path in told
    assert cure in told
    assert "mst1" not in told + printed(context.out)


ELSEWHERE = '[secret]\nsource = "file"\npath = "/etc/pki/web/token"\n'


@pytest.mark.parametrize(
    "spec",
    [
        ELSEWHERE,
        ELSEWHERE.replace("/etc", "//etc/../../etc"),  # what the kernel makes of it counts
        ELSEWHERE.replace('source = "file"\n', ""),  # the token of another time
    ],
)
def test_a_token_in_the_file_that_the_spec_names_goes(
    spec: str, root: Path, commands: Commands, context: Context
) -> None:
    (root / "etc/muster/muster.toml").write_text(spec)
    token = root / "etc/pki/web/token"
    token.parent.mkdir(parents=True)
    token.write_text("mst1_z")
    eraser = Eraser(root, commands)
    assert do(context, eraser, root, "--check") == Exit.ERROR
    assert "/etc/pki/web/token: a cluster token; type: muster seal" in printed(context.out)
    assert do(context, eraser, root) == Exit.OK
    assert not token.exists()
    assert (root / "etc/muster/muster.toml").read_text() == spec
    assert do(context, eraser, root, "--check") == Exit.OK


@pytest.mark.parametrize("path", ["/etc/muster/token", "/etc/pki/absent", "/var/lib/musterd/token"])
def test_a_token_is_named_once_and_only_if_it_is_there(path: str, root: Path) -> None:
    (root / "var/lib/musterd/token").write_text("mst1_z")
    before = finds(root, host_keys=False)
    (root / "etc/muster/muster.toml").write_text(f'[secret]\npath = "{path}"\n')
    assert finds(root, host_keys=False) == before


@pytest.mark.parametrize("kind", ["folder", "link", "way out", "something else"])
def test_only_a_token_in_a_plain_file_of_the_image_is_removed(
    kind: str,
    root: Path,
    commands: Commands,
    context: Context,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """A wrong path in the spec must not cost anything, least of all the machine that seals."""
    other = tmp_path_factory.mktemp("machine") / "token"
    other.write_text("mst1_z")
    (root / "etc/muster/muster.toml").write_text(ELSEWHERE)
    web = root / "etc/pki/web"
    match kind:
        case "folder":
            (web / "token").mkdir(parents=True)
        case "link":
            web.mkdir(parents=True)
            (web / "token").symlink_to(other)
        case "something else":
            web.mkdir(parents=True)
            (web / "token").write_text("root:*:1::::::")
        case "way out":
            web.parent.mkdir(parents=True)
            web.symlink_to(other.parent)
    assert do(context, Eraser(root, commands), root) == Exit.ERROR
    assert "/etc/pki/web/token" in printed(context.err)
    assert "sudoedit /etc/muster/muster.toml" in printed(context.err)
    assert other.read_text() == "mst1_z"
    assert os.path.lexists(web / "token")


def test_a_spec_that_cannot_be_read_is_no_clean_one(
    root: Path, commands: Commands, context: Context
) -> None:
    spec = root / "etc/muster/muster.toml"
    spec.write_text('[secret]\ntoken = "mst1_y\n')
    assert do(context, Eraser(root, commands), root) == Exit.ERROR
    assert spec.exists()
    told = printed(context.err)
    assert "/etc/muster/muster.toml: it is not TOML, and may hold a token" in told
    assert "next: sudoedit /etc/muster/muster.toml" in told
    assert "mst1" not in told + printed(context.out)


def test_a_profile_with_more_than_ours_is_the_users(root: Path) -> None:
    (root / "root/.aws/config").write_text("[default]\nregion = eu-west-1\noutput = json\n")
    assert "/root/.aws/config" not in [found.path for found in finds(root, host_keys=False)]


# --- a node of a cluster ----------------------------------------------------------------------


@pytest.mark.parametrize("words", [[], ["--abandon", "other"], ["--dry-run"]])
def test_a_member_is_refused_unless_its_cluster_is_named(
    words: list[str], root: Path, commands: Commands, context: Context
) -> None:
    commands.active = "active\nactive\n"
    before = snapshot(root)
    with pytest.raises(ClientError) as caught:
        do(context, Live(root, commands), root, *words)
    assert "web" in caught.value.what
    assert snapshot(root) == before
    assert not [words for words in commands.asked if "stop" in words]


def test_the_refusal_says_what_to_type(root: Path, commands: Commands, context: Context) -> None:
    with pytest.raises(ClientError) as caught:
        do(context, Live(root, commands), root)
    assert "muster seal --abandon web" in caught.value.cure
    assert f"pcs cluster node remove {os.uname().nodename}" in caught.value.cure


def test_a_member_that_is_told_to_stops_in_order_first(
    root: Path, commands: Commands, context: Context
) -> None:
    commands.active = "active\nactive\n"
    assert do(context, Live(root, commands), root, "--abandon", "web") == Exit.OK
    stops = [words for words in commands.asked if words.startswith("systemctl stop")]
    assert [stops[-2], stops[-1]] == [
        "systemctl stop pacemaker.service",
        "systemctl stop corosync.service",
    ]
    assert "musterd.service" in stops[0]
    assert "capture the image now" in printed(context.out)


def test_what_the_cluster_writes_while_it_stops_goes_too(
    root: Path, commands: Commands, context: Context
) -> None:
    class Late(Live):
        def stop(self) -> None:
            (root / "var/lib/pacemaker/pengine").mkdir()
            (root / "var/lib/pacemaker/pengine/pe-input-2.bz2").write_text("late")

    assert do(context, Late(root, commands), root, "--abandon", "web") == Exit.OK


def test_a_cluster_that_does_not_stop_keeps_its_files(
    root: Path, commands: Commands, context: Context
) -> None:
    commands.fails = "stop pacemaker"
    before = snapshot(root)
    with pytest.raises(ClientError) as caught:
        do(context, Live(root, commands), root, "--abandon", "web")
    assert "Job failed." in caught.value.why
    assert snapshot(root) == before


def test_a_decided_founding_without_files_is_a_membership(
    root: Path, commands: Commands, context: Context
) -> None:
    (root / "etc/corosync/corosync.conf").unlink()
    with pytest.raises(ClientError) as caught:
        do(context, Live(root, commands), root)
    assert "--abandon unnamed" in caught.value.cure
    assert do(context, Live(root, commands), root, "--abandon", "unnamed") == Exit.OK


def test_debians_own_example_is_no_cluster(
    root: Path, commands: Commands, context: Context
) -> None:
    (root / "etc/corosync/corosync.conf").write_text(STUB)
    (root / "var/lib/musterd/record.json").unlink()
    commands.active = "active\nactivating\n"
    assert do(context, Live(root, commands), root) == Exit.OK
    assert not (root / "etc/corosync/corosync.conf").exists()


def test_a_cluster_without_files_that_runs_is_refused(
    root: Path, commands: Commands, context: Context
) -> None:
    (root / "etc/corosync/corosync.conf").unlink()
    (root / "var/lib/musterd/record.json").unlink()
    commands.active = "inactive\nactive\n"
    with pytest.raises(ClientError):
        do(context, Live(root, commands), root)


# --- killed, and tried again ------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


def test_killed_after_any_trace_the_next_run_finishes(
    root: Path, commands: Commands, context: Context
) -> None:
    """And until the last one it is still known which cluster the node was in."""
    number = len(finds(root, host_keys=False))
    assert number > 20
    for _ in range(number):

        class Once(Live):
            done = 0

            def erase(self, found: object) -> None:
                if self.done:
                    raise Killed
                super().erase(found)  # type: ignore[arg-type]
                Once.done = 1

        left = len(finds(root, host_keys=False))
        if left > 1:
            with pytest.raises(Killed):
                do(context, Once(root, commands), root, "--abandon", "web")
            assert len(finds(root, host_keys=False)) == left - 1
    assert do(context, Live(root, commands), root, "--abandon", "web") == Exit.OK
    assert set(snapshot(root)) - KEPT == {
        "/etc/ssh/ssh_host_ed25519_key",
        "/etc/ssh/ssh_host_ed25519_key.pub",
    }


# --- who asks, and where ----------------------------------------------------------------------


def test_only_root_may(root: Path, commands: Commands, context: Context) -> None:
    with pytest.raises(NotAllowedError) as caught:
        do(context, Eraser(root, commands), root, "--check", user=1000)
    assert caught.value.cure == "run it with sudo"  # `sudo muster seal` would erase


def test_a_folder_without_a_system_is_no_image(tmp_path: Path, context: Context) -> None:
    with pytest.raises(ClientError):
        do(context, Eraser(tmp_path, Commands(tmp_path)), tmp_path, "--check")


def test_the_verb_is_known(context: Context) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["seal", "--help"], context)
    assert ended.value.code == 0
