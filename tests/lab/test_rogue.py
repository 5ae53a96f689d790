"""Who does not belong, in the same network as a founding: it gets nothing, and the journal says so.

One lab, one founding of three, and around it: an instance that carries the tag but another token
(`misled`), one that has the token but no tag (`thief`), and the bastion, which has neither.
"""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from muster_lab.client import Lab
from musterd import trust
from observe import Document, ids, own_lab, said, spec_as_user_data, status, tags, until, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(900)]

SIZE = 3
INTRUDER = (Path(__file__).parent / "intruder.py").read_text(encoding="utf-8")
FOUNDERS = ("10.0.0.11", "10.0.0.12", "10.0.0.13")
BASTION = "10.0.0.250"
RIGHT, WRONG, NEXT = (trust.make_token(bytes([byte] * 32)).text() for byte in (7, 8, 9))
SOON = 120.0  # seconds; a formed node greets every 30, and reads a doubted token once a minute


@dataclass
class Scene:
    """The lab and who is in it, by instance id."""

    lab: Lab
    founders: list[str]
    misled: str
    thief: str
    captured: str = ""
    seconds: float = 0.0
    told: dict[str, Document] = field(default_factory=dict)

    def intrude(self, node: str, *arguments: str, stdin: str = "") -> dict[str, Any]:
        """Run the intruder on a node, or in the bastion ("")."""
        command = ["python3", "-c", INTRUDER, *arguments]
        done = (
            self.lab.run(node, *command, stdin=stdin)
            if node
            else self.lab.outside(*command, stdin=stdin)
        )
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def journal(self, node: str) -> str:
        """What musterd wrote to the journal of a node."""
        return said(self.lab, node, "journalctl", "--unit=musterd", "--output=cat", "--no-pager")

    def until_written(self, node: str, *words: str) -> None:
        """Wait for a line of the journal that holds all the words."""

        def wanted(_: Document) -> bool:
            lines = self.journal(node).splitlines()
            return any(all(word in line for word in words) for line in lines)

        until(self.lab, node, wanted, SOON)


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """Found the cluster while the bastion holds 400 silent connections to every founder."""
    with own_lab("rogue") as lab:
        value = json.dumps({"v": 1, "issue": RIGHT, "trust": [RIGHT]})
        lab.aws("secretsmanager", "create-secret", "--name", "musterd/web", "--secret-string",
                value)  # fmt: skip
        crowd = subprocess.Popen(
            lab.place_command("bastion", ["python3", "-c", INTRUDER, "crowd", *FOUNDERS]),
            stdout=subprocess.DEVNULL,
        )
        try:
            founders = lab.launch(SIZE, tags=tags("web", SIZE))
            assert tuple(node.address for node in founders) == FOUNDERS
            [misled] = lab.launch(1, tags=tags("web", SIZE), user_data=_with_token(WRONG))
            [thief] = lab.launch(1, tags={"Name": "thief"})
            wait_for(lab, "healthy", ids(founders), timeout=400)
        finally:
            crowd.terminate()
            crowd.wait()
        yield Scene(lab, ids(founders), misled.instance_id, thief.instance_id)


def _with_token(token: str) -> bytes:
    cluster = f'[cluster]\nname = "web"\nsize = {SIZE}\n'
    return spec_as_user_data(f'{cluster}[secret]\nsource = "inline"\ntoken = "{token}"\n')


def test_it_was_founded_under_four_hundred_silent_connections_each(scene: Scene) -> None:
    uuids = {status(scene.lab, node)["cluster"]["uuid"] for node in scene.founders}
    assert len(uuids) == 1
    for node in scene.founders:
        scene.until_written(node, "refused a peer", f"{BASTION} opens too many connections")


def test_the_right_tag_and_a_wrong_token_get_nothing(scene: Scene) -> None:
    lab, misled = scene.lab, scene.misled
    for node in scene.founders:
        scene.until_written(node, f"is not {misled} of this cluster")
        told = {each["instance_id"] for each in status(lab, node)["nodes"] if each["last_heard"]}
        assert misled not in told
    scene.until_written(misled, f"is not {scene.founders[0]} of this cluster")
    own = status(lab, misled)
    assert own["cluster"]["uuid"] == ""
    assert own["phase"] != "formed"
    lab.run(misled, "test", "!", "-e", "/etc/corosync/authkey")


