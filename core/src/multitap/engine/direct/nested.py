"""TLS within TLS, for what is behind a proxy that itself speaks it; blocking."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, TypeVar

from multitap.engine.direct.http1 import READ_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ("NestedTLS",)

T = TypeVar("T")


class NestedTLS:
    """What a connection reads and writes by; its timeouts are those of the outer socket."""

    def __init__(self, outer: ssl.SSLSocket, context: ssl.SSLContext, host: str) -> None:
        self._outer = outer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)

    def do_handshake(self) -> None:
        """Agree on keys."""
        self._run(self._tls.do_handshake)

    def recv(self, size: int) -> bytes:
        """What comes next; ``b""`` at the end."""
        try:
            return self._run(lambda: self._tls.read(size))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def send(self, data: memoryview) -> int:
        """Send some of the data; how much of it."""
        return self._run(lambda: self._tls.write(data[:READ_SIZE]))

    def _run(self, step: Callable[[], T]) -> T:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
            else:
                self._flush()
                return result

    def _fill(self) -> None:
        data = self._outer.recv(READ_SIZE)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            self._outer.sendall(data)
