"""The blocking interpreter: carries out a flow's commands; its streams are what is iterated."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from operator import length_hint
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

from multitap.answer import Answer
from multitap.engine.call import Call
from multitap.engine.carrier import Carrier, Transfer
from multitap.engine.commands import (
    Command,
    Done,
    Drop,
    Pour,
    Read,
    Send,
    Start,
    Switch,
    Take,
    Wait,
)
from multitap.engine.flow import Flow
from multitap.engine.heard import heard
from multitap.engine.local import LocalWork, out_of_time, seconds_left
from multitap.engine.outcome import ChatOutcome, Outcome
from multitap.engine.request import prepare
from multitap.errors import BackendError
from multitap.events import Event
from multitap.policy.clocks import GLANCE
from multitap.sinks import StreamSink, deliveries
from multitap.work import Backend, Out, Sleep

__all__ = ("ChatStream", "Stream", "whole")

T = TypeVar("T")
S = TypeVar("S", bound="Stream[Any]")


class Stream(Generic[T]):
    """The results of one call, as they come: a context manager and an iterator.

    The request is sent at ``with``, or at the first step. A failure is raised after the last
    result. ``close`` may be called from any thread, at any time; iteration then ends.
    """

    def __init__(
        self,
        call: Call[T],
        carrier: Callable[[Backend], Carrier],
        outcome: Outcome[T] | None = None,
    ) -> None:
        self.outcome: Outcome[T] = outcome or Outcome(call)
        self._call = call
        self._carrier = carrier
        self._flow = Flow(call)
        self._commands = self._flow.run()
        self._pending: Command[T] | None = None
        self._fault: Exception | None = None
        self._transfer: Transfer | None = None
        self._local: LocalWork | None = None
        self._batch: Iterator[T] = iter(())
        self._started = self._over = False
        self._closed = False
        # A queue, since a finaliser may ring at any moment and must not meet a lock.
        self._bell: SimpleQueue[None] = SimpleQueue()

    # ---- what an application does --------------------------------------------------------------

    def __enter__(self: S) -> S:
        if not self._started:
            self._guarded(self._begin)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[T]:
        while True:
            yield from self._batch
            batch = self._guarded(self._next_batch)
            if batch is None:
                return
            self._batch = iter(batch)

    def __next__(self) -> T:
        return next(iter(self))

    def batches(self) -> Iterator[Sequence[T]]:
        """The same results, in the groups in which they came."""
        rest = list(self._batch)
        if rest:
            yield rest
        while (batch := self._guarded(self._next_batch)) is not None:
            yield batch

    def close(self) -> None:
        """End the call and free its connection. Never blocks; any thread; more than once."""
        self._closed = True
        self._bell.put(None)
        self._abort()
        self._flow.leave()
        if not self._over:
            self.outcome.cancelled()

    def __del__(self) -> None:
        if self._started and not self._over and not self._closed:
            warnings.warn(f"{self!r} was not closed", ResourceWarning, stacklevel=2, source=self)
            self.close()

    # ---- how it is done ------------------------------------------------------------------------

    def _begin(self) -> None:
        """Send the request; stop where the answer, or a result, is next."""
        self._started = True
        command = next(self._commands)
        while not isinstance(command, (Pour, Take, Out)):
            command = self._carry_out(command)
        self._pending = command

    def _next_batch(self) -> Sequence[T] | None:
        self._started = True
        command, self._pending = self._pending, None
        if command is None:
            command = next(self._commands)
        while type(command) is not Out:
            if type(command) is not Pour:
                command = self._carry_out(command)
            elif (items := self._poured(command)) is not None:
                self._pending = command
                break
            else:
                command = self._after_pouring()
        else:
            items = cast("Sequence[T]", command.items)  # the flow keeps failures to itself
        self.outcome.add(items)
        return items

    def _poured(self, pour: Pour[T]) -> Sequence[T] | None:
        """What comes of the next reads; ``None``: the flow is to go on."""
        try:
            while not pour.over:
                idle = None if pour.idle is None else pour.idle()
                data = self._transfer.read(idle) if self._transfer else b""
                if not data:
                    return None
                items, pour.over = pour.step(data)
                if items:
                    return items
        except Exception as error:
            self._fault = error
        return None

    def _after_pouring(self) -> Command[T]:
        fault, self._fault = self._fault, None
        if fault is None:
            return self._commands.send(None)
        return self._commands.throw(fault)

    def _guarded(self, step: Callable[[], Any]) -> Any:
        """One step; at the end of the call, however it ends, nothing is left open."""
        if self._over:
            return None
        self.outcome.begin()
        try:
            if not self._closed:
                return step()
        except StopIteration:
            self._end(aborted=False)
            self.outcome.finished()
        except BaseException as error:
            self._end(aborted=True)
            if not (self._closed and isinstance(error, BackendError)):
                self.outcome.failed(error)
                raise
            self.outcome.cancelled()
        else:
            self._end(aborted=True)
            self.outcome.cancelled()
        return None

    def _end(self, aborted: bool) -> None:
        self._over = True
        self.outcome.attempts, self.outcome.request_id = self._flow.attempts, self._flow.request_id
        self.outcome.end()
        if aborted:
            self._commands.close()
            self._abort()

    def _carry_out(self, command: Command[T]) -> Command[T]:
        try:
            result = self._send(command) if type(command) is Send else self._perform(command)
        except Exception as error:
            return self._commands.throw(error)
        return self._commands.send(result)

    def _perform(self, command: Command[T]) -> Any:
        if type(command) is Read:
            return self._transfer.read(command.idle) if self._transfer else b""
        if type(command) is Take:
            return self._take()
        if isinstance(command, Start):
            self._start(LocalWork(command.run, notify=_nothing))
        elif isinstance(command, Sleep):
            self._sleep(command.seconds)
        elif isinstance(command, Wait):
            self._wait(command)
        elif isinstance(command, Switch):
            self._call = self.outcome.call = command.call
        elif isinstance(command, Done):
            self._finish()
        elif isinstance(command, Drop):
            self._abort()
        return None

    def _send(self, command: Send) -> Any:
        call = self._call
        transfer = self._carrier(call.backend).transfer()
        if call.watch is not None:
            transfer = heard(transfer, call)
        self._transfer = transfer
        if self._closed:
            transfer.abort()
        return transfer.send(prepare(call, command.call), call.clocks)

    def _start(self, local: LocalWork) -> None:
        self._local = local
        if self._closed:  # before there was anything to abort
            local.abort()
        local.start()

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._closed and (left := until - time.monotonic()) > 0:
            self._rest(left)

    def _wait(self, command: Wait) -> None:
        command.ticket.called = partial(self._bell.put, None)
        if not (command.ticket.decided or self._closed):
            self._rest(command.seconds)

    def _rest(self, seconds: float) -> None:
        """Until the bell rings, and a glance at most: who rests looks again by itself."""
        with suppress(Empty):
            self._bell.get(timeout=min(seconds, GLANCE))

    def _take(self) -> Sequence[T] | None:
        local = self._local
        assert local is not None
        left = seconds_left(self._call.clocks)
        if not local.wait(left):
            raise out_of_time()
        return local.take()[1]

    def _finish(self) -> None:
        if self._transfer is not None:
            self._transfer.done()
            self._transfer = None
        if self._local is not None:
            self._local.abort()

    def _abort(self) -> None:
        transfer, local = self._transfer, self._local
        if transfer is not None:
            transfer.abort()
        if local is not None:
            local.abort()


class ChatStream(Stream[Event]):
    """The events of one answer. ``answer`` is the answer so far, and whole after the end."""

    def __init__(self, call: Call[Event], carrier: Callable[[Backend], Carrier]) -> None:
        self._said = ChatOutcome(call)
        super().__init__(call, carrier, self._said)

    @property
    def answer(self) -> Answer:
        """What has been read so far."""
        return self._said.answer(unread=length_hint(self._batch))

    def into(self, sink: StreamSink) -> Answer:
        """Read to the end and give everything to a sink; what it raises ends the call."""
        with self:
            for event in self:
                for call, value in deliveries(sink, event):
                    call(value)
        if self.answer.stop_reason != "cancelled":
            sink.on_complete(self.answer.text)
        return self.answer


def whole(stream: ChatStream) -> Answer:
    """The answer, read to its end; after that nothing is left to be closed."""
    while stream._guarded(stream._next_batch) is not None:
        pass
    return stream.answer


def _nothing() -> None:
    """A blocking reader is woken by the queue itself."""
