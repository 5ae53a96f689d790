"""The units' sandboxes: what is left open is left open on purpose, and says for what.

The scores are bounded in tests/packaging/test_units.py, and measured on a booted node in
tests/lab/test_hardening.py.
"""

import json
import re
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "units"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
NETWORKED = {"musterd.service", "muster-helper@.service", "muster-user-data.service"}
# Of all capabilities, who has which.
CAPABILITIES = {
    "muster-helper@.service": "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER",
    "muster-imds-guard.service": "CAP_NET_ADMIN",
}
EVERYWHERE = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ReadOnlyPaths": "/run",
    "LimitCORE": "0",
    "CoredumpFilter": "0",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "ProtectKernelTunables": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectControlGroups": "yes",
    "ProtectClock": "yes",
    "ProtectHostname": "yes",
    "RestrictNamespaces": "yes",
    "RestrictSUIDSGID": "yes",
    "RestrictRealtime": "yes",
    "LockPersonality": "yes",
    "SystemCallArchitectures": "native",
}


def values(unit: str, key: str) -> list[str]:
    text = (UNITS / unit).read_text(encoding="utf-8")
    return re.findall(rf"^{key}=(.*)$", text, re.MULTILINE)


def comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.startswith("#"))


def exposed(path: Path) -> set[str]:
    """The directives that systemd-analyze finds open, by their names: `PrivateNetwork`."""
    told = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--json=short", str(path)],
        capture_output=True,
        check=True,
    )
    entries = json.loads(told.stdout)
    return {entry["name"].partition("=")[0] for entry in entries if entry["exposure"]}


def unexplained(path: Path) -> set[str]:
    said = comments(path.read_text(encoding="utf-8"))
    return {name for name in exposed(path) if not re.search(rf"\b{name}=", said)}


@pytest.mark.parametrize("unit", SERVICES)
def test_every_directive_that_is_left_out_says_what_needs_it(unit: str) -> None:
    assert unexplained(UNITS / unit) == set()


def test_an_unexplained_omission_would_be_found(tmp_path: Path) -> None:
    text = (UNITS / "musterd.service").read_text(encoding="utf-8")
    bare = tmp_path / "musterd.service"
    bare.write_text(text.replace("No PrivateUsers=", "").replace("ProtectHome=yes\n", ""))
    assert unexplained(bare) == {"PrivateUsers", "ProtectHome"}


@pytest.mark.parametrize("unit", SERVICES)
@pytest.mark.parametrize("key", EVERYWHERE)
def test_what_every_service_has(unit: str, key: str) -> None:
    assert values(unit, key) == [EVERYWHERE[key]]


@pytest.mark.parametrize("unit", SERVICES)
def test_what_a_service_can_write_it_cannot_run(unit: str) -> None:
    """No `NoExecPaths=/` with exceptions: systemd 252 then leaves all the rest writable."""
    writable = {"/run", "/tmp", "/var/tmp", "/dev/shm"}
    for key, folder in (("StateDirectory", "/var/lib"), ("RuntimeDirectory", "/run")):
        writable |= {f"{folder}/{name}" for name in values(unit, key)}
    for key in ("ReadWritePaths", "BindPaths"):
        paths = {path.removeprefix("-") for line in values(unit, key) for path in line.split()}
        writable |= paths - {"/etc/hosts"}  # a file, and append-only by our own code
    if values(unit, "ProtectHome") == ["tmpfs"]:  # writable, and gone with the process
        writable |= {"/home", "/root", "/run/user"}
    closed = {
        path.removeprefix("-") for line in values(unit, "NoExecPaths") for path in line.split()
    }
    assert closed == writable
    assert values(unit, "ExecPaths") == []


@pytest.mark.parametrize("unit", SERVICES)
def test_capabilities_are_those_named_here(unit: str) -> None:
    assert values(unit, "CapabilityBoundingSet") == [CAPABILITIES.get(unit, "")]
    if unit not in CAPABILITIES:
        assert values(unit, "AmbientCapabilities") == [""]


@pytest.mark.parametrize("unit", SERVICES)
def test_only_three_services_have_the_internets_sockets(unit: str) -> None:
    families = values(unit, "RestrictAddressFamilies")[0]
    assert ("AF_INET" in families) == (unit in NETWORKED)


def test_the_guard_is_not_wanted_by_anything_of_ours() -> None:
    """Applications may use the role: the administrator decides."""
    others = [path for path in UNITS.rglob("*") if path.is_file() and "imds-guard" not in path.name]
    assert not [path for path in others if "imds-guard" in path.read_text(encoding="utf-8")]


def test_the_guard_covers_both_address_families_and_forwarded_packets() -> None:
    rules = "\n".join(values("muster-imds-guard.service", "StandardInputText"))
    for address in ("ip daddr 169.254.169.254", "ip6 daddr fd00:ec2::254"):
        assert f"{address} meta skuid != {{ root, musterd }} reject" in rules
        assert f"{address} reject" in rules


def test_the_kernel_takes_the_guards_rules(tmp_path: Path) -> None:
    """Twice, in a network namespace of its own; with a user that every machine has."""
    rules = "\n".join(values("muster-imds-guard.service", "StandardInputText"))
    file = tmp_path / "guard.nft"
    file.write_text(rules.replace("musterd }", "nobody }") + "\n")
    load = f"nft --file {file}"
    script = f"{load} && {load} && nft list ruleset && nft delete table inet muster_imds_guard"
    told = subprocess.run(
        ["unshare", "--net", "sh", "-c", script], capture_output=True, text=True, check=True
    )
    assert told.stdout.count("169.254.169.254") == 2
