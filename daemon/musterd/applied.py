"""Which spec the cluster follows, and when a member of it reads its own spec again.

Between an edit of the spec and `muster apply` the two differ, and after a change by hand as well.
What was applied tells them apart (ADR 17): per dotted key a short hash, in every member's record.
Each time it changes it is counted, so that it outlives whoever applied it: all believe the highest
count, and of one count the conductor.
"""

from collections.abc import Collection, Mapping

from musterd import day_two
from musterd.knowledge import Knowledge
from musterd.model import Phase
from musterd.peer_wire import Hello
from musterd.settings import Settings

_DEVICE = ("fencing.agent", "fencing.options")


def follow(k: Knowledge) -> None:
    """Know which spec the cluster follows, and have the own one read when it may be old."""
    if not k.formed or k.settings is None:
        return
    acts = day_two.conducts(k)
    if acts and not k.conducted:
        k.spec_stale = True  # what it read when it was nobody decides from now on
    k.conducted = acts
    said = _last_word(k)
    if said is not None and (
        said.applied_count > k.applied_count
        or (said.conductor and not acts and said.applied_count == k.applied_count)
    ):
        k.applied_count = said.applied_count
        told = said.applied or said.spec_keys
        if told != k.applied:
            _take(k, told)
            k.spec_stale = told != k.settings.keys  # it may stand on disk already
    if not k.applied:
        _take(k, k.settings.keys)


def saw(k: Knowledge, settings: Settings, unfollowed: Collection[str]) -> None:
    """Take in, as the conductor, that the cluster follows a spec but for some changed keys."""
    if not day_two.conducts(k):
        return
    now = {key: said for key, said in settings.keys.items() if key not in unfollowed}
    now |= {key: k.applied[key] for key in unfollowed if key in k.applied}
    if now != k.applied:
        _take(k, now)
        k.applied_count += 1


def outdated(k: Knowledge, now: float) -> bool:
    """Tell whether the conductor's spec may be an old one: who asks to join has another.

    An administrator who lets the cluster grow has written the new spec on every node, and has
    nothing to apply.
    """
    if not k.formed or k.settings is None or not day_two.conducts(k):
        return False
    asking = (k.recent(peer, now) for peer in day_two.callers(k))
    return any(
        hello.phase is Phase.JOINING and hello.spec_digest != k.settings.digest
        for hello in asking
        if hello is not None
    )


def _take(k: Knowledge, keys: Mapping[str, str]) -> None:
    """Know it; of another fencing device, or other options of it, nothing is proven yet."""
    changed = {key for key, _ in k.applied.items() ^ keys.items()}
    if k.applied and any(key.startswith(_DEVICE) for key in changed):
        k.proofs = {}
    k.applied = dict(keys)


def _last_word(k: Knowledge) -> Hello | None:
    """Return what was said by whoever knows best what is applied, None when nobody has."""
    uuid = k.decree.uuid if k.decree is not None else ""
    said = [heard for heard in day_two.formed_peers(k) if uuid and heard.hello.uuid == uuid]
    if not said:
        return None
    return max(said, key=lambda h: (h.hello.applied_count, h.hello.conductor, h.at)).hello
