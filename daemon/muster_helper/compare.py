"""`compare`: what of the running cluster is not as the root-owned spec says. It only looks."""

from muster_helper import change, cib, configuration
from muster_helper.build import built, planned
from muster_helper.host import Host
from musterd import changes, resources
from musterd.helper_wire import CompareParams
from musterd.model import Comparison, Place
from musterd.spec import Spec


def compare(host: Host, params: CompareParams) -> Comparison:
    """Build what the spec wants offline, and hold the cluster against it."""
    inputs = params.configure
    spec = change.acting(host, inputs.identity, inputs.tags, inputs.spec_digest)
    _, file = built(host, inputs)
    host.reach("compare:middle")
    wanted = configuration.values(cib.parse(file.read_text(encoding="utf-8")))
    wanted[Place("corosync", "", "totem", "token")] = str(spec.corosync.token_ms)
    live = configuration.values(cib.live(host)) | configuration.timing(change.conf(host))
    return changes.plan(wanted, live, planned(host, inputs, spec), params.changed, _floating(spec))


def _floating(spec: Spec) -> frozenset[str]:
    """Return the ids of the resources that belong to floating addresses."""
    others = {resource.id for resource in spec.resource}
    return frozenset(resources.wanted_ids(spec)[1:]) - others
