"""The attempts of a call: each waits for its turn, is made, and perhaps made again.

Until the call is committed. A server that loads the model is asked again and again, which is no
new attempt; one that has unloaded it is told to load it, once.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, Generic, TypeVar, cast

from multitap.engine.call import Call
from multitap.engine.commands import Drop, Steps, Wait
from multitap.errors import BackendError
from multitap.events import Loading as LoadingEvent
from multitap.events import RateLimit
from multitap.policy.admission import Ticket
from multitap.policy.retry import Attempt, Loading
from multitap.work import Out, Sleep

__all__ = ("Attempts",)

T = TypeVar("T")

_UNANSWERED = frozenset({"first_byte_timeout", "connection_lost", "slow_peer", "stall_timeout"})
_NOT_YET_SENT = frozenset({"resolve", "connect", "tls"})


class Attempts(Generic[T]):
    """What was tried for one call.

    Attributes:
        made: The attempts so far, of every backend that the call came to.
        committed: The caller has got a result: nothing is tried again.
        ticket: Of the attempt that is being made.
    """

    def __init__(self, call: Call[T], load: Callable[[Call[Any]], Steps[T]]) -> None:
        self.made: list[Attempt] = []
        self.committed = False
        self.ticket: Ticket | None = None
        self._watch = call.watch
        self._load = load
        self.begin(call)

    def begin(self, call: Call[T]) -> None:
        """Try for this call from here on."""
        self._call = call
        self._loading: Loading | None = None
        self._reloaded = False

    def leave(self) -> None:
        """Give up the place in line or in flight; any thread, more than once."""
        if self.ticket is not None:
            self.ticket.leave(cancelled=True)

    def run(self, attempt: Callable[[], Steps[T]], *, idempotent: bool) -> Steps[T]:
        """Make attempts until one goes well; what it returns."""
        failed: BackendError | None = None
        for number in count(1):
            try:
                result = yield from self._made(attempt, number)
            except BackendError as error:
                yield Drop()
                if error.phase == "queue":
                    raise failed or error from None
                failed = error
                delay = self._delay(error, number, idempotent)
                self._ended(Attempt(number, error, delay))
                if delay is None:
                    raise
                yield from self._told(error, delay)
                yield Sleep(delay)
            else:
                self._call.retry.succeeded()
                self._ended(Attempt(number))
                return result

    # ---- one attempt -----------------------------------------------------------------------------

    def _made(self, attempt: Callable[[], Steps[T]], number: int) -> Steps[T]:
        """One attempt, with the waits for its turn and for the model."""
        started = False
        while True:
            try:
                yield from self._admitted()
                if self._watch is not None and not started:
                    self._watch.attempt_started(number)
                started = True
                result = yield from attempt()
            except BackendError as error:
                self._failed(error)
                yield from self._loaded(error)
            except BaseException:
                self.leave()
                raise
            else:
                if self.ticket is not None:
                    self.ticket.leave()
                return result

    def _admitted(self) -> Steps[T]:
        call = self._call
        if call.admission is None:
            return
        seconds = call.clocks.left(call.clocks.queue)
        ticket = call.admission.enter(call.model, seconds, force=call.force, cost=call.cost)
        self.ticket = ticket
        told = False
        while (seconds_more := ticket.wait()) is not None:
            if not told and call.ends_with_stop:
                facts = {"providerId": call.backend.id, **call.admission.describe(ticket)}
                yield _out(RateLimit(facts))
            told = True
            yield Wait(ticket, seconds_more)

    def _failed(self, error: BackendError) -> None:
        self._call.located(error)
        if self.ticket is not None:
            self.ticket.leave(error)
        if self._call.noticed is not None:
            self._call.noticed(error)

    def _loaded(self, error: BackendError) -> Steps[T]:
        """Wait for a model that is loading, or load it; any other error is raised."""
        if self.committed:
            raise error
        self._loading = self._loading or Loading(self._call.clocks.now)
        pause = self._loading.delay(error, self._call.clocks.deadline)
        if pause is not None:
            yield Drop()
            if self._call.ends_with_stop:
                yield _out(LoadingEvent(error.message.rstrip(". ")))
            yield Sleep(pause)
            return
        load = self._call.load
        first = error.kind == "model_unloaded" and load is not None and not self._reloaded
        loading = load() if first and load is not None else None
        if loading is None:
            raise error
        self._reloaded = True
        yield Drop()
        yield from self._load(loading)

    # ---- between attempts ------------------------------------------------------------------------

    def _delay(self, error: BackendError, number: int, idempotent: bool) -> float | None:
        call = self._call
        harmless = idempotent or call.idempotent or call.streamed or not _may_have_run(error)
        if self.committed or not harmless:
            return None
        return call.retry.delay(error, number, call.clocks.deadline)

    def _told(self, error: BackendError, delay: float) -> Steps[T]:
        call = self._call
        if call.retrying is not None:
            yield Out(call.retrying(error, delay))
        elif call.ends_with_stop and error.retry_after is not None:
            wait = {"providerId": call.backend.id, "estimatedWaitTime": round(1000 * delay)}
            yield _out(RateLimit(wait))

    def _ended(self, attempt: Attempt) -> None:
        self.made.append(attempt)
        if self._watch is not None:
            self._watch.attempt_ended(attempt)


def _may_have_run(error: BackendError) -> bool:
    """Was the request sent, and is it not known what became of it?"""
    unanswered = error.kind in _UNANSWERED and error.phase not in _NOT_YET_SENT
    return unanswered or error.status == 504


def _out(event: RateLimit | LoadingEvent) -> Out[T]:
    return cast("Out[T]", Out([event]))  # of a call whose results are events
