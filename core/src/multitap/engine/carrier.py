"""The seam between the engine and what moves its bytes.

A carrier serves one backend's origin and hands out *transfers*: one request and its answer
each. The engine sends, reads until ``b""``, and says ``done`` (keep the connection) or ``abort``.
Bytes are given to the decoder just as they come; ``Content-Encoding`` is undone by the carrier.

Of a server's faults carriers raise ``BackendError`` only, with ``phase`` and ``kind`` set:
``ProviderDown`` (``name_unknown``, ``connect_failed``, ``connection_lost``), ``TLSFailed``,
``ProxyFailed``, ``Timeout`` (``connect_timeout``, ``first_byte_timeout``, ``slow_peer``,
``stall_timeout``), ``DeadlineExceeded``, ``Overloaded`` (``queue_full``), ``ProtocolError``
(``protocol_violation``, ``limit_exceeded``) and ``TruncatedStream`` (the body ended too early).
What cannot be sent is a ``ConfigError``, and what this machine cannot do a ``LocalError``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import attrs

from multitap.engine.blocks import Content
from multitap.policy.clocks import Clocks, Limits
from multitap.work import Head, HttpCall

__all__ = ("AsyncCarrier", "AsyncTransfer", "Carrier", "Request", "Transfer")


@attrs.define(kw_only=True, eq=False)
class Request:
    """One attempt, ready to be sent: the call, its encoded body, and all headers, key included.

    A body of ``Pieces`` is read from its files while it is sent, and never as a whole.
    """

    call: HttpCall
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: Content = attrs.field(default=b"", repr=False)
    limits: Limits = attrs.field(factory=Limits, repr=False)


class Transfer(Protocol):
    """One request and its answer, in blocking code."""

    def send(self, request: Request, clocks: Clocks, /) -> Head:
        """Connect if need be, send, and wait for status and headers."""
        ...

    def read(self, idle: float | None = None, /) -> bytes:
        """The next bytes of the body as they come; ``b""`` at its end.

        ``idle``: seconds of silence that this read bears, where that is less than the clocks'.
        """
        ...

    def done(self) -> None:
        """The answer is all there: drain what is left (bounded) and keep the connection."""
        ...

    def abort(self) -> None:
        """Give up. Never blocks, any thread, any time, more than once; wakes a blocked ``read``."""
        ...


class Carrier(Protocol):
    """Connections to one origin, shared by threads."""

    def transfer(self) -> Transfer:
        """A new transfer; no I/O yet."""
        ...

    def close(self) -> None:
        """Close every idle connection and refuse new transfers."""
        ...


class AsyncTransfer(Protocol):
    """One request and its answer, on an event loop."""

    async def send(self, request: Request, clocks: Clocks, /) -> Head:
        """Connect if need be, send, and wait for status and headers."""
        ...

    async def read(self, idle: float | None = None, /) -> bytes:
        """The next bytes of the body as they come; ``b""`` at its end; ``idle`` as above."""
        ...

    async def done(self) -> None:
        """The answer is all there: drain what is left (bounded) and keep the connection."""
        ...

    def abort(self) -> None:
        """Give up. Never blocks, any thread, any time, more than once; wakes a waiting ``read``."""
        ...


class AsyncCarrier(Protocol):
    """Connections to one origin, for one event loop."""

    def transfer(self) -> AsyncTransfer:
        """A new transfer; no I/O yet."""
        ...

    def close(self) -> None:
        """Close every idle connection and refuse new transfers."""
        ...
