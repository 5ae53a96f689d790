"""`configure`: push the built CIB into the running cluster, once and at once.

Only a cluster that nobody has configured gets it. One that holds what is wanted is left as it is,
and so is one that holds something else: drift is reported, never undone.
"""

from pathlib import Path
from xml.etree import ElementTree

from muster_helper import cib
from muster_helper.build import built
from muster_helper.children import must
from muster_helper.host import Host
from muster_helper.look import look
from muster_helper.refusals import refuse, unless_ours
from musterd.errors import HelperError
from musterd.helper_wire import ConfigureParams, Done

_CIB_TIMEOUT = 60.0  # seconds; 20 ms at rest, but the CIB waits for every member
_CURE = "type `pcs status` on this node; the step is tried again"


def configure(host: Host, params: ConfigureParams) -> Done:
    """Push what the spec wants; nothing happens when the cluster holds it."""
    found = look(host, params.identity)
    unless_ours(host, found, params.identity)
    if not found.running:
        refuse(
            "the cluster does not run on this node",
            "corosync or pacemaker is not active",
            "wait: musterd starts them first",
        )
    changed, file = built(host, params)
    wanted = cib.parse(file.read_text(encoding="utf-8"))
    live = cib.live(host)
    lacking = cib.lacking(wanted, live)
    if not lacking:
        return Done(changed)
    _unless_configured(live, lacking)
    host.say("the configuration is pushed into the cluster")
    host.reach("configure:middle-compared")
    _push(host, file)
    host.reach("configure:middle-pushed")
    lacking = cib.lacking(wanted, cib.live(host))
    if lacking:
        raise HelperError(
            "the cluster did not take the whole configuration",
            refused=False,
            why="; ".join(lacking[:5]),
            cure=_CURE,
        )
    return Done((*changed, "the cluster is configured as the spec says"))


def _unless_configured(live: ElementTree.Element, lacking: tuple[str, ...]) -> None:
    if not cib.unconfigured(live):
        refuse(
            "the cluster is configured, but not as the spec says",
            "; ".join(lacking[:5]),
            "change the cluster with pcs, or the spec, until `muster plan` shows no difference:"
            " muster never undoes what somebody configured",
        )


def _push(host: Host, file: Path) -> None:
    """Apply the difference between seed and built CIB as one patch.

    A patch leaves alone what Pacemaker itself has added since (nodes, its version, ...), and the
    cluster applies all of it or nothing.
    """
    with host.scratch() as folder:
        seed = folder / "seed.xml"
        seed.write_bytes(cib.seed(host))
        difference = host.run(
            ["crm_diff", "--no-version", "--original", str(seed), "--new", str(file)],
            timeout=_CIB_TIMEOUT,
        )
    # crm_diff(8) exits 1 when the files differ, like diff(1)
    if difference.code != 1 or not difference.out.strip():
        raise HelperError(
            "crm_diff did not print what the configuration adds",
            refused=False,
            why=difference.words(),
            cure=_CURE,
        )
    must(
        host.run(
            ["cibadmin", "--patch", "--sync-call", "--xml-pipe"],
            timeout=_CIB_TIMEOUT,
            stdin=difference.out.encode(),
        ),
        "the cluster did not take the configuration",
        _CURE,
    )
