"""The carriers over httpx: for an injected client, HTTP/2, mocks and anything unusual.

What they cannot promise stands in ``docs/carriers.md``: ``abort`` wakes a blocking call that still
waits for the head of an answer only if that call opened its connection itself, a deadline is looked
at between reads, a blocking ``read`` bears less silence than the clocks only where there is a
socket to wake it by, and 0.28 may lose a connection of its pool to a cancelled task.
A client of its own goes through the proxy that it is given, and takes nothing from the environment.
Only this file, ``httpx_client`` and ``httpx_faults`` import httpx.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import httpx  # noqa: TID253 - imported only where this carrier is asked for

from multitap.config.values import without_credentials
from multitap.engine import faults
from multitap.engine.direct.http1 import DRAIN_BYTES, DRAIN_SECONDS
from multitap.engine.httpx_attempt import Attempt, bell
from multitap.engine.httpx_client import (
    async_pieces,
    client_options,
    origin_of,
    pieces,
    request_of,
)
from multitap.engine.httpx_faults import FOREIGN, raise_named
from multitap.engine.httpx_socks import SocksOpening
from multitap.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping

    from multitap.engine.carrier import Request
    from multitap.policy.clocks import Clocks
    from multitap.work import Head

__all__ = ("AsyncHttpxCarrier", "AsyncHttpxTransfer", "HttpxCarrier", "HttpxTransfer")

T = TypeVar("T")
KNOWN = (*FOREIGN, BackendError)


class HttpxCarrier:
    """The connections of an ``httpx.Client``: one of the caller's, which stays open, or its own."""

    def __init__(
        self,
        endpoint: str,
        client: httpx.Client | None = None,
        proxy: str | None = None,
        ca_file: str | None = None,
    ) -> None:
        self.origin = origin_of(endpoint, client)
        self.proxy = proxy and without_credentials(proxy)
        self._own = client is None
        self._closed = False
        self.client = client or httpx.Client(
            **client_options(self.origin, proxy, ca_file, httpx.HTTPTransport)
        )

    def transfer(self) -> HttpxTransfer:
        """A new transfer; no I/O yet."""
        if self._closed:
            raise faults.closed()
        return HttpxTransfer(self)

    def close(self) -> None:
        """Refuse new transfers, and close the client if it is the carrier's own."""
        self._closed = True
        if self._own:
            self.client.close()


