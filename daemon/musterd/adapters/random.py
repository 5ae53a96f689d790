"""Chance from the system's generator for secrets."""

import secrets


class SystemRandom:
    """Every draw is fit for secrets; none can be replayed."""

    def fraction(self) -> float:
        """Return a number in [0, 1)."""
        return secrets.randbits(53) / 2**53

    def hexadecimal(self, length: int) -> str:
        """Return `length` hexadecimal digits."""
        return secrets.token_hex((length + 1) // 2)[:length]
