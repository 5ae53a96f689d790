"""All transitions of the election: `step(state, event) -> (state, effects)`.

The theory, in the words of Paxos and raft:

* A leader needs the votes of a **majority** of the roster; a decree is **decided** when **every**
  member of its roster has accepted it (Flexible Paxos: any two such quorums meet, because the
  second is everybody). One vote a term, durable before it is sent.
* A vote reports what the voter has accepted. A leader adopts the reported decree of the highest
  term; only where nobody reports one it may propose a fresh uuid. So once a decree is decided,
  every later majority hears of it, and every later leader proposes the same uuid.
* A vote is for a roster: it is given only by a node that sees the same roster itself. Two nodes
  that read EC2 at different moments cannot lead each other.
* The roster may change (a founder was terminated and replaced) before anything is decided. Then
  majorities of the old and of the new roster need not meet, and two more rules close the gap:
  a leader to whom a decree unlike its own wish is reported **hears everybody who could know it
  decided** (its own roster, and every member of the reported roster that EC2 does not call
  terminated) before it proposes; and a node that holds a decree of another roster refuses a
  different uuid from a leader that has not. Such a leader carries the old uuid on to the new
  roster, since it cannot know that nobody acted on it.
* To be heard is to vote, and a node whose vote of this term is spent cannot be heard in it: a
  leader that needs it stands again in a later term.
* A decision is told to everybody as `Decided` and remembered durably. From then on the electorate
  is the decree's roster, whatever EC2 says; its leader is the conductor.

Time comes in with events, chance as their jitter; nothing here reads a clock or draws a number.
"""

from dataclasses import replace

