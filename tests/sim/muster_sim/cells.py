"""One node of an exploration: its state and the messages on their way to it, as one number.

The machine is pure, so what can happen to a node depends on its cell alone; every answer is
computed once. That makes the search of all nodes together an affair of small integers.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from muster_sim.wording import told
from musterd.election import invariants, machine
from musterd.election.types import (
    Accepted,
    Decided,
    Durable,
    Event,
    Lead,
    Message,
    PeerSaid,
    PeersSeen,
    Propose,
    ProposeReply,
    Role,
    Send,
    State,
    Tick,
    View,
    VoteReply,
    VoteRequest,
)

GONE = -1  # in place of a node's cell: EC2 has terminated it

Recall = Callable[[Durable], Durable]  # what of the durable part a crash leaves


Sent = tuple[tuple[int, int], ...]  # (place, messages for it as bits)


def persisted(durable: Durable) -> Durable:
    """Return everything: what the engine promises of `Persist`."""
    return durable


@dataclass(frozen=True)
class Move:
    """One thing that can happen to a node: its cell afterwards, and messages for other places."""

    what: int | str  # the message that is heard, or words
    cell: int
    sent: Sent


class Cells:
    """All cells met so far, numbered, with what can happen to each."""

    def __init__(
        self, ids: tuple[str, ...], recall: Recall = persisted, *, thrifty: bool = False
    ) -> None:
        self._thrifty = thrifty
        self._dead: dict[int, tuple[int, int]] = {}
        self._ids = ids
        self._place = {own: place for place, own in enumerate(ids)}
        self._recall = recall
        self.states: list[State] = []
        self._state_numbers: dict[State, int] = {}
        self.messages: list[tuple[str, str, Message]] = []  # sender, receiver, what
        self._bits: dict[tuple[str, str, Message], int] = {}
        self._cells: list[tuple[int, int]] = []  # state number, messages on their way as bits
        self._cell_numbers: dict[tuple[int, int], int] = {}
        self._heard: dict[tuple[int, int], tuple[int, Sent]] = {}
        self._moves: dict[int, tuple[Move, ...]] = {}
        self._ticked: dict[int, tuple[Move, ...]] = {}
        self._shown: dict[tuple[int, str], tuple[Move, ...]] = {}
        self._added: dict[tuple[int, int], int] = {}

    def first(self) -> tuple[int, ...]:
        """Return the cells of nodes that have never run."""
        return tuple(self._cell(self._number(machine.start(i, Durable())), 0) for i in self._ids)

    def state(self, cell: int) -> State:
        """Return the node's state."""
        return self.states[self._cells[cell][0]]

    def number(self, cell: int) -> int:
        """Return the number of the node's state alone."""
        return self._cells[cell][0] if cell != GONE else GONE

    def moves(self, cell: int) -> tuple[Move, ...]:
        """Return the distinct outcomes of delivering each message on its way."""
        if cell not in self._moves:
            number, waiting = self._cells[cell]
            found: dict[tuple[int, Sent], Move] = {}
            for bit in bits_of(waiting):
                after, sent = self._hears(number, bit)
                if after != number or sent:
                    now = self._cell(after, waiting)
                    found.setdefault((now, sent), Move(bit, now, sent))
            self._moves[cell] = tuple(found.values())
        return self._moves[cell]

    def told(self, move: Move) -> str:
        """Return in words what the move is."""
        if isinstance(move.what, str):
            return move.what
        sender, to, message = self.messages[move.what]
        return f"{to} hears {sender}: {told(message)}"

    def ticked(self, cell: int) -> tuple[Move, ...]:
        """Return what the end of the node's patience (or a leader's pause) does."""
        if cell not in self._ticked:
            state = self.state(cell)
            what = "repeats itself" if machine.leads(state) else "stands"
            self._ticked[cell] = self._own_move(cell, Tick(0.0, 0.0), what)
        return self._ticked[cell]

    def shown(self, cell: int, seen: View, uuid: str) -> tuple[Move, ...]:
        """Return what a new view does; `uuid` is the one it would found under."""
        key = (cell, uuid)
        if key not in self._shown:
            event = PeersSeen(seen, 0.0, uuid, "")
            self._shown[key] = self._own_move(cell, event, f"sees {''.join(seen.roster)}")
        return self._shown[key]

    def restarted(self, cell: int) -> int:
        """Return the cell after a crash: what was not durable is gone."""
        number, waiting = self._cells[cell]
        before = self.states[number]
        kept = machine.start(before.own_id, self._recall(before.durable))
        return self._cell(self._number(kept), waiting)

    def added(self, cell: int, mask: int) -> int:
        """Return the cell with further messages on their way to it."""
        if cell == GONE:
            return GONE
        key = (cell, mask)
        if key not in self._added:
            number, waiting = self._cells[cell]
            self._added[key] = self._cell(number, waiting | mask)
        return self._added[key]

    # --- one step -----------------------------------------------------------------------------

    def _own_move(self, cell: int, event: Event, what: str) -> tuple[Move, ...]:
        """Return the move, or nothing where the node does nothing."""
        number, waiting = self._cells[cell]
        after, sent = self._step(number, event)
        if after == number and not sent:
            return ()
        return (Move(f"{self.states[number].own_id} {what}", self._cell(after, waiting), sent),)

    def _hears(self, number: int, bit: int) -> tuple[int, Sent]:
        if (number, bit) not in self._heard:
            sender, _, message = self.messages[bit]
            self._heard[number, bit] = self._step(number, PeerSaid(sender, message, 0.0))
        return self._heard[number, bit]

    def _step(self, number: int, event: Event) -> tuple[int, Sent]:
        """Step the machine and check the invariants; what time says is made to have come."""
        before = self.states[number]
        due = replace(before, deadline=0.0) if isinstance(event, Tick) else before
        after, effects = machine.step(due, event)
        try:
            invariants.check(before, after)
        except invariants.InvariantError as broken:
            raise invariants.InvariantError(f"{broken} ({before.own_id}: {event})") from None
        sent: dict[int, int] = {}
        for effect in effects:
            if isinstance(effect, Send) and effect.to in self._place:
                place = self._place[effect.to]
                bit = self._bit(before.own_id, effect.to, effect.message)
                sent[place] = sent.get(place, 0) | 1 << bit
        return self._number(after), tuple(sorted(sent.items()))

    # --- numbering ----------------------------------------------------------------------------

    def _number(self, state: State) -> int:
        """Number a state; what only timing depends on is left out."""
        votes = tuple(sorted(state.votes, key=lambda vote: vote[0]))
        plain = replace(state, deadline=None, heartbeat=0.0, leader="", votes=votes)
        if plain not in self._state_numbers:
            self._state_numbers[plain] = len(self.states)
            self.states.append(plain)
        return self._state_numbers[plain]

    def _bit(self, sender: str, to: str, message: Message) -> int:
        if isinstance(message, VoteReply):
            message = replace(message, reason="")
        key = (sender, to, message)
        if key not in self._bits:
            self._bits[key] = len(self.messages)
            self.messages.append(key)
        return self._bits[key]

    def _cell(self, number: int, waiting: int) -> int:
        """Number a cell, without the messages that the node will ignore for good."""
        key = (number, waiting & ~self._dead_for(number))
        found = self._cell_numbers.get(key)
        if found is None:
            found = self._cell_numbers[key] = len(self._cells)
            self._cells.append(key)
        return found

    def _dead_for(self, number: int) -> int:
        """Return the messages that mean nothing to the state any more, as bits."""
        mask, judged = self._dead.get(number, (0, 0))
        if judged < len(self.messages):
            state = self.states[number]
            for bit in range(judged, len(self.messages)):
                sender, to, message = self.messages[bit]
                if to == state.own_id and self._forgets(state, sender, message):
                    mask |= 1 << bit
            self._dead[number] = (mask, len(self.messages))
        return mask

    def _forgets(self, state: State, sender: str, message: Message) -> bool:
        return is_dead(state, message) or (self._thrifty and is_stale(state, sender, message))


