"""One accepted socket on an event loop, plain or TLS: exact bytes out, and every kind of end."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

__all__ = ("SecureWire", "Wire")

T = TypeVar("T")
SIZE = 65536


class Wire:
    """A plain socket. What is written goes out at once; nothing is read unless asked for."""

    def __init__(self, accepted: socket.socket, loop: asyncio.AbstractEventLoop) -> None:
        accepted.setblocking(False)
        if accepted.family != getattr(socket, "AF_UNIX", None):
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = accepted
        self.loop = loop

    async def start(self) -> None:
        """Shake hands, where that is needed."""

    async def receive(self) -> bytes:
        """What the client sent next; ``b""``: it closed, or said that no more is coming."""
        return await self._arrived()

    async def send(self, data: bytes) -> None:
        """Write all of it."""
        await self.loop.sock_sendall(self.socket, data)

    async def half_close(self) -> None:
        """Say that no more is coming."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise ConnectionResetError(error.errno, error.strerror) from error

    async def say_goodbye(self) -> None:
        """What comes before an ordinary close."""

    def reset(self) -> None:
        """Close with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """Close in the ordinary way."""
        self.socket.close()

    async def _arrived(self) -> bytes:
        while True:
            await self._readable()
            with suppress(BlockingIOError):
                return self.socket.recv(SIZE)

    async def _readable(self) -> None:
        # not `loop.sock_recv`: cancelled in the wrong moment, that loses what it has read
        ready = self.loop.create_future()
        self.loop.add_reader(self.socket, _settle, ready)
        try:
            await ready
        finally:
            self.loop.remove_reader(self.socket)


def _settle(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


class SecureWire(Wire):
    """The same under TLS."""

    def __init__(
        self, accepted: socket.socket, loop: asyncio.AbstractEventLoop, tls: ssl.SSLContext
    ) -> None:
        super().__init__(accepted, loop)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = tls.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def start(self) -> None:
        """Shake hands."""
        await self._run(self._tls.do_handshake)

    async def receive(self) -> bytes:
        """What the client sent next, deciphered."""
        with suppress(ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return await self._run(lambda: self._tls.read(SIZE))
        return b""

    async def send(self, data: bytes) -> None:
        """Write all of it."""
        if data:
            await self._run(lambda: self._tls.write(data))

    async def half_close(self) -> None:
        """Say goodbye in TLS, then in TCP."""
        await self.say_goodbye()
        await super().half_close()

    async def say_goodbye(self) -> None:
        """Send TLS's own notice of a close; the client's answer is not waited for."""
        with suppress(ssl.SSLError):
            self._tls.unwrap()
        await self._flush()

    async def _run(self, step: Callable[[], T]) -> T:
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                await self._flush()
                self._take_in(await self._arrived())
            finally:
                await self._flush()

    def _take_in(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self.loop.sock_sendall(self.socket, self._outgoing.read())
