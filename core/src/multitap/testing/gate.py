"""What a test and a server's script say to each other: events, waited for under a ceiling."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

__all__ = ("CEILING", "Gate", "Turn", "opened")

CEILING = 10.0
"""Seconds that anything may take before it is called stuck."""


class Gate(threading.Event):
    """A ``threading.Event`` that coroutines can wait for as well, on any event loop.

    >>> gate = Gate()
    >>> gate.open()
    >>> gate.wait(CEILING)
    True
    """

    def __init__(self) -> None:
        super().__init__()
        self._guard = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    def set(self) -> None:
        """Open it: whoever waits goes on."""
        with self._guard:
            super().set()
            waiting, self._waiting = self._waiting, []
        for loop, future in waiting:
            with suppress(RuntimeError):  # that loop is closed: nobody waits there any more
                loop.call_soon_threadsafe(_settle, future)

    def open(self) -> None:
        """The same as ``set``, in a gate's own word."""
        self.set()

    async def opened(self, seconds: float = CEILING) -> None:
        """Wait on the running loop; ``asyncio.TimeoutError`` where it stays shut for so long."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        with self._guard:
            if self.is_set():
                return
            self._waiting.append((loop, future))
        await asyncio.wait_for(future, seconds)

    def __repr__(self) -> str:
        return f"<Gate, {'open' if self.is_set() else 'shut'}>"


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


async def opened(event: threading.Event, seconds: float) -> None:
    """Wait for any event on the running loop; a plain one is watched by a thread of its own."""
    gate = event if isinstance(event, Gate) else _watched(event, seconds)
    await gate.opened(seconds)


def _watched(event: threading.Event, seconds: float) -> Gate:
    gate = Gate()

    def watch() -> None:
        if event.wait(seconds):
            gate.open()

    if event.is_set():
        gate.open()
    else:
        threading.Thread(target=watch, daemon=True).start()
    return gate


class Turn:
    """How often a connection may go on at a ``turn``; the test gives, the script takes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._left = asyncio.Semaphore(0)

    def release(self, times: int = 1) -> None:
        """Let the script pass this many turns more."""
        with suppress(RuntimeError):  # the server has stopped
            self._loop.call_soon_threadsafe(self._give, times)

    def _give(self, times: int) -> None:
        for _ in range(times):
            self._left.release()

    async def taken(self, seconds: float) -> None:
        """Wait for a turn on the server's loop."""
        await asyncio.wait_for(self._left.acquire(), seconds)
