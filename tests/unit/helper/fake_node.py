"""A node in a folder: real files below it, and the child processes a node would have, played."""

import grp
import json
import os
import pwd
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from muster_helper.children import Ran
from muster_helper.host import Host
from muster_helper.paths import Paths
from musterd.helper_wire import ConfigureParams, Identity, LayParams, Tags, WireMember
from musterd.settings import load

STUB = """# Debian's example
totem {
	version: 2
	cluster_name: debian
	crypto_cipher: none
	crypto_hash: none
}
quorum {
	provider: corosync_votequorum
}
nodelist {
	node {
		name: node1
		nodeid: 1
		ring0_addr: 127.0.0.1
	}
}
"""
EMPTY_CIB = """<cib crm_feature_set="3.16.1" validate-with="pacemaker-3.9" epoch="{epoch}">
  <configuration>
    <crm_config/>
    <nodes>{nodes}</nodes>
    <resources/>
    <constraints/>
  </configuration>
  <status/>
</cib>
"""
METADATA = """<?xml version="1.0"?>
<resource-agent name="awsvip"><parameters>{parameters}</parameters></resource-agent>
"""
FENCE_METADATA = """<?xml version="1.0" ?>
<resource-agent name="fence_aws"><parameters>
  <parameter name="region" required="0"/><parameter name="filter" required="0"/>
  <parameter name="power_timeout" required="0"/><parameter name="plug" required="0"/>
</parameters><actions><action name="reboot"/><action name="status"/></actions></resource-agent>
"""
FIB_TRIE = """Local:
  +-- 0.0.0.0/0 3 0 5
           |-- 10.0.0.11
              /32 host LOCAL
           |-- 10.0.0.255
              /32 link BROADCAST
"""
SPEC = """
[cluster]
name = "web"
size = 2
[[address]]
private_ip = "10.0.0.68"
"""
MEMBERS = (
    WireMember("i-00000000000000001", "ip-10-0-0-11", IPv4Address("10.0.0.11")),
    WireMember("i-00000000000000002", "ip-10-0-0-12", IPv4Address("10.0.0.12")),
)
IDENTITY = Identity("web", "ab" * 16, MEMBERS, 10_000)
LAY = LayParams(IDENTITY, "1a" * 256, "2b" * 256)
PROGRAMS = (
    *("pcs", "corosync", "pacemakerd", "cibadmin", "crm_diff", "crm_mon", "crm_verify"),
    *("fence_aws", "aws", "curl"),
)


