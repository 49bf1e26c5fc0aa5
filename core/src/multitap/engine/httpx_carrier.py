"""The carriers over httpx: for an injected client, HTTP/2, mocks and anything unusual.

What they cannot promise: ``abort`` wakes a blocking call that still waits for the head of an
answer only if that call opened its connection itself, a deadline is looked at between reads,
limits on headers are those of httpx's own parser, and httpx 0.28 may lose a connection of its
pool where a task is cancelled. This is the only file that imports httpx.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import httpx  # noqa: TID253 - imported only where this carrier is asked for

from multitap.engine import faults
from multitap.engine.content import inflater_for
from multitap.engine.http1 import DRAIN_BYTES, DRAIN_SECONDS
from multitap.engine.origin import Origin, check_headers
from multitap.engine.pool import IDLE_SECONDS, MAX_CONNECTIONS
from multitap.errors import BackendError, ConfigError, MultitapError, ProxyFailed
from multitap.work import Head

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping

    from multitap.engine.carrier import Clocks, Request
    from multitap.engine.content import Inflater

__all__ = ("AsyncHttpxCarrier", "AsyncHttpxTransfer", "HttpxCarrier", "HttpxTransfer")

T = TypeVar("T")
_LIMITS = httpx.Limits(
    max_connections=MAX_CONNECTIONS,
    max_keepalive_connections=MAX_CONNECTIONS,
    keepalive_expiry=IDLE_SECONDS,
)


class HttpxCarrier:
    """The connections of an ``httpx.Client``: one of the caller's, which stays open, or its own."""

    def __init__(self, endpoint: str, client: httpx.Client | None = None) -> None:
        self.origin = Origin.parse(endpoint)
        self._own = client is None
        self._closed = False
        self.client = client or httpx.Client(limits=_LIMITS, trust_env=not self.origin.local)

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

    def __init__(self, endpoint: str, client: httpx.AsyncClient | None = None) -> None:
        self.origin = Origin.parse(endpoint)
        self.loop: asyncio.AbstractEventLoop | None = None
        self._own = client is None
        self._closed = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self.client = client or httpx.AsyncClient(limits=_LIMITS, trust_env=not self.origin.local)

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

    def start(self, step: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a step in a task of its own, which lives until it ends."""
        task = asyncio.get_running_loop().create_task(step)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        return task


# ---- what both transfers share -------------------------------------------------------------------


class _Exchange:
    """The clocks and the decoding of one request and its answer."""

    def __init__(self, origin: Origin, request: Request, clocks: Clocks) -> None:
        call = request.call
        self._request = request
        self._where = str(origin)
        self._url = str(origin) + origin.target(call.path)
        self._deadline = clocks.deadline
        self._connect = clocks.connect
        self._first_byte = clocks.first_byte if call.first_byte is None else call.first_byte
        self._idle = clocks.idle if call.idle is None else call.idle
        self._inflater: Inflater | None = None
        self._timeout = {
            "connect": self.left(self._connect),
            "pool": self.left(self._connect),
            "read": self.left(self._first_byte),
            "write": self.left(self._idle),
        }
        self.phase = "wait"

    def left(self, limit: float) -> float:
        """Seconds for the next step; never zero, which would not mean "at once"."""
        return max(faults.seconds_left(limit, self._deadline), 0.001)

    def left_in_all(self) -> float | None:
        """Seconds until the deadline, if there is one."""
        return None if self._deadline is None else self.left(float("inf"))

    def request(self, client: httpx.Client | httpx.AsyncClient, **extensions: Any) -> httpx.Request:
        """The same request in httpx's words, with what the client adds by itself."""
        check_headers(self._request.headers)
        return client.build_request(
            self._request.call.method,
            self._url,
            headers={"accept-encoding": "identity", **self._request.headers},
            content=self._request.body or None,
            extensions={"timeout": self._timeout, **extensions},
        )

    def head(self, response: httpx.Response) -> Head:
        """What came back; from here on it is silence within the answer that is measured."""
        self.phase = "stream"
        self._timeout["read"] = self.left(self._idle)
        headers = {name.lower(): value for name, value in response.headers.items()}
        self._inflater = inflater_for(headers)
        return Head(response.status_code, headers)

    def decode(self, data: bytes) -> bytes:
        """Undo the answer's encoding."""
        return data if self._inflater is None else self._inflater.feed(data)

    def finish(self) -> bytes:
        """The end of the body, if it is one."""
        if self._inflater is not None and not self._inflater.complete:
            raise faults.truncated(self._where, reset=False)
        return b""

    def check_deadline(self) -> None:
        """Refuse to go on once the deadline has passed."""
        if faults.seconds_left(1.0, self._deadline) <= 0:
            raise self.deadline_over()

    def deadline_over(self) -> MultitapError:
        """The error of the whole call's clock."""
        return faults.expired("stall_timeout", self.phase, 0.0, self._deadline)

    def fault(self, error: Exception) -> Exception:
        """Every exception of httpx as one of ours."""
        if isinstance(error, MultitapError):
            return error
        if isinstance(error, httpx.TimeoutException):
            return self._timed_out(error)
        if isinstance(error, httpx.ProxyError):
            return ProxyFailed("The proxy refused to connect", phase="connect")
        if isinstance(error, httpx.ConnectError):
            return self._not_connected(error)
        if isinstance(error, (httpx.NetworkError, httpx.StreamError)):
            return self._lost(reset=True)
        if isinstance(error, httpx.RemoteProtocolError):
            gone = "disconnected" in str(error) or "closed connection" in str(error)
            return self._lost(reset=False) if gone else faults.violation("httpx cannot read it")
        return ConfigError("httpx cannot send this request")

    def _timed_out(self, error: httpx.TimeoutException) -> Exception:
        if isinstance(error, httpx.PoolTimeout):
            return faults.pool_full(self._where)
        if isinstance(error, httpx.ConnectTimeout):
            return faults.expired("connect_timeout", "connect", self._connect, self._deadline)
        if isinstance(error, httpx.WriteTimeout):
            return faults.expired("stall_timeout", "send", self._idle, self._deadline)
        if self.phase == "wait":
            return faults.expired("first_byte_timeout", "wait", self._first_byte, self._deadline)
        return faults.expired("stall_timeout", "stream", self._idle, self._deadline)

    def _not_connected(self, error: httpx.ConnectError) -> Exception:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, ssl.SSLError):
                return faults.tls_failed(self._where, faults.tls_reason(cause))
            cause = cause.__cause__ or cause.__context__
        return faults.connect_failed(self._where, "refused, unreachable, or there is no such name")

    def _lost(self, *, reset: bool) -> Exception:
        if self.phase == "wait":
            return faults.connection_lost(self._where, "wait")
        return faults.truncated(self._where, reset=reset)


