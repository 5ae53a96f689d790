"""Day two's changes: from what the spec wants and what the cluster holds to commands and drift.

Both sides are read off configurations of the same making (pcs wrote them), as values at places. A
difference is a change to be made only where the spec itself has changed since it was applied last;
every other difference somebody made by hand, and it is told, never undone. Nothing here deletes,
stops or moves anything: where only that would help, the difference says what to type.
"""

import hashlib
import json
import shlex
from collections.abc import Collection, Iterator, Mapping
from itertools import groupby

from musterd.model import Comparison, Difference, PcsCommand, Place, PlannedCommand

# What Pacemaker writes itself (pacemaker-controld(7)), and what pcs leaves behind.
_OF_PACEMAKER = frozenset(
    {"cluster-infrastructure", "cluster-name", "dc-version", "have-watchdog", "last-lrm-refresh"}
)
_MAPS = frozenset({"pcmk_host_map", "pcmk_host_list"})
_AGENT, _GROUP, _OPTION, _META = "agent", "group", "option", "meta"
_CLONE = "clone"  # for an agent; a group has none
STOP_ALL = ("cluster", "stop", "--all")
START_ALL = ("cluster", "start", "--all", "--wait=180")  # seconds until all must have started
_RESTART = "corosync takes it only while the whole cluster is stopped"


def plan(
    wanted: Mapping[Place, str],
    live: Mapping[Place, str],
    creating: Collection[PcsCommand],
    changed: Collection[str],
    floating: Collection[str],
) -> Comparison:
    """Return what differs, and the commands for what of it the spec's own changes explain.

    Args:
        wanted: what the spec asks for.
        live: what the running cluster holds.
        creating: the commands that make each wanted resource.
        changed: the dotted keys of the spec that changed since it was applied last.
        floating: the ids of the resources that belong to `[[address]]`.
    """
    made = _made_of_others({**live, **wanted})
    sections = _Sections(frozenset(changed), frozenset(floating), made)
    differences: list[Difference] = []
    commands: list[PlannedCommand] = []
    for owner in sorted({(place.kind, place.owner) for place in {*wanted, *live}}):
        ours = {p: v for p, v in wanted.items() if (p.kind, p.owner) == owner}
        theirs = {p: v for p, v in live.items() if (p.kind, p.owner) == owner}
        found = tuple(_compared(ours, theirs, sections, creating))
        differences += found
        commands += _commands(owner, ours, [each for each in found if not each.drift], creating)
    ordered = tuple(sorted(commands, key=_turn))
    places = [each.place for each in differences if each.place is not None]
    unfollowed = (
        key
        for key in sorted(set(changed))
        if any(map(_Sections(frozenset({key}), frozenset(floating), made).explain, places))
    )
    return Comparison(_digest(ordered), ordered, tuple(differences), tuple(unfollowed))


def normal(place: Place, value: str) -> str:
    """Return a value without what means nothing: the order of a map's pairs."""
    if place.name in _MAPS:
        return ";".join(sorted(value.replace(";", " ").split()))
    return value


class _Sections:
    """Which parts of the spec have changed."""

    def __init__(
        self, changed: frozenset[str], floating: frozenset[str], made_of_others: frozenset[str]
    ) -> None:
        self._changed = changed
        self._floating = floating
        self._made_of_others = made_of_others

    def explain(self, place: Place) -> bool:
        """Tell whether a difference at that place can come from the spec's change."""
        match place.kind:
            case "corosync":
                return "corosync.token_ms" in self._changed
            case "resource":
                if place.owner in self._made_of_others and "group" in self._changed:
                    return True
                section = "address" if place.owner in self._floating else "resource"
                return section in self._changed
            case "constraint":
                return False
            case _:
                keys = {"fencing.agent", f"fencing.options.{place.name}"}
                return bool(keys & self._changed)


def _compared(
    ours: Mapping[Place, str],
    theirs: Mapping[Place, str],
    sections: _Sections,
    creating: Collection[PcsCommand],
) -> Iterator[Difference]:
    agents = [place for place in {*ours, *theirs} if place.part == _AGENT]
    if agents and not theirs:
        place = agents[0]
        drift = not sections.explain(place)
        yield _difference(place, "", ours[place], drift=drift, cure=_remade(place, creating))
        return
    if agents and not ours:
        place = agents[0]
        what = f"{place.kind} {place.owner}"
        cure = f"`pcs {place.kind} delete {place.owner}` removes it"
        if place.kind == "resource":
            cure += "; write it into the spec of every node to keep it"
        yield Difference(what, theirs[place], "", drift=True, cure=cure)
        return
    for place in sorted({*ours, *theirs}):
        was, wish = theirs.get(place, ""), ours.get(place, "")
        if normal(place, was) == normal(place, wish):
            continue
        if not wish and place.kind == "property" and place.name in _OF_PACEMAKER:
            continue
        if place.part in {_AGENT, _GROUP}:
            makes = "`muster apply`" if sections.explain(place) else _made(place, creating)
            cure = f"`pcs {place.kind} delete {place.owner}`, then {makes} makes it anew"
            yield _difference(place, was, wish, drift=True, cure=cure)
        else:
            drift = not sections.explain(place)
            yield _difference(place, was, wish, drift=drift, cure=_cure(place, was, wish))


