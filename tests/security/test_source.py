"""What must not stand in the source at all, because one such line undoes the rest."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path for folder in ("daemon", "client", "packaging") for path in (ROOT / folder).rglob("*.py")
)
# What is not Python and runs, or becomes a part of a system: scripts, units, cloud-config, recipes.
SCRIPTS = sorted(
    path
    for path in (
        *(ROOT / "units").rglob("*"),
        *(ROOT / "packaging").rglob("*"),
        ROOT / "Makefile",
        ROOT / ".ci" / "run",
    )
    if path.is_file() and path.suffix not in {".py", ".pyc", ".md", ".lock"}
)
BANNED = {
    "TLS without verification": r"ssl\s*=\s*False|verify_ssl|verify\s*=\s*False|CERT_NONE"
    r"|CERT_OPTIONAL|_create_unverified_context|check_hostname\s*=\s*False"
    r"|_create_default_https_context|assert_hostname",
    "proxies for peers or metadata": r"trust_env\s*=\s*True",
    "a shell": r"shell\s*=\s*True|os\.system\(|os\.popen\(|create_subprocess_shell",
    "code as data": r"\bpickle\b|yaml\.load\(|\beval\(|\bexec\(|\bmarshal\b",
    # Not qemu-img's progress, not the mark of a locked account.
    "a secret as an argument of pcs": r"""^(?!.*qemu-img).*["']-p["']"""
    r"""|["']--password["'](?!, "!")""",
    "force, or a cluster destroyed": r"""["']--force["']|["']destroy["']|["']--wipe["']""",
    "names that can be guessed": r"mktemp\(|tempfile\.tempdir",
    "modes for everybody": r"0o?[0-7]?(?:[0-7][2367][0-7]|[0-7][0-7][2367])\b(?=.*chmod)"
    r"|chmod\([^)]*0o[0-7]*[2367]\)|umask\(0(?:o0+)?\)",
    "keys in the source": r"AKIA[0-9A-Z]{16}|BEGIN (?:RSA |EC )?PRIVATE KEY-----\\n[A-Za-z]",
    "credentials from the environment": r"AWS_SECRET_ACCESS_KEY|aws_secret_access_key",
    "a proxy that would read along": r"https?_proxy|ProxyHandler",
    "old TLS": r"TLSv1_2|TLSv1_1|PROTOCOL_TLSv|PROTOCOL_SSLv",
    "TLS keys on disk": r"load_cert_chain\(\s*[\"']|NamedTemporaryFile",
    "the control sockets on TCP": r"TCPSite|run_app",
}


# ADR 11 tells why: a node that is terminated, offline or gone cannot answer what pcs asks it.
ARGUED = {
    'return () if state == "online" else ("--skip-offline", "--force")',
    'change.cluster(host, "stop", newcomer.name, "--force")',
    'host.run(["crm_node", "--force", "--remove", name], timeout=_TIMEOUT),',
    'f"type `crm_node --force --remove {name}` on this node; the step is tried again",',
}
BANNED_IN_SCRIPTS = {
    "TLS without verification": r"curl[^|;]*\s(?:-k|--insecure)\b|--no-check-certificate",
    "signatures not checked": r"--allow-unauthenticated|trusted=yes|--nogpgcheck|gpgcheck=0",
    "modes for everybody": r"chmod\s+(?:-R\s+)?(?:777|666|a\+w|o\+w)|permissions:.*[2367]'?$",
    "code as data": r"\beval\s|curl[^|]*\|\s*(?:ba)?sh",
    # dracut overwrites an image with --force, too; nothing of a cluster does.
    "force, or a cluster destroyed": r"\b(?:pcs|crm\w*|stonith\w*)\b.*--force|cluster destroy",
    "an open sandbox": r"^CapabilityBoundingSet=~|CAP_SYS_ADMIN|^NoNewPrivileges=(?:no|false)",
}
# What the packages bundle. A library more is a decision: it runs in the daemon.
BUNDLED = {
    *("aiohappyeyeballs", "aiohttp", "aiosignal", "annotated-types", "attrs", "boto3", "botocore"),
    *("cffi", "cryptography", "frozenlist", "idna", "jmespath", "multidict", "propcache"),
    *("pycparser", "pydantic", "pydantic-core", "python-dateutil", "s3transfer", "six"),
    *("structlog", "typing-extensions", "typing-inspection", "urllib3", "yarl"),
}
# Before that a pooled connection was used again for another expected name (see the peers' tests).
LEAST = {"aiohttp": (3, 14, 1), "cryptography": (42, 0, 0)}


