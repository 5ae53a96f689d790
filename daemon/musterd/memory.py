"""What a node must never forget: its votes, whose member it is, where it stands to that cluster.

A part of the engine: each change is made durable first, and only then knowledge follows it.
"""

from dataclasses import replace

from musterd import day_two
from musterd.election import machine
from musterd.election.types import Durable
from musterd.errors import StoreError
from musterd.identity import captured
from musterd.knowledge import Knowledge
from musterd.ports import Record, Store


class Memory:
    """The store, and whether it can still be relied on.

    Attributes:
        broken: why this node must not take part in anything, None while it may.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._written_by = ""
        # As it was last read or written: real fences, and what of the spec is applied.
        self._noted: tuple[str, dict[str, float], dict[str, str], int] = ("", {}, {}, 0)
        self.broken: StoreError | None = None

    def recall(self, *, since: float, started: float) -> Knowledge:
        """Return what the record tells, at the daemon's start (wall and monotonic seconds)."""
        record = Record(Durable())
        try:
            record = self._store.load() or record
        except StoreError as broken:
            self.broken = broken
        self._written_by = record.instance_id
        self._noted = _notes(record)
        return Knowledge(
            election=machine.start("", record.durable),
            proofs=dict(record.proofs),
            real=dict(record.real),
            real_for=record.real_for,
            applied=dict(record.applied),
            applied_count=record.applied_count,
            formed=record.formed,
            joining=record.joining,
            left=record.left,
            since=since,
            started=started,
        )

    def recognise(self, k: Knowledge) -> bool:
        """Forget another instance's memory, which only a captured disk can have brought here.

        Returns:
            Whether it was found to be another's just now.
        """
        if self.broken is not None or k.node is None:
            return False
        self.broken = captured(self._written_by, k.own_id)
        if self.broken is None:
            return False
        k.formed, k.left, k.joining, k.applied, k.applied_count = False, False, None, {}, 0
        k.proofs, k.real = {}, {}
        k.election = machine.start("", Durable())
        return True

    def vote(self, k: Knowledge, durable: Durable) -> bool:
        """Make the election's part durable. False: nothing that follows from it may be sent."""
        return self._save(k, replace(_record(k), durable=durable))

    def form(self, k: Knowledge) -> bool:
        """Remember for good that the cluster is formed; what only founding needed is erased."""
        if k.decree is None:
            return False
        before = k.election.durable
        kept = Durable(before.term, before.voted_for, None, replace(k.decree, seed=""))
        if not self._save(k, replace(_record(k), durable=kept, formed=True, joining=None)):
            return False
        k.formed, k.joining = True, None
        k.election = machine.start(k.own_id, kept)
        return True

    def follow(self, k: Knowledge, now: float) -> str:
        """Follow the running cluster: whom it lists, and whether this node belongs to it.

        Returns:
            What changed, as a sentence; "" when nothing did.
        """
        laid = k.joining is not None and k.facts is not None and k.facts.laid
        k.laid_since = (k.laid_since or now) if laid else None
        named = day_two.named(k)
        if named != k.named and named == (k.joining is not None):
            k.facts_stale = True  # the members have admitted this node, or taken it out
        k.named = named
        odd = day_two.outdated(k) or day_two.blank(k)
        k.odd_since = (k.odd_since or now) if odd else None
        stands = day_two.follow(k)
        if not stands.told:
            return ""
        durable = replace(k.election.durable, decided=stands.decree)
        record = replace(_record(k), durable=durable, joining=stands.joining, left=stands.left)
        if not self._save(k, record):
            return ""
        k.joining, k.left = stands.joining, stands.left
        k.election = replace(k.election, durable=durable)
        if stands.decree is not None:
            roster = stands.decree.roster
            k.facts_stale = True  # what was found so far was compared with other members
            k.leaving = tuple(m for m in k.leaving if m in roster)
            k.proofs = {m: proof for m, proof in k.proofs.items() if m in roster}
        return stands.told

    def note(self, k: Knowledge) -> None:
        """Make durable what was proven by real fences and what of the spec is applied."""
        record = _record(k)
        if self._noted != _notes(record):
            self._save(k, record)

    def leave_behind(self, k: Knowledge) -> None:
        """Forget, because a person said so, the cluster that took this node out."""
        durable = replace(k.election.durable, decided=None)
        if self._save(k, replace(_record(k), durable=durable, formed=False, left=False)):
            k.election = machine.start(k.own_id, durable)
            k.left = k.formed = False
            k.leaving = ()  # or the next conductor would take it out again

    def _save(self, k: Knowledge, record: Record) -> bool:
        try:
            self._store.save(replace(record, instance_id=k.own_id))
        except StoreError as broken:
            self.broken = broken
            return False
        self._noted = _notes(record)
        return True


def _notes(record: Record) -> tuple[str, dict[str, float], dict[str, str], int]:
    """Return what `note` makes durable by itself."""
    return record.real_for, record.real, record.applied, record.applied_count


def _record(k: Knowledge) -> Record:
    return Record(
        k.election.durable,
        formed=k.formed,
        proofs=dict(k.proofs),
        real=dict(k.real),
        real_for=k.real_for,
        applied=dict(k.applied),
        applied_count=k.applied_count,
        joining=k.joining,
        left=k.left,
    )
