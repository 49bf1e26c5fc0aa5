"""What a fault script is, and the server that plays it for as long as a test says."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import attrs

from multitap.testing.connection import Connection
from multitap.testing.cuts import pieces_of
from multitap.testing.faults.good import GoodAnswer
from multitap.testing.server import Server
from multitap.testing.steps import Script, repeat, request, send

__all__ = ("FaultScript", "FaultyServer", "fault_script")


@attrs.frozen
class FaultScript:
    """One way to break an answer; called with a good one, it gives the steps to play instead.

    Attributes:
        name: What it is called.
        row: The row of the fault matrix that it belongs to, such as ``B2``.
        says: What the server does, in one line.
        make: Makes the steps.
        at_once: They are played as soon as a client connects, before any request.
    """

    name: str
    row: str
    says: str
    make: Callable[..., Script] = attrs.field(repr=False)
    at_once: bool = False

    def __call__(self, good: GoodAnswer, **options: Any) -> Script:
        """The steps for this answer; some scripts have options, such as a size."""
        return self.make(good, **options)


def fault_script(row: str, *, at_once: bool = False) -> Callable[[Callable[..., Script]], Any]:
    """Make a fault script of a function of a good answer; its docstring says what happens."""

    def made(make: Callable[..., Script]) -> FaultScript:
        says = (make.__doc__ or "").partition("\n")[0].rstrip(".")
        return FaultScript(make.__name__, row, says, make, at_once)

    return made


class FaultyServer(Server):
    r"""Answers each request well, or with a fault while one is set.

    Args:
        good: The good answer.
        seed: Chooses places where all that is sent is cut; ``None``: nothing is.
        how: As for ``Server``.

    Attributes:
        good: The good answer.

    >>> import socket
    >>> from multitap.testing.faults import refuses
    >>> raw = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
    >>> with FaultyServer(GoodAnswer(raw)) as server:
    ...     server.breaks(refuses, status=503)
    ...     with socket.create_connection(("127.0.0.1", server.port)) as client:
    ...         client.sendall(b"GET / HTTP/1.1\r\n\r\n")
    ...         broken = client.recv(20)
    ...         server.heals()
    >>> broken
    b'HTTP/1.1 503 Service'
    """

    def __init__(self, good: GoodAnswer, *, seed: int | None = None, **how: Any) -> None:
        self.good = good
        self._chance = None if seed is None else random.Random(seed)  # noqa: S311 - no secret
        self._broken: Script | None = None
        self._opening: Script | None = None
        super().__init__(lambda _: self._opening or repeat(request, self._answer), **how)

    def breaks(self, fault: FaultScript, **options: Any) -> None:
        """Play this fault from now on."""
        script = fault(self.good, **options)
        self._broken, self._opening = (None, script) if fault.at_once else (script, None)

    def heals(self) -> None:
        """Answer well from now on."""
        self._broken = self._opening = None

    @property
    def held(self) -> list[Connection]:
        """The connections that neither side has closed."""
        known = list(self.connections)
        return [each for each in known if not (each.closed or each.closed_by_client.is_set())]

    def _connection(self, accepted: socket.socket) -> Connection:
        connection = super()._connection(accepted)
        if self._chance is not None:
            cutting = partial(_in_pieces, connection.send, self._chance)
            connection.send = cutting  # type: ignore[method-assign]
        return connection

    def _answer(self, connection: Connection) -> Script:
        return self._broken or send(self.good.raw)


async def _in_pieces(
    send: Callable[[bytes], Awaitable[None]], chance: random.Random, data: bytes
) -> None:
    """Send with up to eight cuts, and let the client read in between, now and then."""
    most = min(8, len(data) - 1)
    places = sorted(chance.sample(range(1, len(data)), chance.randint(0, most))) if most > 0 else []
    for piece in pieces_of(data, places):
        await send(piece)
        await asyncio.sleep(chance.choice((0, 0, 0.001)))
