"""How many calls a model may have in flight: as many as it bears.

A remote server has no cap until it says that it is too busy (429, 503, 529). From then on the cap
is what was in flight, times 0.7; it grows by one whenever as many calls as it allows have gone
well, and is cut again by 0.7, at most once a second. After a minute without such an answer it goes.
What has a fixed number of slots keeps it.
"""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ("MOST_IN_FLIGHT", "Limiter")

MOST_IN_FLIGHT = 4096  # the connections that a carrier has
CUT = 0.7
SECONDS_BETWEEN_CUTS = 1.0
FORGOTTEN_AFTER = 60.0


class Limiter:
    """The cap of one model at one backend; not safe for threads by itself.

    Args:
        clock: Seconds that only grow.
        fixed: The number of slots, where that is known.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, fixed: int | None = None
    ) -> None:
        self.in_flight = 0
        self._clock = clock
        self._fixed = fixed
        self._cap: int | None = None
        self._successes = 0
        self._cut_at = self._throttled_at = 0.0

    @property
    def cap(self) -> int | None:
        """How many may be in flight; ``None``: any number."""
        if self._fixed is not None:
            return self._fixed
        if self._cap is not None and self._clock() - self._throttled_at > FORGOTTEN_AFTER:
            self._cap = None
        return self._cap

    @property
    def has_room(self) -> bool:
        """May one more call begin?"""
        if self._fixed is None and self._cap is None:
            return self.in_flight < MOST_IN_FLIGHT
        return self.in_flight < min(MOST_IN_FLIGHT, self.cap or MOST_IN_FLIGHT)

    def fix(self, slots: int | None) -> None:
        """From now on so many; ``None``: as many as it bears."""
        self._fixed = slots

    def succeeded(self) -> None:
        """A call went well."""
        self._successes += 1
        if self._cap is not None and self._successes >= self._cap:
            self._successes = 0
            self._cap = min(MOST_IN_FLIGHT, self._cap + 1)

    def throttled(self) -> None:
        """The server is too busy, or says that we ask too often."""
        now = self._clock()
        self._throttled_at = now
        if self._cap is not None and now - self._cut_at < SECONDS_BETWEEN_CUTS:
            return
        before = self.in_flight if self._cap is None else self._cap
        self._cap = max(1, int(CUT * before))
        self._cut_at, self._successes = now, 0
