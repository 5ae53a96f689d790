"""The bundled libraries: installed from the lock, trimmed, compiled, cached by their inputs."""

import shutil
import subprocess
import sys
from pathlib import Path

from muster_packages import aws_models
from muster_packages.checkout import Checkout, digest
from muster_packages.distribution import DEBIAN
from muster_packages.errors import PackagingError

PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")

# Never imported on a node: sources of extension modules, type stubs, tests, command line tools;
# boto3's own layer (musterd uses botocore, `muster image` runs on a workstation).
UNUSED_FILES = ("*.pyx", "*.pxd", "*.pxi", "*.c", "*.h", "*.pyi", "*.hash")
UNUSED_FOLDERS = ("bin", "boto3", "boto3-*", "s3transfer", "s3transfer-*", "propcache/tests")


def pip_options() -> list[str]:
    """Options that make pip choose for the node instead of this machine."""
    platforms = [f"--platform={each}" for each in PLATFORMS]
    return [*platforms, "--python-version=3.11", "--implementation=cp", "--only-binary=:all:"]


def build(checkout: Checkout, installed_at: str) -> Path:
    """Return the folder with the libraries, building it when its inputs changed.

    Args:
        checkout: the sources.
        installed_at: where the node will have the folder; byte code names it in tracebacks.

    Raises:
        PackagingError: pip could not install what the lock names.
    """
    here = Path(__file__).parent
    inputs = [checkout.lock, aws_models.OPERATIONS, here / "aws_models.py", Path(__file__)]
    target = checkout.build / f"libraries-{digest(inputs, installed_at)}"
    if target.exists():
        return target
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    _install(checkout.lock, partial)
    _trim_botocore(partial / "botocore")
    _drop_unused(partial)
    _strip(partial)
    compile_tree(partial, installed_at)
    partial.rename(target)
    return target


def compile_tree(tree: Path, installed_at: str) -> None:
    """Compile every module below `tree`.

    The byte code is not checked against its source (PEP 552, unchecked hash): the tree belongs to
    root and changes only as a whole, so nothing is ever stat'ed or rewritten on a node. It has no
    docstrings, assertions and columns of lines: an idle daemon is some MiB smaller for that. The
    names are the plain ones, so that the interpreter needs no flag, for which the distribution's
    own modules are not compiled.
    """
    options = ["-q", "-o", "2", "--invalidation-mode", "unchecked-hash"]
    compiled = subprocess.run(  # noqa: S603 (arguments from this file)
        [
            *(sys.executable, "-I", "-X", "no_debug_ranges", "-m", "compileall", *options),
            *("-s", str(tree), f"-p{installed_at}", str(tree)),
        ],
        check=False,
    )
    if compiled.returncode:
        raise PackagingError(f"cannot compile {tree}: see the messages above")
    for made in tree.rglob("*.opt-2.pyc"):
        made.rename(made.with_name(made.name.replace(".opt-2.", ".")))


def _install(lock: Path, target: Path) -> None:
    print("bundling the libraries of requirements.lock (once)", flush=True)
    pip = [sys.executable, "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(  # noqa: S603 (arguments from this file)
        [
            *pip,
            "--no-compile",
            "--no-deps",
            "--require-hashes",
            f"--requirement={lock}",
            f"--target={target}",
            *pip_options(),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise PackagingError(f"pip could not install what {lock.name} names:\n{done.stderr}")


def _trim_botocore(botocore: Path) -> None:
    trimmed = botocore.with_name("botocore-data")
    aws_models.trim(botocore / "data", trimmed, aws_models.wanted())
    shutil.rmtree(botocore / "data")
    trimmed.rename(botocore / "data")
    # botocore would trust its own copy of the public authorities; the node's administrator decides.
    (botocore / "cacert.pem").unlink()
    (botocore / "cacert.pem").symlink_to(DEBIAN.certificates)


def _strip(tree: Path) -> None:
    """Drop debugging symbols, a quarter of the whole."""
    modules = sorted(map(str, tree.rglob("*.so")))
    try:
        done = subprocess.run(  # noqa: S603 (files of our own build folder)
            ["strip", "--strip-unneeded", *modules],  # noqa: S607 (from PATH)
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise PackagingError("cannot build without strip: `apt-get install binutils`") from None
    if done.returncode:
        raise PackagingError(f"strip refused: {done.stderr.strip()}")


def _drop_unused(tree: Path) -> None:
    for pattern in UNUSED_FOLDERS:
        for folder in tree.glob(pattern):
            shutil.rmtree(folder)
    for pattern in UNUSED_FILES:
        for path in tree.rglob(pattern):
            path.unlink()
    for path in tree.glob("*.dist-info/*"):
        # pip's own notes of where and how it installed.
        if path.name in {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}:
            path.unlink()
