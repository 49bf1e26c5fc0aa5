"""Whether to try again, and after how long.

One layer retries, before the first semantic event only. Constants: three attempts in all, two where
a server was silent for long, or failed in generating (TGI's 424); full
jitter from a base of 0.5 s (1 s where the server throttles) up to 8 s; a server's hint of at most
60 s is followed exactly, a longer one ends the call. A budget for each backend keeps an outage from
being multiplied: it starts with 20, a retry costs 1 (2 after a timeout or a 504), a success gives
0.2 back, and 0.1 trickles in each second.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from typing import Protocol

import attrs

from multitap.errors import BackendError, Overloaded, RateLimited, Timeout

__all__ = ("LONGEST_HINT", "Attempt", "Loading", "Retries", "Retry", "RetryBudget", "RetryPolicy")


LONGEST_HINT = 60.0
"""Seconds that a server may ask to wait; whoever would wait for longer is told instead."""

_ONCE = frozenset({"first_byte_timeout", "stall_timeout", "slow_peer"})


@attrs.frozen
class Attempt:
    """One try of a call: its number from 1, why it failed, and the wait before the next, if any."""

    number: int
    error: BackendError | None = None
    delay: float | None = None


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often and how long; all times in seconds."""

    attempts: int = 3
    base: float = 0.5
    throttle_base: float = 1.0
    cap: float = 8.0
    longest_hint: float = LONGEST_HINT

    def delay(self, error: BackendError, number: int, draw: float) -> float | None:
        """The wait after attempt ``number``; ``None``: give up. ``draw`` is from 0 to 1.

        >>> RetryPolicy().delay(RateLimited("Slow down", retry_after=2), 1, draw=0.5)
        2.1
        """
        most = min(2, self.attempts) if _is_slow(error) else self.attempts
        if not error.retryable or number >= most or error.phase == "queue":
            return None
        hint = error.retry_after
        if hint is not None and math.isfinite(hint) and hint > 0:
            return hint * (1 + 0.1 * draw) if hint <= self.longest_hint else None
        throttled = isinstance(error, (RateLimited, Overloaded))
        base = self.throttle_base if throttled else self.base
        return draw * min(self.cap, float(base * 2 ** (number - 1)))


def _is_slow(error: BackendError) -> bool:
    """Did it take so long, or cost so much, that it is tried again once at most?"""
    return error.kind in _ONCE or error.status == 424


class RetryBudget:
    """What one backend may spend on retries, shared by all its calls."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, capacity: float = 20) -> None:
        self._clock = clock
        self._capacity = self._left = capacity
        self._seen = clock()

    def succeeded(self) -> None:
        """A call went well."""
        self._gain(0.2)

    def spend(self, cost: float) -> bool:
        """Take the cost of a retry; ``False`` where there is not enough left."""
        now = self._clock()
        self._gain(0.1 * max(0.0, now - self._seen))
        self._seen = now
        if self._left < cost:
            return False
        self._left -= cost
        return True

    def _gain(self, amount: float) -> None:
        self._left = min(self._capacity, self._left + amount)


class Retries(Protocol):
    """What the flow asks about its attempts."""

    def delay(self, error: BackendError, number: int, deadline: float | None) -> float | None:
        """The wait before the next attempt, or ``None``; never beyond the deadline."""
        ...

    def succeeded(self) -> None:
        """The call, or one step of it, went well."""
        ...


@attrs.frozen
class Retry:
    """Policy and budget together, for calls of one request."""

    policy: RetryPolicy = attrs.field(factory=RetryPolicy)
    budget: RetryBudget = attrs.field(factory=RetryBudget)
    clock: Callable[[], float] = time.monotonic
    draw: Callable[[], float] = random.random

    def delay(self, error: BackendError, number: int, deadline: float | None) -> float | None:
        """The wait before the next attempt, or ``None``; never beyond the deadline."""
        delay = self.policy.delay(error, number, self.draw())
        if delay is None or (deadline is not None and self.clock() + delay >= deadline):
            return None
        slow = isinstance(error, Timeout) or error.status == 504
        return delay if self.budget.spend(2 if slow else 1) else None

    def succeeded(self) -> None:
        """The call, or one step of it, went well."""
        self.budget.succeeded()


class Loading:
    """The wait for a model that is being loaded: asked again after 0.5 s to 2 s, for 5 minutes.

    It is neither an attempt nor does it cost anything: the server works on what was asked.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: float | None = None
        self._pause = 0.5

    def delay(self, error: BackendError, deadline: float | None) -> float | None:
        """The wait before the next question; ``None``: that is not it, or it takes too long."""
        if error.kind != "model_loading":
            return None
        now = self._clock()
        self._began = now if self._began is None else self._began
        pause, self._pause = self._pause, min(2.0, 1.5 * self._pause)
        late = deadline is not None and now + pause >= deadline
        return None if late or now - self._began > 300.0 else pause
