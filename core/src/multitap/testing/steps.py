"""The steps that a script is made of.

A *step* is any function of a ``Connection``, which may be a coroutine function; what it returns, if
anything, is played next. A *script* is a step or a sequence of scripts, so scripts are put together
like lists. The steps here show in a message as they were written:

>>> [request, send("HTTP/1.1 200 OK"), hold(Gate()), reset]
[request, send(b'HTTP/1.1 200 OK'), hold(<Gate, shut>), reset]
"""

from __future__ import annotations

import asyncio
import inspect
import ssl
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Union

import attrs

from multitap.testing.connection import Connection
from multitap.testing.cuts import pieces_of
from multitap.testing.gate import Gate, opened

__all__ = (
    "Script",
    "Step",
    "client_closed",
    "close",
    "drip",
    "half_close",
    "hold",
    "play",
    "repeat",
    "request",
    "reset",
    "secure",
    "send",
    "sleep",
    "tell",
    "turn",
    "when",
)

Script = Union["Callable[[Connection], Any]", "Sequence[Script]"]


@attrs.frozen(repr=False)
class Step:
    """A step with the words that it was written in."""

    words: str
    act: Callable[[Connection], Any]

    def __call__(self, connection: Connection) -> Any:
        """Begin it."""
        return self.act(connection)

    def __repr__(self) -> str:
        return self.words


async def play(connection: Connection, script: Script) -> None:
    """Play a script on a connection, to its end."""
    if not callable(script):
        for part in script:
            await play(connection, part)
        return
    more = script(connection)
    if inspect.isawaitable(more):
        more = await more
    if more is not None:
        await play(connection, more)


# ---- what the client does ------------------------------------------------------------------------


async def _take_request(connection: Connection) -> None:
    await connection.take_request()


request = Step("request", _take_request)
"""Wait for a whole request."""

client_closed = Step("client_closed", Connection.until_closed)
"""Wait until the client closes; what else it sends is thrown away."""


def secure(tls: ssl.SSLContext) -> Step:
    """Speak TLS with this identity from here on, as what is behind a proxy's CONNECT does."""
    return Step("secure", lambda connection: connection.secure(tls))


# ---- what is sent --------------------------------------------------------------------------------


def send(data: bytes | str) -> Step:
    """Send bytes, or a text as UTF-8."""
    content = _bytes(data)
    return Step(f"send({_short(content)})", lambda connection: connection.send(content))


def drip(
    data: bytes | str, size: int = 1, *, cuts: Sequence[int] | None = None, pause: float = 0.0
) -> Step:
    """Send in pieces, each on its own: of ``size`` bytes, or cut at these positions.

    Args:
        data: What is sent in all.
        size: Bytes in a piece.
        cuts: Positions in ``data``, ascending, instead of ``size``.
        pause: Seconds between two pieces.
    """
    content = _bytes(data)
    places = range(size, len(content), size) if cuts is None else cuts
    pieces = pieces_of(content, places)
    how = f"size={size}" if cuts is None else f"cuts={list(cuts)}"

    async def act(connection: Connection) -> None:
        for number, piece in enumerate(pieces):
            if number:
                await connection.while_listening(asyncio.sleep(pause))
            await connection.send(piece)

    return Step(f"drip({_short(content)}, {how})", act)


# ---- when ----------------------------------------------------------------------------------------


def sleep(seconds: float) -> Step:
    """Wait for a time. Where a test decides when to go on, ``hold`` is the better step."""
    return Step(
        f"sleep({seconds})",
        lambda connection: connection.while_listening(asyncio.sleep(seconds)),
    )


def hold(event: threading.Event) -> Step:
    """Wait until the test sets the event (or opens the ``Gate``)."""

    async def act(connection: Connection) -> None:
        waiting = opened(event, connection.ceiling)
        await _in_time(connection, waiting, "nobody released the server")

    return Step(f"hold({event!r})" if isinstance(event, Gate) else "hold(event)", act)


async def _take_turn(connection: Connection) -> None:
    waiting = connection.turn.taken(connection.ceiling)
    await _in_time(connection, waiting, "nobody gave the server its turn")


turn = Step("turn", _take_turn)
"""Wait until the test releases this connection's ``turn``, once for each step."""


async def _in_time(connection: Connection, waiting: Awaitable[None], complaint: str) -> None:
    try:
        await connection.while_listening(waiting)
    except asyncio.TimeoutError:
        raise AssertionError(f"{complaint} within {connection.ceiling:g} s") from None


def tell(event: threading.Event) -> Step:
    """Set an event for the test."""
    return Step("tell(event)", lambda _: event.set())


# ---- how it ends ---------------------------------------------------------------------------------

half_close = Step("half_close", Connection.half_close)
"""Say that no more is coming, and go on listening."""

close = Step("close", Connection.close)
"""Close in the ordinary way."""

reset = Step("reset", Connection.reset)
"""Close with a reset."""


# ---- scripts of scripts --------------------------------------------------------------------------


def repeat(*script: Script, times: int | None = None) -> Step:
    """Play a script again and again: so many times, or until the connection is closed."""
    words = ", ".join(map(_words, script)) + ("" if times is None else f", times={times}")

    async def act(connection: Connection) -> None:
        left = times
        while left is None or left > 0:
            await play(connection, script)
            await asyncio.sleep(0)  # other connections, and the end of the server, have their turn
            if left is None and connection.closed:
                return
            left = None if left is None else left - 1

    return Step(f"repeat({words})", act)


def when(routes: Mapping[str, Script], *, otherwise: Script | None = None) -> Step:
    """Wait for a request, then play the script of its path (``/api/tags``, ``GET /api/tags``).

    Args:
        routes: Scripts by path, or by method and path, which comes first.
        otherwise: The script for every other path; without one, such a request is a fault.
    """

    async def act(connection: Connection) -> Script:
        asked = await connection.take_request()
        for key in (f"{asked.method} {asked.path}", asked.path):
            if key in routes:
                return routes[key]
        if otherwise is not None:
            return otherwise
        known = ", ".join(routes)
        raise AssertionError(f"no script for {asked.method} {asked.path}; there are {known}")

    return Step(f"when({{{', '.join(map(repr, routes))}}})", act)


def _words(script: Script) -> str:
    if isinstance(script, Step):
        return script.words
    if callable(script):
        return str(getattr(script, "__name__", script))
    return f"[{', '.join(map(_words, script))}]"


def _bytes(data: bytes | str) -> bytes:
    return data.encode() if isinstance(data, str) else data


def _short(data: bytes) -> str:
    return repr(data) if len(data) <= 60 else f"{data[:40]!r}… {len(data)} bytes"
