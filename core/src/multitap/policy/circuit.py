"""Whether a backend is worth asking: one that is down is not asked again by every call.

Five failures one after another within 30 s, of the connection or of the server itself, open the
circuit: calls fail at once instead of waiting for what is not there. After 1 s one call goes
through as a probe; an answer closes the circuit, another failure doubles the time up to 10 s, give
or take a fifth. Short on purpose: its worth is to fail quickly.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable

from multitap.errors import BackendError, ProviderDown, ProxyFailed, Timeout, TLSFailed

__all__ = ("FAILURES", "Circuit", "is_down")

FAILURES = 5
WITHIN = 30.0
SHORTEST, LONGEST = 1.0, 10.0
SPREAD = 0.2

_UNANSWERED = frozenset({"connect_timeout", "first_byte_timeout", "slow_peer"})


def is_down(error: BackendError) -> bool:
    """Does it say that the backend is not there, or broken?

    >>> is_down(ProviderDown("Connection refused")), is_down(BackendError("No such model"))
    (True, False)
    """
    if isinstance(error, Timeout):
        return error.kind in _UNANSWERED
    if isinstance(error, (TLSFailed, ProxyFailed)) or error.kind in ("aborted", "circuit_open"):
        return False
    return isinstance(error, ProviderDown) and error.retry_after is None


class Circuit:
    """The circuit of one backend; not safe for threads by itself.

    Args:
        clock: Seconds that only grow.
        draw: A number from 0 to 1, for the spread.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._draw = draw
        self._failures: deque[float] = deque(maxlen=FAILURES)
        self._seconds = SHORTEST
        self._opens_at: float | None = None  # for the next probe; None: the circuit is closed
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Are calls refused, all but a probe?"""
        return self._opens_at is not None

    def refuses(self) -> float | None:
        """Seconds until it is worth asking again; ``None``: go on."""
        if self._opens_at is None:
            return None
        left = self._opens_at - self._clock()
        return self._seconds if self._probing and left <= 0 else left if left > 0 else None

    def begin(self) -> bool:
        """A call goes through; is it the probe?"""
        if self._opens_at is None or self._probing or self._opens_at > self._clock():
            return False
        self._probing = True
        return True

    def answered(self) -> None:
        """The backend is there, whatever it said."""
        self._failures.clear()
        self._opens_at, self._probing, self._seconds = None, False, SHORTEST

    def failed(self, *, probe: bool = False) -> None:
        """It is not."""
        now = self._clock()
        if self._opens_at is None:
            self._failures.append(now)
            if len(self._failures) == FAILURES and now - self._failures[0] <= WITHIN:
                self._open(now)
        elif probe:
            self._probing = False
            self._seconds = min(LONGEST, 2 * self._seconds)
            self._open(now)

    def gave_up(self, *, probe: bool = False) -> None:
        """A call was ended by its caller, and proves nothing."""
        if probe:
            self._probing = False

    def _open(self, now: float) -> None:
        self._opens_at = now + self._seconds * (1 + SPREAD * (2 * self._draw() - 1))