@dataclass
class FakeNode:
    """Plays systemd, pcs and Pacemaker's tools upon files below `root`."""

    root: Path
    units: dict[str, list[str]] = field(default_factory=dict)  # name -> [load, active, file]
    links: dict[str, str] = field(default_factory=dict)  # name -> file, what PID 1 has yet to read
    live: str = ""  # the running cluster's CIB
    calls: list[tuple[str, ...]] = field(default_factory=list)
    stdins: list[bytes] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    answers: dict[str, Ran] = field(default_factory=dict)  # program -> what it says instead

    def __post_init__(self) -> None:
        for folder in (
            *("etc/corosync", "etc/pacemaker", "etc/muster", "root", "usr/sbin", "proc/net"),
            *("var/lib/pacemaker/cib", "var/lib/corosync", "var/lib/pcsd"),
            *("var/lib/muster-helper", "usr/lib/ocf/resource.d/heartbeat"),
        ):
            (self.root / folder).mkdir(parents=True)
        for program in PROGRAMS:
            (self.root / "usr/sbin" / program).touch()
        for agent in ("awsvip", "awseip", "IPaddr2"):
            (self.root / "usr/lib/ocf/resource.d/heartbeat" / agent).touch()
        (self.root / "proc/net/fib_trie").write_text(FIB_TRIE)
        (self.root / "etc/hosts").write_text("127.0.0.1 localhost\n")
        (self.root / "etc/muster/muster.toml").write_text(SPEC)
        for name in ("corosync", "pacemaker"):
            self.units[f"{name}.service"] = ["loaded", "inactive", "disabled"]
        self.units["pcsd.service"] = ["loaded", "active", "enabled"]

    @property
    def paths(self) -> Paths:
        """Paths of a node whose Pacemaker runs as whoever runs the test."""
        return Paths(
            self.root, pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
        )

    def host(self) -> Host:
        """The node as the verbs see it."""
        return Host(self.paths, self, self.said.append, MEMBERS[0].name)

    def configure_params(self) -> ConfigureParams:
        """What the daemon of this node asks `build` and `configure` for."""
        paths = self.paths
        return ConfigureParams(
            IDENTITY,
            Tags(),
            load(Tags(), paths.user_data, paths.spec).digest,
            "eu-west-1",
            IPv4Network("10.0.0.0/24"),
            {},
        )

    def snapshot(self) -> dict[str, bytes]:
        """Every file's content, to see that nothing changed."""
        return {
            str(path.relative_to(self.root)): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file()
        }

    def ran(self, *words: str) -> list[tuple[str, ...]]:
        """The calls that begin with these words."""
        return [call for call in self.calls if call[: len(words)] == words]

    def __call__(
        self,
        argv: Sequence[str],
        *,
        timeout: float,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,  # noqa: ARG002 - the Runner's shape
    ) -> Ran:
        """Play one child."""
        assert timeout > 0
        self.calls.append(tuple(argv))
        self.stdins.append(stdin)
        program = Path(argv[0]).name
        if stdin == b"action=metadata\n":
            return Ran(0, FENCE_METADATA, "")
        if program in self.answers:
            return self.answers[program]
        played = getattr(self, f"_{program}")(list(argv[1:]), stdin)
        return played if isinstance(played, Ran) else Ran(0, played or "", "")

    def _systemctl(self, words: list[str], _: bytes) -> str:
        verb, names = words[0], [word for word in words[1:] if not word.startswith("-")]
        if verb == "daemon-reload":
            for name, file in self.links.items():
                self.units[name][2] = file
            self.links.clear()
            return ""
        if verb == "show":
            return "\n".join(self._unit(name) for name in names)
        after = {"start": "active", "stop": "inactive", "kill": "failed"}[verb]
        for name in names:
            self.units[name][1] = "deactivating" if "--no-block" in words else after
        return ""

    def _unit(self, name: str) -> str:
        load_state, active, file = self.units.get(name, ["not-found", "inactive", ""])
        return f"Id={name}\nLoadState={load_state}\nActiveState={active}\nUnitFileState={file}\n"

    def _busctl(self, words: list[str], _: bytes) -> None:
        state = "enabled" if "EnableUnitFiles" in words else "disabled"
        for name in words:
            if name.endswith((".service", ".timer")):
                self.links[name] = state

    def _cibadmin(self, words: list[str], stdin: bytes) -> str:
        if words == ["--empty"]:
            return EMPTY_CIB.format(epoch=1, nodes="")
        if words in (["--query"], ["--query", "--local"]):
            return self.live
        assert words == ["--patch", "--sync-call", "--xml-pipe"]
        self.live = stdin.decode()
        return ""

    def _crm_diff(self, words: list[str], _: bytes) -> Ran:
        """Say the new file as the difference; `cibadmin --patch` then makes it the live one."""
        return Ran(1, Path(words[-1]).read_text(), "")

    def _crm_verify(self, words: list[str], _: bytes) -> None:
        assert Path(words[-1]).read_text().startswith("<cib")

    def _stonith_admin(self, words: list[str], _: bytes) -> None:
        assert words[:2] == ["--reboot", MEMBERS[1].name]

    def _corosync(self, *_: object) -> str:
        return "Corosync Cluster Engine, version '3.1.7'\nCopyright (c) 2006-2021 Red Hat, Inc.\n"

    def _pacemakerd(self, *_: object) -> str:
        return "Pacemaker 2.1.5\nWritten by Andrew Beekhof\n"

    def _awsvip(self, *_: object) -> str:
        return METADATA.format(parameters='<parameter name="secondary_private_ip"/>')

    _awseip = _pgsql = _Dummy = _awsvip

    def _pcs(self, words: list[str], stdin: bytes) -> None:
        if words[:2] == ["cluster", "setup"]:
            Path(words[-1]).write_text(corosync_conf_of_pcs(words[2:]))
        elif words[0] == "-f":
            self._edit(Path(words[1]), words[2:])
        elif words[:2] == ["pcsd", "accept_token"]:
            users = self.root / "var/lib/pcsd/pcs_users.conf"
            entries = json.loads(users.read_text()) if users.exists() else []
            entries.append({"token": b64encode(stdin).decode(), "username": "hacluster"})
            users.write_text(json.dumps(entries))
        elif words[:2] == ["host", "auth"]:
            self._host_auth(words[2:-2], b64encode(stdin).decode())
        else:
            raise AssertionError(f"pcs {words}")

    def _host_auth(self, words: list[str], token: str) -> None:
        known = {}
        for name, address in zip(words[::2], words[1::2], strict=True):
            addr, port = address.removeprefix("addr=").split(":")
            known[name] = {"dest_list": [{"addr": addr, "port": int(port)}], "token": token}
        (self.root / "var/lib/pcsd/known-hosts").write_text(
            json.dumps({"format_version": 1, "data_version": 1, "known_hosts": known})
        )

    def _edit(self, file: Path, words: list[str]) -> None:
        """Add a primitive for each `create`, an option for each `property set`."""
        text = file.read_text()
        if words[1] == "create":
            text = text.replace("<resources />", "<resources></resources>")
            kind = 'class="stonith" ' if words[0] == "stonith" else ""
            given = words[4 : words.index("op")] if "op" in words else words[4:]
            options = "".join(
                '<nvpair name="{}" value="{}"/>'.format(*word.split("=", 1)) for word in given
            )
            primitive = (
                f'<primitive id="{words[2]}" {kind}type="{words[3]}">'
                f"<instance_attributes>{options}</instance_attributes></primitive>"
            )
            text = text.replace("</resources>", f"{primitive}</resources>")
        elif words[:2] == ["property", "set"]:
            pairs = (word.split("=", 1) for word in words[2:])
            text = text.replace(
                "</cluster_property_set>",
                "".join(f'<nvpair id="o-{n}" name="{n}" value="{v}"/>' for n, v in pairs if v)
                + "</cluster_property_set>",
            )
        file.write_text(text)


def corosync_conf_of_pcs(words: Sequence[str]) -> str:
    """Return what pcs 0.11.5 writes for these arguments of `pcs cluster setup`."""
    names = list(words[1 : words.index("transport")])
    token = next(word.removeprefix("token=") for word in words if word.startswith("token="))
    nodes = "".join(
        f"    node {{\n        ring0_addr: {address.removeprefix('addr=')}\n"
        f"        name: {name}\n        nodeid: {number}\n    }}\n\n"
        for number, (name, address) in enumerate(zip(names[::2], names[1::2], strict=True), 1)
    )
    return (
        f"totem {{\n    version: 2\n    cluster_name: {words[0]}\n    transport: knet\n"
        f"    token: {token}\n    crypto_cipher: aes256\n    crypto_hash: sha256\n"
        f"    cluster_uuid: {'0f' * 16}\n}}\n\nnodelist {{\n{nodes}}}\n\n"
        "quorum {\n    provider: corosync_votequorum\n    two_node: 1\n}\n"
    )
