"""How the spec's values become words of a pcs command line, and which of them cannot.

Shared by `fencing` and `resources`. pcs reads `--name` anywhere in its arguments as an option of
its own, so a key of the spec must never begin with a dash.
"""

import re
from collections.abc import Mapping

from musterd.model import Finding, Severity
from musterd.spec import Scalar, Spec

OPTION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
# In an option's value: the path of the shared disk of this name.
DISK = re.compile(r"\{disk:([A-Za-z0-9_.-]{1,64})\}")
# Every node's CIB is readable by the group haclient, and ends up in every support bundle.
_SECRET_NAME = re.compile(r"(?i)(?:.*[_-])?(?:password|passwd|secret|access_key|secret_key)")


def fence_device(spec: Spec) -> str:
    """Return the id of the stonith device: `fence-` and the cluster's name."""
    return f"fence-{spec.cluster.name}"


def scalar(value: Scalar) -> str:
    """Return a TOML value as agents and Pacemaker spell it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def pairs(options: Mapping[str, Scalar]) -> tuple[str, ...]:
    """Return `name=value` words."""
    return tuple(f"{name}={scalar(value)}" for name, value in options.items())


def unusable(where: str, options: Mapping[str, Scalar]) -> tuple[Finding, ...]:
    """Return what pcs must not be given: odd names, control characters, secrets.

    Args:
        where: the place in the spec, such as `[fencing.options]`.
        options: the table there.
    """
    found = []
    for name, value in options.items():
        if not OPTION_NAME.fullmatch(name):
            what = f"{where} has a key {name!r} that no agent can have"
            cure = "use the names that `pcs resource describe` or `pcs stonith describe` prints"
        elif _SECRET_NAME.fullmatch(name):
            what = f"{where} has {name}: every node would show it in the CIB"
            cure = f"remove {name}; let the agent use the role of the instance profile, or a file"
        elif not all(character.isprintable() for character in scalar(value)):
            what = f"{where} {name} holds a line break or another control character"
            cure = f"write the value of {name} on one line"
        else:
            continue
        found.append(Finding(Severity.ERROR, what, cure))
    return tuple(found)
