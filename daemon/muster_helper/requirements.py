"""What a node must have installed, and which package brings it."""

from collections.abc import Iterator
from pathlib import Path

from muster_helper.paths import Paths
from musterd import resources
from musterd.spec import Resource, Spec

# program -> (Debian's package, Red Hat's package)
_PROGRAMS = {
    "pcs": ("pcs", "pcs"),
    "corosync": ("corosync", "corosync"),
    "pacemakerd": ("pacemaker", "pacemaker"),
    "cibadmin": ("pacemaker-cli-utils", "pacemaker-cli"),
    "crm_diff": ("pacemaker-cli-utils", "pacemaker-cli"),
    "crm_mon": ("pacemaker-cli-utils", "pacemaker-cli"),
    "crm_verify": ("pacemaker-cli-utils", "pacemaker-cli"),
}
_AGENTS = {
    "awsvip": ("resource-agents", "resource-agents-cloud"),
    "aws-vpc-move-ip": ("resource-agents", "resource-agents-cloud"),
    "awseip": ("resource-agents", "resource-agents-cloud"),
    "IPaddr2": ("resource-agents", "resource-agents"),
}
_SEARCH = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
_OCF = "/usr/lib/ocf/resource.d"
_UNITS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system")


def missing(paths: Paths, spec: Spec | None) -> tuple[str, ...]:
    """Return one sentence for each thing the node lacks.

    Args:
        paths: of the node.
        spec: the wanted cluster; None while it cannot be read, which others report.
    """
    return tuple(_missing(paths, spec))


def agent_file(paths: Paths, agent: str) -> Path:
    """Return where a heartbeat agent's script stands."""
    return paths.below(f"{_OCF}/heartbeat/{agent}")


def _missing(paths: Paths, spec: Spec | None) -> Iterator[str]:
    for program, packages in _PROGRAMS.items():
        if not _program(paths, program):
            yield _sentence(program, packages)
    if spec is None:
        return
    if not _program(paths, spec.fencing.agent):
        red_hat = spec.fencing.agent.replace("_", "-").replace("fence-", "fence-agents-", 1)
        yield _sentence(f"fence agent {spec.fencing.agent}", ("fence-agents", red_hat))
    agents = sorted(resources.agents(spec))
    if "awsvip" in agents:
        agents.append("IPaddr2")
    for agent in agents:
        if not agent_file(paths, agent).is_file():
            yield _sentence(f"resource agent {agent}", _AGENTS[agent])
    for program, packages in (
        ("aws", ("awscli", "awscli2")),
        ("curl", ("curl", "curl")),
    ):
        if agents and not _program(paths, program):
            yield _sentence(f"{program}, which the AWS resource agents call,", packages)
    for resource in spec.resource:
        if not _installed(paths, resource):
            yield (
                f"agent {resource.agent} of [[resource]] {resource.id} is not installed:"
                " install the package that brings it, or correct the spec"
            )


def _program(paths: Paths, name: str) -> bool:
    return any(paths.below(f"{folder}/{name}").exists() for folder in _SEARCH)


def _installed(paths: Paths, resource: Resource) -> bool:
    """Tell whether a resource's agent is there; names pcs must guess are left to pcs."""
    standard, _, rest = resource.agent.partition(":")
    if standard == "ocf" and ":" in rest:
        return paths.below(f"{_OCF}/{rest.replace(':', '/')}").is_file()
    if standard == "systemd":
        # `name@instance` is brought by the template `name@`
        template = rest.split("@", 1)[0] + "@" if "@" in rest else rest
        return any(paths.below(f"{folder}/{template}.service").exists() for folder in _UNITS)
    return True


def _sentence(what: str, packages: tuple[str, str]) -> str:
    debian, red_hat = packages
    return f"{what} is not installed: `apt install {debian}` or `dnf install {red_hat}`"
