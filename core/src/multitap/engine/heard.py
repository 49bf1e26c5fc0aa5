"""Transfers whose answers are heard: what comes is kept, bounded, and told once it is over."""

from __future__ import annotations

from typing import Any, Union

from multitap.engine.call import Call
from multitap.engine.carrier import AsyncTransfer, Request, Transfer
from multitap.engine.trace import LONGEST_BODY, SLACK, wire_answer
from multitap.engine.watch import Watch
from multitap.policy.clocks import Clocks
from multitap.work import Backend, Head

__all__ = ("heard", "heard_on_a_loop")


def heard(transfer: Transfer, call: Call[Any]) -> Transfer:
    """The transfer, heard if anybody wants to be told of answers."""
    if call.watch is None or not call.watch.hears:
        return transfer
    return Heard(transfer, Answer(call.backend, call.watch))


def heard_on_a_loop(transfer: AsyncTransfer, call: Call[Any]) -> AsyncTransfer:
    """As ``heard``, on an event loop."""
    if call.watch is None or not call.watch.hears:
        return transfer
    return AsyncHeard(transfer, Answer(call.backend, call.watch))


class Answer:
    """What has come of one answer."""

    def __init__(self, backend: Backend, watch: Watch) -> None:
        self._backend = backend
        self._watch = watch
        self._head: Head | None = None
        self._body = bytearray()
        self._size = 0

    def begin(self, head: Head) -> Head:
        """Its head has come."""
        self._head = head
        return head

    def add(self, data: bytes) -> bytes:
        """More of its body has come."""
        self._body += data[: LONGEST_BODY + SLACK - len(self._body)]
        self._size += len(data)
        return data

    def end(self) -> None:
        """Tell what there is, once."""
        head, self._head = self._head, None
        if head is not None:
            told = wire_answer(self._backend, head, bytes(self._body), self._size)
            self._watch.response_ended(told)


class _Heard:
    """What both worlds share."""

    def __init__(self, transfer: Union[Transfer, AsyncTransfer], answer: Answer) -> None:
        self._aborted = transfer.abort
        self._answer = answer

    def abort(self) -> None:
        """Give up; what has come is told."""
        self._answer.end()
        self._aborted()


class Heard(_Heard):
    """A ``Transfer``."""

    def __init__(self, transfer: Transfer, answer: Answer) -> None:
        super().__init__(transfer, answer)
        self._transfer = transfer

    def send(self, request: Request, clocks: Clocks, /) -> Head:
        """Send, and wait for the head."""
        return self._answer.begin(self._transfer.send(request, clocks))

    def read(self, idle: float | None = None, /) -> bytes:
        """The next bytes."""
        return self._answer.add(self._transfer.read(idle))

    def done(self) -> None:
        """The answer is all there."""
        self._answer.end()
        self._transfer.done()


class AsyncHeard(_Heard):
    """An ``AsyncTransfer``."""

    def __init__(self, transfer: AsyncTransfer, answer: Answer) -> None:
        super().__init__(transfer, answer)
        self._transfer = transfer

    async def send(self, request: Request, clocks: Clocks, /) -> Head:
        """Send, and wait for the head."""
        return self._answer.begin(await self._transfer.send(request, clocks))

    async def read(self, idle: float | None = None, /) -> bytes:
        """The next bytes."""
        return self._answer.add(await self._transfer.read(idle))

    async def done(self) -> None:
        """The answer is all there."""
        self._answer.end()
        await self._transfer.done()
