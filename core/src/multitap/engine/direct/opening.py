"""Open a blocking connection: the name, its addresses in turn, a proxy's tunnel, TLS."""

from __future__ import annotations

import errno
import os
import selectors
import socket
from typing import TYPE_CHECKING

from multitap.engine import faults
from multitap.engine.direct import dns
from multitap.engine.direct.tries import Tries, socket_address
from multitap.engine.direct.tunnel import Tunnel

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

    from multitap.engine.direct.sockets import SocketConnection
    from multitap.engine.direct.way import Way
    from multitap.engine.origin import Origin
    from multitap.policy.clocks import Clocks, Limits

__all__ = ("Opening",)

_UNDER_WAY = frozenset({0, errno.EINPROGRESS, errno.EWOULDBLOCK})


class Opening:
    """The opening of one connection; interrupting the connection ends it at once."""

    def __init__(self, connection: SocketConnection, way: Way, clocks: Clocks) -> None:
        self._connection = connection
        self._way = way
        self._tries = Tries(way, clocks)

    def run(self, context: ssl.SSLContext | None, limits: Limits) -> None:
        """Connect, and whatever else comes before the first request.

        Raises:
            TimeoutError: The time for all of it is over.
            BackendError: Nobody took the connection, TLS failed, the proxy will not, or the call
                was given up.
            OSError: This machine could not.
        """
        way = self._way
        with self._connection.bell() as ear:
            connected = self._connect(ear)
        self._connection.attach(connected)
        if context is None:
            return
        if way.first.secure:
            self._shake_hands(context, way.first)
        if way.tunnel:
            self._pass_through(Tunnel(way, limits))
            self._shake_hands(context, way.origin)

    # ---- the connection itself -------------------------------------------------------------------

    def _connect(self, ear: socket.socket) -> socket.socket:
        addresses = self._addresses(ear)
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                return self._connect_to(address, ear, self._tries.share(left))
            except OSError as error:
                self._tries.failed(address, error)
        raise self._tries.error() from self._tries.last

    def _addresses(self, ear: socket.socket) -> Sequence[dns.Address]:
        first = self._way.first
        if first.socket is not None:
            return socket_address(first.socket)
        try:
            known = dns.known_addresses(first.host, first.port)
            return known if known is not None else self._looked_up(first, ear)
        except (socket.gaierror, UnicodeError) as error:
            raise self._tries.nameless(error) from error

    def _looked_up(self, place: Origin, ear: socket.socket) -> Sequence[dns.Address]:
        answer = dns.look_up(place.host, place.port)
        answer.add_done_callback(lambda _: self._connection.ring())
        try:
            self._wait(ear, None, self._tries.left)
            return answer.result(0)
        finally:
            answer.cancel()

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
        self._connection.refuse_interrupted()
        if not ready:
            raise TimeoutError

    # ---- what is said on it ----------------------------------------------------------------------

    def _pass_through(self, tunnel: Tunnel) -> None:
        rest = memoryview(tunnel.request)
        try:
            while rest:
                rest = rest[self._connection.send(rest, self._left()) :]
            while not tunnel.feed(self._received()):
                pass
        except TimeoutError:
            raise
        except OSError:
            self._connection.refuse_interrupted()
            tunnel.feed(b"")

    def _received(self) -> bytes:
        data = self._connection.receive(self._left())
        self._connection.refuse_interrupted()
        return data

    def _shake_hands(self, context: ssl.SSLContext, place: Origin) -> None:
        import ssl

        try:
            self._connection.shake_hands(context, place.host, self._left())
        except TimeoutError:
            raise
        except ssl.SSLEOFError as error:
            raise faults.connection_lost(str(place), "tls") from error
        except ssl.SSLError as error:
            raise faults.tls_failed(str(place), faults.tls_reason(error)) from error
        except OSError as error:
            self._connection.refuse_interrupted()
            raise faults.connection_lost(str(place), "tls") from error
        self._connection.refuse_interrupted()

    def _left(self) -> float:
        if self._tries.left <= 0:
            raise TimeoutError
        return self._tries.left