def test_there_is_source_to_scan() -> None:
    assert len(SOURCES) > 50
    assert len(SCRIPTS) > 15


@pytest.mark.parametrize("what", BANNED)
def test_the_source_has_none_of_it(what: str) -> None:
    pattern = re.compile(BANNED[what])
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in SOURCES
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if pattern.search(line) and line.strip() not in ARGUED
    ]
    assert found == []


@pytest.mark.parametrize("what", BANNED_IN_SCRIPTS)
def test_scripts_units_and_recipes_have_none_of_it(what: str) -> None:
    pattern = re.compile(BANNED_IN_SCRIPTS[what], re.MULTILINE)
    found = [path.name for path in SCRIPTS if pattern.search(path.read_text("utf-8"))]
    assert found == []


def test_every_bundled_library_is_known_pinned_and_hashed() -> None:
    lines = (ROOT / "packaging" / "requirements.lock").read_text("utf-8").splitlines()
    pins = {}
    for line in lines:
        if line and not line.startswith("#"):
            match = re.fullmatch(r"([a-z0-9-]+)==([0-9][\w.]*) --hash=sha256:[0-9a-f]{64}", line)
            assert match, line
            pins[match[1]] = tuple(int(part) for part in re.findall(r"\d+", match[2])[:3])
    assert set(pins) == BUNDLED
    for name, version in LEAST.items():
        assert pins[name] >= version


def test_the_linters_own_security_rules_apply_to_all_that_ships() -> None:
    """Ruff's S rules are bandit's; tests alone are without them."""
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["ruff"]["lint"]
    assert "S" in ruff["select"]
    assert [rule for rule in ruff["ignore"] if rule.startswith("S")] == ["S404"]
    assert list(ruff["per-file-ignores"]) == ["tests/**"]


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("force, or a cluster destroyed", '["pcs", "cluster", "destroy"]'),
        ("force, or a cluster destroyed", 'host.run(["pcs", "resource", "delete", "--force"])'),
        ("modes for everybody", "path.chmod(0o666)"),
        ("modes for everybody", "os.umask(0)"),
        ("keys in the source", 'KEY = "AKIAABCDEFGHIJKLMNOP"'),
        ("a proxy that would read along", 'os.environ["https_proxy"]'),
        ("TLS without verification", "context.verify_mode = ssl.CERT_NONE"),
        ("TLS without verification", "session.get(url, ssl=False)"),
        ("a shell", "subprocess.run(command, shell=True)"),
        ("a secret as an argument of pcs", '["pcs", "host", "auth", "-p", password]'),
        ("the control sockets on TCP", "web.TCPSite(runner, '127.0.0.1', 80)"),
    ],
)
def test_the_scan_would_find_it(what: str, line: str) -> None:
    assert re.search(BANNED[what], line)


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("TLS without verification", "curl -s -k https://x"),
        ("modes for everybody", "chmod -R 777 /etc/muster"),
        ("modes for everybody", "    permissions: '0666'"),
        ("code as data", "curl -s https://x | sh"),
        ("an open sandbox", "NoNewPrivileges=no"),
    ],
)
def test_the_scan_of_scripts_would_find_it(what: str, line: str) -> None:
    assert re.search(BANNED_IN_SCRIPTS[what], line, re.MULTILINE)
