"""`apply`: run exactly the commands of a plan that somebody has seen, or none of them."""

import shlex

from muster_helper import restart
from muster_helper.children import must
from muster_helper.compare import compare
from muster_helper.host import Host
from muster_helper.refusals import refuse
from musterd.errors import HelperError
from musterd.helper_wire import ApplyParams, Done
from musterd.model import PlannedCommand

_TIMEOUT = 300.0  # seconds each; a second at rest, a stop of the whole cluster takes longer


def apply(host: Host, params: ApplyParams) -> Done:
    """Compare anew; only the very same plan is carried out, and it must have done its work."""
    found = compare(host, params.compare)
    if found.digest != params.plan:
        refuse(
            "the world moved on: this is not the plan any more",
            f"the plan of now is {found.digest[:12]}, and {params.plan[:12]} was to be applied",
            "type `muster plan`, and apply what it shows",
        )
    if any(command.restart for command in found.commands) and not params.restart:
        refuse(
            "the plan needs a restart of the whole cluster",
            "; ".join(command.why for command in found.commands if command.restart),
            "type `muster apply --allow-restart` when every resource may be down for a minute",
        )
    while_running = [command for command in found.commands if not command.restart]
    for command in while_running:
        _run(host, command)
    while_stopped = found.commands[len(while_running) : -1]  # the last one starts it again
    if while_stopped:
        with restart.around(host) as deaf:
            for command in while_stopped:
                _run(deaf, command)
    if found.commands:
        _unless_done(host, params)
    return Done(tuple(shlex.join(("pcs", *command.argv)) for command in found.commands))


def _run(host: Host, command: PlannedCommand) -> None:
    host.say(shlex.join(("pcs", *command.argv)))
    must(
        host.run(["pcs", *command.argv], timeout=_TIMEOUT),
        f"`pcs {' '.join(command.argv[:4])}` failed",
        "type `muster plan` to see what is left of the plan",
    )
    host.reach("apply:middle")


def _unless_done(host: Host, params: ApplyParams) -> None:
    left = compare(host, params.compare).commands
    if left:
        raise HelperError(
            "the cluster did not take the whole plan",
            refused=False,
            why="; ".join(command.why for command in left),
            cure="type `muster plan` to see what is left of it",
        )
