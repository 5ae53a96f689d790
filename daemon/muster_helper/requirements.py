"""What a node must have installed, and which package brings it."""

from collections.abc import Iterator

from muster_helper import agents
from muster_helper.paths import Paths
from musterd import resources, storage
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
_UNITS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system")


def missing(paths: Paths, spec: Spec | None) -> tuple[str, ...]:
    """Return one sentence for each thing the node lacks.

    Args:
        paths: of the node.
        spec: the wanted cluster; None while it cannot be read, which others report.
    """
    return tuple(_missing(paths, spec))


def _missing(paths: Paths, spec: Spec | None) -> Iterator[str]:
    for program, packages in _PROGRAMS.items():
        if not _program(paths, program):
            yield _sentence(program, packages)
    if spec is None:
        return
    if not _program(paths, spec.fencing.agent):
        red_hat = spec.fencing.agent.replace("_", "-").replace("fence-", "fence-agents-", 1)
        yield _sentence(f"fence agent {spec.fencing.agent}", ("fence-agents", red_hat))
    needed = sorted(resources.agents(spec))
    if "awsvip" in needed:
        needed.append("IPaddr2")
    for agent in needed:
        if not agents.installed(paths, f"ocf:heartbeat:{agent}"):
            yield _sentence(f"resource agent {agent}", _AGENTS[agent])
    for program, packages in (
        ("aws", ("awscli", "awscli2")),
        ("curl", ("curl", "curl")),
    ):
        if needed and not _program(paths, program):
            yield _sentence(f"{program}, which the AWS resource agents call,", packages)
    for resource in spec.resource:
        yield from _agent_missing(paths, resource)
        yield from _kernel_missing(paths, resource)


def _program(paths: Paths, name: str) -> bool:
    return any(paths.below(f"{folder}/{name}").exists() for folder in _SEARCH)


def _agent_missing(paths: Paths, resource: Resource) -> Iterator[str]:
    """Say that a resource's agent is not there, or that its name means several."""
    who = f"agent {resource.agent} of [[resource]] {resource.id}"
    absent = f"{who} is not installed: install the package that brings it, or correct the spec"
    standard, colon, rest = resource.agent.partition(":")
    if standard == "systemd":
        # `name@instance` is brought by the template `name@`
        template = rest.split("@", 1)[0] + "@" if "@" in rest else rest
        if not any(paths.below(f"{folder}/{template}.service").exists() for folder in _UNITS):
            yield absent
    elif standard == "ocf" or not colon:
        found = agents.installed(paths, resource.agent)
        if not found:
            yield absent
        elif len(found) > 1:
            named = " or ".join(f"ocf:{provider}:{name}" for provider, name in found)
            yield f"{who} means several agents: write {named} in the spec"
    elif standard == "lsb" and not paths.below(f"/etc/init.d/{rest}").exists():
        yield absent
    elif standard == "stonith":
        yield f"{who} is no resource agent: name the stonith agent in [fencing] agent"


def _kernel_missing(paths: Paths, resource: Resource) -> Iterator[str]:
    """Say which part of the kernel, and which program, GFS2 and its locks lack here."""
    if resource.agent == storage.DLM:
        module, program, packages = "dlm", "dlm_controld", ("dlm-controld", "dlm")
    elif resource.agent == "ocf:heartbeat:lvmlockd":
        module, program, packages = "", "lvmlockd", ("lvm2-lockd", "lvm2-lockd")
    elif resource.mounts_gfs2:
        module, program, packages = "gfs2", "mkfs.gfs2", ("gfs2-utils", "gfs2-utils")
    else:
        return
    who = f"of [[resource]] {resource.id}"
    if not _program(paths, program):
        yield _sentence(f"{program}, which the agent {who} calls,", packages)
    if module and not _module(paths, module):
        yield (
            f"module {module} {who} is not in this kernel: run a kernel that has it"
            " (RHEL 10 has none), or take the resource out of the spec"
        )


def _module(paths: Paths, name: str) -> bool:
    """Tell whether this kernel has a module: loaded, built in, or to be loaded (depmod(8))."""
    if paths.below(f"/sys/module/{name}").exists():
        return True
    release = paths.below("/proc/sys/kernel/osrelease")
    modules = paths.below(f"/lib/modules/{release.read_text().strip() if release.exists() else ''}")
    lists = (modules / "modules.dep", modules / "modules.builtin")
    return any(f"/{name}.ko" in each.read_text() for each in lists if each.exists())


def _sentence(what: str, packages: tuple[str, str]) -> str:
    debian, red_hat = packages
    return f"{what} is not installed: `apt install {debian}` or `dnf install {red_hat}`"
