"""The token parser, and the parser of what a source holds."""

from base64 import urlsafe_b64decode
from binascii import Error

from musterd import trust
from musterd.errors import SecretError

SHOWN = 12  # characters in a row of a refused text that no error may repeat


def judge(text: str) -> tuple[str, list[str]]:
    """Give the text to both parsers; return what came of it, and what should not have."""
    complaints: list[str] = []
    accepted = _accepts(trust.parse_token, text, complaints)
    if accepted != _is_token(text):
        complaints.append(f"accepted={accepted}: {text!r}")
    stored = _accepts(trust.parse_secret, text, complaints)
    if accepted and not stored:
        complaints.append(f"a token, but not a secret: {text!r}")
    return f"token {_word(accepted)}, secret {_word(stored)}", complaints


def _word(accepted: bool) -> str:
    return "read" if accepted else "refused"


def _accepts(parse: object, text: str, complaints: list[str]) -> bool:
    assert callable(parse)
    try:
        parse(text)
    except SecretError as error:
        told = f"{error} {error.cure} {error.__cause__}"
        pieces = (text[at : at + SHOWN] for at in range(len(text) - SHOWN))
        if any(piece in told for piece in pieces if "mst1_<" not in piece and _telling(piece)):
            complaints.append(f"repeated in {told!r}")
        return False
    except Exception as error:  # noqa: BLE001 whatever it is, it is a finding
        complaints.append(f"{type(error).__name__} for {text[:300]!r}")
    return True


def _telling(piece: str) -> bool:
    """Tell whether a piece can have come from the text only, not from our own sentences."""
    return sum(letter.isupper() or letter.isdigit() for letter in piece) >= SHOWN // 3


def _is_token(text: str) -> bool:
    """Tell it once more, in another way than the parser's: by making the token again."""
    parts = text.split("_", 1)
    if len(text) != len("mst1_") + 43 + 1 + 6 or not text.isascii() or parts[0] != "mst1":
        return False
    try:
        value = urlsafe_b64decode(parts[1][:43] + "=")
    except (Error, ValueError):
        return False
    return len(value) == trust.TOKEN_BYTES and trust.make_token(value).text() == text
