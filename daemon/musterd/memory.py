"""The node's own memory: what it must not forget, and whether what is there is its own."""

from musterd.election.types import Durable
from musterd.errors import StoreError
from musterd.identity import captured
from musterd.knowledge import Knowledge
from musterd.ports import Record, Store


class Memory:
    """The record on disk, and why it cannot be used if it cannot.

    Attributes:
        broken: what is wrong with it: this node then takes part in nothing.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._written_by = ""
        self._real: tuple[str, dict[str, float]] = ("", {})  # as it was last read or written
        self.broken: StoreError | None = None

    def load(self) -> Record:
        """Return the record; a blank one when there is none, or none that can be used."""
        try:
            record = self._store.load() or Record(Durable())
        except StoreError as broken:
            self.broken = broken
            return Record(Durable())
        self._written_by = record.instance_id
        self._real = (record.real_for, record.real)
        return record

    def foreign(self, own_id: str) -> bool:
        """Tell whether another instance wrote it, which only a captured disk can have brought."""
        if self.broken is None:
            self.broken = captured(self._written_by, own_id)
            return self.broken is not None
        return False

    def save(self, k: Knowledge, durable: Durable, *, formed: bool) -> bool:
        """Make it durable; False, with `broken` set, where that failed."""
        record = Record(
            durable,
            formed=formed,
            proofs=dict(k.proofs),
            real=dict(k.real),
            real_for=k.real_for,
            instance_id=k.own_id,
        )
        try:
            self._store.save(record)
        except StoreError as broken:
            self.broken = broken
            return False
        self._real = (k.real_for, record.real)
        return True

    def lacks(self, k: Knowledge) -> bool:
        """Tell whether a real fence was proven that is not remembered yet."""
        return self._real != (k.real_for, k.real)