_FOREIGN = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, httpx.CookieConflict)


# ---- blocking ------------------------------------------------------------------------------------


class HttpxTransfer:
    """One request and its answer, in blocking code; see ``DirectTransfer`` for its two flags."""

    def __init__(self, carrier: HttpxCarrier) -> None:
        self._carrier = carrier
        self._busy = self._aborted = False
        self._exchange: _Exchange | None = None
        self._response: httpx.Response | None = None
        self._body: Iterator[bytes] = iter(())
        self._stream: Any = None

    def send(self, request: Request, clocks: Clocks, /) -> Head:
        """Connect if need be, send, and wait for status and headers."""
        exchange = self._exchange = _Exchange(self._carrier.origin, request, clocks)
        self._busy = True
        try:
            self._refuse_aborted()
            return self._send(exchange)
        except BaseException as error:
            raise self._given_up(error) from None
        finally:
            self._leave()

    def _send(self, exchange: _Exchange) -> Head:
        sent = exchange.request(self._carrier.client, trace=self._trace)
        response = self._carrier.client.send(sent, stream=True, follow_redirects=False)
        self._response, self._body = response, response.iter_raw()
        self._stream = response.extensions.get("network_stream")
        self._refuse_aborted()
        return exchange.head(response)

    def read(self) -> bytes:
        """The next bytes of the body as they come; ``b""`` at its end."""
        self._busy = True
        try:
            return self._read()
        except BaseException as error:
            raise self._given_up(error) from None
        finally:
            self._leave()

    def _read(self) -> bytes:
        self._refuse_aborted()
        exchange = self._exchange
        if exchange is None:
            raise faults.aborted("stream")
        for data in self._body:
            self._refuse_aborted()
            exchange.check_deadline()
            if decoded := exchange.decode(data):
                return decoded
        self._refuse_aborted()
        return exchange.finish()

    def done(self) -> None:
        """The answer is all there: drain what is left (bounded) and keep the connection."""
        self._busy = True
        # httpx cannot change its clocks inside a body, so the drain has one of its own.
        bound = threading.Timer(DRAIN_SECONDS, self._wake)
        try:
            if self._response is not None and not self._response.is_closed:
                bound.start()
                self._drain()
        finally:
            bound.cancel()
            self._drop()
            self._leave()

    def _drain(self) -> None:
        left = DRAIN_BYTES
        with suppress(*_FOREIGN):
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
        if name in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._stream = info["return_value"]
            self._refuse_aborted()

    def _wake(self) -> None:
        opened = self._stream.get_extra_info("socket") if self._stream is not None else None
        if isinstance(opened, socket.socket):
            with suppress(OSError):
                socket.socket.shutdown(opened, socket.SHUT_RDWR)

    def _given_up(self, error: BaseException) -> BaseException:
        self._drop()
        if not isinstance(error, (*_FOREIGN, BackendError)) or self._exchange is None:
            return error
        if self._aborted:
            return faults.aborted(self._exchange.phase)
        return self._exchange.fault(error)

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
            with suppress(*_FOREIGN):
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
        self._exchange: _Exchange | None = None
        self._response: httpx.Response | None = None
        self._body: AsyncIterator[bytes] | None = None
        self._step: asyncio.Task[Any] | None = None

    async def send(self, request: Request, clocks: Clocks, /) -> Head:
        """Connect if need be, send, and wait for status and headers."""
        self._carrier.loop = asyncio.get_running_loop()
        exchange = self._exchange = _Exchange(self._carrier.origin, request, clocks)
        sent = exchange.request(self._carrier.client)
        response = await self._run(
            self._carrier.client.send(sent, stream=True, follow_redirects=False), exchange
        )
        self._response, self._body = response, response.aiter_raw()
        return exchange.head(response)

    async def read(self) -> bytes:
        """The next bytes of the body as they come; ``b""`` at its end."""
        exchange = self._exchange
        if exchange is None or self._body is None or self._aborted:
            raise faults.aborted("stream")
        while True:
            data = await self._run(_next(self._body), exchange)
            if data is None:
                return exchange.finish()
            if decoded := exchange.decode(data):
                return decoded

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

    async def _run(self, coroutine: Coroutine[Any, Any, T], exchange: _Exchange) -> T:
        step = self._carrier.start(coroutine)
        self._step = step
        try:
            await asyncio.wait({step}, timeout=exchange.left_in_all())
            if self._aborted or step.cancelled():
                raise faults.aborted(exchange.phase)
            if not step.done():
                raise exchange.deadline_over()
            return step.result()
        except BaseException as error:
            self._drop()
            raise exchange.fault(error) if isinstance(error, _FOREIGN) else error from None

    def _drop(self) -> None:
        step, response, self._response = self._step, self._response, None
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
