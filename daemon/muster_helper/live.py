"""The running cluster's configuration, changed while it runs."""

from collections.abc import Iterable, Mapping
from xml.etree import ElementTree

from muster_helper import agents, cib
from muster_helper.children import must
from muster_helper.host import Host
from musterd import fencing
from musterd.fencing import Setting
from musterd.model import Member
from musterd.pcs_words import fence_device
from musterd.spec import Spec

_PCS_TIMEOUT = 90.0  # seconds; a second at rest
_CURE = "type `pcs status` on this node; the step is tried again"
_MAP = "pcmk_host_map"
_MAPS = frozenset({_MAP, "pcmk_host_list"})  # EC2's agent takes the one, any other the second


def host_map(root: ElementTree.Element, device: str) -> dict[str, str]:
    """Return node name -> instance id, as the fencing device maps them."""
    return fencing.host_map(cib.device_option(root, device, _MAP) or "") or {}


def map_hosts(host: Host, spec: Spec, members: Iterable[Member], region: str) -> bool:
    """Have the fencing device know these members; tell whether it did not."""
    wanted = [s for s in _device(host, spec, tuple(members), region) if s.name in _MAPS]
    return _update_device(host, spec, {setting.name: setting.value for setting in wanted})


def follow_size(
    host: Host, spec: Spec, before: tuple[Member, ...], after: tuple[Member, ...], region: str
) -> tuple[str, ...]:
    """Change the options that follow from the number of members, and only those.

    What an administrator has set otherwise is not looked at, unless the rule itself changes.

    Returns:
        What was changed, in words with the reason.
    """
    changed = []
    device, why = _difference(
        _device(host, spec, before, region), _device(host, spec, after, region)
    )
    device = {name: value for name, value in device.items() if name not in _MAPS}
    if _update_device(host, spec, device):
        changed.append(f"fencing device: {_words(device)}{why}")
    for command, rules in (
        (("property", "set"), lambda n: fencing.cluster_options(spec, n)),
        (("resource", "defaults", "update"), fencing.resource_defaults),
    ):
        options, why = _difference(rules(len(before)), rules(len(after)))
        there = dict(cib.pairs_of(cib.live(host), command))
        wrong = {name: value for name, value in options.items() if there.get(name, "") != value}
        if wrong:
            _pcs(host, [*command, *_pairs(wrong)])
            changed.append(f"{' '.join(command[:-1])}: {_words(wrong)}{why}")
    return tuple(changed)


def _device(
    host: Host, spec: Spec, members: tuple[Member, ...], region: str
) -> tuple[Setting, ...]:
    parameters = agents.fence_agent(host, spec.fencing.agent).parameters
    return fencing.device_options(spec, members, region, parameters)


def _difference(before: Iterable[Setting], after: Iterable[Setting]) -> tuple[dict[str, str], str]:
    """Return the settings that change, an empty value for those that end, and the reasons."""
    old = {setting.name: setting.value for setting in before}
    new = {setting.name: setting.value for setting in after}
    changed = {name: new.get(name, "") for name in {*old, *new} if old.get(name) != new.get(name)}
    reasons = sorted({s.why for s in after if s.name in changed})
    return dict(sorted(changed.items())), f" ({'; '.join(reasons)})" if reasons else ""


def _update_device(host: Host, spec: Spec, options: Mapping[str, str]) -> bool:
    device, running = fence_device(spec), cib.live(host)
    wrong = {
        name: value
        for name, value in options.items()
        if (cib.device_option(running, device, name) or "") != value
    }
    if not wrong:
        return False
    host.say(f"{device}: {_words(wrong)}")
    _pcs(host, ["stonith", "update", device, *_pairs(wrong)])
    return True


def _pcs(host: Host, words: list[str]) -> None:
    must(
        host.run(["pcs", *words], timeout=_PCS_TIMEOUT),
        f"pcs did not accept `{' '.join(words[:3])}`",
        _CURE,
    )


def _pairs(options: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(f"{name}={value}" for name, value in options.items())


def _words(options: Mapping[str, str]) -> str:
    return ", ".join(f"{n} is {v}" if v else f"{n} ends" for n, v in options.items())
