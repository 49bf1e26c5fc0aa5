"""What observers are told of one call, each thing once and in order, whatever becomes of it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from multitap.errors import MultitapError
from multitap.events import StopReason, Usage
from multitap.extensions import AttemptEnd, CallEnd, CallInfo, WireAnswer, WireRequest
from multitap.policy.retry import Attempt

__all__ = ("Watch",)


class Listener(Protocol):
    """An observer whose faults are kept from the call.

    ``traces``: it is told of requests; ``hears``: of answers as well.
    """

    traces: bool
    hears: bool

    def tell(self, method: str, *facts: object) -> None:
        """Call one of its methods."""
        ...


class Watch:
    """Tells observers of one call.

    They are told of starts in their order and of ends in reverse, as contexts that are nested. An
    attempt that is open when the call ends is ended first; nothing is told after the end, nor of a
    call that never started. ``close`` may end a call from any thread while another one is telling:
    then that other thread tells it, and neither waits.

    Args:
        call: The call that is watched.
        observers: At least one.
        clock: Seconds that only grow.
    """

    def __init__(
        self,
        call: CallInfo,
        observers: Sequence[Listener],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.call = call
        self._observers = observers
        self._tracers = [observer for observer in observers if observer.traces]
        self._hearers = [observer for observer in observers if observer.hears]
        self._clock = clock
        self._news: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._telling = threading.Lock()
        self._began: float | None = None
        self._first: float | None = None
        self._attempt: tuple[int, float] | None = None
        self._attempts = 0
        self._over = False

    def call_started(self) -> None:
        """The call begins."""
        self._post(self._start, self._clock())

    def attempt_started(self, number: int) -> None:
        """An attempt begins."""
        self._post(self._start_attempt, self._clock(), number)

    def result_came(self) -> None:
        """The first result of the call is there."""
        if self._first is None:
            self._first = self._clock()

    @property
    def traced(self) -> bool:
        """Does anybody want to be told of requests?"""
        return bool(self._tracers)

    @property
    def hears(self) -> bool:
        """Does anybody want to be told of answers?"""
        return bool(self._hearers)

    def request_sent(self, request: WireRequest) -> None:
        """A request is about to be sent."""
        self._post(self._trace, self._clock(), self._tracers, "request_sent", request)

    def response_started(self, status: int, headers: Mapping[str, str]) -> None:
        """The answer of a request begins."""
        facts = "response_started", status, headers
        self._post(self._trace, self._clock(), self._tracers, *facts)

    def response_ended(self, answer: WireAnswer) -> None:
        """The answer of a request is over."""
        self._post(self._trace, self._clock(), self._hearers, "response_ended", answer)

    def attempt_ended(self, attempt: Attempt) -> None:
        """An attempt is over."""
        self._post(self._end_attempt, self._clock(), attempt.error, attempt.delay)

    def call_ended(
        self,
        error: BaseException | None = None,
        usage: Usage | None = None,
        stop_reason: StopReason | None = None,
    ) -> None:
        """The call is over; only the first time counts."""
        known = error if isinstance(error, MultitapError) else None
        self._post(self._end, self._clock(), known, usage, stop_reason)

    # ---- one at a time -------------------------------------------------------------------------

    def _post(self, step: Callable[..., None], *facts: Any) -> None:
        self._news.append((step, facts))
        while self._news and self._telling.acquire(blocking=False):
            try:
                while self._news:
                    step, facts = self._news.popleft()
                    step(*facts)
            finally:
                self._telling.release()

    def _start(self, now: float) -> None:
        if self._began is None:
            self._began = now
            for observer in self._observers:
                observer.tell("call_started", self.call)

    def _start_attempt(self, now: float, number: int) -> None:
        if self._began is not None and not self._over:
            self._attempt = number, now
            self._attempts += 1
            for observer in self._observers:
                observer.tell("attempt_started", self.call, number)

    def _trace(
        self, now: float, observers: Sequence[Listener], method: str, *facts: object
    ) -> None:
        if self._began is not None and not self._over:
            for observer in observers:
                observer.tell(method, self.call, *facts)

    def _end_attempt(
        self, now: float, error: MultitapError | None, delay: float | None = None
    ) -> None:
        if self._attempt is not None and not self._over:
            number, began = self._attempt
            self._attempt = None
            end = AttemptEnd(number=number, seconds=now - began, error=error, delay=delay)
            for observer in reversed(self._observers):
                observer.tell("attempt_ended", self.call, end)

    def _end(
        self,
        now: float,
        error: MultitapError | None,
        usage: Usage | None,
        stop_reason: StopReason | None,
    ) -> None:
        if self._began is None or self._over:
            return
        self._end_attempt(now, error)
        self._over = True
        end = CallEnd(
            seconds=now - self._began,
            first_result=None if self._first is None else self._first - self._began,
            usage=usage,
            stop_reason=stop_reason,
            attempts=self._attempts,
            error=error,
        )
        for observer in reversed(self._observers):
            observer.tell("call_ended", self.call, end)
