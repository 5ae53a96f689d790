"""What differs between the two families of distributions that are packed for."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Distribution:
    """Where a distribution has what the tree names.

    Attributes:
        name: for folders of the build.
        python: the interpreter that programs are started with.
        units: systemd's folder for packages.
        certificates: the system's bundle of public authorities.
        scripts: where scripts of that Python find `muster.client`; the rest of us stays private.
        zsh: where zsh looks for its completions.
        stand_ins: modules of ours for what the distribution has not, below packaging/.
        files: more files, as (below packaging/, installed path).
    """

    name: str
    python: str
    units: str
    certificates: str
    scripts: str
    zsh: str
    stand_ins: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()


DEBIAN = Distribution(
    name="deb",
    python="/usr/bin/python3",
    units="/lib/systemd/system",
    certificates="/etc/ssl/certs/ca-certificates.crt",
    scripts="/usr/lib/python3/dist-packages/muster",
    zsh="/usr/share/zsh/vendor-completions/_muster",
    files=(("deb/lintian-overrides", "/usr/share/lintian/overrides/muster"),),
)
# Python 3.11 of AppStream, beside the system's 3.6 (RHEL 8) or 3.9 (RHEL 9).
RED_HAT = Distribution(
    name="rpm",
    python="/usr/bin/python3.11",
    units="/usr/lib/systemd/system",
    certificates="/etc/pki/tls/certs/ca-bundle.crt",
    scripts="/usr/lib/python3.11/site-packages/muster",
    zsh="/usr/share/zsh/site-functions/_muster",
    stand_ins=("rpm/systemd",),
    # Red Hat's packages do not enable units by themselves, presets do.
    files=(("rpm/80-muster.preset", "/usr/lib/systemd/system-preset/80-muster.preset"),),
)
