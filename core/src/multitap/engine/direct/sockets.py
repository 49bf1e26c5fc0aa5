"""One blocking connection that another thread can wake."""

from __future__ import annotations

import errno
import os
import selectors
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from multitap.engine import faults
from multitap.engine.direct import dns
from multitap.engine.direct.http1 import READ_SIZE

if TYPE_CHECKING:
    import ssl

    from multitap.engine.origin import Origin

__all__ = ("SocketConnection",)

_UNDER_WAY = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK})
_WRITE_SIZE = 1024 * 1024


class SocketConnection:
    """A connection in the hands of one transfer at a time, its ``owner``, or of the pool.

    Only the thread that uses a socket closes it: the number of a closed one may at once belong to
    another file. The others ``interrupt``, which shuts the connection down and so wakes it. The
    gate is re-entrant because a finaliser may interrupt in the very thread that holds it.
    """

    def __init__(self, origin: Origin, owner: object) -> None:
        self.pid = os.getpid()
        self.idle_since = 0.0
        self._origin = origin
        self._owner: object | None = owner
        self._gate = threading.RLock()
        self._interrupted = False
        self._socket: socket.socket | None = None
        self._bell: socket.socket | None = None
        self._timeout: float | None = None

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
        self._set_timeout(0.0)
        try:
            socket.socket.recv(self._socket, 1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def close(self) -> None:
        """Close it; for the thread that uses it, or if nobody does."""
        with self._gate:
            opened, self._socket = self._socket, None
            if opened is not None:
                opened.close()

    disown = close  # closing a copy of the parent's socket sends nothing

    # ---- bytes -----------------------------------------------------------------------------------

    def receive(self, seconds: float) -> bytes:
        """What one read gives; ``b""`` at the end. Raises ``OSError`` and ``TimeoutError``."""
        assert self._socket is not None
        self._set_timeout(seconds)
        return self._socket.recv(READ_SIZE)

    def send(self, data: memoryview, seconds: float) -> int:
        """Send some of the data; how much of it. Raises ``OSError`` and ``TimeoutError``."""
        assert self._socket is not None
        self._set_timeout(seconds)
        return self._socket.send(data[:_WRITE_SIZE])

    def _set_timeout(self, seconds: float) -> None:
        assert self._socket is not None
        if seconds != self._timeout:
            self._socket.settimeout(seconds)
            self._timeout = seconds

    # ---- opening ---------------------------------------------------------------------------------

    def open(self, context: ssl.SSLContext | None, until: float) -> None:
        """Connect, and shake hands if there is a context; ``until`` is a monotonic reading.

        Raises:
            TimeoutError: The time is over.
            ProviderDown: No address of the name took the connection, or the call was given up.
        """
        bell, ear = socket.socketpair()
        try:
            bell.setblocking(False)
            with self._gate:
                self._bell = bell
            self._refuse_interrupted()  # by one who found no bell to ring
            connected = self._connect(ear, until)
        finally:
            with self._gate:
                self._bell = None
                bell.close()
                ear.close()
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._socket = connected
        if context is not None:
            self._shake_hands(context, until)
        self._refuse_interrupted()

    def _connect(self, ear: socket.socket, until: float) -> socket.socket:
        addresses = self._addresses(ear, until)
        reasons, last = [], None
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            share = (until - time.monotonic()) / left
            try:
                return self._connect_to(address, ear, share)
            except OSError as error:
                last = error
                reasons.append(f"{address}: {error.strerror or 'no answer'}")
        if time.monotonic() >= until:
            raise TimeoutError
        raise faults.connect_failed(str(self._origin), ", ".join(reasons)) from last

    def _addresses(self, ear: socket.socket, until: float) -> list[dns.Address]:
        host, port = self._origin.host, self._origin.port
        known = dns.known_addresses(host, port)
        if known is not None:
            return known
        answer = dns.look_up(host, port)
        answer.add_done_callback(lambda _: self._ring())
        try:
            self._wait(ear, None, until - time.monotonic())
            return answer.result(0)
        except (socket.gaierror, UnicodeError) as error:
            raise faults.connect_failed(str(self._origin), "there is no such name") from error
        finally:
            answer.cancel()

    def _ring(self) -> None:
        with self._gate, suppress(OSError):
            if self._bell is not None:
                self._bell.send(b"!")

    def _connect_to(
        self, address: dns.Address, ear: socket.socket, seconds: float
    ) -> socket.socket:
        connecting = socket.socket(address.family, socket.SOCK_STREAM)
        try:
            connecting.setblocking(False)
            code = connecting.connect_ex(address.sockaddr)
            if code in _UNDER_WAY:
                self._wait(ear, connecting, seconds)
                code = connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))
        except BaseException:
            connecting.close()
            raise
        return connecting

    def _wait(self, ear: socket.socket, writable: socket.socket | None, seconds: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(ear, selectors.EVENT_READ)
            if writable is not None:
                selector.register(writable, selectors.EVENT_WRITE)
            ready = selector.select(max(seconds, 0))
        self._refuse_interrupted()
        if not ready:
            raise TimeoutError

    def _shake_hands(self, context: ssl.SSLContext, until: float) -> None:
        import ssl

        assert self._socket is not None
        try:
            secured = context.wrap_socket(
                self._socket, server_hostname=self._origin.host, do_handshake_on_connect=False
            )
            self._socket = secured
            self._refuse_interrupted()
            self._set_timeout(max(until - time.monotonic(), 0.001))
            secured.do_handshake()
        except TimeoutError:
            raise
        except ssl.SSLEOFError as error:
            raise faults.connection_lost(str(self._origin), "tls") from error
        except ssl.SSLError as error:
            raise faults.tls_failed(str(self._origin), faults.tls_reason(error)) from error
        except OSError as error:
            self._refuse_interrupted()
            raise faults.connection_lost(str(self._origin), "tls") from error

    def _refuse_interrupted(self) -> None:
        if self._interrupted:
            raise faults.aborted("connect")
