"""`muster doctor` on real nodes: what is well, and what is made not well, one thing at a time.

Two nodes whose specs differ, so that they wait for each other for ever and everything is still as
before a founding.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from muster_lab.client import Lab
from muster_lab.views import Node
from observe import Document, following, own_lab, said, spec_as_user_data, until

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

LISTENING = "until ss -Hltn 'sport = :2224' | grep -q .; do sleep 0.2; done"

# A copy of the program that says another version of the same length.
OTHER_RELEASE = """
mv /usr/sbin/corosync /usr/sbin/corosync.away
LC_ALL=C sed "s/$1/$2/g" /usr/sbin/corosync.away > /usr/sbin/corosync
chmod 755 /usr/sbin/corosync
corosync -v | grep -qF "$2"
"""

TIMER = "nm-cloud-setup.timer"
# As RHEL's cloud images have it (NetworkManager-cloud-setup), but for what it would do.
CLOUD_SETUP = """
printf '[Service]\\nType=oneshot\\nExecStart=/bin/true\\n' \\
    > /etc/systemd/system/nm-cloud-setup.service
printf '[Timer]\\nOnActiveSec=5min\\n[Install]\\nWantedBy=timers.target\\n' \\
    > /etc/systemd/system/nm-cloud-setup.timer
systemctl daemon-reload
systemctl enable --now nm-cloud-setup.timer
"""
# With the timers left as they are: only what is called the time is another.
OTHER_TIME = """
mkdir -p /run/systemd/system/musterd.service.d
cat > /run/systemd/system/musterd.service.d/other-time.conf << END
[Service]
Environment=LD_PRELOAD=/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1
Environment=FAKETIME=$1 FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_DISABLE_SHM=1
END
systemctl daemon-reload
systemctl restart musterd
"""
OWN_TIME = """
rm /run/systemd/system/musterd.service.d/other-time.conf
systemctl daemon-reload
systemctl restart musterd
"""

Checks = list[dict[str, str]]


@dataclass(frozen=True)
class Waiting:
    """The two nodes; checks are asked for on `here`."""

    lab: Lab
    here: Node
    there: Node


@pytest.fixture(scope="module")
def two() -> Iterator[Waiting]:
    """Two founders that do not agree on the token time."""
    with own_lab("doctor") as lab:
        nodes = []
        for token in (10_000, 11_000):
            spec = f'[cluster]\nname = "web"\nsize = 2\n[corosync]\ntoken_ms = {token}\n'
            spec += '[[address]]\nprivate_ip = "10.0.0.100"\n'
            tag = {"muster:cluster": "web"}
            nodes += lab.launch(1, tags=tag, user_data=spec_as_user_data(spec))
        for node in nodes:
            until(lab, node.instance_id, waits_again, 120.0)
            lab.run(node.instance_id, "sh", "-c", LISTENING)
            with following(lab, [node.instance_id]) as feed:  # it tells its peers then
                feed.until(lambda event: "looked at this node" in event.get("message", ""))
        two = Waiting(lab, *nodes)
        while not told(looked(two)[1], "versions", "ok"):
            continue  # the peer's next greeting tells its versions; pytest's time-out bounds this
        yield two


def waits_again(now: Document) -> bool:
    return "differs" in now["reason"]


def looked(two: Waiting) -> tuple[int, Checks]:
    """The exit code of `muster doctor`, and what it finds."""
    done = two.lab.run(two.here.instance_id, "muster", "doctor", "--json", check=False)
    document = json.loads(done.stdout)
    assert document["seconds"] < 20.0
    return done.returncode, document["checks"]


def doctor(two: Waiting, code: int) -> Checks:
    """What `muster doctor` finds; its exit code must be as said."""
    ended, found = looked(two)
    assert ended == code, found
    return found


def told(checks: Checks, name: str, outcome: str) -> list[str]:
    return [
        check["what"] for check in checks if (check["check"], check["outcome"]) == (name, outcome)
    ]


def test_where_nothing_is_wrong_each_check_says_so(two: Waiting) -> None:
    checks = doctor(two, 0)
    assert [check for check in checks if check["outcome"] == "error"] == []
    here, there = two.here.hostname, two.there.hostname
    for port in ("TCP 2224", "TCP 7224", "UDP 5405"):
        assert f"{here} reaches {port} of {there}" in told(checks, "ports", "ok")
        assert f"{there} reaches {port} of {here}" in told(checks, "ports", "ok")
    for name in ("endpoints", "permissions", "profile", "security-groups", "clock", "versions"):
        assert told(checks, name, "ok"), name


def test_people_read_it_too(two: Waiting) -> None:
    told = said(two.lab, two.here.instance_id, "muster", "doctor", "--all")
    assert f"reaches UDP 5405 of {two.there.hostname}" in told
    assert "checks in" in told


SHUT = {
    "UDP in": ("udp dport 5405 drop", "UDP 5405 from {there} to {here} is not let through"),
    "pcsd in": ("tcp dport 2224 drop", "TCP 2224 from {there} to {here} is not let through"),
}


@pytest.mark.parametrize("case", SHUT)
def test_a_port_that_is_shut_in_one_direction_is_named(two: Waiting, case: str) -> None:
    rule, words = SHUT[case]
    lab, node = two.lab, two.here.instance_id
    lab.run(node, "nft", "add table ip shut")
    lab.run(node, "nft", "add chain ip shut in { type filter hook input priority 0 ; }")
    lab.run(node, "nft", f"add rule ip shut in ip saddr {two.there.address} {rule}")
    checks = doctor(two, 4)
    lab.run(node, "nft", "delete table ip shut")
    wanted = words.format(here=two.here.hostname, there=two.there.hostname)
    errors = told(checks, "ports", "error")
    assert len(errors) == 1
    assert errors[0].startswith(wanted)


def test_a_service_that_does_not_listen_is_told_from_a_port_that_is_shut(two: Waiting) -> None:
    lab, node = two.lab, two.there.instance_id
    lab.run(node, "systemctl", "kill", "--signal=KILL", "pcsd", "pcsd-ruby")
    lab.run(node, "systemctl", "stop", "--no-block", "pcsd", "pcsd-ruby")
    checks = doctor(two, 4)
    lab.run(node, "systemctl", "start", "pcsd")
    [error] = told(checks, "ports", "error")
    assert error == f"pcsd does not listen on TCP 2224 of {two.there.hostname}"


FAULTS: dict[str, tuple[dict[str, object], str, str, str]] = {
    "StopInstances": (
        {"action": "StopInstances", "code": "UnauthorizedOperation", "status": 403},
        *("permissions", "error", "ec2:StopInstances of"),
    ),
    "EC2 hangs": (
        {"action": "Describe*", "hang": True},
        *("endpoints", "error", "ec2:DescribeInstances"),
    ),
    "groups unread": (
        {"action": "DescribeSecurityGroups", "code": "UnauthorizedOperation", "status": 403},
        *("security-groups", "unproven", "ec2:DescribeSecurityGroups"),
    ),
    "secrets": (
        {
            "action": "GetSecretValue",
            "service": "secretsmanager",
            "code": "AccessDeniedException",
            "status": 400,
        },
        *("endpoints", "error", "secretsmanager:GetSecretValue"),
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_what_ec2_refuses_is_named_and_nothing_hangs(two: Waiting, case: str) -> None:
    fault, name, outcome, words = FAULTS[case]
    two.lab.fault(caller=two.here.instance_id, **fault)  # type: ignore[arg-type]
    checks = doctor(two, 4 if outcome == "error" else 0)
    two.lab.clear_faults()
    while told(looked(two)[1], "musterd", "error"):
        continue  # a read of musterd's own met the fault as well: it is told until the next one
    assert any(words in what for what in told(checks, name, outcome)), checks


def test_a_security_group_that_lets_corosync_not_in_is_named(two: Waiting) -> None:
    """The rules are read: what is let through today may be by another way than the rules'."""
    lab = two.lab
    [group] = json.loads(lab.aws("ec2", "describe-security-groups").stdout)["SecurityGroups"]
    own = ("--group-id", group["GroupId"], "--ip-permissions")
    everything = json.dumps(group["IpPermissions"])
    pair = [{"GroupId": group["GroupId"]}]
    tcp = {"IpProtocol": "tcp", "FromPort": 2224, "ToPort": 7224, "UserIdGroupPairs": pair}
    lab.aws("ec2", "authorize-security-group-ingress", *own, json.dumps([tcp]))
    lab.aws("ec2", "revoke-security-group-ingress", *own, everything)
    errors = told(doctor(two, 4), "security-groups", "error")
    lab.aws("ec2", "authorize-security-group-ingress", *own, everything)
    lab.aws("ec2", "revoke-security-group-ingress", *own, json.dumps([tcp]))
    assert len(errors) == 1
    assert errors[0].startswith("no security group lets in UDP 5405 from i-")
    assert told(doctor(two, 0), "security-groups", "ok")