def is_dead(state: State, message: Message) -> bool:
    """Tell whether the node ignores the message now and for ever (terms never fall)."""
    term = state.durable.term
    match message:
        case VoteReply(term=said) if said <= term:
            return (
                said < term or state.role is Role.FOLLOWER or not (message.granted or message.spent)
            )
        case ProposeReply(term=said) if said <= term:
            return said < term or not machine.leads(state)
        case Lead(term=said):
            return said < term
        case Decided(term=said):
            return said < term and state.durable.decided is not None
    return False


def is_stale(state: State, sender: str, message: Message) -> bool:
    """Tell whether the message can only bring about that its sender hears of a later term.

    Thrifty explorations lose these: a loss like any other, but one they insist on.
    """
    durable = state.durable
    match message:
        case VoteRequest(term=said) if said == durable.term:
            return durable.voted_for not in {"", sender}
        case Propose(term=said) if said == durable.term:
            return durable.accepted == Accepted(said, message.decree) and sender != state.own_id
        case VoteRequest(term=said) | Propose(term=said):
            return said < durable.term
        case VoteReply(granted=False) | Lead():
            return True
        case ProposeReply(accepted=False, held=None):
            return True
    return False


def bits_of(mask: int) -> Iterator[int]:
    """Yield the positions of the set bits."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
