"""Nobody in who does not belong, on booted nodes: privileges, secrets, sockets, role.

Two nodes found one cluster behind a guarded metadata service and under the enforced policy
(`vault`), so founding itself proves that both leave room for what muster does.
"""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from muster_lab.client import Lab
from muster_lab.views import Call
from musterd.api.access import Access
from musterd.api.control import ROUTES
from observe import said, status, wait_for
from vault import (
    ASK,
    CLUSTER,
    METADATA,
    POLICY,
    REGION,
    Vault,
    canaries,
    fetch,
    filled,
    founded,
    places,
)
from witness import found

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]

# What systemd-analyze may find at most, on a running node; lower is better, 10 is nothing done.
EXPOSURE = {
    "musterd.service": 1.6,
    "muster-helper@0.service": 2.8,
    "muster-rejoin.service": 1.6,
    "muster-watch.service": 1.6,
    "muster-user-data.service": 1.6,
    "muster-imds-guard.service": 1.6,
}


@pytest.fixture(scope="module")
def vault() -> Iterator[Vault]:
    with founded() as made:
        yield made


# --- the sandboxes -----------------------------------------------------------------------------


def main_process(lab: Lab, node: str, unit: str = "musterd.service") -> str:
    return said(lab, node, "systemctl", "show", "--value", "--property=MainPID", unit)


def test_the_running_units_are_no_more_exposed_than_that(vault: Vault) -> None:
    """The score that systemd gives what it has loaded, drop-ins and all."""
    for unit, bound in EXPOSURE.items():
        told = said(vault.lab, vault.nodes[0], "systemd-analyze", "security", "--no-pager", unit)
        [score] = re.findall(r"Overall exposure level for \S+: ([\d.]+)", told)
        assert float(score) <= bound, unit


def process(lab: Lab, node: str, pid: str) -> dict[str, str]:
    text = said(lab, node, "cat", f"/proc/{pid}/status")
    return {
        key: value.strip() for key, _, value in (line.partition(":") for line in text.split("\n"))
    }


def test_the_daemon_has_nothing_but_its_user(vault: Vault) -> None:
    lab = vault.lab
    for node in vault.nodes:
        pid = main_process(lab, node)
        seen = process(lab, node, pid)
        uid = said(lab, node, "id", "-u", "musterd")
        assert seen["Uid"].split() == [uid] * 4
        names = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
        assert [int(seen[name], 16) for name in names] == [0] * 5
        assert (seen["NoNewPrivs"], seen["Seccomp"]) == ("1", "2")
        groups = said(lab, node, "id", "-G", "musterd").split()
        muster = said(lab, node, "getent", "group", "muster").split(":")[2]
        assert set(seen["Groups"].split()) <= {*groups, muster}


PRIVATE = ("/tmp", "/var/tmp", "/dev/shm")
DAEMONS_OWN = (*PRIVATE, "/run/musterd", "/var/lib/musterd")
HELPERS_OWN = (
    *(
        *PRIVATE,
        "/home",
        "/root",
        "/etc/corosync",
        "/etc/pacemaker",
        "/root/.aws",
        "/var/lib/corosync",
    ),
    *("/var/lib/muster-helper", "/var/lib/pacemaker", "/var/lib/pcsd", "/var/log/pcsd"),
)
FOLDERS = (
    *("/", "/boot", "/dev", "/etc", "/etc/muster", "/etc/systemd/system", "/home", "/opt", "/root"),
    *("/run", "/run/muster", "/run/systemd/system", "/srv", "/usr", "/usr/local/bin", "/var"),
    *("/usr/lib/muster/app", "/usr/lib/ocf", "/var/lib", "/var/log", "/var/spool"),
    *{*DAEMONS_OWN, *HELPERS_OWN},
)
TRY_WRITING = f"""
for folder in {" ".join(sorted(set(FOLDERS)))}; do
    cp /usr/bin/true $folder/.tried 2>/dev/null || continue
    if $folder/.tried 2>/dev/null; then echo $folder runs; else echo $folder not run; fi
    rm $folder/.tried
done
"""
UNTIL_SERVED = """
show="systemctl list-units --plain --no-legend --state=running muster-helper@*.service"
until $show | grep -q .; do sleep 0.1; done
$show | cut -d' ' -f1
"""
HOLD = """
import socket, sys
wire = socket.socket(socket.AF_UNIX)
wire.connect("/run/muster/helper.sock")
wire.sendall(b'{"verb":')
print("connected", flush=True)
sys.stdin.read()
"""


