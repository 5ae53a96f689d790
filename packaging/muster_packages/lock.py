"""Writes packaging/requirements.lock: what pip resolves today, exactly, with hashes."""

import json
import subprocess
import sys
import tomllib
from typing import Any

from muster_packages.checkout import Checkout
from muster_packages.errors import PackagingError
from muster_packages.libraries import pip_options

HEADER = """\
# What the packages bundle, exactly: written by `make lock` from the dependencies in pyproject.toml,
# for CPython 3.11 on x86-64 Linux (glibc 2.28 and newer). pip refuses any other file (hashes).
"""


def write(checkout: Checkout) -> None:
    """Resolve the project's dependencies for a node and write the lock.

    Raises:
        PackagingError: pip found no set of wheels.
    """
    project = tomllib.loads((checkout.root / "pyproject.toml").read_text(encoding="utf-8"))
    wanted: list[str] = project["project"]["dependencies"]
    pip = [sys.executable, "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    resolve = ["--dry-run", "--ignore-installed", "--report=-", "--target=."]
    done = subprocess.run(  # noqa: S603 (arguments from the project)
        [*pip, *resolve, *pip_options(), *wanted], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise PackagingError(f"pip found no wheels for the dependencies:\n{done.stderr}")
    lines = sorted(_line(entry) for entry in json.loads(done.stdout)["install"])
    checkout.lock.write_text(HEADER + "".join(lines), encoding="utf-8")


def _line(entry: dict[str, Any]) -> str:
    name = entry["metadata"]["name"].lower().replace("_", "-")
    sha256 = entry["download_info"]["archive_info"]["hashes"]["sha256"]
    return f"{name}=={entry['metadata']['version']} --hash=sha256:{sha256}\n"
