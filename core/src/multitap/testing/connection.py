"""One accepted connection: what came, what became of it, and what a script can do with it."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import attrs

from multitap.testing.gate import Gate, Turn
from multitap.testing.received import Inbox, ReceivedRequest
from multitap.testing.wire import SecureWire, Wire

__all__ = ("ClientLeft", "Connection", "Moment")

T = TypeVar("T")
AHEAD = 65536  # bytes that are read while a script waits for something else


class ClientLeft(Exception):
    """The client has closed, so that the rest of a script is not played."""


@attrs.frozen
class Moment:
    """Something that happened to a connection, ``at`` so many seconds after it was accepted."""

    at: float
    what: str

    def __str__(self) -> str:
        return f"{self.what} after {self.at:.3f} s"


class Connection:
    """One accepted connection; a script's steps act on it, a test reads it.

    Attributes:
        number: Its place among the connections that were accepted, from 0.
        requests: What was asked, in order.
        request_came: Opens with the first request.
        closed_by_client: Opens when the client closes or resets, also while a script waits.
        closed: Whether the server has closed it.
        turn: ``turn.release()`` lets a script pass its next ``turn``.
        moments: What happened, and when: ``request``, ``client closed``, ``client reset``,
            ``server half-closed``, ``server closed``, ``server reset``.
        ceiling: Seconds that a script may wait for the test.
    """

    def __init__(
        self, number: int, wire: Wire, ceiling: float, changed: Callable[[], None]
    ) -> None:
        self.number = number
        self._wire = wire
        self._changed = changed
        self._inbox = Inbox()
        self._began = time.monotonic()
        self.closed = False
        self.ceiling = ceiling
        self.requests: list[ReceivedRequest] = []
        self.request_came = Gate()
        self.closed_by_client = Gate()
        self.turn = Turn(wire.loop)
        self.moments: list[Moment] = []

    @property
    def request(self) -> ReceivedRequest:
        """The request that came last."""
        return self.requests[-1]

    @property
    def happened(self) -> tuple[str, ...]:
        """What happened, in order, without the times."""
        return tuple(moment.what for moment in self.moments)

    def __repr__(self) -> str:
        seen = ", ".join(map(str, self.moments)) or "nothing happened yet"
        return f"<Connection {self.number}: {seen}>"

    # ---- what steps do, on the server's loop; written down first, so that no client is ahead of it

    async def start(self) -> None:
        """Shake hands."""
        await self._or_left(self._wire.start)

    async def secure(self, tls: ssl.SSLContext) -> None:
        """Speak TLS from here on."""
        self._wire = SecureWire(self._wire.socket, self._wire.loop, tls)
        await self.start()

    async def take_request(self) -> ReceivedRequest:
        """Wait for a whole request."""
        while (found := self._inbox.take_request()) is None:
            await self._receive()
        self.requests.append(found)
        self._note("request")
        self.request_came.open()
        return found

    async def take(self, size: int) -> bytes:
        """Wait for this many bytes, whatever they are."""
        while len(self._inbox) < size:
            await self._receive()
        return self._inbox.take(size)

    async def send(self, data: bytes) -> None:
        """Send bytes."""
        await self._or_left(lambda: self._wire.send(data))

    async def while_listening(self, waited_for: Awaitable[T]) -> T:
        """Wait for something else than the client, and notice meanwhile that it closes."""
        listening = asyncio.ensure_future(self._listen())
        try:
            return await waited_for
        finally:
            listening.cancel()
            await asyncio.wait([listening])

    async def until_closed(self) -> None:
        """Read until the client closes."""
        with suppress(ClientLeft):
            while True:
                await self._receive()
                self._inbox.take(len(self._inbox))

    async def half_close(self) -> None:
        """Say that no more is coming."""
        self._note("server half-closed")
        await self._or_left(self._wire.half_close)

    async def close(self) -> None:
        """Close, if it is still open."""
        if not self.closed:
            self._over("server closed")
            try:
                with suppress(OSError):
                    await self._wire.say_goodbye()
            finally:
                self._wire.close()

    def reset(self) -> None:
        """Close with a reset."""
        self._over("server reset")
        self._wire.reset()

    def drop(self, why: str) -> None:
        """Close at once, if it is still open."""
        if not self.closed:
            self._over(why)
            self._wire.close()

    # ---- how ------------------------------------------------------------------------------------

    async def _receive(self) -> None:
        data = await self._or_left(self._wire.receive)
        if not data:
            self._left("client closed")
            raise ClientLeft
        self._inbox.add(data)

    async def _listen(self) -> None:
        with suppress(ClientLeft):
            while not self.closed and len(self._inbox) < AHEAD:
                await self._receive()

    async def _or_left(self, doing: Callable[[], Awaitable[T]]) -> T:
        assert not self.closed, "the server itself has closed this connection"
        try:
            return await doing()
        except BrokenPipeError as error:
            self._left("client closed")
            raise ClientLeft from error
        except ConnectionError as error:
            self._left("client reset")
            raise ClientLeft from error
        except ssl.SSLError as error:
            self._left(f"TLS failed ({error.reason})")
            raise ClientLeft from error

    def _left(self, how: str) -> None:
        if how not in self.happened:
            self._note(how)
        self.closed_by_client.open()

    def _over(self, how: str) -> None:
        self.closed = True
        self._note(how)

    def _note(self, what: str) -> None:
        self.moments.append(Moment(time.monotonic() - self._began, what))
        self._changed()
