"""Messages in few words, for transcripts."""

from musterd.election.types import (
    Decided,
    Lead,
    Message,
    Propose,
    ProposeReply,
    VoteReply,
    VoteRequest,
)
from musterd.model import Decree


def told(message: Message) -> str:
    """Return what the message says, on one line."""
    match message:
        case VoteRequest(term, roster):
            return f"vote for me in term {term} of {_joined(roster)}"
        case VoteReply(term, granted, accepted):
            known = f", I accepted {_decree(accepted.decree)}" if accepted else ""
            return f"{'you have' if granted else 'you do not have'} my vote in term {term}{known}"
        case Propose(term, decree, read_all):
            heard = ", having heard everybody" if read_all else ""
            return f"accept {_decree(decree)} in term {term}{heard}"
        case ProposeReply(term, accepted, held):
            instead = f", I hold {_decree(held.decree)}" if held else ""
            return f"{'accepted' if accepted else 'not accepted'} in term {term}{instead}"
        case Lead(term):
            return f"I lead term {term}"
        case Decided(term, decree):
            return f"decided: {_decree(decree)} (term {term})"


def _decree(decree: Decree) -> str:
    return f"{decree.uuid[:8]} for {_joined(decree.roster)}"


def _joined(roster: tuple[str, ...]) -> str:
    return "+".join(own.removeprefix("i-").lstrip("0") for own in roster)
