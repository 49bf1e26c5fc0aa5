"""A pull: tried again for as long as it brings something, and no longer.

A download of gigabytes breaks more than once, and asked again the backend goes on where it stopped.
So a pull ends only after five tries in a row without a new byte, with a wait of 1 s to 30 s (full
jitter) between them, and takes nothing from the backend's retry budget. That a server talks is no
progress: one that repeats the same numbers for 30 s has stalled, as has one that falls silent while
bytes are under way. Of what moves no bytes a server need not tell, such as verifying gigabytes;
there it has ten minutes.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence

from multitap.capabilities.lifecycle import Progress
from multitap.errors import BackendError, Timeout
from multitap.events import Failed
from multitap.policy.retry import RetryPolicy

__all__ = ("LONGEST_SILENCE", "STALL", "Pull")

STALL = 30.0
LONGEST_SILENCE = 600.0

_POLICY = RetryPolicy(attempts=5, base=1.0, cap=30.0)
_MOST_LAYERS = 1024


class Pull:
    """One pull: whether to try it again, and the filter that watches each of its attempts.

    Only the time that was spent waiting for the server counts, not that of a slow reader.

    Args:
        clock: Seconds, of which the deadline is a reading.
        draw: A number from 0 to 1, for the jitter.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._clock = clock
        self._draw = draw
        self._most: dict[str | None, int] = {}  # bytes of each layer, over all attempts
        self._gained = False
        self._fruitless = 0
        self._begin()

    def _begin(self) -> None:
        self._asked = self._clock()
        self._waited = 0.0  # since something last moved
        self._moving = False
        self._seen: dict[tuple[str, str | None], int] = {}

    # ---- one attempt -----------------------------------------------------------------------------

    def attempt(self) -> tuple[Pull]:
        """The filters of a new attempt."""
        self._begin()
        return (self,)

    def idle(self) -> float:
        """Seconds of silence that the next read bears."""
        self._asked = self._clock()
        return self._limit - self._waited

    def feed(self, items: Sequence[Progress | Failed], /) -> Sequence[Progress | Failed]:
        """The same progress; a stall is its end."""
        now = self._clock()
        self._waited += now - self._asked
        self._asked = now
        for place, item in enumerate(items):
            if isinstance(item, Failed):
                return [*items[:place], Failed(self._named(item.error))]
            self._look_at(item)
        return items if self._waited < self._limit else [*items, Failed(self._stalled())]

    def finish(self) -> Sequence[Progress]:
        """Nothing is held back."""
        return ()

    @property
    def _limit(self) -> float:
        return STALL if self._moving else LONGEST_SILENCE

    def _look_at(self, progress: Progress) -> None:
        layer, done = (progress.status, progress.digest), progress.completed or 0
        if done > self._seen.get(layer, -1):
            self._waited = 0.0
        if len(self._seen) >= _MOST_LAYERS:
            self._seen.clear()
        self._seen[layer] = done  # it may fall back, where a part is fetched again
        self._moving = progress.total is not None and done < progress.total
        self._count(progress.digest, done)

    def _count(self, digest: str | None, done: int) -> None:
        if done > self._most.get(digest, 0) and (
            digest in self._most or len(self._most) < _MOST_LAYERS
        ):
            self._most[digest] = done
            self._gained = True

    def _named(self, error: BackendError) -> BackendError:
        """A carrier's silence is a stall of the pull."""
        silent = type(error) is Timeout and error.kind == "stall_timeout"
        return self._stalled() if silent else error

    def _stalled(self) -> Timeout:
        return Timeout(
            f"The pull stalled: nothing new for {self._limit:g} s",
            hint="Pull it again: it goes on where it stopped.",
            kind="pull_stalled",
            phase="stream",
        )

    # ---- between attempts ------------------------------------------------------------------------

    def delay(self, error: BackendError, number: int, deadline: float | None) -> float | None:
        """The wait before the next attempt, or ``None``; never beyond the deadline."""
        self._fruitless = 0 if self._gained else self._fruitless + 1
        self._gained = False
        delay = _POLICY.delay(error, max(1, self._fruitless), self._draw())
        if delay is None or (deadline is not None and self._clock() + delay >= deadline):
            return None
        return delay

    def succeeded(self) -> None:
        """It is done; there is no budget to give back to."""

    def retrying(self, error: BackendError, delay: float) -> Sequence[Progress]:
        """What to tell while it waits."""
        reason = error.message.rstrip(". ")
        return [Progress(status=f"{reason}; trying again in {delay:.1f} s")]
