"""Faults: what the region does wrong on purpose, to whom, how often."""

import asyncio
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

# A request that hangs is let go at last, so that a forgotten fault holds no connection for ever.
HANG_SECONDS = 600.0


@dataclass(frozen=True)
class Fault:
    """One rule. Patterns are shell patterns, matched with case.

    Attributes:
        action: API action such as `StopInstances` or `Describe*`; for IMDS the path from
            `/latest` on, such as `/latest/meta-data/tags/*`.
        service: `ec2`, `imds`, `secretsmanager`, `sts`, `s3`, `iam` or `*`.
        caller: instance id or `admin`.
        code: the error code answered, such as `RequestLimitExceeded`.
        status: its HTTP status; alone it gives an answer without a body that AWS would send.
        message: its sentence.
        probability: of a matching request to be hit, by the seeded generator.
        delay: seconds before the request is handled.
        hang: never answer.
        count: hits after which the rule is spent; None for no end.
        lag: reads answer with the state of so many seconds ago.
        omit: instance ids, or patterns of them, that reads leave out; `*` empties the answer.
        after: handle the request first, then answer with the fault: the effect happens, the
            caller does not learn of it.
    """

    action: str = "*"
    service: str = "ec2"
    caller: str = "*"
    code: str | None = None
    status: int | None = None
    message: str = "injected by the lab"
    probability: float = 1.0
    delay: float = 0.0
    hang: bool = False
    count: int | None = None
    lag: float = 0.0
    omit: frozenset[str] = frozenset()
    after: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability must be between 0 and 1, not {self.probability}")
        if self.delay < 0 or self.lag < 0:
            raise ValueError("delay and lag are seconds, 0 or more")
        if self.count is not None and self.count < 1:
            raise ValueError(f"count must be 1 or more, not {self.count}")
        if self.status is not None and not 400 <= self.status <= 599:
            raise ValueError(f"status must be an HTTP error, 400 to 599, not {self.status}")

    def matches(self, service: str, action: str, caller: str) -> bool:
        """Whether a request is one of those this rule is about."""
        return (
            fnmatchcase(service, self.service)
            and fnmatchcase(action, self.action)
            and fnmatchcase(caller, self.caller)
        )


@dataclass(frozen=True)
class Effect:
    """What the rules that hit one request do to it together."""

    delay: float = 0.0
    hang: bool = False
    code: str | None = None
    status: int | None = None
    message: str = ""
    lag: float = 0.0
    omit: frozenset[str] = frozenset()
    after: bool = False

    @property
    def refuses(self) -> bool:
        """Whether the answer is an error."""
        return self.code is not None or self.status is not None


@dataclass
class _Rule:
    fault: Fault
    hits: int = 0


@dataclass
class Faults:
    """The rules in force.

    Args:
        seed: of the generator that probabilities are drawn from.
    """

    seed: int = 0
    _rules: dict[int, _Rule] = field(default_factory=dict)
    _next: int = 1

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._released = asyncio.Event()

    def add(self, fault: Fault) -> int:
        """Put a rule in force; the number returned ends it."""
        number, self._next = self._next, self._next + 1
        self._rules[number] = _Rule(fault)
        return number

    def clear(self, number: int | None = None) -> None:
        """End one rule or all, and let go of requests that hang.

        Raises:
            KeyError: no rule of that number.
        """
        if number is None:
            self._rules.clear()
        else:
            del self._rules[number]
        self._released.set()
        self._released = asyncio.Event()

    def list(self) -> dict[int, tuple[Fault, int]]:
        """The rules in force with how often each has hit."""
        return {number: (rule.fault, rule.hits) for number, rule in self._rules.items()}

    def draw(self, service: str, action: str, caller: str) -> Effect:
        """What befalls one request. Rules that are spent by it are removed."""
        hit: list[Fault] = []
        for number, rule in list(self._rules.items()):
            fault = rule.fault
            if not fault.matches(service, action, caller):
                continue
            if fault.probability < 1 and self._random.random() >= fault.probability:
                continue
            rule.hits += 1
            hit.append(fault)
            if fault.count is not None and rule.hits >= fault.count:
                del self._rules[number]
        return _together(hit)

    async def hang(self) -> None:
        """Return when the rules change in a way that lets hanging requests go, or at last."""
        released = self._released
        try:
            async with asyncio.timeout(HANG_SECONDS):
                await released.wait()
        except TimeoutError:
            return


def _together(hit: Iterable[Fault]) -> Effect:
    """Delays add up, the oldest refusal wins, reads lag by the most and omit all that is named."""
    effect = Effect()
    for fault in hit:
        refusing = fault if not effect.refuses and (fault.code or fault.status) else effect
        effect = Effect(
            delay=effect.delay + fault.delay,
            hang=effect.hang or fault.hang,
            code=refusing.code,
            status=refusing.status,
            message=refusing.message,
            lag=max(effect.lag, fault.lag),
            omit=effect.omit | fault.omit,
            after=effect.after or fault.after,
        )
    return effect
