"""A node of a running cluster: what pcs and Pacemaker's tools do to its members, played."""

import json
from dataclasses import dataclass, field
from xml.etree import ElementTree

from fake_node import MEMBERS, FakeNode

from muster_helper import cib

DEVICE = "fence-web"


@dataclass
class FakeMember(FakeNode):
    """Plays the verbs of day two; `nodes` is what crm_mon shows: name -> attributes."""

    nodes: dict[str, dict[str, str]] = field(default_factory=dict)
    known_at_removal: list[str] = field(default_factory=list)  # to whom pcs could have talked
    remembered: list[str] = field(default_factory=list)  # by the controller, listed or not
    deaf: int = 0  # how often the controller passes over what crm_node asks of it
    fences: dict[str, str] = field(default_factory=dict)  # target -> status, as crm_mon shows it
    dc: str = MEMBERS[0].name
    quorate: bool = False

    @property
    def device(self) -> dict[str, str]:
        """The fencing device's options in the live CIB."""
        path = f".//primitive[@id='{DEVICE}']/instance_attributes/nvpair"
        root = ElementTree.fromstring(self.live)
        return {p.get("name", ""): p.get("value", "") for p in root.iterfind(path)}

    def listed(self) -> list[str]:
        """The names in corosync.conf."""
        text = (self.root / "etc/corosync/corosync.conf").read_text()
        return [line.split(":")[1].strip() for line in text.splitlines() if "name: ip-" in line]

    def _pcs(self, words: list[str], stdin: bytes) -> None:
        conf = self.root / "etc/corosync/corosync.conf"
        match words:
            case ["cluster", "node", "add", name, address]:
                node = f"    node {{\n ring0_addr: {address[5:]}\n name: {name}\n nodeid: 9\n }}\n"
                conf.write_text(conf.read_text().replace("nodelist {\n", f"nodelist {{\n{node}"))
            case ["cluster", "node", "remove", name, *_]:
                known = json.loads((self.root / "var/lib/pcsd/known-hosts").read_text())
                self.known_at_removal = sorted(known["known_hosts"])
                before, _, after = conf.read_text().partition(f"name: {name}")
                conf.write_text(before.rpartition("    node {")[0] + after.partition("}\n")[2])
                self.nodes.pop(name, None)
            case ["cluster", "sync" | "reload" | "stop" | "start", *_] | ["node", "standby", _]:
                pass
            case ["stonith", "update", device, *pairs]:
                assert device == DEVICE
                self._update_device(dict(pair.split("=", 1) for pair in pairs))
            case ["property", "set", *_] | ["resource", "defaults", "update", *_]:
                root = ElementTree.fromstring(self.live)
                assert cib.set_pairs(root, words)
                self.live = ElementTree.tostring(root, encoding="unicode")
            case _:
                super()._pcs(words, stdin)

    def _update_device(self, options: dict[str, str]) -> None:
        values = {**self.device, **options}
        pairs = "".join(f'<nvpair name="{n}" value="{v}"/>' for n, v in values.items() if v)
        root = ElementTree.fromstring(self.live)
        holder = root.find(f".//primitive[@id='{DEVICE}']/instance_attributes")
        assert holder is not None
        holder[:] = list(ElementTree.fromstring(f"<x>{pairs}</x>"))
        self.live = ElementTree.tostring(root, encoding="unicode")

    def _host_auth(self, words: list[str], token: str) -> None:
        """Add to what is known, as pcs does."""
        file = self.root / "var/lib/pcsd/known-hosts"
        before = json.loads(file.read_text())["known_hosts"] if file.exists() else {}
        super()._host_auth(words, token)
        content = json.loads(file.read_text())
        content["known_hosts"] = {**before, **content["known_hosts"]}
        file.write_text(json.dumps(content))

    def _crm_mon(self, *_: object) -> str:
        nodes = "".join(
            f'<node name="{name}" {" ".join(f"{k}={v!r}" for k, v in told.items())}/>'
            for name, told in self.nodes.items()
        ).replace("'", '"')
        fences = "".join(
            f'<fence_event action="reboot" target="{target}" status="{status}"/>'
            for target, status in self.fences.items()
        )
        dc = f'<current_dc name="{self.dc}" with_quorum="{str(self.quorate).lower()}"/>'
        shown = (
            f"<summary>{dc}</summary><nodes>{nodes}</nodes><fence_history>{fences}</fence_history>"
        )
        return f"<pacemaker-result>{shown}</pacemaker-result>"

    def _crm_node(self, words: list[str], _: bytes) -> str:
        if words[0] == "--list":
            return "".join(f"{number} {name} lost\n" for number, name in enumerate(self.remembered))
        assert words[:2] == ["--force", "--remove"]
        if self.deaf:
            self.deaf -= 1
        else:
            self.remembered.remove(words[2])
        return ""

    def _stonith_admin(self, words: list[str], _: bytes) -> None:
        if words[0] == "--reboot":
            super()._stonith_admin(words, b"")
            return
        assert words[0] == "--confirm"
        self.nodes[words[1]]["unclean"] = "false"

    def _crm_resource(self, words: list[str], _: bytes) -> None:
        assert words[0] == "--wait"
