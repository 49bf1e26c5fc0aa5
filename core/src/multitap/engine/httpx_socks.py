"""The words with a SOCKS proxy, which httpcore neither times nor clears up after.

A carrier gives what httpcore traces to ``SocksOpening``. It puts a stream with a clock into the
place of the one that is to be talked on, and closes that if the proxy will not have it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from multitap.engine.httpx_attempt import Attempt

__all__ = ("SocksOpening",)

_TALK = "socks.setup_socks5_connection"


class SocksOpening:
    """The opening of a connection through a SOCKS proxy, if there is one.

    Meanwhile the attempt's phase is ``connect``.
    """

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._stream: Any = None

    def trace(self, name: str, info: MutableMapping[str, Any]) -> None:
        """What happens on a blocking connection."""
        if self._has_failed(name, info):
            self._stream.close()

    async def async_trace(self, name: str, info: MutableMapping[str, Any]) -> None:
        """What happens on a connection of an event loop."""
        if self._has_failed(name, info):
            await self._stream.aclose()

    def _has_failed(self, name: str, info: MutableMapping[str, Any]) -> bool:
        attempt = self._attempt
        if name == f"{_TALK}.started":
            attempt.phase = "connect"
            self._stream = info["stream"]
            info["stream"] = _TimedStream(self._stream, attempt.left(attempt.connect))
        elif name == f"{_TALK}.complete":
            attempt.phase = "wait"
        return name == f"{_TALK}.failed"


class _TimedStream:
    """A stream, blocking or not, whose steps have an end."""

    def __init__(self, stream: Any, seconds: float) -> None:
        self._stream = stream
        self._seconds = seconds

    def read(self, max_bytes: int) -> Any:
        return self._stream.read(max_bytes, timeout=self._seconds)

    def write(self, buffer: bytes) -> Any:
        return self._stream.write(buffer, timeout=self._seconds)
