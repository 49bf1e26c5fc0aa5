"""Local work: one thread for each generation, and a bounded queue of results to its reader."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from multitap.errors import DeadlineExceeded
from multitap.policy.clocks import Clocks
from multitap.work import Emit

__all__ = ("LocalWork", "out_of_time", "seconds_left")

LONGEST_QUEUE = 256


class LocalWork:
    """Runs ``run(emit)`` in a thread of its own.

    Args:
        run: Blocking work; see ``multitap.work.LocalExchange``.
        notify: Called from that thread whenever there is something to take.
    """

    def __init__(self, run: Callable[[Emit[Any]], None], notify: Callable[[], None]) -> None:
        self._run = run
        self._notify = notify
        self._changed = threading.Condition()
        self._items: deque[Any] = deque()
        self._error: BaseException | None = None
        self._ended = self._stopped = False
        self._thread = threading.Thread(target=self._work, name="multitap-local", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def abort(self) -> None:
        """Tell the work to stop; never blocks, and the work ends when it next emits."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def take(self) -> tuple[bool, Sequence[Any] | None]:
        """Whether there is anything, and what: results, or ``None`` at the end.

        A failure of the work is raised, after its last results.
        """
        with self._changed:
            if self._items:
                items = list(self._items)
                self._items.clear()
                self._changed.notify_all()
                return True, items
            if self._error is not None:
                raise self._error
            return self._ended, None

    def wait(self, timeout: float | None) -> bool:
        """Block until there is something to take; ``False`` where the time ran out first."""
        with self._changed:
            return self._changed.wait_for(self._ready, timeout)

    def _ready(self) -> bool:
        return bool(self._items) or self._ended or self._stopped

    def _work(self) -> None:
        try:
            self._run(self._emit)
        except BaseException as error:
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._notify()

    def _emit(self, items: Sequence[Any]) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or len(self._items) < LONGEST_QUEUE)
            if self._stopped:
                return False
            self._items.extend(items)
            self._changed.notify_all()
        if items:
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
