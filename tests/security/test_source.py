"""What must not stand in the source at all, because one such line undoes the rest."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path for folder in ("daemon", "client", "packaging") for path in (ROOT / folder).rglob("*.py")
)
BANNED = {
    "TLS without verification": r"ssl\s*=\s*False|verify_ssl|verify\s*=\s*False|CERT_NONE"
    r"|CERT_OPTIONAL|_create_unverified_context|check_hostname\s*=\s*False",
    "proxies for peers or metadata": r"trust_env\s*=\s*True",
    "a shell": r"shell\s*=\s*True|os\.system\(|os\.popen\(|create_subprocess_shell",
    "code as data": r"\bpickle\b|yaml\.load\(|\beval\(|\bexec\(|\bmarshal\b",
    "a secret as an argument of pcs": r"""["']-p["']|["']--password["']""",
    "old TLS": r"TLSv1_2|TLSv1_1|PROTOCOL_TLSv|PROTOCOL_SSLv",
    "TLS keys on disk": r"load_cert_chain\(\s*[\"']|NamedTemporaryFile",
    "the control sockets on TCP": r"TCPSite|run_app",
}


def test_there_is_source_to_scan() -> None:
    assert len(SOURCES) > 50


@pytest.mark.parametrize("what", BANNED)
def test_the_source_has_none_of_it(what: str) -> None:
    pattern = re.compile(BANNED[what])
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in SOURCES
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if pattern.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("TLS without verification", "context.verify_mode = ssl.CERT_NONE"),
        ("TLS without verification", "session.get(url, ssl=False)"),
        ("a shell", "subprocess.run(command, shell=True)"),
        ("a secret as an argument of pcs", '["pcs", "host", "auth", "-p", password]'),
        ("the control sockets on TCP", "web.TCPSite(runner, '127.0.0.1', 80)"),
    ],
)
def test_the_scan_would_find_it(what: str, line: str) -> None:
    assert re.search(BANNED[what], line)