def test_the_helper_has_three_capabilities_and_the_filter(vault: Vault) -> None:
    """Looked at while it waits for the rest of a request."""
    lab, node = vault.lab, vault.nodes[0]
    line = lab.node_command(node, ["python3", "-c", HOLD])
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as caller:
        assert caller.stdout is not None
        assert caller.stdout.readline() == b"connected\n"
        unit = said(lab, node, "sh", "-c", UNTIL_SERVED)
        pid = main_process(lab, node, unit)
        seen, could = process(lab, node, pid), writable(lab, node, pid)
        caller.communicate()
    chown, dac_override, fowner = 0, 1, 3  # <linux/capability.h>
    wanted = 1 << chown | 1 << dac_override | 1 << fowner
    assert int(seen["CapBnd"], 16) == int(seen["CapEff"], 16) == wanted
    assert (seen["NoNewPrivs"], seen["Seccomp"]) == ("1", "2")
    assert re.search(r"@\d+-\d+-0\.service", unit)  # the journal names number, pid and uid
    assert could == dict.fromkeys(HELPERS_OWN, "not run")


def writable(lab: Lab, node: str, pid: str) -> dict[str, str]:
    """Every folder in which a process's mounts let root write, and whether what is there runs."""
    told = said(lab, node, "nsenter", "--target", pid, "--mount", "sh", "-c", TRY_WRITING)
    return dict(line.split(" ", 1) for line in told.splitlines())


def test_what_the_daemon_can_write_it_cannot_run(vault: Vault) -> None:
    lab, node = vault.lab, vault.nodes[0]
    could = writable(lab, node, main_process(lab, node))
    assert could == dict.fromkeys(DAEMONS_OWN, "not run")


def test_a_crash_leaves_no_memory_behind(vault: Vault) -> None:
    """Neither by the limit nor, where a core pattern is a pipe, in what the pipe gets."""
    lab, node = vault.lab, vault.nodes[1]
    pid = main_process(lab, node)
    limits = said(lab, node, "cat", f"/proc/{pid}/limits")
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE)
    assert int(said(lab, node, "cat", f"/proc/{pid}/coredump_filter"), 16) == 0
    lab.run(node, "systemctl", "kill", "--signal=SEGV", "musterd.service")
    wait_for(lab, "healthy", [node])
    assert main_process(lab, node) != pid
    disk = lab.layout.disks / node / "upper"
    assert not [path for path in disk.rglob("core*") if path.is_file() and "musterd" in str(path)]
    assert not list((disk / "var/lib").glob("systemd/coredump/*"))


# --- secrets -----------------------------------------------------------------------------------


def test_no_secret_is_anywhere_but_in_the_files_that_are_meant_for_it(
    vault: Vault, tmp_path: Path
) -> None:
    secrets = canaries(vault)
    assert len({each.name.split(" of ")[0] for each in secrets}) == 8  # each kind, the seed too
    hits = set(found(secrets, places(vault, tmp_path)))
    meant = {
        (each.name, node, home) for each in secrets for home in each.homes for node in vault.nodes
    }
    # No more, and no less: so the look does find what is there.
    assert hits == meant


def test_the_watch_saw_what_it_was_to_see(vault: Vault) -> None:
    """Programs that get secrets did run meanwhile, and debug details are in the journal."""
    seen = b"\n".join(vault.witness.seen)
    for program in (b"muster-helper", b"pcs_host.py", b"fence_aws", b"musterd.certificates"):
        assert program in seen
    journal = said(vault.lab, vault.nodes[0], "systemctl", "cat", "musterd.service")
    assert "--debug" in journal
    assert vault.witness.seeds


def test_no_private_key_of_ours_is_on_a_disk(vault: Vault) -> None:
    for node in vault.nodes:
        disk = vault.lab.layout.disks / node / "upper"
        look = ["grep", "-rlaF", "--devices=skip", "PRIVATE KEY-----", str(disk)]
        told = subprocess.run(look, capture_output=True, text=True, check=False).stdout.split()
        assert [name.removeprefix(str(disk)) for name in told] in ([], ["/var/lib/pcsd/pcsd.key"])


MODES = {
    "/etc/corosync/authkey": "root:root 400",
    "/etc/pacemaker/authkey": "hacluster:haclient 400",
    "/etc/muster": "root:musterd 750",
    "/etc/muster/muster.toml": "root:musterd 640",
    "/run/muster": "root:root 755",
    "/run/muster/status.sock": "root:muster 660",
    "/run/muster/admin.sock": "root:root 600",
    "/run/muster/helper.sock": "musterd:musterd 600",
    "/run/musterd": "musterd:muster 2750",
    "/run/musterd/status.json": "musterd:muster 640",
    "/run/muster-watch": "hacluster:musterd 750",
    "/var/lib/musterd": "musterd:musterd 700",
    "/var/lib/musterd/record.json": "musterd:musterd 600",
    "/var/lib/muster-helper": "root:root 700",
    "/var/lib/muster-helper/lock": "root:root 600",
    "/var/lib/pcsd/known-hosts": "root:root 600",
    "/var/lib/pcsd/pcs_users.conf": "root:root 600",
    "/var/lib/pacemaker/cib/cib.xml": "hacluster:haclient 600",
    "/root/.aws/config": "root:root 600",
}


