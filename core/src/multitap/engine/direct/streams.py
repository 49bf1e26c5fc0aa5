"""One connection on an event loop: bytes in, bytes out, and who waits for them."""

from __future__ import annotations

import asyncio
import os
import select
import socket
from collections import deque
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("StreamConnection",)

_MAX_BUFFERED = 1024 * 1024


class StreamConnection(asyncio.BufferedProtocol):
    """A connection; all its methods belong to the loop's thread.

    Args:
        loop: The loop.
        on_idle_loss: Called when the connection goes away while nobody uses it.
        buffer: What is read into, and emptied at once: one for all connections of a loop will do.
            Without it asyncio allocates 256 KiB for each read.

    Attributes:
        closed: It was closed from this side.
        transport: What moves its bytes, once it stands.
        ended: No more bytes will come.
        reset: It ended with an error.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_idle_loss: Callable[[StreamConnection], None],
        buffer: memoryview,
    ) -> None:
        self.pid = os.getpid()
        self.idle_since = 0.0
        self.closed = self.ended = self.reset = False
        self._loop = loop
        self._on_idle_loss = on_idle_loss
        self._buffer = buffer
        self._idle = self._secure = self._read_paused = self._write_paused = False
        self.transport: asyncio.Transport | None = None
        self._poll: select.poll | None = None
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._waiter: asyncio.Future[bool] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._expires = 0.0

    # ---- waiting ---------------------------------------------------------------------------------

    async def wait(self, seconds: float) -> bool:
        """Sleep until something happens here; ``False``: nothing did in time.

        The timer is moved only when it would ring a hundredth too late, or was too early, so that a
        read costs no timer.
        """
        if seconds <= 0:
            return False
        self._expires = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._expires + seconds / 100:
            self._stop_timer()
            self._timer = self._loop.call_at(self._expires, self._ring)
        self._waiter = self._loop.create_future()
        try:
            return await self._waiter
        finally:
            self._waiter = None

    def wake(self) -> None:
        """End the sleep of whoever waits here."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)

    def _ring(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() < self._expires:
            self._timer = self._loop.call_at(self._expires, self._ring)
        else:
            self._waiter.set_result(False)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # ---- bytes -----------------------------------------------------------------------------------

    @property
    def readable(self) -> bool:
        """Is there something to take, be it the end?"""
        return bool(self._chunks) or self.ended

    def take(self) -> bytes:
        """What the oldest read gave that is still here; ``b""``: nothing."""
        if not self._chunks:
            return b""
        data = self._chunks.popleft()  # not all together: small blocks stay in the caches
        self._buffered -= len(data)
        if self._read_paused and not self._chunks:
            self._read_paused = False
            if self.transport is not None and not self.transport.is_closing():
                self.transport.resume_reading()
        return data

    def write(self, data: bytes) -> None:
        """Send, without waiting; see ``unsent``."""
        if self.transport is not None:
            self.transport.write(data)

    @property
    def writing(self) -> bool:
        """Is some of what was written still here, or was it when the connection was lost?

        Under TLS a lost connection does not tell; then it counts as sent, which is never resent.
        """
        return self._write_paused and not self._secure if self.ended else self.unsent() > 0

    def unsent(self) -> int:
        """How many bytes are still here."""
        return 0 if self.transport is None else self.transport.get_write_buffer_size()

    # ---- life ------------------------------------------------------------------------------------

    def own(self) -> None:
        """Be used by a transfer."""
        self._idle = False

    def release(self) -> bool:
        """Be used by nobody; ``False``: it is of no more use."""
        self._idle = True
        return not self.readable and not self.writing

    def usable(self) -> bool:
        """Is it open and silent? The loop may not yet have seen that the server closed it."""
        if self.readable or self.transport is None or self.transport.is_closing():
            return False
        return self._poll is None or not self._poll.poll(0)

    def close(self) -> None:
        """Close it at once and wake whoever waits here."""
        self.closed = self.ended = True
        self._stop_timer()
        if self.transport is not None:
            self.transport.abort()
        self.wake()

    def disown(self) -> None:
        """Leave it to the process that this one was forked from."""

    # ---- called by the loop ----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands, or is secure now; too late, perhaps."""
        self.transport = cast("asyncio.Transport", transport)
        self._secure = transport.get_extra_info("ssl_object") is not None
        # Be told when all is sent. TLS takes the limit for reached where it is only equal, so that
        # it would pause whoever writes, a TLS within it perhaps, with nothing left to wait for.
        self.transport.set_write_buffer_limits(high=1 if self._secure else 0, low=0)
        opened: socket.socket | None = transport.get_extra_info("socket")
        self._poll = _poll_of(opened)
        if opened is not None and opened.family != getattr(socket, "AF_UNIX", None):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self.closed:
            self.transport.abort()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the loop shall put the next bytes."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Bytes came; while nobody uses the connection, none should."""
        if self.closed:
            return
        self._chunks.append(bytes(self._buffer[:nbytes]))
        self._buffered += nbytes
        if self._idle:
            self._lose()
        elif self._buffered > _MAX_BUFFERED and not self._read_paused:
            self._read_paused = True
            assert self.transport is not None
            self.transport.pause_reading()
        self.wake()

    def eof_received(self) -> None:
        """The server has said all; the loop closes the connection."""
        self.ended = True
        if self._idle:
            self._lose()
        self.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.reset = exc is not None
        self.ended = True
        if self._idle:
            self._lose()
        self.wake()

    def pause_writing(self) -> None:
        """Some of what was written waits for the network."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """All that was written is sent."""
        self._write_paused = False
        self.wake()

    def _lose(self) -> None:
        self._on_idle_loss(self)
        self.close()


def _poll_of(opened: socket.socket | None) -> select.poll | None:
    if opened is None or not hasattr(select, "poll"):
        return None
    poll = select.poll()
    poll.register(opened.fileno(), select.POLLIN)
    return poll