def test_the_right_token_and_no_tag_are_refused_by_name_and_by_address(scene: Scene) -> None:
    target, member = scene.founders[0], scene.founders[1]
    as_itself = scene.intrude(
        scene.thief, "call", "web", scene.thief, FOUNDERS[0], target, stdin=RIGHT
    )
    as_member = scene.intrude(scene.thief, "call", "web", member, FOUNDERS[0], target, stdin=RIGHT)
    as_target = scene.intrude(scene.thief, "call", "web", target, FOUNDERS[0], target, stdin=RIGHT)
    uuid = status(scene.lab, target)["cluster"]["uuid"]
    for answer in (as_itself, as_member, as_target):
        assert answer["status"] == 403
        assert uuid not in answer["body"]
    scene.until_written(target, "refused a peer", f"{scene.thief} is not a member here")
    scene.until_written(target, "refused a peer", f"{member} calls from a foreign address")
    scene.until_written(target, "refused a peer", "claims to be this very node")
    other = scene.intrude(scene.thief, "call", "db", scene.thief, FOUNDERS[0], target, stdin=RIGHT)
    assert "error" in other  # the same token gives another authority for another cluster


def test_a_recorded_request_is_worth_nothing(scene: Scene) -> None:
    """A whole call of one member to another, taken from the wire, sent again by the thief."""
    found = scene.intrude(scene.founders[0], "record", FOUNDERS[1], "60")
    recorded = found["hex"]
    assert len(recorded) > 2000
    answer = scene.intrude(scene.thief, "replay", FOUNDERS[1], stdin=recorded)
    assert not answer["http"]
    thief = scene.lab.node(scene.thief).address
    scene.until_written(scene.founders[1], "refused a peer", f"a TLS handshake with {thief} failed")


def test_plain_http_is_refused(scene: Scene) -> None:
    done = scene.lab.outside(
        "curl", "--silent", "--max-time", "5", f"http://{FOUNDERS[2]}:7224/peer/v1/hello",
        check=False,
    )  # fmt: skip
    assert done.returncode != 0
    assert done.stdout == ""
    scene.until_written(
        scene.founders[2], "refused a peer", f"TLS handshake with {BASTION}", "plain HTTP"
    )


def test_whoever_takes_over_an_address_is_not_taken_for_its_owner(scene: Scene) -> None:
    """EC2 gives the address of an instance that is gone to another one, which has the token."""
    lab = scene.lab
    address = lab.node(scene.misled).address
    assert address is not None
    lab.terminate(scene.misled)
    described = json.loads(
        lab.aws("ec2", "describe-instances", "--instance-ids", scene.thief).stdout
    )
    [interface] = described["Reservations"][0]["Instances"][0]["NetworkInterfaces"]
    lab.aws("ec2", "assign-private-ip-addresses", "--network-interface-id",
            interface["NetworkInterfaceId"], "--private-ip-addresses", address)  # fmt: skip
    lab.run(scene.thief, "ip", "address", "add", f"{address}/32", "dev", "eth0")
    came = scene.intrude(
        scene.thief, "stand-in", "web", scene.thief, address, str(SOON), stdin=RIGHT
    )
    assert came["tried"] > 0
    assert came["served"] == 0
    seen = [
        node
        for node in scene.founders
        if f"whoever answers at {address} is not {scene.misled}" in scene.journal(node)
    ]
    assert seen != []


def test_tokens_are_exchanged_without_a_restart(scene: Scene) -> None:
    """In one careless step: the nodes find out by themselves, because their peers are strangers."""
    lab = scene.lab
    started = [_started(scene, node) for node in scene.founders]
    value = json.dumps({"v": 1, "issue": NEXT, "trust": [NEXT]})
    lab.aws("secretsmanager", "put-secret-value", "--secret-id", "musterd/web", "--secret-string",
            value)  # fmt: skip
    lab.run(scene.founders[0], "muster", "join")
    for node in scene.founders:
        scene.until_written(node, "tokens taken up", _authority(NEXT))
    for node in scene.founders:
        until(lab, node, lambda now: now["findings"] == [], SOON)
    assert [_started(scene, node) for node in scene.founders] == started
    target = scene.founders[0]
    stolen = scene.intrude(
        scene.thief, "call", "web", scene.thief, FOUNDERS[0], target, stdin=RIGHT
    )
    assert "error" in stolen


def _started(scene: Scene, node: str) -> str:
    return said(scene.lab, node, "systemctl", "show", "--property=MainPID", "musterd")


def _authority(token: str) -> str:
    from musterd import certificates

    return certificates.authority(trust.parse_token(token), "web").name()


def test_through_all_of_it_the_cluster_stayed(scene: Scene) -> None:
    wait_for(scene.lab, "healthy", scene.founders)
    for node in scene.founders:
        assert "Traceback" not in scene.journal(node)
        assert "mst1_" not in scene.journal(node)
