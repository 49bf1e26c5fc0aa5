"""The blocking carrier: HTTP/1.1 straight over sockets."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from multitap.engine import faults
from multitap.engine.direct.http1 import DRAIN_BYTES, DRAIN_SECONDS, Response
from multitap.engine.direct.pool import IDLE_SECONDS, MAX_CONNECTIONS, Pool
from multitap.engine.direct.sockets import SocketConnection
from multitap.engine.origin import Origin, may_resend, secure_context, wire
from multitap.errors import BackendError, ProviderDown

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from multitap.engine.carrier import Request
    from multitap.policy.clocks import Clocks
    from multitap.work import Head

__all__ = ("DirectCarrier", "DirectTransfer")


class DirectCarrier:
    """Connections to one origin, shared by threads.

    Args:
        endpoint: The base URL, with or without a path.
        max_connections: How many connections may be open, idle ones included.
        idle_expiry: Seconds that a connection waits for its next request.
        ssl_context: For a server with a certificate of its own; else the system's authorities.

    Raises:
        ConfigError: The endpoint is not an address.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        max_connections: int = MAX_CONNECTIONS,
        idle_expiry: float = IDLE_SECONDS,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self._origin = Origin.parse(endpoint)
        self._context = ssl_context
        self._pool: Pool[SocketConnection] = Pool(str(self._origin), max_connections, idle_expiry)

    def transfer(self) -> DirectTransfer:
        """A new transfer; no I/O yet."""
        self._pool.check()
        return DirectTransfer(self._origin, self._pool, self._secure)

    def close(self) -> None:
        """Close every idle connection and refuse new transfers."""
        self._pool.close()

    def _secure(self) -> ssl.SSLContext | None:
        if self._origin.secure and self._context is None:
            self._context = secure_context()
        return self._context if self._origin.secure else None


class DirectTransfer:
    """One request and its answer, in blocking code.

    ``abort`` may come from any thread at any moment, a finaliser included, so no lock guards the
    two flags. Each side first sets its own flag, then reads the other's: whichever comes second
    closes the connection, and both may.
    """

    def __init__(
        self,
        origin: Origin,
        pool: Pool[SocketConnection],
        secure: Callable[[], ssl.SSLContext | None],
    ) -> None:
        self._origin = origin
        self._pool = pool
        self._secure = secure
        self._busy = self._aborted = self._sent = False
        self._connection: SocketConnection | None = None
        self._response: Response | None = None
        self._idle = 0.0
        self._deadline: float | None = None

    def send(self, request: Request, clocks: Clocks, /) -> Head:
        """Connect if need be, send, and wait for status and headers."""
        self._busy = True
        try:
            return self._exchange(request, clocks)
        except BaseException:
            self._drop()
            raise
        finally:
            self._leave()

    def read(self, idle: float | None = None, /) -> bytes:
        """The next bytes of the body as they come; ``b""`` at its end."""
        self._busy = True
        try:
            return self._next(self._idle if idle is None else min(idle, self._idle))
        except BaseException:
            self._drop()
            raise
        finally:
            self._leave()

    def done(self) -> None:
        """The answer is all there: drain what is left (bounded) and keep the connection."""
        self._busy = True
        try:
            self._drain()
            self._keep()
        finally:
            self._drop()
            self._leave()

    def abort(self) -> None:
        """Give up. Never blocks, any thread, any time, more than once; wakes a blocked ``read``."""
        self._aborted = True
        connection = self._connection
        if connection is not None:
            connection.interrupt(self)
        if not self._busy:
            self._drop()

    def _leave(self) -> None:
        self._busy = False
        if self._aborted:
            self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.discard(connection)

    # ---- sending ---------------------------------------------------------------------------------

    def _exchange(self, request: Request, clocks: Clocks) -> Head:
        self._deadline = clocks.deadline
        self._idle = clocks.idle if request.call.idle is None else request.call.idle
        data = wire(self._origin, request)
        kept = self._pool.take()
        if kept is not None:
            kept.own(self)
            try:
                return self._converse(kept, data, request, clocks)
            except ProviderDown:
                if self._aborted or not may_resend(request, sent=self._sent):
                    raise
                self._drop()
        return self._converse(self._open(clocks), data, request, clocks)

    def _open(self, clocks: Clocks) -> SocketConnection:
        connection = SocketConnection(self._origin, self)
        self._pool.add(connection)
        self._hold(connection)
        seconds = faults.seconds_left(clocks.connect, clocks.deadline)
        try:
            connection.open(self._secure(), time.monotonic() + seconds)
        except TimeoutError as error:
            raise faults.expired(
                "connect_timeout", "connect", clocks.connect, clocks.deadline
            ) from error
        return connection

    def _hold(self, connection: SocketConnection) -> None:
        self._connection = connection
        if self._aborted:
            raise faults.aborted("connect")

    def _converse(
        self, connection: SocketConnection, data: bytes, request: Request, clocks: Clocks
    ) -> Head:
        self._hold(connection)
        response = self._response = Response(self._origin, request.call.method)
        self._sent = False
        self._sent = self._write(data, connection) and self._write_files(request, connection)
        limit = request.call.first_byte
        limit = clocks.first_byte if limit is None else limit
        until = time.monotonic() + limit
        while response.head is None:
            self._receive(until - time.monotonic(), limit, "first_byte_timeout", "wait")
        return response.head

    def _write(self, data: bytes, connection: SocketConnection) -> bool:
        rest = memoryview(data)
        try:
            while rest:
                wait = faults.seconds_left(self._idle, self._deadline)
                rest = rest[connection.send(rest, _positive(wait)) :]
        except TimeoutError as error:
            raise faults.expired("stall_timeout", "send", self._idle, self._deadline) from error
        except OSError:
            return False  # a server that refuses a long body may have said why before it closed
        return True

    def _write_files(self, request: Request, connection: SocketConnection) -> bool:
        if isinstance(request.body, bytes):
            return True
        with request.body.blocks() as blocks:
            return all(self._write(block, connection) for block in blocks)

    # ---- receiving -------------------------------------------------------------------------------

    def _next(self, idle: float) -> bytes:
        response = self._response
        if response is None or self._aborted:
            raise faults.aborted("stream")
        while True:
            data = response.take()
            if data or response.complete:
                return data
            self._receive(idle, idle, "stall_timeout", "stream")

    def _receive(self, wait: float, limit: float, kind: str, phase: str) -> None:
        assert self._response is not None
        if self._connection is None or self._aborted:
            raise faults.aborted(phase)
        reset = False
        try:
            data = self._connection.receive(_positive(faults.seconds_left(wait, self._deadline)))
        except TimeoutError as error:
            raise faults.expired(kind, phase, limit, self._deadline) from error
        except OSError:
            data, reset = b"", True
        if self._aborted:
            raise faults.aborted(phase)
        if data:
            self._response.feed(data)
        else:
            self._response.end(reset=reset)

    def _drain(self) -> None:
        response, left = self._response, DRAIN_BYTES
        if response is None:
            return
        until = time.monotonic() + DRAIN_SECONDS
        try:
            while not response.complete and left > 0:
                left -= len(response.take())
                wait = until - time.monotonic()
                self._receive(wait, DRAIN_SECONDS, "stall_timeout", "stream")
        except BackendError:
            self._drop()  # the answer is whole; only the connection is lost

    def _keep(self) -> None:
        response, connection = self._response, self._connection
        if response is None or connection is None or not self._sent:
            return
        if response.complete and response.reusable and connection.release():
            self._connection = None
            self._pool.give(connection)


def _positive(seconds: float) -> float:
    if seconds <= 0:
        raise TimeoutError
    return seconds
