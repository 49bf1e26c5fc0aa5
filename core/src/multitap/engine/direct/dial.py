"""Open a connection on an event loop."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from multitap.engine import faults
from multitap.engine.direct import dns

if TYPE_CHECKING:
    import ssl
    from concurrent.futures import Future

    from multitap.engine.direct.streams import StreamConnection
    from multitap.engine.origin import Origin

__all__ = ("dial",)


async def dial(
    connection: StreamConnection, origin: Origin, context: ssl.SSLContext | None, seconds: float
) -> None:
    """Connect, and shake hands if there is a context; closing the connection ends it at once.

    Raises:
        TimeoutError: The time is over.
        ProviderDown: No address of the name took the connection, or it was closed meanwhile.
    """
    until = time.monotonic() + seconds
    addresses = await _addresses(connection, origin, until)
    reasons, last = [], None
    for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        share = (until - time.monotonic()) / left
        try:
            await _dial_one(connection, address, origin, context, share)
            return
        except OSError as error:
            last = error
            reason = os.strerror(error.errno) if error.errno else "no answer"
            reasons.append(f"{address}: {reason}")
    if time.monotonic() >= until:
        raise TimeoutError
    raise faults.connect_failed(str(origin), ", ".join(reasons)) from last


async def _addresses(
    connection: StreamConnection, origin: Origin, until: float
) -> list[dns.Address]:
    known = dns.known_addresses(origin.host, origin.port)
    if known is not None:
        return known
    answer = dns.look_up(origin.host, origin.port)
    _wake_when_done(answer, connection)
    try:
        await _wait_for(answer, connection, until)
        return answer.result(0)
    except (socket.gaierror, UnicodeError) as error:
        raise faults.connect_failed(str(origin), "there is no such name") from error
    finally:
        answer.cancel()


def _wake_when_done(answer: Future[list[dns.Address]], connection: StreamConnection) -> None:
    loop = asyncio.get_running_loop()

    def wake(_: object) -> None:
        with suppress(RuntimeError):  # the loop is closed, and nobody waits
            loop.call_soon_threadsafe(connection.wake)

    answer.add_done_callback(wake)


async def _dial_one(
    connection: StreamConnection,
    address: dns.Address,
    origin: Origin,
    context: ssl.SSLContext | None,
    seconds: float,
) -> None:
    host, port = address.sockaddr[:2]
    name = origin.host if context is not None else None
    loop = asyncio.get_running_loop()
    opening = loop.create_task(
        loop.create_connection(
            lambda: connection, host, port, family=address.family, ssl=context, server_hostname=name
        )
    )
    opening.add_done_callback(lambda _: connection.wake())
    try:
        await _wait_for(opening, connection, time.monotonic() + seconds)
        opening.result()
    except Exception as error:
        named = _named(error, origin, secure=context is not None)
        if named is None:
            raise
        raise named from error
    finally:
        opening.cancel()
        opening.add_done_callback(_look_away)


async def _wait_for(
    answer: asyncio.Task[object] | Future[list[dns.Address]],
    connection: StreamConnection,
    until: float,
) -> None:
    while not answer.done():
        if not await connection.wait(until - time.monotonic()):
            raise TimeoutError
        if connection.closed:
            raise faults.aborted("connect")


def _look_away(opening: asyncio.Task[object]) -> None:
    # A task whose error nobody reads is reported when it is collected.
    if not opening.cancelled():
        opening.exception()


def _named(error: Exception, origin: Origin, *, secure: bool) -> Exception | None:
    import ssl

    if isinstance(error, TimeoutError):
        return None
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):
        return faults.tls_failed(str(origin), faults.tls_reason(error))
    if secure and isinstance(
        error, (ssl.SSLEOFError, ConnectionResetError, ConnectionAbortedError)
    ):
        return faults.connection_lost(str(origin), "tls")
    return None