from musterd.election.types import (
    Accepted,
    Decided,
    Deposed,
    Durable,
    Effect,
    Elected,
    Event,
    Founded,
    Lead,
    Message,
    PeerSaid,
    PeersSeen,
    Persist,
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
from musterd.model import Decree

HEARTBEAT = 1.0  # seconds between a leader's repetitions
PATIENCE = 4.0  # seconds without a leader's word before others stand
RANK_DELAY = 1.0  # seconds a founder lets each earlier one go first
FIRST_DELAY = 0.1  # seconds the first of the roster waits

Result = tuple[State, list[Effect]]


def start(own_id: str, durable: Durable) -> State:
    """Return the state of a node that has just started with what it remembers."""
    return State(own_id=own_id, durable=durable)


def electorate(state: State) -> tuple[str, ...]:
    """Return whose votes count: the decided roster, else the roster this node sees."""
    if state.durable.decided is not None:
        return state.durable.decided.roster
    return state.view.roster if state.view is not None else ()


def leads(state: State) -> bool:
    """Tell whether this node leads its present term."""
    return state.role is Role.LEADER


def usurps(state: State, sender: str, message: Message) -> bool:
    """Tell whether a member claims to lead a term of which this node knows another leader.

    Votes make that impossible among members that keep to these rules. Whoever does it all the
    same is broken or in other hands, and its word must change nothing.
    """
    claims = isinstance(message, Lead | Propose | Decided) and message.term == state.durable.term
    return claims and state.leader not in {"", sender}


def unheard(state: State) -> tuple[str, ...]:
    """Return whom a leader has yet to hear before it may propose; empty for anybody else."""
    waits = leads(state) and state.read_all and state.proposal is None
    if not waits or state.durable.decided is not None:
        return ()
    heard = {voter for voter, _ in state.votes}
    return tuple(peer for peer in _to_hear(state) if peer not in heard)


def matters(before: State, after: State) -> bool:
    """Tell whether a message made a difference to anybody but the machine itself.

    A leader that is heard again only puts a deadline off.
    """
    same = (before.durable, before.role, before.leader) == (after.durable, after.role, after.leader)
    return not same or after.deadline is None or unheard(before) != unheard(after)


def next_tick(state: State) -> float | None:
    """Return when (monotonic seconds) time alone makes this node act, None for never.

    A node that has no deadline yet is given one by the next tick, whenever that comes.
    """
    if state.own_id not in electorate(state):
        return None
    return state.heartbeat if leads(state) else state.deadline


def step(state: State, event: Event) -> tuple[State, tuple[Effect, ...]]:
    """Take one event; return the new state and what to do, in order (persist before send)."""
    match event:
        case Tick():
            new, effects = _tick(state, event)
        case PeersSeen():
            new, effects = _peers_seen(state, event)
        case PeerSaid():
            new, effects = _peer_said(state, event)
    if leads(new) and not leads(state):
        effects = [Elected(new.durable.term), *effects]
    if leads(state) and (not leads(new) or new.durable.term != state.durable.term):
        effects = [Deposed(state.durable.term), *effects]
    if new.durable.decided is not None and state.durable.decided is None:
        effects = [*effects, Founded(new.durable.decided, new.durable.term)]
    if new.durable != state.durable:
        effects = [Persist(new.durable), *effects]
    return new, tuple(effects)


# --- time -------------------------------------------------------------------------------------


def _tick(state: State, tick: Tick) -> Result:
    voters = electorate(state)
    if state.own_id not in voters:
        return state, []
    if leads(state):
        if tick.now < state.heartbeat:
            return state, []
        return replace(state, heartbeat=tick.now + HEARTBEAT), _repeat(state)
    if state.deadline is None:
        rank = voters.index(state.own_id)
        waits = PATIENCE if state.leader else FIRST_DELAY + RANK_DELAY * (rank + tick.jitter * 0.5)
        return replace(state, deadline=tick.now + waits), []
    if tick.now < state.deadline:
        return state, []
    return _stand(state, tick)


def _stand(state: State, tick: Tick) -> Result:
    """Become a candidate of the next term; alone in the electorate is impossible (size >= 2)."""
    term = state.durable.term + 1
    standing = replace(
        state,
        durable=replace(state.durable, term=term, voted_for=state.own_id),
        role=Role.CANDIDATE,
        leader="",
        votes=((state.own_id, _reported(state)),),
        read_all=False,
        proposal=None,
        acks=frozenset(),
        deadline=tick.now + PATIENCE * (0.5 + tick.jitter),
    )
    return standing, _ask_for_votes(standing)


def _ask_for_votes(state: State) -> list[Effect]:
    request = VoteRequest(state.durable.term, electorate(state), _digest(state))
    voted = {voter for voter, _ in state.votes}
    asked = [peer for peer in _to_hear(state) if peer not in voted]
    requests: list[Effect] = [Send(peer, request) for peer in asked]
    if state.durable.decided is None:
        return requests
    # Whoever was not told before the leader died may see no roster now, and so vote for nobody.
    return [*(_told(peer, state.durable.decided) for peer in asked), *requests]


def _repeat(state: State) -> list[Effect]:
    """What a leader says again and again, until it is answered or deposed."""
    term = state.durable.term
    peers = [peer for peer in electorate(state) if peer != state.own_id]
    if state.durable.decided is not None:
        return [Send(peer, Decided(term, state.durable.decided)) for peer in peers]
    if state.proposal is not None:
        return [Send(peer, Propose(term, state.proposal, state.read_all)) for peer in peers]
    return [*(Send(peer, Lead(term)) for peer in peers), *_ask_for_votes(state)]


# --- views ------------------------------------------------------------------------------------


def _peers_seen(state: State, seen: PeersSeen) -> Result:
    before = state.view
    state = replace(state, view=seen.view, fresh_uuid=seen.fresh_uuid, fresh_seed=seen.fresh_seed)
    if state.durable.decided is not None:
        return state, []
    if before is None or seen.view is None or _votes_differ(before, seen.view):
        # What was voted was for another roster or spec: none of it counts for this one.
        return _follow(state, leader="", deadline=None), []
    return _advance(state, seen.now) if leads(state) else (state, [])


def _votes_differ(before: View, after: View) -> bool:
    return (before.roster, before.spec_digest) != (after.roster, after.spec_digest)


# --- messages ---------------------------------------------------------------------------------


def _peer_said(state: State, said: PeerSaid) -> Result:
    message = said.message
    match message:
        case VoteRequest():
            return _vote_request(state, said.sender, message, said.now)
        case VoteReply():
            return _vote_reply(state, said.sender, message, said.now)
        case Propose():
            return _propose(state, said.sender, message, said.now)
        case ProposeReply():
            return _propose_reply(state, said.sender, message, said.now)
        case Lead():
            return _lead(state, said.sender, message, said.now)
        case Decided():
            return _decided(state, said.sender, message, said.now)


def _vote_request(state: State, sender: str, request: VoteRequest, now: float) -> Result:
    if state.durable.decided is not None and request.roster != electorate(state):
        return state, [_told(sender, state.durable.decided)]
    reason = _no_vote(state, sender, request)
    if reason:
        return state, [Send(sender, VoteReply(state.durable.term, granted=False, reason=reason))]
    if request.term > state.durable.term:
        state = _bump(state, request.term)
    if request.term < state.durable.term or state.durable.voted_for not in {"", sender}:
        term = state.durable.term
        reason, spent = f"already voted in term {term}", request.term == term
        return state, [Send(sender, VoteReply(term, granted=False, reason=reason, spent=spent))]
    state = replace(
        state,
        durable=replace(state.durable, voted_for=sender),
        deadline=now + PATIENCE,
    )
    reply = VoteReply(request.term, granted=True, accepted=_reported(state))
    answers: list[Effect] = [Send(sender, reply)]
    if state.durable.decided is not None:
        answers.append(_told(sender, state.durable.decided))
    return state, answers


def _no_vote(state: State, sender: str, request: VoteRequest) -> str:
    """Return why this request can have no vote in any term, "" when it may."""
    if sender not in request.roster:
        return "the candidate is not in the roster it names"
    if state.durable.decided is not None:
        return ""
    if state.view is None:
        return "this node has no stable view of the roster yet"
    if state.view.roster != request.roster:
        return "this node sees another roster"
    if state.view.spec_digest != request.spec_digest:
        return "this node has another spec"
    return ""


def _vote_reply(state: State, sender: str, reply: VoteReply, now: float) -> Result:
    if reply.term > state.durable.term:
        return _bump(state, reply.term), []
    stale = reply.term < state.durable.term or state.role is Role.FOLLOWER
    if reply.spent and not stale and _waits_to_hear(state, sender):
        # It cannot be heard in this term, and while we lead nobody else begins another one.
        return _follow(state, leader="", deadline=None), []
    if stale or not reply.granted or sender not in _to_hear(state):
        return state, []
    if any(voter == sender for voter, _ in state.votes):
        return state, []
    state = replace(state, votes=(*state.votes, (sender, reply.accepted)))
    if state.role is Role.CANDIDATE:
        voters = electorate(state)
        for_us = sum(1 for voter, _ in state.votes if voter in voters)
        if for_us * 2 <= len(voters):
            return state, []
        state = replace(state, role=Role.LEADER, leader=state.own_id, heartbeat=now + HEARTBEAT)
        state, effects = _advance(state, now)
        return state, effects or _repeat(state)
    return _advance(state, now)


def _waits_to_hear(state: State, peer: str) -> bool:
    """Tell whether this node leads and cannot propose before it has heard the peer."""
    return leads(state) and state.read_all and state.proposal is None and peer in _to_hear(state)


def _propose(state: State, sender: str, propose: Propose, now: float) -> Result:
    if state.durable.decided is not None:
        return state, [_told(sender, state.durable.decided)]
    held = state.durable.accepted
    if propose.term < state.durable.term:
        return state, [Send(sender, ProposeReply(state.durable.term, accepted=False, held=held))]
    if propose.term > state.durable.term:
        state = _bump(state, propose.term)
    decree = propose.decree
    if state.view is None or sender not in decree.roster or _unlike(decree, state.view):
        return state, [Send(sender, ProposeReply(propose.term, accepted=False))]
    state = _follow(state, leader=sender, deadline=now + PATIENCE)
    if held is not None and _must_not_replace(held, propose):
        return state, [Send(sender, ProposeReply(propose.term, accepted=False, held=held))]
    accepted = Accepted(propose.term, decree)
    state = replace(state, durable=replace(state.durable, accepted=accepted))
    return state, [Send(sender, ProposeReply(propose.term, accepted=True))]


def _must_not_replace(held: Accepted, propose: Propose) -> bool:
    """A decree of another roster yields its uuid only to a leader that has heard everybody."""
    return (
        held.decree.roster != propose.decree.roster
        and held.decree.uuid != propose.decree.uuid
        and not propose.read_all
    )


def _propose_reply(state: State, sender: str, reply: ProposeReply, now: float) -> Result:
    if reply.term > state.durable.term:
        return _bump(state, reply.term), []
    proposal = state.proposal
    if not leads(state) or reply.term < state.durable.term or proposal is None:
        return state, []
    if state.durable.decided is not None:
        return state, []
    if not reply.accepted:
        if reply.held is None:
            return state, []
        # Somebody holds a decree of another roster that our majority did not know of.
        state = replace(state, read_all=True, proposal=None, acks=frozenset())
        votes = tuple((voter, seen) for voter, seen in state.votes if voter != sender)
        state = replace(state, votes=(*votes, (sender, reply.held)))
        return _advance(state, now)
    state = replace(state, acks=state.acks | {sender})
    if not state.acks >= set(proposal.roster):
        return state, []
    state = replace(state, durable=replace(state.durable, decided=proposal))
    return replace(state, heartbeat=now + HEARTBEAT), _repeat(state)


def _lead(state: State, sender: str, lead: Lead, now: float) -> Result:
    if lead.term < state.durable.term or sender not in electorate(state):
        return state, []
    if lead.term > state.durable.term:
        state = _bump(state, lead.term)
    return _follow(state, leader=sender, deadline=now + PATIENCE), []


def _decided(state: State, sender: str, decided: Decided, now: float) -> Result:
    if state.own_id not in decided.decree.roster or sender not in decided.decree.roster:
        return state, []
    if state.durable.decided is None:
        if _outdated(state, decided.decree):
            return state, []
        state = _learn(state, decided.decree)
    if decided.term > state.durable.term:
        state = _bump(state, decided.term)
    if decided.term == state.durable.term and not leads(state):
        state = _follow(state, leader=sender, deadline=now + PATIENCE)
    return state, []


def _outdated(state: State, decree: Decree) -> bool:
    """Tell whether this node has since accepted another decree than the one said to be decided.

    It did accept that one, and later another roster's, from a leader that had heard everybody
    who is left: only somebody terminated can have known of the decision, and nobody acts on it.
    """
    held = state.durable.accepted
    return held is not None and held.decree != decree


def _learn(state: State, decree: Decree) -> State:
    """Remember the decision; what was voted for another roster makes no leader of this one."""
    if electorate(state) != decree.roster:
        state = _follow(state, leader="", deadline=None)
    return replace(state, durable=replace(state.durable, decided=decree))


# --- leading ----------------------------------------------------------------------------------


def _advance(state: State, now: float) -> Result:
    """Propose as soon as it is safe and everybody's name is known."""
    view = state.view
    if state.durable.decided is not None or state.proposal is not None or view is None:
        return state, []
    reports = [accepted for _, accepted in state.votes if accepted is not None]
    best = max(reports, key=lambda accepted: accepted.term, default=None)
    if any(_unlike(accepted.decree, view) for accepted in reports):
        state = replace(state, read_all=True)
    heard = {voter for voter, _ in state.votes}
    if state.read_all and not heard >= set(_to_hear(state)) | {state.own_id}:
        return state, _ask_for_votes(state)
    if tuple(member.instance_id for member in view.members) != view.roster:
        return state, []
    decree = _wish(state, view, best)
    accepted = Accepted(state.durable.term, decree)
    state = replace(
        state,
        proposal=decree,
        acks=frozenset({state.own_id}),
        durable=replace(state.durable, accepted=accepted),
        heartbeat=now + HEARTBEAT,
    )
    return state, _repeat(state)


def _wish(state: State, view: View, best: Accepted | None) -> Decree:
    """Return the decree to propose: the reported one, carried on where the world has changed."""
    if best is None:
        return Decree(state.fresh_uuid, view.members, view.spec_digest, state.fresh_seed)
    if not _unlike(best.decree, view):
        return best.decree
    return Decree(best.decree.uuid, view.members, view.spec_digest, best.decree.seed)


def _unlike(decree: Decree, view: View) -> bool:
    return decree.roster != view.roster or decree.spec_digest != view.spec_digest


def _to_hear(state: State) -> tuple[str, ...]:
    """Return whom a leader asks: its electorate, and whoever else could know a decision."""
    asked = [peer for peer in electorate(state) if peer != state.own_id]
    gone = state.view.gone if state.view is not None else frozenset()
    for _, accepted in state.votes:
        if accepted is None or state.durable.decided is not None:
            continue
        asked += [
            peer
            for peer in accepted.decree.roster
            if peer not in asked and peer not in gone and peer != state.own_id
        ]
    return tuple(asked)


# --- small moves ------------------------------------------------------------------------------


def _told(peer: str, decree: Decree) -> Effect:
    """Return the news for a peer; term 0 says that the teller claims no leadership by it."""
    return Send(peer, Decided(0, decree))


def _reported(state: State) -> Accepted | None:
    return state.durable.accepted


def _digest(state: State) -> str:
    if state.durable.decided is not None:
        return state.durable.decided.spec_digest
    return state.view.spec_digest if state.view is not None else ""


def _bump(state: State, term: int) -> State:
    """Enter a later term, in which this node has not voted."""
    state = replace(state, durable=replace(state.durable, term=term, voted_for=""))
    return _follow(state, leader="", deadline=None)


def _follow(state: State, *, leader: str, deadline: float | None) -> State:
    return replace(
        state,
        role=Role.FOLLOWER,
        leader=leader,
        votes=(),
        read_all=False,
        proposal=None,
        acks=frozenset(),
        deadline=deadline,
    )
