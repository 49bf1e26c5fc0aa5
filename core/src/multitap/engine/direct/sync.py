"""The blocking carrier: HTTP/1.1 straight over sockets."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from multitap.engine import faults
from multitap.engine.direct.http1 import DRAIN_BYTES, DRAIN_SECONDS, Response
from multitap.engine.direct.opening import Opening
from multitap.engine.direct.pool import IDLE_SECONDS, MAX_CONNECTIONS, Pool
from multitap.engine.direct.sockets import SocketConnection
from multitap.engine.direct.way import Trust, Way
from multitap.engine.origin import may_resend
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
        self.pool: Pool[SocketConnection] = Pool(self.where, max_connections, idle_expiry, now)

    def transfer(self) -> DirectTransfer:
        """A new transfer; no I/O yet."""
        self.pool.check()
        return DirectTransfer(self)

    def close(self) -> None:
        """Close every idle connection and refuse new transfers."""
        self.pool.close()


class DirectTransfer:
    """One request and its answer, in blocking code.

    ``abort`` may come from any thread at any moment, a finaliser included, so no lock guards the
    two flags. Each side first sets its own flag, then reads the other's: whichever comes second
    closes the connection, and both may.
    """

    def __init__(self, carrier: DirectCarrier) -> None:
        self._carrier = carrier
        self._way = carrier.way
        self._pool = carrier.pool
        self._busy = self._aborted = self._sent = False
        self._connection: SocketConnection | None = None
        self._response: Response | None = None
        self._idle = 0.0
        self._clocks: Clocks

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
        idle = self._idle if idle is None else min(idle, self._idle)
        try:
            response = self._response
            if response is None or self._aborted:
                raise faults.aborted("stream")
            while not (data := response.take()) and not response.complete:
                self._receive(idle, idle, "stall_timeout", "stream")
            return data
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
        self._clocks = clocks
        self._idle = clocks.idle if request.call.idle is None else request.call.idle
        data = self._way.wire(request)
        kept = self._pool.take()
        if kept is not None:
            kept.own(self)
            try:
                return self._converse(kept, data, request)
            except ProviderDown:
                answered = self._response is not None and self._response.started
                if answered or self._aborted or not may_resend(request, sent=self._sent):
                    raise
                self._drop()
        return self._converse(self._open(request), data, request)

    def _open(self, request: Request) -> SocketConnection:
        context = self._carrier.trust.on(self._way)
        connection = SocketConnection(self)
        self._pool.add(connection)
        self._hold(connection)
        opening = Opening(connection, self._way, self._clocks)
        try:
            opening.run(context, request.limits)
        except OSError as error:
            raise self._way.not_opened(error, self._clocks) from error
        return connection

    def _hold(self, connection: SocketConnection) -> None:
        self._connection = connection
        if self._aborted:
            raise faults.aborted("connect")

    def _converse(self, connection: SocketConnection, data: bytes, request: Request) -> Head:
        self._hold(connection)
        response = Response(self._carrier.where, request.call.method, request.limits)
        self._response = response
        self._sent = False
        self._sent = self._write(data, connection) and self._write_files(request, connection)
        limit = request.call.first_byte
        limit = self._clocks.first_byte if limit is None else limit
        until = self._clocks.now() + limit
        while not response.started:
            self._receive(until - self._clocks.now(), limit, "first_byte_timeout", "wait")
        return self._head(response)

    def _head(self, response: Response) -> Head:
        """The rest of it, informational answers included."""
        clocks = self._clocks
        until = clocks.now() + clocks.head
        while response.head is None:
            self._receive(until - clocks.now(), clocks.head, "slow_peer", "wait")
        self._way.check(response.head)
        return response.head

    def _write(self, data: bytes, connection: SocketConnection) -> bool:
        clocks, rest = self._clocks, memoryview(data)
        try:
            while rest:
                rest = rest[connection.send(rest, clocks.left(clocks.write)) :]
        except TimeoutError as error:
            raise faults.expired("stall_timeout", "send", clocks.write, clocks) from error
        except OSError:
            return False  # a server that refuses a long body may have said why before it closed
        return True

    def _write_files(self, request: Request, connection: SocketConnection) -> bool:
        if isinstance(request.body, bytes):
            return True
        with request.body.blocks() as blocks:
            return all(self._write(block, connection) for block in blocks)

    # ---- receiving -------------------------------------------------------------------------------

    def _receive(self, wait: float, limit: float, kind: str, phase: str) -> None:
        assert self._response is not None
        if self._connection is None or self._aborted:
            raise faults.aborted(phase)
        reset = False
        try:
            data = self._connection.receive(self._clocks.left(wait))
        except TimeoutError as error:
            raise faults.expired(kind, phase, limit, self._clocks) from error
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
        until = self._clocks.now() + DRAIN_SECONDS
        try:
            while not response.complete and left > 0:
                left -= len(response.take())
                wait = until - self._clocks.now()
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