def _made(place: Place, creating: Collection[PcsCommand]) -> str:
    """Return the command that makes a resource or device whole, in backticks."""
    made = (each.argv for each in creating if "create" in each.argv[:2])
    found = next((argv for argv in made if place.owner in argv[2:3]), ())
    return f"`{shlex.join(('pcs', *found))}`" if found else "`muster apply`"


def _remade(place: Place, creating: Collection[PcsCommand]) -> str:
    return f"{_made(place, creating)} makes it again; or take it out of the spec of every node"


def _difference(place: Place, was: str, wish: str, *, drift: bool, cure: str) -> Difference:
    what = " ".join(word for word in (place.kind, place.owner, place.part, place.name) if word)
    if not drift:
        return Difference(what, was, wish, drift=False, cure="", place=place)
    return Difference(what, was, wish, drift=True, cure=cure, place=place)


def _cure(place: Place, was: str, wish: str) -> str:
    """Say what to type, one way or the other, about what somebody changed by hand."""
    keep = "write it into the spec of every node to keep it"
    if not was:
        keep = "take it out of the spec of every node to do without"
    words = _words(place, wish)
    return f"{keep}, or type `{shlex.join(('pcs', *words))}`"


def _words(place: Place, value: str) -> tuple[str, ...]:
    """Return the pcs command that sets one value."""
    pair = f"{place.name}={value}"
    match place.kind:
        case "property":
            return ("property", "set", pair)
        case "default":
            return ("resource", "defaults", "update", pair)
        case "corosync":
            return ("cluster", "config", "update", place.part, pair)
        case _:
            part = () if place.part == _OPTION else tuple(place.part.split())
            return (place.kind, "update", place.owner, *part, pair)


def _commands(
    owner: tuple[str, str],
    ours: Mapping[Place, str],
    differences: list[Difference],
    creating: Collection[PcsCommand],
) -> Iterator[PlannedCommand]:
    places = [each.place for each in differences if each.place is not None]
    if not places:
        return
    kind, name = owner
    why = "; ".join(f"{each.what} {_told(each)}" for each in differences)
    if places[0].part == _AGENT:
        for command in creating:
            made = f"{command.argv[2]}-clone" if command.argv[1] == "clone" else command.argv[2]
            if command.argv[1] in {"create", "clone"} and made == name:
                yield PlannedCommand(command.argv, command.why)
        return
    if kind == "corosync":
        pairs = tuple(f"{place.name}={ours[place]}" for place in places)
        update = ("cluster", "config", "update", places[0].part, *pairs)
        for argv in (STOP_ALL, update, START_ALL):
            yield PlannedCommand(argv, f"{why}; {_RESTART}", restart=True)
        return
    if kind in {"property", "default"}:
        start = ("property", "set") if kind == "property" else ("resource", "defaults", "update")
        yield PlannedCommand((*start, *_pairs(places, ours)), why)
        return
    if kind == "resource" and name in _made_of_others(ours):
        yield PlannedCommand((kind, _META, name, *_pairs(places, ours)), why)
        return
    words: list[str] = []
    for part, group in groupby(sorted(places, key=_options_first), key=lambda place: place.part):
        if part == _OPTION:
            words += _pairs(group, ours)
        else:
            # pcs writes an operation anew with what it is given, so it is given all of it.
            whole = [place for place in ours if place.part == part and part != _META]
            words += [*part.split(), *_pairs(whole or group, ours)]
    yield PlannedCommand((kind, "update", name, *words), why)


def _made_of_others(known: Mapping[Place, str]) -> frozenset[str]:
    """Return the ids of groups and clones."""
    of_resources = {place.owner for place in known if place.kind == "resource"}
    single = {p.owner for p, value in known.items() if p.part == _AGENT and value != _CLONE}
    return frozenset(of_resources - single)


def _turn(command: PlannedCommand) -> tuple[bool, int]:
    """Order commands: what is made of resources after them, what needs a restart last."""
    made_of_others = ("clone", _META)
    rank = made_of_others.index(command.argv[1]) + 1 if command.argv[1] in made_of_others else 0
    return command.restart, rank


def _options_first(place: Place) -> tuple[bool, Place]:
    return place.part != _OPTION, place


def _pairs(places: Collection[Place] | Iterator[Place], ours: Mapping[Place, str]) -> list[str]:
    """Return `name=value` words; an empty value takes the option away."""
    return [f"{place.name}={ours.get(place, '')}" for place in sorted(places)]


def _told(each: Difference) -> str:
    if not each.live:
        return f"becomes {each.wanted}"
    return f"is {each.live}, becomes {each.wanted}" if each.wanted else f"is {each.live}, ends"


def _digest(commands: Collection[PlannedCommand]) -> str:
    text = json.dumps([command.argv for command in commands])
    return hashlib.sha256(text.encode()).hexdigest()
