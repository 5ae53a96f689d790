"""The node image: three read-only layers, each built once and cached.

`base` is Debian with the packages of the recipe (about a minute to build), `lab` makes it a
container image of the lab (seconds), `deb` has the project's package installed (seconds). Each is
named by a digest of all that went into it. A node's disk is an overlay on top of them.
"""

import fcntl
import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from muster_lab import recipe
from muster_lab.commands import run_now
from muster_lab.layout import CACHE
from muster_lab.ports import MachineError

APT_SOURCES = Path("/etc/apt")
KEPT_PACKAGE_LAYERS = 8

# Mounts live and die with this shell's mount namespace. $1: lower, $2: upper, $3: work, $4: place.
# policy-rc.d (invoke-rc.d's documented hook) keeps services from starting during installation.
_IN_LAYER = """
set -eu
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2,workdir=$3" "$4"
mount -t proc proc "$4/proc"
mount --rbind /dev "$4/dev"
mount -t tmpfs tmpfs "$4/tmp"
printf '#!/bin/sh\\nexit 101\\n' > "$4/usr/sbin/policy-rc.d"
chmod 755 "$4/usr/sbin/policy-rc.d"
export ROOT="$4" LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
shift 4
sh -euc "$@"
rm -f "$ROOT/usr/sbin/policy-rc.d"
"""


@dataclass(frozen=True)
class Image:
    """A built image.

    Attributes:
        layers: top first, as overlay's `lowerdir` wants them.
    """

    layers: tuple[Path, ...]

    @property
    def base(self) -> Path:
        """The layer that holds Debian itself, systemd-nspawn included."""
        return self.layers[-1]

    @property
    def lowerdir(self) -> str:
        """The value of overlay's `lowerdir=`."""
        return ":".join(map(str, self.layers))


def build(
    *, package: Path | None, ca_certificate: Path, say: Callable[[str], None], cache: Path = CACHE
) -> Image:
    """Build what is not cached yet and return the image.

    Args:
        package: the project's .deb, or None for nodes without it.
        ca_certificate: PEM of the test CA, put into the node's system bundle.
        say: told what takes time, one line each.
        cache: where layers are kept.

    Raises:
        MachineError: a build step failed; its last words are in the message.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with _locked(cache / "lock"):
        base = cache / f"base-{_base_key()}"
        if not base.exists():
            say("building the node image from Debian packages (once, about a minute)")
            _build_base(base)
        lab_key = _digest(base.name.encode(), *_lab_inputs(ca_certificate))
        lab = cache / f"lab-{lab_key}"
        if not lab.exists():
            say("preparing the image for the lab")
            _build_layer(lab, [base], _lab_script(), [str(recipe.GUEST_FILES), str(ca_certificate)])
        if package is None:
            return Image((lab, base))
        layer = cache / f"deb-{_digest(lab.name.encode(), package.read_bytes())}"
        if not layer.exists():
            say(f"installing {package.name} into the image")
            _build_layer(layer, [lab, base], _PACKAGE_SCRIPT, [str(package.resolve())])
            _drop_old_package_layers(cache)
        layer.touch()
        return Image((layer, lab, base))


def newest_package(checkout: Path) -> Path:
    """The newest dist/muster_*.deb of a checkout.

    Raises:
        MachineError: there is none.
    """
    built = sorted((checkout / "dist").glob("muster_*.deb"), key=lambda each: each.stat().st_mtime)
    if not built:
        raise MachineError(
            "cannot find dist/muster_*.deb: build it with `make deb`, name one with --deb, "
            "or boot nodes without it with --no-muster"
        )
    return built[-1]


def purge(cache: Path = CACHE) -> None:
    """Remove every cached layer and the test CA."""
    shutil.rmtree(cache, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w", encoding="ascii") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _digest(*parts: bytes) -> str:
    whole = hashlib.sha256()
    for part in parts:
        whole.update(hashlib.sha256(part).digest())
    return whole.hexdigest()[:16]


def _apt_sources() -> list[Path]:
    lists = [APT_SOURCES / "sources.list", *(APT_SOURCES / "sources.list.d").iterdir()]
    return [
        each
        for each in sorted(lists)
        if each.suffix in {".list", ".sources"}
        and each.is_file()
        and recipe.SUITE in each.read_text(encoding="utf-8")
    ]


def _base_key() -> str:
    words = [recipe.SUITE, *recipe.PACKAGES]
    return _digest("\n".join(words).encode())


def _build_base(target: Path) -> None:
    if not (sources := _apt_sources()):
        raise MachineError(
            f"cannot build the image: no apt source here names {recipe.SUITE}; "
            "the lab needs a machine with Debian 12's"
        )
    # The machine's own local settings (mirrors, validity checks) count inside as well.
    settings = sorted((APT_SOURCES / "apt.conf.d").glob("99*"))
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    run_now(
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        "--format=directory",
        "--quiet",
        f"--include={','.join(recipe.PACKAGES)}",
        *(f"--aptopt={each}" for each in settings),
        recipe.SUITE,
        str(partial),
        *map(str, sources),
    )
    partial.rename(target)


def _lab_inputs(ca_certificate: Path) -> Iterator[bytes]:
    yield _lab_script().encode()
    yield ca_certificate.read_bytes()
    for each in sorted(recipe.GUEST_FILES.rglob("*")):
        if each.is_file():
            yield str(each.relative_to(recipe.GUEST_FILES)).encode()
            yield each.read_bytes()


def _lab_script() -> str:
    """Shell that turns Debian into the lab's image; $0: guest files, $1: CA certificate."""
    systemctl = 'systemctl --quiet --root="$ROOT"'
    return f"""
for path in {" ".join(recipe.REMOVED)}; do rm -rf "$ROOT/$path"; done
mkdir -p "$ROOT/etc/apt/sources.list.d" "$ROOT/var/cache/apt/archives/partial" \
    "$ROOT/var/lib/apt/lists/partial" "$ROOT/var/log/journal"
: > "$ROOT/etc/machine-id"
rm -f "$ROOT/var/lib/dbus/machine-id"
cp -r "$0/." "$ROOT/"
cp "$1" "$ROOT/usr/local/share/ca-certificates/muster-lab.crt"
chroot "$ROOT" update-ca-certificates >&2
chroot "$ROOT" dpkg-divert --quiet --local --rename --add {recipe.DIVERTED} >&2
{systemctl} mask {" ".join(recipe.MASKED)}
{systemctl} disable {" ".join(recipe.DISABLED + recipe.DISABLED_RESOURCES)}
"""


_PACKAGE_SCRIPT = """
cp "$0" "$ROOT/tmp/package.deb"
chroot "$ROOT" dpkg --install /tmp/package.deb >&2
"""


def _build_layer(target: Path, lower: list[Path], script: str, arguments: list[str]) -> None:
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    for each in ("layer", "work", "root"):
        (partial / each).mkdir(parents=True)
        (partial / each).chmod(0o755)
    run_now(
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        _IN_LAYER,
        "layer",
        ":".join(map(str, lower)),
        *(str(partial / each) for each in ("layer", "work", "root")),
        script,
        *arguments,
    )
    (partial / "layer").rename(target)
    shutil.rmtree(partial)


def _drop_old_package_layers(cache: Path) -> None:
    layers = sorted(cache.glob("deb-*"), key=lambda each: each.stat().st_mtime, reverse=True)
    for each in layers[KEPT_PACKAGE_LAYERS:]:
        shutil.rmtree(each)
