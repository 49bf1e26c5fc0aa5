"""The asyncio interpreter: ``sync.py`` with ``await``; nothing else differs."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from operator import length_hint
from types import TracebackType
from typing import Any, Generic, TypeVar, cast

from multitap.answer import Answer
from multitap.engine.call import Call
from multitap.engine.carrier import AsyncCarrier, AsyncTransfer
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
from multitap.engine.heard import heard_on_a_loop
from multitap.engine.local import LocalWork, seconds_left
from multitap.engine.outcome import ChatOutcome, Outcome
from multitap.engine.request import prepare
from multitap.errors import BackendError
from multitap.events import Event
from multitap.sinks import AsyncStreamSink, StreamSink, deliveries
from multitap.work import Backend, Out, Sleep

__all__ = ("AsyncChatStream", "AsyncStream", "whole")

T = TypeVar("T")
S = TypeVar("S", bound="AsyncStream[Any]")


class AsyncStream(Generic[T]):
    """The results of one call, as they come: an async context manager and an async iterator.

    The request is sent at ``async with``, or at the first step. A failure is raised after the last
    result. ``close`` is synchronous, and may be called from any thread at any time; iteration then
    ends. A cancelled task closes the stream.
    """

    def __init__(
        self,
        call: Call[T],
        carrier: Callable[[Backend], AsyncCarrier],
        outcome: Outcome[T] | None = None,
    ) -> None:
        self.outcome: Outcome[T] = outcome or Outcome(call)
        self._call = call
        self._carrier = carrier
        self._flow = Flow(call)
        self._commands = self._flow.run()
        self._pending: Command[T] | None = None
        self._fault: Exception | None = None
        self._transfer: AsyncTransfer | None = None
        self._local: LocalWork | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake: asyncio.Event
        self._batch: Iterator[T] = iter(())
        self._started = self._over = self._closed = False

    # ---- what an application does --------------------------------------------------------------

    async def __aenter__(self: S) -> S:
        if not self._started:
            await self._guarded(self._begin)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __aiter__(self: S) -> S:
        return self

    async def __anext__(self) -> T:
        while True:
            for item in self._batch:
                return item
            batch = await self._guarded(self._next_batch)
            if batch is None:
                raise StopAsyncIteration
            self._batch = iter(batch)

    async def batches(self) -> AsyncIterator[Sequence[T]]:
        """The same results, in the groups in which they came."""
        rest = list(self._batch)
        if rest:
            yield rest
        while (batch := await self._guarded(self._next_batch)) is not None:
            yield batch

    def close(self) -> None:
        """End the call and free its connection. Never blocks; any thread; more than once."""
        self._closed = True
        self._abort()
        self._flow.leave()
        if not self._over:
            self.outcome.cancelled()
        self._notify()

    def __del__(self) -> None:
        if self._started and not self._over and not self._closed:
            warnings.warn(f"{self!r} was not closed", ResourceWarning, stacklevel=2, source=self)
            self.close()

    # ---- how it is done ------------------------------------------------------------------------

    async def _begin(self) -> None:
        """Send the request; stop where the answer, or a result, is next."""
        self._started = True
        command = _resumed(self._commands.send, None)
        while not isinstance(command, (Pour, Take, Out)):
            command = await self._carry_out(command)
        self._pending = command

    async def _next_batch(self) -> Sequence[T] | None:
        self._started = True
        command, self._pending = self._pending, None
        if command is None:
            command = _resumed(self._commands.send, None)
        while type(command) is not Out:
            if type(command) is not Pour:
                command = await self._carry_out(command)
            elif (items := await self._poured(command)) is not None:
                self._pending = command
                break
            else:
                command = self._after_pouring()
        else:
            items = cast("Sequence[T]", command.items)  # the flow keeps failures to itself
        self.outcome.add(items)
        return items

    async def _poured(self, pour: Pour[T]) -> Sequence[T] | None:
        """What comes of the next reads; ``None``: the flow is to go on."""
        try:
            while not pour.over:
                idle = None if pour.idle is None else pour.idle()
                data = await self._transfer.read(idle) if self._transfer else b""
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
            return _resumed(self._commands.send, None)
        return _resumed(self._commands.throw, fault)

    async def _guarded(self, step: Callable[[], Awaitable[Any]]) -> Any:
        """One step; at the end of the call, however it ends, nothing is left open."""
        if self._over:
            return None
        self.outcome.begin()
        try:
            if not self._closed:
                return await step()
        except _Ended:
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

    async def _carry_out(self, command: Command[T]) -> Command[T]:
        try:
            if type(command) is Send:
                result = await self._send(command)
            else:
                result = await self._perform(command)
        except Exception as error:
            return _resumed(self._commands.throw, error)
        return _resumed(self._commands.send, result)

    async def _perform(self, command: Command[T]) -> Any:
        if type(command) is Read:
            return await self._transfer.read(command.idle) if self._transfer else b""
        if type(command) is Take:
            return await self._take()
        if isinstance(command, Start):
            self._listen()
            self._start(LocalWork(command.run, notify=self._notify))
        elif isinstance(command, Sleep):
            await self._sleep(command.seconds)
        elif isinstance(command, Wait):
            await self._wait(command)
        elif isinstance(command, Switch):
            self._call = self.outcome.call = command.call
        elif isinstance(command, Done):
            await self._finish()
        elif isinstance(command, Drop):
            self._abort()
        return None

    async def _send(self, command: Send) -> Any:
        call = self._call
        transfer = self._carrier(call.backend).transfer()
        if call.watch is not None:
            transfer = heard_on_a_loop(transfer, call)
        self._transfer = transfer
        if self._closed:
            transfer.abort()
        return await transfer.send(prepare(call, command.call), call.clocks)

    def _start(self, local: LocalWork) -> None:
        self._local = local
        if self._closed:  # before there was anything to abort
            local.abort()
        local.start()

    async def _take(self) -> Sequence[T] | None:
        assert self._local is not None
        while True:
            left = seconds_left(self._call.clocks)
            self._wake.clear()
            ready, items = self._local.take()
            if ready or self._closed:
                return items
            await self._woken(left)

    async def _sleep(self, seconds: float) -> None:
        loop = self._listen()
        until = loop.time() + seconds
        while not self._closed and (left := until - loop.time()) > 0:
            self._wake.clear()
            await self._woken(left)

    async def _wait(self, command: Wait) -> None:
        self._listen()
        self._wake.clear()
        command.ticket.called = self._notify
        if not (command.ticket.decided or self._closed):
            await self._woken(command.seconds)

    async def _woken(self, timeout: float | None) -> None:
        """Wait to be notified, or for the time to pass.

        Not with ``asyncio.wait_for``, which before Python 3.12 may swallow a cancellation.
        """
        timer = None
        if timeout is not None:
            timer = asyncio.get_running_loop().call_later(timeout, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            if timer is not None:
                timer.cancel()

    def _listen(self) -> asyncio.AbstractEventLoop:
        """From here on be woken by ``_notify``."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._wake = asyncio.Event()
            self._loop = loop
        return loop

    def _notify(self) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(self._wake.set)

    async def _finish(self) -> None:
        if self._transfer is not None:
            await self._transfer.done()
            self._transfer = None
        if self._local is not None:
            self._local.abort()

    def _abort(self) -> None:
        transfer, local = self._transfer, self._local
        if transfer is not None:
            transfer.abort()
        if local is not None:
            local.abort()


