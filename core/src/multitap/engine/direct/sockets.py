"""One blocking connection that another thread can wake."""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from multitap.engine import faults
from multitap.engine.direct.http1 import READ_SIZE
from multitap.policy.clocks import GLANCE

if TYPE_CHECKING:
    import ssl
    from collections.abc import Generator

    from multitap.engine.direct.nested import NestedTLS

__all__ = ("SocketConnection",)

_WRITE_SIZE = 1024 * 1024
_TIMEVAL = "ll" if os.name == "posix" and sys.maxsize > 2**32 else None
"""How the kernel is told of a time, where that is known."""


class SocketConnection:
    """A connection in the hands of one transfer at a time, its ``owner``, or of the pool.

    Only the thread that uses a socket closes it: the number of a closed one may at once belong to
    another file. The others ``interrupt``, which shuts the connection down and so wakes it. The
    gate is re-entrant because a finaliser may interrupt in the very thread that holds it.
    """

    def __init__(self, owner: object) -> None:
        self.pid = os.getpid()
        self.idle_since = 0.0
        self._owner: object | None = owner
        self._gate = threading.RLock()
        self._interrupted = False
        self._socket: socket.socket | None = None
        self._stream: socket.socket | NestedTLS | None = None  # what is read from and written to
        self._bell: socket.socket | None = None
        self._counts = False  # does the kernel itself count the time of a read?
        self._limits: dict[int, float] = {}

    # ---- who may use it --------------------------------------------------------------------------

    def own(self, owner: object) -> None:
        """Belong to a transfer."""
        self._owner = owner

    def release(self) -> bool:
        """Belong to nobody; ``False``: it was interrupted and is of no more use."""
        with self._gate:
            self._owner = None
            return not self._interrupted

    def interrupt(self, owner: object) -> None:
        """Wake whoever waits here for this owner, and let no more bytes through."""
        with self._gate:
            if self._owner is not owner or self.pid != os.getpid():
                return
            self._interrupted = True
            with suppress(OSError):
                if self._bell is not None:
                    self._bell.send(b"!")
                if self._socket is not None:
                    # The plain method: that of an SSL socket takes it apart under its user.
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def usable(self) -> bool:
        """Is it open and silent? A server that closed it, or spoke unasked, shows as readable."""
        assert self._socket is not None
        flags = socket.MSG_PEEK
        if self._counts:
            flags |= socket.MSG_DONTWAIT
        else:
            self._limits.clear()
            self._socket.settimeout(0.0)
        try:
            socket.socket.recv(self._socket, 1, flags)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """Close it; for the thread that uses it, or if nobody does."""
        with self._gate:
            opened, self._socket, self._stream = self._socket, None, None
            if opened is not None:
                opened.close()

    disown = close  # closing a copy of the parent's socket sends nothing

    # ---- bytes -----------------------------------------------------------------------------------

    def receive(self, seconds: float) -> bytes:
        """What one read gives; ``b""`` at the end. Raises ``OSError`` and ``TimeoutError``."""
        assert self._stream is not None
        while True:
            glance = self._glance(socket.SO_RCVTIMEO, seconds)
            try:
                return self._stream.recv(READ_SIZE)
            except (BlockingIOError, TimeoutError) as error:
                if seconds <= glance:
                    raise TimeoutError from error
                seconds -= glance

    def send(self, data: memoryview, seconds: float) -> int:
        """Send some of the data; how much of it. Raises ``OSError`` and ``TimeoutError``."""
        assert self._stream is not None
        while True:
            glance = self._glance(socket.SO_SNDTIMEO, seconds)
            try:
                return self._stream.send(data[:_WRITE_SIZE])
            except (BlockingIOError, TimeoutError) as error:
                if seconds <= glance:
                    raise TimeoutError from error
                seconds -= glance

    def _glance(self, direction: int, seconds: float) -> float:
        """How long to wait at once. That it rarely changes saves calls into the kernel."""
        if seconds <= 0:
            raise TimeoutError
        # TLS within TLS cannot be taken up again where a write was left half done.
        glance = min(seconds, GLANCE) if self._stream is self._socket else seconds
        if glance != self._limits.get(direction):
            self._limit(direction, glance)
        return glance

    def _limit(self, direction: int, seconds: float) -> None:
        assert self._socket is not None
        if self._counts:
            self._socket.setsockopt(socket.SOL_SOCKET, direction, _timeval(seconds))
        else:
            self._limits.clear()
            self._socket.settimeout(seconds)
        self._limits[direction] = seconds

    # ---- while it is opened ----------------------------------------------------------------------

    @contextmanager
    def bell(self) -> Generator[socket.socket, None, None]:
        """What becomes readable as soon as somebody calls ``ring`` or ``interrupt``."""
        bell, ear = socket.socketpair()
        try:
            bell.setblocking(False)
            with self._gate:
                self._bell = bell
            self.refuse_interrupted()  # by one who found no bell to ring
            yield ear
        finally:
            with self._gate:
                self._bell = None
                bell.close()
                ear.close()

    def ring(self) -> None:
        """Wake whoever listens to the bell, if it is still there."""
        with self._gate, suppress(OSError):
            if self._bell is not None:
                self._bell.send(b"!")

    def attach(self, connected: socket.socket) -> None:
        """From here on it is this socket."""
        self._socket = self._stream = connected
        if connected.family != getattr(socket, "AF_UNIX", None):
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._limits.clear()
        self._counts = _TIMEVAL is not None
        connected.setblocking(self._counts)
        self.refuse_interrupted()

    def shake_hands(self, context: ssl.SSLContext, host: str, seconds: float) -> None:
        """Speak TLS from here on, within that of a proxy if there is one.

        Raises:
            OSError: It came to nothing; a ``TimeoutError`` or an ``SSLError`` perhaps.
        """
        import ssl

        from multitap.engine.direct.nested import NestedTLS

        assert self._socket is not None
        secured: ssl.SSLSocket | NestedTLS
        if isinstance(self._socket, ssl.SSLSocket):
            secured = NestedTLS(self._socket, context, host)
        else:
            secured = self._socket = context.wrap_socket(
                self._socket, server_hostname=host, do_handshake_on_connect=False
            )
        self._stream = secured
        self.refuse_interrupted()
        self._counts = False  # a TLS record may take several reads
        self._socket.settimeout(seconds)
        self._limits.clear()
        secured.do_handshake()

    def refuse_interrupted(self) -> None:
        """Raise what a call raises that was given up, if this one was."""
        if self._interrupted:
            raise faults.aborted("connect")


def _timeval(seconds: float) -> bytes:
    """Never nothing, which would be for ever."""
    assert _TIMEVAL is not None
    whole, rest = divmod(max(seconds, 1e-5), 1.0)
    return struct.pack(_TIMEVAL, int(whole), int(rest * 1e6))
