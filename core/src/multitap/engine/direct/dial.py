"""Open a connection on an event loop: name, addresses in turn, a proxy's tunnel, TLS."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

from multitap.engine import faults
from multitap.engine.direct import dns
from multitap.engine.direct.tries import Tries, socket_address
from multitap.engine.direct.tunnel import Tunnel

if TYPE_CHECKING:
    import ssl
    from collections.abc import Coroutine, Sequence
    from concurrent.futures import Future

    from multitap.engine.direct.streams import StreamConnection
    from multitap.engine.direct.way import Way
    from multitap.engine.origin import Origin
    from multitap.policy.clocks import Clocks, Limits

__all__ = ("Dial",)

T = TypeVar("T")


class Dial:
    """The opening of one connection; closing the connection ends it at once."""

    def __init__(self, connection: StreamConnection, way: Way, clocks: Clocks) -> None:
        self._connection = connection
        self._way = way
        self._tries = Tries(way, clocks)
        self._loop = asyncio.get_running_loop()

    async def run(self, context: ssl.SSLContext | None, limits: Limits) -> None:
        """Connect, and whatever else comes before the first request.

        Raises:
            TimeoutError: The time for all of it is over.
            BackendError: Nobody took the connection, TLS failed, the proxy will not, or the
                connection was closed meanwhile.
            OSError: This machine could not.
        """
        way = self._way
        await self._connect()
        if context is None:
            return
        if way.first.secure:
            await self._shake_hands(context, way.first)
        if way.tunnel:
            await self._pass_through(Tunnel(way, limits))
            await self._shake_hands(context, way.origin)

    # ---- the connection itself -------------------------------------------------------------------

    async def _connect(self) -> None:
        addresses = await self._addresses()
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            try:
                await self._step(self._connecting(address), self._tries.share(left))
            except OSError as error:
                self._tries.failed(address, error)
            else:
                return
        raise self._tries.error() from self._tries.last

    async def _addresses(self) -> Sequence[dns.Address]:
        first = self._way.first
        if first.socket is not None:
            return socket_address(first.socket)
        try:
            known = dns.known_addresses(first.host, first.port)
            return known if known is not None else await self._looked_up(first)
        except (socket.gaierror, UnicodeError) as error:
            raise self._tries.nameless(error) from error

    async def _looked_up(self, place: Origin) -> Sequence[dns.Address]:
        answer = dns.look_up(place.host, place.port)
        answer.add_done_callback(self._wake_from_afar)
        try:
            await self._wait_for(answer, self._tries.left)
            return answer.result(0)
        finally:
            answer.cancel()

    def _wake_from_afar(self, _: object) -> None:
        with suppress(RuntimeError):  # the loop is closed, and nobody waits
            self._loop.call_soon_threadsafe(self._connection.wake)

    async def _connecting(self, address: dns.Address) -> None:
        place = address.sockaddr
        if isinstance(place, str):
            await self._loop.create_unix_connection(lambda: self._connection, place)
            return
        host, port = place[:2]
        family = address.family
        await self._loop.create_connection(lambda: self._connection, host, port, family=family)

    # ---- what is said on it ----------------------------------------------------------------------

    async def _pass_through(self, tunnel: Tunnel) -> None:
        connection = self._connection
        connection.write(tunnel.request)
        opened = False
        while not opened:
            while not connection.readable:
                if not await connection.wait(self._tries.left):
                    raise TimeoutError
            self._refuse_closed()
            opened = tunnel.feed(connection.take())

    async def _shake_hands(self, context: ssl.SSLContext, place: Origin) -> None:
        import ssl

        try:
            await self._step(self._secure(context, place.host), self._tries.left)
        except (ssl.SSLEOFError, ConnectionResetError, ConnectionAbortedError) as error:
            raise faults.connection_lost(str(place), "tls") from error
        except ssl.SSLError as error:
            raise faults.tls_failed(str(place), faults.tls_reason(error)) from error

    async def _secure(self, context: ssl.SSLContext, host: str) -> None:
        import ssl

        connection, transport = self._connection, cast("Any", self._connection.transport)
        if connection.take():  # it would be taken for what comes through TLS
            raise ssl.SSLError("The server spoke before TLS")
        if connection.ended:
            raise ConnectionResetError
        if sys.version_info < (3, 11):  # TLS within TLS works there, and is not offered
            transport._start_tls_compatible = True
        secured = await self._loop.start_tls(transport, connection, context, server_hostname=host)
        if secured is None or connection.ended:
            raise ConnectionResetError
        connection.connection_made(secured)

    # ---- waiting ---------------------------------------------------------------------------------

    async def _step(self, step: Coroutine[Any, Any, T], seconds: float) -> T:
        """Carry out a step; if it is given up, whatever it holds is closed."""
        task = self._loop.create_task(step)
        task.add_done_callback(lambda _: self._connection.wake())
        try:
            await self._wait_for(task, seconds)
            return task.result()
        finally:
            task.cancel()
            task.add_done_callback(_look_away)

    async def _wait_for(
        self, answer: asyncio.Task[Any] | Future[list[dns.Address]], seconds: float
    ) -> None:
        until = self._loop.time() + seconds
        while not answer.done():
            if not await self._connection.wait(until - self._loop.time()):
                raise TimeoutError
            self._refuse_closed()

    def _refuse_closed(self) -> None:
        if self._connection.closed:
            raise faults.aborted("connect")


def _look_away(opening: asyncio.Task[Any]) -> None:
    # A task whose error nobody reads is reported when it is collected.
    if not opening.cancelled():
        opening.exception()