def test_an_instance_without_a_profile_is_named(two: Waiting) -> None:
    lab, node = two.lab, two.there.instance_id
    asked = ("--filters", f"Name=instance-id,Values={node}")
    found = lab.aws("ec2", "describe-iam-instance-profile-associations", *asked).stdout
    [held] = json.loads(found)["IamInstanceProfileAssociations"]
    lab.aws("ec2", "disassociate-iam-instance-profile",
            "--association-id", held["AssociationId"])  # fmt: skip
    errors = told(doctor(two, 4), "profile", "error")
    name = held["IamInstanceProfile"]["Arn"].rpartition("/")[2]
    lab.aws("ec2", "associate-iam-instance-profile", "--instance-id", node,
            "--iam-instance-profile", f"Name={name}")  # fmt: skip
    assert [error.startswith(f"{node} has no instance profile") for error in errors] == [True]


AWAY: dict[str, tuple[str, str]] = {
    "fence agent": ("/usr/sbin/fence_aws", "fence agent fence_aws is not installed"),
    "address agent": (
        "/usr/lib/ocf/resource.d/heartbeat/awsvip",
        "resource agent awsvip is not installed",
    ),
    "awscli": ("/usr/bin/aws", "aws, which the AWS resource agents call, is not installed"),
}


@pytest.mark.parametrize("case", AWAY)
def test_what_is_not_installed_is_named_at_once(two: Waiting, case: str) -> None:
    path, words = AWAY[case]
    lab, node = two.lab, two.here.instance_id
    lab.run(node, "mv", path, f"{path}.away")
    errors = told(doctor(two, 4), "software", "error")
    lab.run(node, "mv", f"{path}.away", path)
    assert errors == [words]
    assert told(doctor(two, 0), "software", "ok")


