"""What the daemon must not carry in memory while it rests."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("distributed", ["OpenSSL", "awscrt"])
def test_libraries_of_the_distribution_are_not_loaded_along(
    tmp_path: Path, distributed: str
) -> None:
    # pcs brings pyOpenSSL to every node, and botocore would load it, with cryptography.
    package = tmp_path / distributed
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('loaded')", encoding="ascii")
    loaded = subprocess.run(
        [sys.executable, "-c", "import musterd.boot, sys; print(*sys.modules)"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT / 'daemon'}:{ROOT / 'client'}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert loaded.returncode == 0, loaded.stderr
    assert not any(name.startswith("cryptography") for name in loaded.stdout.split())
