"""The carrier for event loops: HTTP/1.1 over asyncio's transports."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from multitap.engine import faults
from multitap.engine.direct.dial import Dial
from multitap.engine.direct.http1 import DRAIN_BYTES, DRAIN_SECONDS, READ_SIZE, Response
from multitap.engine.direct.pool import IDLE_SECONDS, MAX_CONNECTIONS, Pool
from multitap.engine.direct.streams import StreamConnection
from multitap.engine.direct.way import Trust, Way
from multitap.engine.origin import may_resend
from multitap.errors import BackendError, ProviderDown

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from multitap.engine.blocks import Pieces
    from multitap.engine.carrier import Request
    from multitap.policy.clocks import Clocks
    from multitap.work import Head

__all__ = ("AsyncDirectCarrier", "AsyncDirectTransfer")


class AsyncDirectCarrier:
    """Connections to one origin, for the event loop that first uses it.

    Args:
        endpoint: The base URL, with or without a path.
        proxy: The URL of an HTTP proxy, with its credentials.
        ca_file: Certificate authorities in PEM that are trusted beside the system's.
        max_connections: How many connections may be open, idle ones included.
        idle_expiry: Seconds that a connection waits for its next request.
        ssl_context: In the place of the system's authorities and ``ca_file``.
        now: What tells for how long a connection has waited.

    Raises:
        ConfigError: The endpoint is not an address.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        proxy: str | None = None,
        ca_file: str | None = None,
        max_connections: int = MAX_CONNECTIONS,
        idle_expiry: float = IDLE_SECONDS,
        ssl_context: ssl.SSLContext | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.way = Way.to(endpoint, proxy)
        self.where = str(self.way)
        self.trust = Trust(ssl_context, ca_file)
        self.pool: Pool[StreamConnection] = Pool(self.where, max_connections, idle_expiry, now)
        self.buffer = memoryview(bytearray(READ_SIZE))
        self._loop: asyncio.AbstractEventLoop | None = None

    def transfer(self) -> AsyncDirectTransfer:
        """A new transfer; no I/O yet."""
        self.pool.check()
        return AsyncDirectTransfer(self)

    def close(self) -> None:
        """Close every idle connection and refuse new transfers; any thread."""
        self.pool.refuse()
        _call_on(self._loop, self.pool.close)

    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that runs; it must be the one that the carrier belongs to."""
        running = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = running
        if self._loop is not running:
            raise faults.not_on_this_loop()
        return running


class AsyncDirectTransfer:
    """One request and its answer, on an event loop.

    Whatever interrupts it, a cancellation at any ``await`` included, closes the connection.
    """

    def __init__(self, carrier: AsyncDirectCarrier) -> None:
        self._carrier = carrier
        self._way = carrier.way
        self._pool = carrier.pool
        self._pid = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._aborted = self._sent = self._cut = False
        self._connection: StreamConnection | None = None
        self._response: Response | None = None
        self._idle = 0.0
        self._clocks: Clocks

    async def send(self, request: Request, clocks: Clocks, /) -> Head:
        """Connect if need be, send, and wait for status and headers."""
        self._loop = self._carrier.loop()
        try:
            return await self._exchange(request, clocks)
        except BaseException:
            self._drop()
            raise

    async def read(self, idle: float | None = None, /) -> bytes:
        """The next bytes of the body as they come; ``b""`` at its end."""
        idle = self._idle if idle is None else min(idle, self._idle)
        try:
            response = self._response
            if response is None or self._aborted:
                raise faults.aborted("stream")
            while not (data := response.take()) and not response.complete:
                await self._receive(idle, idle, "stall_timeout", "stream")
            return data
        except BaseException:
            self._drop()
            raise

    async def done(self) -> None:
        """The answer is all there: drain what is left (bounded) and keep the connection."""
        try:
            await self._drain()
            self._keep()
        finally:
            self._drop()

    def abort(self) -> None:
        """Give up. Never blocks, any thread, any time, more than once; wakes a waiting ``read``."""
        self._aborted = True
        if self._pid == os.getpid():
            _call_on(self._loop, self._drop)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.discard(connection)

    # ---- sending ---------------------------------------------------------------------------------

    async def _exchange(self, request: Request, clocks: Clocks) -> Head:
        self._clocks = clocks
        self._idle = clocks.idle if request.call.idle is None else request.call.idle
        data = self._way.wire(request)
        kept = self._pool.take()
        if kept is not None:
            kept.own()
            self._hold(kept)
            try:
                return await self._converse(kept, data, request)
            except ProviderDown:
                answered = self._response is not None and self._response.started
                if answered or self._aborted or not may_resend(request, sent=self._sent):
                    raise
                self._drop()
        return await self._converse(await self._open(request), data, request)

    async def _open(self, request: Request) -> StreamConnection:
        assert self._loop is not None
        context = self._carrier.trust.on(self._way)
        connection = StreamConnection(self._loop, self._pool.forget, self._carrier.buffer)
        self._pool.add(connection)
        self._hold(connection)
        dial = Dial(connection, self._way, self._clocks)
        try:
            await dial.run(context, request.limits)
        except OSError as error:
            raise self._way.not_opened(error, self._clocks) from error
        return connection

    def _hold(self, connection: StreamConnection) -> None:
        self._connection = connection
        if self._aborted:
            raise faults.aborted("connect")

    async def _converse(self, connection: StreamConnection, data: bytes, request: Request) -> Head:
        response = Response(self._carrier.where, request.call.method, request.limits)
        self._response = response
        self._sent = False
        self._sent = await self._write(data, connection)
        if self._sent and not isinstance(request.body, bytes):
            self._sent = await self._write_files(request.body, connection)
            self._cut = not self._sent
        limit = request.call.first_byte
        limit = self._clocks.first_byte if limit is None else limit
        until = self._clocks.now() + limit
        while not response.started:
            await self._receive(until - self._clocks.now(), limit, "first_byte_timeout", "wait")
        return await self._head(response)

    async def _head(self, response: Response) -> Head:
        """The rest of it, informational answers included."""
        clocks = self._clocks
        until = clocks.now() + clocks.head
        while response.head is None:
            await self._receive(until - clocks.now(), clocks.head, "slow_peer", "wait")
        self._way.check(response.head)
        return response.head

    async def _write(self, data: bytes, connection: StreamConnection) -> bool:
        clocks = self._clocks
        connection.write(data)
        while waiting := connection.writing:
            if connection.readable:
                break
            before = connection.unsent()
            woken = await connection.wait(clocks.left(clocks.write))
            if not woken and connection.unsent() >= before:
                raise faults.expired("stall_timeout", "send", clocks.write, clocks)
        return not waiting

    async def _write_files(self, body: Pieces, connection: StreamConnection) -> bool:
        with body.blocks() as blocks:
            while block := await asyncio.to_thread(blocks.read):
                if self._aborted:
                    raise faults.aborted("send")
                if connection.ended or not await self._write(block, connection):
                    return False
        return True

    # ---- receiving -------------------------------------------------------------------------------

    async def _receive(self, wait: float, limit: float, kind: str, phase: str) -> None:
        connection, response = self._connection, self._response
        if connection is None or response is None or self._aborted:
            raise faults.aborted(phase)
        left = self._clocks.left(wait)
        while left <= 0 or not connection.readable:
            if not await connection.wait(left):
                raise faults.expired(kind, phase, limit, self._clocks)
            left = self._clocks.left(wait)
        if self._aborted:
            raise faults.aborted(phase)
        data = connection.take()
        if data:
            response.feed(data)
        else:
            response.end(reset=connection.reset)

    async def _drain(self) -> None:
        response, left = self._response, DRAIN_BYTES
        if response is None:
            return
        until = self._clocks.now() + DRAIN_SECONDS
        try:
            while not response.complete and left > 0:
                left -= len(response.take())
                wait = until - self._clocks.now()
                await self._receive(wait, DRAIN_SECONDS, "stall_timeout", "stream")
        except BackendError:
            self._drop()  # the answer is whole; only the connection is lost

    def _keep(self) -> None:
        response, connection = self._response, self._connection
        if response is None or connection is None or self._aborted or self._cut:
            return
        if response.complete and response.reusable and connection.release():
            self._connection = None
            self._pool.give(connection)


def _call_on(loop: asyncio.AbstractEventLoop | None, function: Callable[[], None]) -> None:
    if loop is None or _running_loop() is loop:
        function()
        return
    with suppress(RuntimeError):  # a closed loop moves no more bytes, nor can it close anything
        loop.call_soon_threadsafe(function)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