class AsyncChatStream(AsyncStream[Event]):
    """The events of one answer. ``answer`` is the answer so far, and whole after the end."""

    def __init__(self, call: Call[Event], carrier: Callable[[Backend], AsyncCarrier]) -> None:
        self._said = ChatOutcome(call)
        super().__init__(call, carrier, self._said)

    @property
    def answer(self) -> Answer:
        """What has been read so far."""
        return self._said.answer(unread=length_hint(self._batch))

    async def into(self, sink: StreamSink | AsyncStreamSink) -> Answer:
        """Read to the end and give everything to a sink; what it raises ends the call."""
        async with self:
            async for event in self:
                for call, value in deliveries(sink, event):
                    await _done(call(value))
        if self.answer.stop_reason != "cancelled":
            await _done(sink.on_complete(self.answer.text))
        return self.answer


async def whole(stream: AsyncChatStream) -> Answer:
    """The answer, read to its end; after that nothing is left to be closed."""
    while await stream._guarded(stream._next_batch) is not None:
        pass
    return stream.answer


async def _done(result: Awaitable[None] | None) -> None:
    if result is not None:
        await result


class _Ended(Exception):
    """The flow has no more commands; ``StopIteration`` cannot leave a coroutine."""


def _resumed(resume: Callable[[Any], Command[T]], value: Any) -> Command[T]:
    try:
        return resume(value)
    except StopIteration:
        raise _Ended from None
