"""Local work: one thread for each generation, and a bounded queue of results to its reader."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from multitap.errors import DeadlineExceeded
from multitap.policy.clocks import GLANCE, Clocks
from multitap.work import Emit

__all__ = ("LocalWork", "out_of_time", "seconds_left")

LONGEST_QUEUE = 256


class _Bell:
    """Wakes a thread that waits for it; where it was rung before, nothing is waited for.

    It is a lock that is free once it is rung. No Ctrl-C can come between the steps of taking one,
    as it can between those of a ``Condition``, which then fails with a ``RuntimeError``.
    """

    def __init__(self) -> None:
        self._silent = threading.Lock()
        self._silent.acquire()

    def ring(self) -> None:
        """Never blocks; any thread, a finaliser too."""
        with suppress(RuntimeError):  # it was rung already
            self._silent.release()

    def wait(self, seconds: float) -> None:
        """Until it rings, or for so long."""
        self._silent.acquire(timeout=seconds)


class LocalWork:
    """Runs ``run(emit)`` in a thread of its own.

    Args:
        run: Blocking work; see ``multitap.work.LocalExchange``.
        notify: Called from that thread whenever there is something to take.
    """

    def __init__(self, run: Callable[[Emit[Any]], None], notify: Callable[[], None]) -> None:
        self._run = run
        self._notify = notify
        self._news, self._room = _Bell(), _Bell()
        self._items: deque[Any] = deque()
        self._error: BaseException | None = None
        self._ended = self._stopped = False
        self._thread = threading.Thread(target=self._work, name="multitap-local", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def abort(self) -> None:
        """Tell the work to stop; never blocks, and the work ends when it next emits."""
        self._stopped = True
        self._room.ring()
        self._news.ring()

    def take(self) -> tuple[bool, Sequence[Any] | None]:
        """Whether there is anything, and what: results, or ``None`` at the end.

        A failure of the work is raised, after its last results.
        """
        ended = self._ended  # before the results are looked at, which may be the last ones
        items = [self._items.popleft() for _ in range(len(self._items))]
        if items:
            self._room.ring()
            return True, items
        if ended and self._error is not None:
            raise self._error
        return ended, None

    def wait(self, timeout: float | None) -> bool:
        """Block until there is something to take; ``False`` where the time ran out first."""
        until = math.inf if timeout is None else time.monotonic() + timeout
        while not (self._items or self._ended or self._stopped):
            left = until - time.monotonic()
            if left <= 0:
                return False
            self._news.wait(min(left, GLANCE))
        return True

    def _work(self) -> None:
        try:
            self._run(self._emit)
        except BaseException as error:
            self._error = error
        self._ended = True
        self._news.ring()
        self._notify()

    def _emit(self, items: Sequence[Any]) -> bool:
        while len(self._items) >= LONGEST_QUEUE and not self._stopped:
            self._room.wait(GLANCE)
        if self._stopped:
            return False
        self._items.extend(items)
        if items:
            self._news.ring()
            self._notify()
        return True


def seconds_left(clocks: Clocks) -> float | None:
    """What is left of the whole call; ``None``: any time; ``DeadlineExceeded``: nothing is."""
    if clocks.deadline is None:
        return None
    left = clocks.deadline - clocks.now()
    if left <= 0:
        raise out_of_time()
    return left


def out_of_time() -> DeadlineExceeded:
    """The clock of the whole call ran out during local work."""
    return DeadlineExceeded("The time for the whole call ran out", phase="local")