def test_a_foreign_cluster_is_named(two: Waiting) -> None:
    lab, node = two.lab, two.here.instance_id
    foreign = "totem {\n  version: 2\n  cluster_name: other\n}\n"
    put = ("install", "-m", "0644", "/dev/stdin", "/etc/corosync/corosync.conf")
    lab.run(node, *put, stdin=foreign)
    errors = told(doctor(two, 4), "corosync", "error")
    lab.run(node, "rm", "/etc/corosync/corosync.conf")
    assert len(errors) == 1
    assert "corosync.conf on this node is not this cluster's" in errors[0]
    assert told(doctor(two, 0), "corosync", "ok")


def test_what_removes_floating_addresses_is_told_and_switched_off(two: Waiting) -> None:
    lab, node = two.lab, two.here.instance_id
    lab.run(node, "sh", "-euc", CLOUD_SETUP)
    warned = told(doctor(two, 0), "preparation", "warning")
    assert [what.startswith("nm-cloud-setup is on") for what in warned] == [True]
    lab.run(
        node, "sh", "-c", "until ! systemctl is-active nm-cloud-setup.timer; do sleep 0.2; done"
    )
    assert told(doctor(two, 0), "preparation", "ok")


def test_programs_that_are_not_the_same_everywhere_are_named(two: Waiting) -> None:
    """One node gets a Corosync that is another release by its own word."""
    lab, node = two.lab, two.there.instance_id
    version = said(lab, node, "corosync", "-v").splitlines()[0].split("'")[1]
    other = version[:-1] + ("0" if version[-1] != "0" else "1")
    lab.run(node, "sh", "-euc", OTHER_RELEASE, "other", version, other)
    lab.run(node, "muster", "doctor", check=False)  # has it looked at
    words = f"corosync is not the same everywhere: {two.here.hostname} has {version}"
    code, found = looked(two)
    while not (errors := told(found, "versions", "error")):
        code, found = looked(two)  # its next greeting tells; pytest's time-out bounds this
    assert code == 4
    lab.run(node, "mv", "/usr/sbin/corosync.away", "/usr/sbin/corosync")
    lab.run(node, "muster", "doctor", check=False)
    assert errors == [f"{words}, {two.there.hostname} has {other}"]


CLOCKS = {
    "+60": ("warning", "ahead of this node's"),
    "-270": ("error", "AWS refuses what it signs"),
}


@pytest.mark.parametrize("seconds", CLOCKS)
def test_a_clock_that_is_off_is_named(two: Waiting, seconds: str) -> None:
    """Musterd alone is told another time: the nodes share one kernel, and so its clock."""
    outcome, words = CLOCKS[seconds]
    lab, node = two.lab, two.there.instance_id
    lab.run(node, "sh", "-euc", OTHER_TIME, "other", seconds)
    until(lab, node, waits_again, 60.0)
    found = doctor(two, 4 if outcome == "error" else 0)
    lab.run(node, "sh", "-euc", OWN_TIME)
    until(lab, node, waits_again, 60.0)
    [what] = told(found, "clock", outcome)
    off = re.fullmatch(rf"the clock of {two.there.hostname} is ([\d.]+) s .*", what)
    assert off is not None
    # The way there and back is not equally long on a busy machine.
    assert float(off[1]) == pytest.approx(abs(int(seconds)), abs=1.0)
    assert words in what


def test_metadata_that_travels_far_is_a_warning(two: Waiting) -> None:
    lab, node = two.lab, two.there.instance_id
    change = ["ec2", "modify-instance-metadata-options", "--instance-id", node]
    lab.aws(*change, "--http-put-response-hop-limit", "64", "--http-tokens", "optional")
    warned = told(doctor(two, 0), "metadata", "warning")
    lab.aws(*change, "--http-put-response-hop-limit", "2", "--http-tokens", "required")
    assert [node in what for what in warned] == [True, True]


def test_a_silent_peer_hides_nothing_else(two: Waiting) -> None:
    two.lab.partition(two.there.instance_id, cut="peers")
    checks = doctor(two, 4)
    two.lab.heal()
    assert len(told(checks, "ports", "error")) == 2  # both TCP ports, this way
    assert told(checks, "ports", "unproven")
    assert told(checks, "endpoints", "ok")


def test_before_founding_the_same_findings_are_in_the_status(two: Waiting) -> None:
    lab, node = two.lab, two.here.instance_id
    two.lab.partition(two.there.instance_id, cut="peers")
    found = until(
        lab, node, lambda now: any("TCP 2224" in each["what"] for each in now["findings"]), 150.0
    )
    two.lab.heal()
    assert all(each["cure"] for each in found["findings"])
