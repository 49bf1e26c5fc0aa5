"""How far a pull is, how fast it goes, and how long it will take: arithmetic with a clock."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from multitap.capabilities.lifecycle import Progress

__all__ = ("Meter", "as_bytes", "as_seconds")

_WINDOW = 10.0  # seconds that the rate looks back
_MOST_SAMPLES = 256
_MOST_LAYERS = 4096


class Meter:
    """Sums over layers, each known by its digest.

    What a layer's first line says was there already counts as done and not as fetched, so that a
    pull that is resumed shows no speed that the network never had.

    Attributes:
        completed: Bytes that are there.
        total: Bytes of all layers that were heard of; more may come.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started = clock()
        self._layers: dict[str | None, tuple[int, int]] = {}
        self._samples: deque[tuple[float, int]] = deque([(self._started, 0)], _MOST_SAMPLES)
        self._fetched = self.completed = self.total = 0

    def add(self, step: Progress) -> None:
        """One step; those that count no bytes change nothing."""
        if step.total is None:
            return
        done, layer = step.completed or 0, step.digest
        known = self._layers.get(layer)
        if known is None and len(self._layers) >= _MOST_LAYERS:
            return
        before, size = known or (done, 0)
        self._layers[layer] = (done, step.total)
        self.completed += done - (before if known else 0)
        self.total += step.total - size
        self._fetched += max(0, done - before)
        self._note()

    def finish(self) -> None:
        """All is there: the last line of a layer may have come before its last bytes."""
        self.completed = self.total

    @property
    def seconds(self) -> float:
        """Since it began."""
        return self._clock() - self._started

    @property
    def percent(self) -> int | None:
        """Whole percent of what is known so far."""
        return min(100, 100 * self.completed // self.total) if self.total > 0 else None

    @property
    def rate(self) -> float | None:
        """Bytes a second, of late; ``None`` where nothing has moved yet."""
        now = self._clock()
        recent = [sample for sample in self._samples if now - sample[0] <= _WINDOW]
        if not recent or now <= recent[0][0] or self._fetched == recent[0][1]:
            return None
        return (self._fetched - recent[0][1]) / (now - recent[0][0])

    @property
    def left(self) -> float | None:
        """Seconds until what is known so far is there, at this rate."""
        rate = self.rate
        return None if rate is None else (self.total - self.completed) / rate

    def _note(self) -> None:
        now = self._clock()
        if now - self._samples[-1][0] >= _WINDOW / _MOST_SAMPLES:
            self._samples.append((now, self._fetched))


def as_bytes(count: float) -> str:
    """Bytes for people.

    >>> as_bytes(0), as_bytes(999), as_bytes(1_600_800), as_bytes(4_030_000_000)
    ('0 B', '999 B', '1.6 MB', '4.0 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def as_seconds(seconds: float) -> str:
    """A time for people.

    >>> as_seconds(0.2), as_seconds(59.6), as_seconds(192), as_seconds(7300)
    ('0 s', '1 min 0 s', '3 min 12 s', '2 h 1 min')
    """
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
