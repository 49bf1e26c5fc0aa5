"""How often a backend may be asked: as ``llm.toml`` says, and as its own answers tell.

``requests_per_second`` spaces requests evenly. What a server tells in its headers
(``x-ratelimit-remaining-tokens`` and so on) is a bucket that refills until its reset: a request
waits where there is not enough left for it, and is debited with an estimate until the next answer
tells more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import attrs

from multitap.headers import Allowance

__all__ = ("Rates",)


@attrs.define
class Bucket:
    """What is left of an allowance, refilling evenly."""

    capacity: float
    left: float
    per_second: float
    seen: float

    def wait(self, amount: float, now: float) -> float:
        """Seconds until there is so much; more than it ever holds waits for a full one."""
        self.left = min(self.capacity, self.left + self.per_second * (now - self.seen))
        self.seen = now
        short = min(amount, self.capacity) - self.left
        return short / self.per_second if short > 0 and self.per_second > 0 else 0.0


class Rates:
    """The rates of one model at one backend; not safe for threads by itself.

    Args:
        clock: Seconds that only grow.
        per_second: Requests in a second; ``None``: as the server says.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, per_second: float | None = None
    ) -> None:
        self.per_second = per_second
        self._clock = clock
        self._next = clock()
        self._buckets: dict[str, Bucket] = {}

    @property
    def counted(self) -> bool:
        """Has the server told what is left?"""
        return bool(self._buckets)

    def wait(self, tokens: float) -> float:
        """Seconds until a request of so many tokens may go."""
        if not (self._buckets or self.per_second):
            return 0.0
        now = self._clock()
        spaced = self._next - now if self.per_second else 0.0
        amounts = {"requests": 1.0, "tokens": tokens}
        told = [bucket.wait(amounts[name], now) for name, bucket in self._buckets.items()]
        return max(0.0, spaced, *told)

    def take(self, tokens: float) -> None:
        """A request of so many tokens goes."""
        if self.per_second:
            self._next = max(self._next, self._clock()) + 1 / self.per_second
        for name, bucket in self._buckets.items():
            bucket.left -= tokens if name == "tokens" else 1.0

    def saw(self, allowances: Mapping[str, Allowance]) -> None:
        """An answer told what is left; that corrects every estimate."""
        for name, told in allowances.items():
            missing = max(0.0, told.limit - told.remaining)
            per_second = missing / told.reset if told.reset > 0 else told.limit
            self._buckets[name] = Bucket(told.limit, told.remaining, per_second, self._clock())