def test_every_file_has_its_owner_and_mode(vault: Vault) -> None:
    for node in vault.nodes:
        told = said(vault.lab, node, "stat", "--format=%n %U:%G %a", *MODES).splitlines()
        assert dict(line.split(" ", 1) for line in told) == MODES
        leftovers = said(vault.lab, node, "find", "/etc", "/var/lib", "/run/muster", "/run/musterd",
                         "-name", "*.muster-new", "-o", "-name", "scratch-*")  # fmt: skip
        assert leftovers == ""


# --- sockets by user ---------------------------------------------------------------------------

USERS = {
    "nobody": "setpriv --reuid=nobody --regid=nogroup --clear-groups",
    "member": "setpriv --reuid=nobody --regid=nogroup --groups=muster",
    "musterd": "setpriv --reuid=musterd --regid=musterd --clear-groups",
    "root": "",
}
REFUSED = "000"  # curl: no connection


def expected(user: str, socket: str, access: Access) -> str:
    """Which answers a route may give: the kernel's refusal, none here, or the route's own."""
    if user == "root":
        return "404" if (socket, access) == ("status", Access.ADMIN) else "200|400|404"
    if user == "member" and socket == "status":
        return "404" if access is Access.ADMIN else "200"
    return REFUSED


def test_each_user_on_each_route_of_each_socket(vault: Vault) -> None:
    lab, node = vault.lab, vault.nodes[0]
    asked = [(u, s, route) for u in USERS for s in ("status", "admin") for route in ROUTES]
    script = "\n".join(
        f"{USERS[user]} {ASK} -o /dev/null -w '%{{http_code}}\\n' -X {route.method}"
        f" --unix-socket /run/muster/{socket}.sock http://x{filled(route)} || true"
        for user, socket, route in asked
    )
    told = said(lab, node, "sh", "-c", script).splitlines()
    assert len(told) == len(asked) > 40
    for (user, socket, route), answer in zip(asked, told, strict=True):
        wanted = expected(user, socket, route.access)
        assert re.fullmatch(wanted, answer), f"{user} on {socket}: {route.path} -> {answer}"


def test_only_the_daemons_user_and_root_reach_the_helper(vault: Vault) -> None:
    lab, node = vault.lab, vault.nodes[0]
    code = (
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/muster/helper.sock');"
        ' s.sendall(b\'{"verb":"destroy","params":{}}\\n\'); print(s.recv(4096).decode().strip())'
    )
    ask = f"python3 -c {shlex.quote(code)} 2>&1 | tail -1"
    told = {user: said(lab, node, "sh", "-c", f"{become} {ask}") for user, become in USERS.items()}
    assert "PermissionError" in told["nobody"]
    assert "PermissionError" in told["member"]
    for user in ("musterd", "root"):
        assert json.loads(told[user])["refused"] is True


def test_who_asks_for_a_change_is_in_the_journal(vault: Vault) -> None:
    lab, node = vault.lab, vault.nodes[0]
    lab.run(node, "muster", "join")
    journal = said(lab, node, "journalctl", "--unit=musterd", "--output=cat", "--no-pager")
    assert re.search(r"change asked for .*path=/v1/join uid=0 pid=\d+ status=202", journal)


# --- the metadata service ------------------------------------------------------------------------


def test_only_root_and_the_daemon_reach_the_metadata_service(vault: Vault) -> None:
    """And founding went well behind the guard, or this test would not run."""
    lab, node = vault.lab, vault.nodes[0]
    document = f"{METADATA}/meta-data/instance-id"
    told = {
        user: lab.run(
            node, "sh", "-c", f"{become} sh -c {shlex.quote(fetch(document))}", check=False
        )
        for user, become in USERS.items()
    }
    assert {user for user, ran in told.items() if ran.stdout == node} == {"musterd", "root"}
    lab.run(node, "systemctl", "stop", "muster-imds-guard")
    open_again = lab.run(
        node, "sh", "-c", f"{USERS['nobody']} sh -c {shlex.quote(fetch(document))}"
    )
    assert open_again.stdout == node
    lab.run(node, "systemctl", "start", "muster-imds-guard")
    lab.run(node, "systemctl", "reload-or-restart", "muster-imds-guard")
    assert said(lab, node, "nft", "list", "tables").count("muster_imds_guard") == 1


