"""What a call has given so far, and how it ended: the same for both interpreters."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Generic, TypeVar

from multitap.answer import Answer, fold, stop_reason_of
from multitap.engine.call import Call
from multitap.engine.trace import cleaner
from multitap.errors import BackendError, LocalError, PluginError
from multitap.events import Event, Reasoning, Stop, StopReason, Text, Usage, UsageReport
from multitap.policy.retry import Attempt
from multitap.redaction import scrub

__all__ = ("ChatOutcome", "Outcome", "joined")

T = TypeVar("T")

KEPT_APART = 32

_process = object()  # another one in a child: to ask for its number is a call into the kernel


def _renew() -> None:
    global _process
    _process = object()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)


class Outcome(Generic[T]):
    """Results, attempts and the end of one call."""

    def __init__(self, call: Call[T]) -> None:
        self.call = call
        self.attempts: Sequence[Attempt] = ()
        self.stopped: StopReason | None = None
        self.request_id: str | None = None
        self._usage: Usage | None = None
        self._began: float | None = None
        self._first: float | None = None
        self._over: float | None = None
        self._process = _process

    def begin(self) -> None:
        """A step of the call is taken, perhaps the first.

        Raises:
            LocalError: The call was begun in the process that this one was forked from.
        """
        if self._began is None:
            self._began, self._process = time.monotonic(), _process
        elif self._process is not _process:
            raise LocalError(
                "The stream was opened before a fork, in the parent process",
                hint="Read it there; ask anew here.",
            )

    def end(self) -> None:
        """Nothing more will come."""
        if self._over is None:
            self._over = time.monotonic()

    def add(self, items: Sequence[T]) -> None:
        """Results have come."""
        if self._first is None:
            self._look_for_the_first(items)
        if items:
            self._usage = getattr(items[-1], "usage", None)

    def _look_for_the_first(self, items: Sequence[T]) -> None:
        if any(getattr(item, "semantic", True) for item in items):
            self._first = time.monotonic()

    @property
    def latency(self) -> float | None:
        """Seconds from the first step to the end; ``None`` while it goes on."""
        return self._since_begin(self._over)

    @property
    def first_result(self) -> float | None:
        """Seconds from the first step to the first result; ``None`` while there is none."""
        return self._since_begin(self._first)

    def _since_begin(self, moment: float | None) -> float | None:
        return None if self._began is None or moment is None else moment - self._began

    def finished(self) -> None:
        """Everything has come."""
        self._tell(None)

    def cancelled(self) -> None:
        """The application closed the stream before its end."""
        self.stopped = "cancelled"
        self.end()
        self._tell(None)

    def failed(self, error: BaseException) -> None:
        """The call ends with this error: note on it every attempt, and what had come before."""
        scrub(error, cleaner(self.call.backend))
        self.stopped = stop_reason_of(error)
        if isinstance(error, (BackendError, LocalError, PluginError)):
            error.attempts = tuple(self.attempts)
            error.partial = self._partial(error)
        self._tell(error)

    def _partial(self, error: BackendError | LocalError | PluginError) -> Any:
        """What the plugin itself has put there."""
        return error.partial

    def _tell(self, error: BaseException | None) -> None:
        """Tell the observers of the end; only the first one counts."""
        if self.call.watch is not None:
            usage, stop_reason = self._end()
            self.call.watch.call_ended(error, usage, stop_reason)

    def _end(self) -> tuple[Usage | None, StopReason | None]:
        return self._usage, self.stopped


class ChatOutcome(Outcome[Event]):
    """The events of a chat call, and the answer that they make."""

    def __init__(self, call: Call[Event]) -> None:
        super().__init__(call)
        self._before: list[Event] = []
        self._events: list[Event] = []

    def add(self, items: Sequence[Event]) -> None:
        """Events have come, so that the application has read all that came before them."""
        if self._first is None:
            self._look_for_the_first(items)
        if len(self._events) >= KEPT_APART:
            self._before += joined(self._events)
            self._events = []
        self._events += items

    def _partial(self, error: BackendError | LocalError | PluginError) -> Answer:
        return self.answer()

    def _end(self) -> tuple[Usage | None, StopReason | None]:
        events = [*self._before, *self._events]
        reports = (event.usage for event in reversed(events) if type(event) is UsageReport)
        last = events[-1] if events else None
        return next(reports, None), last.stop_reason if isinstance(last, Stop) else self.stopped

    def answer(self, unread: int = 0) -> Answer:
        """The answer so far, without the last events that the application has not read yet."""
        backend = self.call.backend
        return fold(
            [*self._before, *self._events[: len(self._events) - unread]],
            backend=backend.id,
            provider=backend.provider,
            model=self.call.model,
            attempts=self.attempts,
            stopped=self.stopped,
            pricing=self.call.pricing,
            schema=self.call.schema,
            limits=self.call.limits,
            request_id=self.request_id,
            latency=self.latency,
            time_to_first_token=self.first_result,
        )


def joined(events: Sequence[Event]) -> Iterator[Event]:
    """The same answer in fewer events: a long one would be a burden to the garbage collector."""
    for kind, some in groupby(events, type):
        run: list[Any] = list(some)
        if kind is Text:
            said = [e.content for e in run if e.choice == 0 and e.logprobs is None]
            run = [Text("".join(said))] if len(said) == len(run) else run
        elif kind is Reasoning:
            said = [e.reasoning_content for e in run if e.choice == 0 and not e.provider_options]
            run = [Reasoning("".join(said))] if len(said) == len(run) else run
        yield from run