class AsyncHttpxCarrier:
    """The connections of an ``httpx.AsyncClient``: one of the caller's, or its own."""

    def __init__(
        self,
        endpoint: str,
        client: httpx.AsyncClient | None = None,
        proxy: str | None = None,
        ca_file: str | None = None,
    ) -> None:
        self.origin = origin_of(endpoint, client)
        self.proxy = proxy and without_credentials(proxy)
        self.loop: asyncio.AbstractEventLoop | None = None
        self._own = client is None
        self._closed = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self.client = client or httpx.AsyncClient(
            **client_options(self.origin, proxy, ca_file, httpx.AsyncHTTPTransport)
        )

    def transfer(self) -> AsyncHttpxTransfer:
        """A new transfer; no I/O yet."""
        if self._closed:
            raise faults.closed()
        return AsyncHttpxTransfer(self)

    def close(self) -> None:
        """Refuse new transfers, and have the client closed if it is the carrier's own."""
        self._closed = True
        if self._own and self.loop is not None:
            with suppress(RuntimeError):  # the loop is closed
                self.loop.call_soon_threadsafe(lambda: self.start(self.client.aclose()))

    def belong_to(self, loop: asyncio.AbstractEventLoop) -> None:
        """Its connections are those of one loop."""
        if self.loop not in (None, loop):
            raise faults.not_on_this_loop()
        self.loop = loop

    def start(self, step: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a step in a task of its own, which lives until it ends."""
        task = asyncio.get_running_loop().create_task(step)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return task


# ---- blocking ------------------------------------------------------------------------------------


class HttpxTransfer:
    """One request and its answer, in blocking code; see ``DirectTransfer`` for its two flags."""

    def __init__(self, carrier: HttpxCarrier) -> None:
        self._carrier = carrier
        self._busy = self._aborted = False
        self._attempt: Attempt | None = None
        self._response: httpx.Response | None = None
        self._body: Iterator[bytes] = iter(())
        self._stream: Any = None

    def send(self, request: Request, clocks: Clocks, /) -> Head:
        """Connect if need be, send, and wait for status and headers."""
        attempt = self._attempt = Attempt(
            self._carrier.origin, request, clocks, self._carrier.proxy
        )
        self._busy = True
        try:
            self._refuse_aborted()
            return self._send(attempt)
        except BaseException as error:
            self._give_up(error)
        finally:
            self._leave()

    def _send(self, attempt: Attempt) -> Head:
        opening = SocksOpening(attempt)

        def trace(name: str, info: dict[str, Any]) -> None:
            self._trace(name, info)
            opening.trace(name, info)

        sent = request_of(attempt, self._carrier.client, trace=trace)
        response = self._carrier.client.send(sent, stream=True, follow_redirects=False)
        self._response, self._body = response, pieces(response)
        self._stream = response.extensions.get("network_stream")
        self._refuse_aborted()
        return attempt.head(response.status_code, response.headers.multi_items())

    def read(self, idle: float | None = None, /) -> bytes:
        """The next bytes of the body as they come; ``b""`` at its end."""
        self._busy = True
        try:
            return self._read(idle)
        except BaseException as error:
            self._give_up(error)
        finally:
            self._leave()

    def _read(self, idle: float | None) -> bytes:
        self._refuse_aborted()
        attempt = self._attempt
        if attempt is None:
            raise faults.aborted("stream")
        while (data := self._next(attempt, idle)) is not None:
            self._refuse_aborted()
            attempt.check_deadline()
            if decoded := attempt.decode(data):
                return decoded
        self._refuse_aborted()
        return attempt.finish()

    def _next(self, attempt: Attempt, idle: float | None) -> bytes | None:
        if idle is None or idle >= attempt.idle:
            return next(self._body, None)
        # httpx keeps the clock of a body's first read, so a shorter one has to wake the read
        with bell(idle, self._wake) as rung:
            try:
                data = next(self._body, None)
            except FOREIGN as error:
                if rung.is_set():
                    raise attempt.out_of_time(idle) from error
                raise
        if rung.is_set():
            raise attempt.out_of_time(idle)
        return data

    def done(self) -> None:
        """The answer is all there: drain what is left (bounded) and keep the connection."""
        self._busy = True
        try:
            if self._response is not None and not self._response.is_closed:
                with bell(DRAIN_SECONDS, self._wake):
                    self._drain()
        finally:
            self._drop()
            self._leave()

    def _drain(self) -> None:
        left = DRAIN_BYTES
        with suppress(*FOREIGN):
            for data in self._body:
                left -= len(data)
                if left < 0:
                    return

    def abort(self) -> None:
        """Give up. Never blocks, any thread, any time, more than once; wakes a blocked ``read``."""
        self._aborted = True
        self._wake()
        if not self._busy:
            self._drop()

    def _trace(self, name: str, info: Mapping[str, Any]) -> None:
        if name.endswith((".connect_tcp.complete", ".start_tls.complete")):
            self._stream = info["return_value"]
            self._refuse_aborted()

    def _wake(self) -> None:
        opened = self._stream.get_extra_info("socket") if self._stream is not None else None
        if isinstance(opened, socket.socket):
            with suppress(OSError):
                socket.socket.shutdown(opened, socket.SHUT_RDWR)

    def _give_up(self, error: BaseException) -> NoReturn:
        self._drop()
        if not isinstance(error, Exception) or self._attempt is None:
            raise error
        if self._aborted and (self._attempt.phase == "connect" or isinstance(error, KNOWN)):
            raise faults.aborted(self._attempt.phase) from error
        raise_named(error, self._attempt)

    def _refuse_aborted(self) -> None:
        if self._aborted:
            raise faults.aborted("stream")

    def _leave(self) -> None:
        self._busy = False
        if self._aborted:
            self._drop()

    def _drop(self) -> None:
        response, self._response, self._stream = self._response, None, None
        if response is not None:
            with suppress(*FOREIGN):
                response.close()


# ---- on an event loop ----------------------------------------------------------------------------


class AsyncHttpxTransfer:
    """One request and its answer, on an event loop.

    Each step runs in a task of its own, so that ``abort`` can cancel it without touching the
    caller's task.
    """

    def __init__(self, carrier: AsyncHttpxCarrier) -> None:
        self._carrier = carrier
        self._aborted = False
        self._attempt: Attempt | None = None
        self._response: httpx.Response | None = None
        self._body: AsyncIterator[bytes] | None = None
        self._step: asyncio.Task[Any] | None = None

    async def send(self, request: Request, clocks: Clocks, /) -> Head:
        """Connect if need be, send, and wait for status and headers."""
        if self._aborted:
            raise faults.aborted("connect")
        self._carrier.belong_to(asyncio.get_running_loop())
        attempt = self._attempt = Attempt(
            self._carrier.origin, request, clocks, self._carrier.proxy
        )
        trace = SocksOpening(attempt).async_trace
        sent = request_of(attempt, self._carrier.client, trace=trace)
        try:
            response = await self._run(
                self._carrier.client.send(sent, stream=True, follow_redirects=False), attempt
            )
            self._response, self._body = response, async_pieces(response)
            return attempt.head(response.status_code, response.headers.multi_items())
        except BaseException as error:
            self._drop()
            raise_named(error, attempt)

    async def read(self, idle: float | None = None, /) -> bytes:
        """The next bytes of the body as they come; ``b""`` at its end."""
        attempt, body = self._attempt, self._body
        if attempt is None or body is None or self._aborted:
            raise faults.aborted("stream")
        try:
            while (data := await self._run(_next(body), attempt, idle)) is not None:
                if decoded := attempt.decode(data):
                    return decoded
            return attempt.finish()
        except BaseException as error:
            self._drop()
            raise_named(error, attempt)

    async def done(self) -> None:
        """The answer is all there: drain what is left (bounded) and keep the connection."""
        response, self._response = self._response, None
        if response is None or self._body is None:
            return
        closing = self._carrier.start(_drain(response, self._body))
        await asyncio.wait({closing}, timeout=DRAIN_SECONDS)
        if not closing.done():
            closing.cancel()
            await asyncio.wait({closing})

    def abort(self) -> None:
        """Give up. Never blocks, any thread, any time, more than once; wakes a waiting ``read``."""
        self._aborted = True
        if self._carrier.loop is not None:
            with suppress(RuntimeError):  # the loop is closed
                self._carrier.loop.call_soon_threadsafe(self._drop)

    async def _run(
        self, coroutine: Coroutine[Any, Any, T], attempt: Attempt, idle: float | None = None
    ) -> T:
        step = self._carrier.start(coroutine)
        self._step = step
        await asyncio.wait({step}, timeout=attempt.left_in_all(idle))
        if self._aborted or step.cancelled():
            raise faults.aborted(attempt.phase)
        if not step.done():
            raise attempt.out_of_time(idle)
        return step.result()

    def _drop(self) -> None:
        step, self._step = self._step, None  # once: a second cancel would interrupt the clearing up
        response, self._response = self._response, None
        if step is not None:
            step.cancel()
        if response is not None:
            self._carrier.start(response.aclose())


async def _next(body: AsyncIterator[bytes]) -> bytes | None:
    async for data in body:
        return data
    return None


async def _drain(response: httpx.Response, body: AsyncIterator[bytes]) -> None:
    left = DRAIN_BYTES
    try:
        async for data in body:
            left -= len(data)
            if left < 0:
                return
    finally:
        await response.aclose()