# --- the policy --------------------------------------------------------------------------------

ALLOWED = {
    action.partition(":")[2]
    for statement in json.loads(POLICY.read_text("utf-8"))["Statement"]
    if statement["Effect"] == "Allow"
    for action in (
        statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
    )
}
# What this cluster has no need of, and who has. A founding that takes long examines itself as the
# doctor does.
ELSEWHERE = {
    "DescribeSecurityGroups": "muster doctor",
    "DescribeRouteTables": "an overlay address",
    "ReplaceRoute": "an overlay address",
    "AllocateAddress": "an elastic address to allocate",
    "AttachVolume": "a shared disk",
    "CreateTags": "something that is made",
    "CreateVolume": "a shared disk to make",
    "DescribeInstanceTypes": "a shared disk",
    "DescribeVolumes": "a shared disk",
}
# What is only called when a group stops.
STOPPING = {"UnassignPrivateIpAddresses", "DisassociateAddress"}


def role_calls(vault: Vault) -> list[Call]:
    """What the nodes asked of AWS so far."""
    return [c for c in vault.lab.calls() if c.caller in vault.nodes and c.service != "imds"]


def test_the_policy_was_enough_to_found_the_cluster(vault: Vault) -> None:
    assert ELSEWHERE.keys() <= ALLOWED
    calls = role_calls(vault)
    denied = ("UnauthorizedOperation", "AccessDeniedException")
    assert [call for call in calls if call.outcome in denied] == []
    assert ALLOWED - ELSEWHERE.keys() - STOPPING <= {call.action for call in calls} <= ALLOWED
    assert {call.outcome for call in calls if call.action == "StopInstances"} == {"DryRunOperation"}


TRIES = """
import boto3, sys
from botocore.exceptions import ClientError
other, stranger, cluster, region = sys.argv[1:]
ec2, secrets = (boto3.client(name, region_name=region) for name in ("ec2", "secretsmanager"))
tag = [{"Key": "muster:cluster", "Value": cluster}]
own = "musterd/" + cluster
for call, values in (
    (ec2.stop_instances, {"InstanceIds": [stranger]}),
    (ec2.stop_instances, {"InstanceIds": [other, stranger]}),
    (ec2.terminate_instances, {"InstanceIds": [other]}),
    (ec2.reboot_instances, {"InstanceIds": [other]}),
    (ec2.create_tags, {"Resources": [stranger], "Tags": tag}),
    (ec2.run_instances, {"ImageId": "ami-0", "MinCount": 1, "MaxCount": 1}),
    (secrets.get_secret_value, {"SecretId": "musterd/theirs"}),
    (secrets.put_secret_value, {"SecretId": own, "SecretString": "x"}),
    (secrets.delete_secret, {"SecretId": own}),
):
    try:
        call(**values)
        print("allowed", call.__name__)
    except ClientError as error:
        print(error.response["Error"]["Code"])
"""


def test_the_policy_gives_no_more(vault: Vault) -> None:
    """What a process that has the role could try on others, on tags, on the token."""
    names = (vault.nodes[1], "i-0000000000000dead", CLUSTER, REGION)
    told = said(vault.lab, vault.nodes[0], "python3", "-c", TRIES, *names).splitlines()
    assert told == ["UnauthorizedOperation"] * 6 + ["AccessDeniedException"] * 3


@pytest.mark.long
def test_every_line_of_the_policy_is_needed(vault: Vault) -> None:
    for verb in ("disable", "enable"):  # once away and back: what stopping the group calls
        words = ("pcs", "resource", verb, "networking-group", "--wait=120")
        vault.lab.run(vault.nodes[0], *words, timeout=180)
    done = {call.action for call in role_calls(vault) if call.outcome in ("ok", "DryRunOperation")}
    assert done | ELSEWHERE.keys() == ALLOWED


@pytest.mark.long
def test_a_node_is_fenced_for_real_under_the_policy(vault: Vault) -> None:
    lab, (asker, target) = vault.lab, vault.nodes
    names = {each["instance_id"]: each["name"] for each in status(lab, asker)["nodes"]}
    lab.run(asker, "pcs", "stonith", "fence", names[target], timeout=240)
    wait_for(lab, "healthy", [asker, target])
    stops = lab.calls(action="StopInstances", caller=asker)
    assert "ok" in {call.outcome for call in stops}
