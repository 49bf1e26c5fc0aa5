"""The launching of servers, on an event loop: a part of ``AsyncRuntime``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, TypeVar
from weakref import WeakSet

from multitap.engine.aio import AsyncStream
from multitap.events import Loading
from multitap.runtime.launching import Launched
from multitap.runtime.media_verbs_aio import AsyncMediaVerbs
from multitap.runtime.running import Running

__all__ = ("AsyncLaunches", "AsyncServer")

S = TypeVar("S", bound="AsyncServer")


class AsyncServer(Running):
    """``Server`` with ``async with`` and ``async for``; a cancelled task ends it too."""

    def __init__(
        self,
        launched: Launched,
        steps: AsyncStream[Loading],
        forget: Callable[[str], None],
        *,
        waits: bool,
    ) -> None:
        super().__init__(launched, steps, forget)
        self._steps = steps
        self._waits = waits

    async def __aenter__(self: S) -> S:
        try:
            await self._steps.__aenter__()
            if self._waits:
                async for _ in self._steps.batches():
                    pass
                self._check_ready()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        await asyncio.shield(asyncio.to_thread(self._kept.wait))

    async def wait(self) -> None:
        """Wait until it has ended, by itself or by ``close``."""
        await asyncio.to_thread(self._kept.wait)

    def __aiter__(self) -> AsyncIterator[Loading]:
        return self._steps


class AsyncLaunches(AsyncMediaVerbs):
    """What starts servers on this machine."""

    _servers: WeakSet[AsyncServer]

    def launch(self, model: str | None = None, **options: Any) -> AsyncServer:
        """Start a server for a model, and end it with the block; see ``Runtime.launch``."""
        return self._server(model, options, waits=True)

    def launch_stream(self, model: str | None = None, **options: Any) -> AsyncServer:
        """Likewise, but entering only starts it: ``async for step in server``."""
        return self._server(model, options, waits=False)

    def _server(self, model: str | None, options: dict[str, Any], *, waits: bool) -> AsyncServer:
        launched = self._parts.launch(model, **options)
        server = AsyncServer(launched, self._stream(launched.call), self._ended, waits=waits)
        self._servers.add(server)
        return server

    def _ended(self, backend: str) -> None:
        raise NotImplementedError
